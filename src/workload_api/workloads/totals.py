"""Figures over all workloads that a list would show (§8), by a fixed number of queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.clock import utc_now
from workload_api.db.models import RequestCountRow, ResponseTimeRow, WorkloadRow
from workload_api.domain.transitions import NOT_ACTIVE
from workload_api.identity.rights import Caller
from workload_api.identity.sight import sight_of
from workload_api.settings import Settings
from workload_api.statistics.histogram import quantile
from workload_api.statistics.queries import within
from workload_api.workloads.queries import WorkloadFilter

PERIOD = timedelta(hours=24)
"""What the figures are about: the last 24 hours; the trend is against the 24 hours before."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """The requests of a period."""

    requests: int
    errors: int
    response_time: float
    """The median, in milliseconds."""

    @property
    def error_rate(self) -> float:
        """The part of requests that failed."""
        return self.errors / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Totals:
    """Figures over several workloads."""

    by_status: dict[str, int]
    by_importance: dict[str, int]
    now: Traffic
    before: Traffic
    under_way: int
    """Requests that this process is forwarding right now."""

    @property
    def total(self) -> int:
        """How many workloads there are."""
        return sum(self.by_status.values())

    @property
    def active(self) -> int:
        """How many of them have an active proton."""
        return sum(count for status, count in self.by_status.items() if status not in NOT_ACTIVE)


async def totals(
    session: AsyncSession,
    caller: Caller,
    wanted: WorkloadFilter,
    settings: Settings,
    in_flight: Mapping[str, int],
) -> Totals:
    """Add up over the workloads that the caller may see and that meet the filters.

    Args:
        session: A transaction.
        caller: Who asks.
        wanted: The filters of the list.
        settings: Bounds how far back statistics go.
        in_flight: Requests under way, by proton.
    """
    sight = await sight_of(session, caller, WorkloadRow)
    conditions = [sight.condition(), *wanted.conditions(one_by_one=sight.few)]
    grouped = (
        select(WorkloadRow.status, WorkloadRow.importance, func.count())
        .where(*conditions)
        .group_by(WorkloadRow.status, WorkloadRow.importance)
    )
    by_status: dict[str, int] = {}
    by_importance: dict[str, int] = {}
    for status, importance, count in (await session.execute(grouped)).all():
        by_status[status] = by_status.get(status, 0) + count
        by_importance[importance] = by_importance.get(importance, 0) + count
    now = utc_now()
    period = min(PERIOD, settings.locked_statistics_retention / 2)
    protons = select(WorkloadRow.proton_id).where(*conditions)
    in_flight = dict(in_flight)
    busy = (await session.scalars(protons.where(WorkloadRow.proton_id.in_(in_flight)))).all() if in_flight else ()
    return Totals(
        by_status=by_status,
        by_importance=by_importance,
        now=await _traffic(session, protons, now - period, now),
        before=await _traffic(session, protons, now - 2 * period, now - period),
        under_way=sum(in_flight[each] for each in busy),
    )


async def _traffic(session: AsyncSession, protons: Select[str], start: datetime, end: datetime) -> Traffic:
    def these(table: type[RequestCountRow] | type[ResponseTimeRow]) -> tuple[ColumnElement[bool], ...]:
        present = (WorkloadRow.proton_id == table.proton_id) & (WorkloadRow.statistics_epoch == table.epoch)
        return table.proton_id.in_(protons), select(WorkloadRow.id).where(present).exists(), *within(table, start, end)

    counts = select(
        func.coalesce(func.sum(RequestCountRow.requests), 0),
        func.coalesce(func.sum(RequestCountRow.user_errors + RequestCountRow.server_errors), 0),
    ).where(*these(RequestCountRow))
    requests, errors = map(int, (await session.execute(counts)).one())
    if not requests:
        return Traffic(0, 0, 0.0)
    times = (
        select(ResponseTimeRow.bucket, func.sum(ResponseTimeRow.requests))
        .where(*these(ResponseTimeRow))
        .group_by(ResponseTimeRow.bucket)
    )
    buckets = {bucket: int(count) for bucket, count in (await session.execute(times)).all()}
    return Traffic(requests, errors, quantile(buckets, 0.5))


def trend(now: float, before: float) -> float:
    """How much more there is than before, as a part of what was there; 0 where there was nothing."""
    return (now - before) / before if before else 0.0
