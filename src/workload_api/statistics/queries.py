"""Reads the statistics of the present epoch (§8)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.clock import utc_now
from workload_api.db.models import RequestCountRow, ResponseTimeRow, WorkloadRow
from workload_api.statistics.histogram import count_over
from workload_api.statistics.histogram import quantile as quantile_of

MINUTE = timedelta(minutes=1)
_LONGEST = 1e12
"""Milliseconds: more than any request takes; a greater threshold changes nothing."""


class HasStatistics(Protocol):
    """What is needed of a workload's row."""

    id: Any
    proton_id: Any
    statistics_epoch: Any
    statistics_since: Any


@dataclass(frozen=True, slots=True)
class Metrics:
    """Request metrics of one proton over a period; with no request all of them are 0."""

    start: datetime
    end: datetime
    total_requests: int = 0
    requests_per_minute: int = 0
    concurrent_requests: int = 0
    response_time: int = 0
    """Milliseconds, at the quantile that was asked for."""
    slow_requests: int = 0
    user_errors: int = 0
    server_errors: int = 0
    user_error_rate: float = 0.0
    """A fraction from 0 to 1, as are the two below."""
    server_error_rate: float = 0.0
    total_error_rate: float = 0.0


@dataclass(frozen=True, slots=True)
class RequestSummary:
    """What a list of workloads shows of the requests to one of them, since the last reset."""

    total_requests: int = 0
    error_rate: float = 0.0
    response_time: int = 0
    """The median, in milliseconds."""
    last_request_at: datetime | None = None
    request_rates: tuple[int, ...] = ()
    error_rates: tuple[int, ...] = ()


async def request_metrics(
    session: AsyncSession,
    workload: HasStatistics,
    *,
    retention: timedelta,
    proton_id: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    quantile: float = 0.5,
    slow_threshold: float = 2000,
    concurrent: int = 0,
) -> Metrics:
    """Request metrics of one proton in the present epoch.

    Args:
        session: A transaction.
        workload: Whose.
        retention: How far back it goes at the most.
        proton_id: Which proton; by default the active one.
        start: The beginning of the period, by its minute; by default, and at the earliest, the last reset.
        end: The end of the period, by its minute; by default, and at the latest, now.
        quantile: Of the response time, from 0 to 1.
        slow_threshold: From how many milliseconds on a request counts as slow.
        concurrent: How many requests are under way now.
    """
    start, end = period_of(workload.statistics_since, retention, start, end)
    proton = proton_id or workload.proton_id

    def these(table: type[RequestCountRow] | type[ResponseTimeRow]) -> tuple[ColumnElement[bool], ...]:
        return (table.proton_id == proton, table.epoch == workload.statistics_epoch, *within(table, start, end))

    counts = (
        select(
            func.coalesce(func.sum(RequestCountRow.requests), 0),
            func.coalesce(func.sum(RequestCountRow.user_errors), 0),
            func.coalesce(func.sum(RequestCountRow.server_errors), 0),
        )
    ).where(*these(RequestCountRow))
    total, user_errors, server_errors = map(int, (await session.execute(counts)).one())
    if total == 0:
        return Metrics(start, end, concurrent_requests=concurrent)
    times = (
        select(ResponseTimeRow.bucket, func.sum(ResponseTimeRow.requests))
        .where(*these(ResponseTimeRow))
        .group_by(ResponseTimeRow.bucket)
    )
    buckets = {bucket: int(requests) for bucket, requests in (await session.execute(times)).all()}
    return Metrics(
        start,
        end,
        total_requests=total,
        requests_per_minute=round(total / max((end - start) / MINUTE, 1.0)),
        concurrent_requests=concurrent,
        response_time=round(quantile_of(buckets, quantile)),
        slow_requests=count_over(buckets, min(slow_threshold, _LONGEST)),
        user_errors=user_errors,
        server_errors=server_errors,
        user_error_rate=user_errors / total,
        server_error_rate=server_errors / total,
        total_error_rate=(user_errors + server_errors) / total,
    )


async def summaries(session: AsyncSession, workloads: Collection[WorkloadRow]) -> dict[str, RequestSummary]:
    """The requests to the active protons of these workloads in their present epochs, by two queries in all."""
    found = {workload.id: RequestSummary() for workload in workloads}
    if not found:
        return found
    counts = (
        select(
            WorkloadRow.id,
            func.sum(RequestCountRow.requests),
            func.sum(RequestCountRow.user_errors + RequestCountRow.server_errors),
        )
        .join(RequestCountRow, _present(RequestCountRow))
        .where(WorkloadRow.id.in_(found))
        .group_by(WorkloadRow.id)
    )
    totals = {row[0]: (int(row[1]), int(row[2])) for row in (await session.execute(counts)).all()}
    if not totals:
        return found
    times = (
        select(WorkloadRow.id, ResponseTimeRow.bucket, func.sum(ResponseTimeRow.requests))
        .join(ResponseTimeRow, _present(ResponseTimeRow))
        .where(WorkloadRow.id.in_(totals))
        .group_by(WorkloadRow.id, ResponseTimeRow.bucket)
    )
    buckets: dict[str, dict[int, int]] = {}
    for workload_id, bucket, requests in (await session.execute(times)).all():
        buckets.setdefault(workload_id, {})[bucket] = int(requests)
    for workload in workloads:
        if workload.id in totals:
            total, errors = totals[workload.id]
            found[workload.id] = RequestSummary(
                total_requests=total,
                error_rate=errors / total,
                response_time=round(quantile_of(buckets.get(workload.id, {}), 0.5)),
                last_request_at=workload.last_response_at,
            )
    return found


def within(
    table: type[RequestCountRow] | type[ResponseTimeRow], start: datetime | None, end: datetime | None
) -> list[ColumnElement[bool]]:
    """The condition that a row's minute lies in a period: from the minute of its start to that of its end."""
    found: list[ColumnElement[bool]] = []
    if start is not None:
        found.append(table.minute >= _floor(start))
    if end is not None:
        found.append(table.minute < _ceil(end))
    return found


def clamp(moment: datetime, earliest: datetime, latest: datetime) -> datetime:
    """A moment in UTC, brought between two others: the ends of the calendar cannot be turned to UTC or counted on."""
    return min(max(moment, earliest), latest).astimezone(UTC)


def period_of(
    since: datetime, retention: timedelta, start: datetime | None, end: datetime | None
) -> tuple[datetime, datetime]:
    """The period that is asked for, as far as there are statistics: from the last reset to now at the most."""
    now = utc_now()
    earliest = min(max(since, now - retention), now)
    start = earliest if start is None else clamp(start, earliest, now + MINUTE)
    # A period that lies wholly before the reset, or after now, is empty, not turned round.
    end = max(start, now) if end is None else max(start, clamp(end, earliest, now + MINUTE))
    return start, end


def _present(table: type[RequestCountRow] | type[ResponseTimeRow]) -> ColumnElement[bool]:
    return (table.proton_id == WorkloadRow.proton_id) & (table.epoch == WorkloadRow.statistics_epoch)


def _floor(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _ceil(moment: datetime) -> datetime:
    floor = _floor(moment)
    return floor if floor == moment else floor + MINUTE
