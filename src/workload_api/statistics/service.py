"""Resets statistics: wholly, in constant time, or for a window or a proton (§8)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.clock import utc_now
from workload_api.db.changes import mark_changed
from workload_api.db.models import EventRow, ProtonRow, RequestCountRow, ResponseTimeRow, WorkloadRow
from workload_api.domain.errors import FieldError
from workload_api.domain.versions import ANY_VERSION, Expected
from workload_api.events.service import event_values
from workload_api.identity.rights import Caller
from workload_api.identity.targets import lock_workload
from workload_api.protons.queries import get_proton
from workload_api.statistics.queries import clamp, within

_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


def refuse_backward(start: datetime | None, end: datetime | None) -> None:
    """Let through a period whose start is not after its end.

    Raises:
        FieldError: It is.
    """
    if start is not None and end is not None and start > end:
        raise FieldError("endTime must not be before startTime.", ("query", "endTime"), end.isoformat())


async def reset_statistics(
    session: AsyncSession,
    caller: Caller,
    workload_id: str,
    proton_id: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    expected: Expected = ANY_VERSION,
) -> None:
    """Start a workload's statistics again from zero, or clear those of one proton, or of a window by its minutes.

    Raises:
        NotFound: There is no such workload for this caller, or it has no such proton.
        Forbidden: The caller may see it, but not update it.
        Stale: The workload has changed since the caller read it.
        FieldError: The window ends before it starts.
    """
    refuse_backward(start, end)
    workload = await lock_workload(session, caller, workload_id, "update")
    expected.check(workload)
    details: dict[str, object] = {}
    if proton_id is None and start is None and end is None:
        # A new epoch: rows of the old one stay where they are until their retention ends, and count no more.
        await session.execute(
            update(WorkloadRow)
            .where(WorkloadRow.id == workload_id)
            .values(
                statistics_epoch=workload.statistics_epoch + 1,
                statistics_since=utc_now(),
                updated_at=WorkloadRow.updated_at,
            )
            .execution_options(synchronize_session=False)
        )
        message = "The statistics start again from zero."
    else:
        if proton_id is not None:
            await get_proton(session, workload_id, proton_id)
            details["protonId"] = proton_id
        latest = utc_now() + _DAY
        start = None if start is None else clamp(start, _FIRST, latest)
        end = None if end is None else clamp(end, _FIRST, latest)
        details |= {
            name: moment.isoformat().replace("+00:00", "Z")
            for name, moment in (("startTime", start), ("endTime", end))
            if moment is not None
        }
        protons = select(ProtonRow.id).where(ProtonRow.workload_id == workload_id)
        if proton_id is not None:
            protons = protons.where(ProtonRow.id == proton_id)
        for table in (RequestCountRow, ResponseTimeRow):
            await session.execute(
                delete(table)
                .where(
                    table.proton_id.in_(protons),
                    table.epoch == workload.statistics_epoch,
                    *within(table, start, end),
                )
                .execution_options(synchronize_session=False)
            )
        message = "A part of the statistics was cleared."
    await session.execute(
        insert(EventRow).values(
            event_values(
                workload_id,
                "statistics.reset",
                "StatisticsReset",
                message,
                actor_id=caller.user_id,
                details=details,
            )
        )
    )
    mark_changed(session, workload_id)
