"""Reads the events of a workload."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.models import EventRow, SharedRoleRow, WorkloadRow
from workload_api.http.paging import Paging


async def list_events(session: AsyncSession, workload_id: str, paging: Paging) -> tuple[list[EventRow], int]:
    """A page of a workload's events, newest first, and how many there are."""
    mine = EventRow.workload_id == workload_id
    total = await session.scalar(select(func.count()).select_from(EventRow).where(mine))
    statement = select(EventRow).where(mine).order_by(EventRow.position.desc()).offset(paging.offset)
    return list((await session.scalars(statement.limit(paging.limit))).all()), total or 0


async def newest_event(session: AsyncSession, workload_id: str) -> tuple[str | None, int]:
    """Id and position of a workload's newest event; position 0 where it has none."""
    statement = select(EventRow.id, EventRow.position).where(EventRow.workload_id == workload_id)
    found = (await session.execute(statement.order_by(EventRow.position.desc()).limit(1))).one_or_none()
    return (None, 0) if found is None else (found[0], found[1])


async def position_of(session: AsyncSession, workload_id: str, event_id: str) -> int | None:
    """The position of a workload's event; ``None`` where it has no such event."""
    statement = select(EventRow.position).where(EventRow.id == event_id, EventRow.workload_id == workload_id)
    return (await session.scalars(statement)).one_or_none()


async def events_after(session: AsyncSession, workload_id: str, position: int, limit: int) -> list[EventRow]:
    """A workload's events behind a position, oldest first: the oldest of them, up to a limit."""
    behind = select(EventRow).where(EventRow.workload_id == workload_id, EventRow.position > position)
    return list((await session.scalars(behind.order_by(EventRow.position).limit(limit))).all())


async def newest_after(session: AsyncSession, workload_id: str, position: int, limit: int) -> list[EventRow]:
    """A workload's events behind a position, oldest first: the newest of them, up to a limit."""
    behind = select(EventRow).where(EventRow.workload_id == workload_id, EventRow.position > position)
    found = (await session.scalars(behind.order_by(EventRow.position.desc()).limit(limit))).all()
    return list(reversed(found))


@dataclass(frozen=True, slots=True)
class Head:
    """How far the events of a workload go."""

    position: int
    deleted: bool


async def heads(session: AsyncSession, workload_ids: Collection[str]) -> dict[str, Head]:
    """How far the events of these workloads go: one look into the index for each; those that are gone are left out."""
    newest = (
        select(func.max(EventRow.position))
        .where(EventRow.workload_id == WorkloadRow.id)
        .correlate(WorkloadRow)
        .scalar_subquery()
    )
    statement = select(WorkloadRow.id, newest, WorkloadRow.deleted_at.is_not(None))
    rows = (await session.execute(statement.where(WorkloadRow.id.in_(workload_ids)))).all()
    return {workload_id: Head(position or 0, bool(deleted)) for workload_id, position, deleted in rows}


async def roles_on(session: AsyncSession, workload_ids: Collection[str]) -> dict[tuple[str, str], str]:
    """Who holds which roles on these workloads: by workload and subject, comma-separated."""
    statement = select(SharedRoleRow.resource_id, SharedRoleRow.subject_id, SharedRoleRow.role).where(
        SharedRoleRow.resource_type == "workload", SharedRoleRow.resource_id.in_(workload_ids)
    )
    found: dict[tuple[str, str], str] = {}
    for workload_id, subject_id, role in (await session.execute(statement)).all():
        key = (workload_id, subject_id)
        found[key] = f"{found[key]},{role}" if key in found else role
    return found
