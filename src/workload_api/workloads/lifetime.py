"""The draft TTL (§4): a workload on a draft artifact lives 8 hours from its creation or last start.

Whether it has run out is asked of the database's clock, in the statement that locks the rows: of a promote and the
reaper, whoever commits first wins, and any number of reapers end each workload once.
"""

from __future__ import annotations

from sqlalchemy import case, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.changes import mark_changed
from workload_api.db.locks import locked
from workload_api.db.models import EventRow, ProtonRow, WorkloadRow
from workload_api.db.types import database_now
from workload_api.events.service import event_values
from workload_api.identity.service import revoke_tokens_of
from workload_api.replacements.steps import end_replacements

BATCH = 500
"""Workloads ended in one transaction: small enough that nobody waits for it."""

EXPIRED_MESSAGE = "The draft's time ran out; promote a draft before that to keep it running."


async def expire_due(session: AsyncSession, limit: int = BATCH) -> list[str]:
    """End the workloads whose draft TTL has run out, those due longest first.

    Args:
        session: A unit of work.
        limit: How many at the most.

    Returns:
        The ids of those that this call ended; where they are as many as the limit, there may be more.
    """
    now = database_now()
    due = (
        select(WorkloadRow.id)
        .where(WorkloadRow.expires_at <= now, WorkloadRow.deleted_at.is_(None))
        .order_by(WorkloadRow.expires_at)
        .limit(limit)
    )
    ids = list((await session.scalars(locked(due, WorkloadRow, skip_locked=True))).all())
    if not ids:
        return []
    at_rest = WorkloadRow.status.in_(("stopped", "terminated"))
    await session.execute(
        update(WorkloadRow)
        .where(WorkloadRow.id.in_(ids))
        .values(
            expired_at=now,
            expires_at=None,
            draft_artifact_id=None,
            status=case((at_rest, "terminated"), else_="stopping"),
        )
        .execution_options(synchronize_session=False)
    )
    await end_replacements(session, ids, EXPIRED_MESSAGE)
    await end_protons(session, ids)
    await revoke_tokens_of(session, ids)
    await session.execute(
        insert(EventRow),
        [
            event_values(workload_id, "workload.expired", "Expired", EXPIRED_MESSAGE, severity="Warning")
            for workload_id in ids
        ],
    )
    mark_changed(session, *ids)
    return ids


async def end_protons(session: AsyncSession, workload_ids: list[str], *, but_active: bool = False) -> None:
    """Want all protons of these workloads gone, or all but the active ones; the controller takes their compute down."""
    which = [ProtonRow.workload_id.in_(workload_ids), ProtonRow.desired_state != "gone"]
    if but_active:
        which.append(ProtonRow.role.is_distinct_from("active"))
    await session.execute(
        update(ProtonRow)
        .where(*which)
        .values(
            desired_state="gone",
            generation=ProtonRow.generation + 1,
            role=case((ProtonRow.role == "candidate", None), else_=ProtonRow.role),
            running_since=None,
            # From here on it says why the proton could not be stopped, if so.
            message=case((ProtonRow.status == "stopping", ProtonRow.message), else_=None),
            status=case((ProtonRow.status.in_(("stopped", "terminated")), "terminated"), else_="stopping"),
        )
        .execution_options(synchronize_session=False)
    )
