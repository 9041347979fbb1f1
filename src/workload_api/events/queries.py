"""Reads the events of a workload."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.models import EventRow
from workload_api.http.paging import Paging


async def list_events(session: AsyncSession, workload_id: str, paging: Paging) -> tuple[list[EventRow], int]:
    """A page of a workload's events, newest first, and how many there are."""
    mine = EventRow.workload_id == workload_id
    total = await session.scalar(select(func.count()).select_from(EventRow).where(mine))
    statement = select(EventRow).where(mine).order_by(EventRow.position.desc()).offset(paging.offset).limit(paging.limit)
    return list((await session.scalars(statement)).all()), total or 0
