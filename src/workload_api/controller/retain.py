"""The retention loop: clears away what nobody needs any more, in bounded batches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.clock import utc_now
from workload_api.db.audiences import add_up, forget_unused
from workload_api.db.engine import Database
from workload_api.db.locks import locked
from workload_api.db.models import (
    ArtifactRepositoryRow,
    ArtifactRow,
    IdempotencyKeyRow,
    ProtonRow,
    ReplacementRow,
    RequestCountRow,
    RequestsUnderWayRow,
    ResponseTimeRow,
    SearchTextRow,
    SharedRoleRow,
    TagRow,
    WorkloadRow,
)
from workload_api.db.types import database_now
from workload_api.otel.service import Extent, clear
from workload_api.settings import Settings

BATCH = 500
COUNTS = 10_000
"""Rows of counts added up in one transaction."""
LOG_BATCHES = 500


async def retain(database: Database, settings: Settings) -> list[str]:
    """Remove deleted workloads whose compute is gone, expired ones after their retention, and what they leave.

    Returns:
        The ids of the protons whose rows went, so that their output can go as well.
    """
    protons: list[str] = []
    async with database.write() as session:
        protons += await _remove_workloads(session, settings)
    async with database.write() as session:
        protons += await _remove_protons(session, settings)
    async with database.write() as session:
        await _remove_artifacts(session)
    async with database.write() as session:
        await _remove_old_records(session, settings)
    await _add_up_counts(database)
    await _clear_logs(database, settings)
    return protons


async def _clear_logs(database: Database, settings: Settings) -> None:
    """Clear logs, batch by batch: others write in between. What one call leaves, the next goes on with."""
    limit = Extent(settings.log_lines, settings.log_characters)
    for _ in range(LOG_BATCHES):
        async with database.write() as session:
            # Lines bear the time of their capture, which no database's clock has given.
            if not await clear(session, utc_now() - settings.log_retention, limit):
                return


async def _remove_workloads(session: AsyncSession, settings: Settings) -> list[str]:
    at_work = exists().where(
        ProtonRow.workload_id == WorkloadRow.id, ProtonRow.status.not_in(("stopped", "terminated"))
    )
    ids: list[str] = []
    for over in (
        WorkloadRow.deleted_at.is_not(None),
        WorkloadRow.expired_at <= database_now(-settings.terminated_retention),
    ):
        due = select(WorkloadRow.id).where(over, ~at_work).limit(BATCH)
        ids += (await session.scalars(locked(due, WorkloadRow, skip_locked=True))).all()
    if not ids:
        return []
    protons = list((await session.scalars(select(ProtonRow.id).where(ProtonRow.workload_id.in_(ids)))).all())
    await _remove_what_is_kept_of(session, ids)
    await session.execute(delete(WorkloadRow).where(WorkloadRow.id.in_(ids)))
    return protons


async def _remove_protons(session: AsyncSession, settings: Settings) -> list[str]:
    """Remove what was replaced, and is gone for longer than anybody may ask for its statistics."""
    longest = max(settings.locked_statistics_retention, settings.draft_statistics_retention)
    due = (
        select(ProtonRow.id)
        .where(
            ProtonRow.role.is_(None),
            ProtonRow.status == "terminated",
            ProtonRow.updated_at < database_now(-longest),
        )
        .limit(BATCH)
    )
    ids = list((await session.scalars(locked(due, ProtonRow, skip_locked=True))).all())
    if ids:
        await session.execute(delete(ProtonRow).where(ProtonRow.id.in_(ids)))
    return ids


async def _remove_artifacts(session: AsyncSession) -> None:
    """Remove deleted artifacts and repositories to which nothing points any more."""
    pointed = (
        exists().where(WorkloadRow.artifact_id == ArtifactRow.id)
        | exists().where(ProtonRow.artifact_id == ArtifactRow.id)
        | exists().where(ReplacementRow.artifact_id == ArtifactRow.id)
    )
    artifacts = (
        await session.scalars(
            locked(
                select(ArtifactRow.id).where(ArtifactRow.deleted_at.is_not(None), ~pointed).limit(BATCH),
                ArtifactRow,
                skip_locked=True,
            )
        )
    ).all()
    if artifacts:
        await _remove_what_is_kept_of(session, artifacts)
        await session.execute(delete(ArtifactRow).where(ArtifactRow.id.in_(artifacts)))
    holds = exists().where(ArtifactRow.repository_id == ArtifactRepositoryRow.id)
    repositories = (
        await session.scalars(
            locked(
                select(ArtifactRepositoryRow.id)
                .where(ArtifactRepositoryRow.deleted_at.is_not(None), ~holds)
                .limit(BATCH),
                ArtifactRepositoryRow,
                skip_locked=True,
            )
        )
    ).all()
    if repositories:
        await _remove_what_is_kept_of(session, repositories)
        await session.execute(delete(ArtifactRepositoryRow).where(ArtifactRepositoryRow.id.in_(repositories)))


async def _remove_what_is_kept_of(session: AsyncSession, resource_ids: Sequence[str]) -> None:
    for table in (SharedRoleRow, TagRow, SearchTextRow):
        await session.execute(delete(table).where(table.resource_id.in_(resource_ids)))


async def _add_up_counts(database: Database) -> None:
    """Keep what lists count at a handful of rows (``db/models/audiences.py``)."""
    full = True
    while full:
        async with database.write() as session:
            full = await add_up(session, COUNTS) == COUNTS
    async with database.write() as session:
        await forget_unused(session, BATCH)


async def _remove_old_records(session: AsyncSession, settings: Settings) -> None:
    await session.execute(
        delete(IdempotencyKeyRow).where(IdempotencyKeyRow.created_at < database_now(-settings.idempotency_retention))
    )
    await session.execute(delete(RequestsUnderWayRow).where(RequestsUnderWayRow.good_until < database_now()))
    longest: timedelta = max(settings.locked_statistics_retention, settings.draft_statistics_retention)
    for table in (RequestCountRow, ResponseTimeRow):
        await session.execute(delete(table).where(table.minute < database_now(-longest)))
