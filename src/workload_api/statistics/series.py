"""One metric over time: buckets of a resolution, cut where the calendar does, in UTC (§8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.models import RequestCountRow, ResponseTimeRow
from workload_api.domain.errors import FieldError
from workload_api.statistics.histogram import count_over
from workload_api.statistics.histogram import quantile as quantile_of
from workload_api.statistics.queries import HasStatistics, period_of, within

MOST_BUCKETS: Final = 50_000
"""Enough for each minute of the longest time that statistics are kept by default."""
_FIXED: Final = {
    "PT1M": timedelta(minutes=1),
    "PT5M": timedelta(minutes=5),
    "PT1H": timedelta(hours=1),
    "P1D": timedelta(days=1),
    "P7D": timedelta(days=7),
}
_MONDAY: Final = datetime(1970, 1, 5, tzinfo=UTC)
"""Weeks begin on Mondays (ISO 8601); days, hours and minutes begin with it too."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """The value of a metric in a part of time."""

    start: datetime
    end: datetime
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """A metric of one proton."""

    proton_id: str
    start: datetime
    end: datetime
    buckets: list[Bucket]


@dataclass(slots=True)
class _Sum:
    requests: int = 0
    errors: int = 0
    times: dict[int, int] | None = None


async def metric_series(
    session: AsyncSession,
    workload: HasStatistics,
    metric: str,
    resolution: str,
    *,
    retention: timedelta,
    proton_id: str | None,
    start: datetime | None,
    end: datetime | None,
    quantile: float,
    slow_threshold: float,
    concurrent: int,
) -> Series:
    """One metric of one proton in the present epoch, bucket by bucket; buckets without a request are there too.

    Args:
        session: A transaction.
        workload: Whose.
        metric: One of the six names of the contract.
        resolution: How long a bucket is: ``PT1M`` to ``P1M``.
        retention: How far back it goes at the most.
        proton_id: Which proton; by default the active one.
        start: The beginning of the period; by default, and at the earliest, the last reset.
        end: The end of the period; by default, and at the latest, now.
        quantile: Of ``responseTime``.
        slow_threshold: Milliseconds over which ``requestsOverN`` counts.
        concurrent: Requests under way now: the value of ``concurrentRequests`` in the last bucket.

    Raises:
        FieldError: The period would have more than 50,000 buckets of this length.
    """
    start, end = period_of(workload.statistics_since, retention, start, end)
    proton = proton_id or workload.proton_id
    edges = list(_edges(start, end, resolution))
    sums: dict[datetime, _Sum] = {}
    counts = select(
        RequestCountRow.minute, RequestCountRow.requests, RequestCountRow.user_errors + RequestCountRow.server_errors
    ).where(
        RequestCountRow.proton_id == proton,
        RequestCountRow.epoch == workload.statistics_epoch,
        *within(RequestCountRow, start, end),
    )
    for minute, requests, errors in (await session.execute(counts)).all():
        found = sums.setdefault(bucket_start(minute, resolution), _Sum())
        found.requests += requests
        found.errors += errors
    if metric in ("responseTime", "requestsOverN"):
        times = (
            select(ResponseTimeRow.minute, ResponseTimeRow.bucket, func.sum(ResponseTimeRow.requests))
            .where(
                ResponseTimeRow.proton_id == proton,
                ResponseTimeRow.epoch == workload.statistics_epoch,
                *within(ResponseTimeRow, start, end),
            )
            .group_by(ResponseTimeRow.minute, ResponseTimeRow.bucket)
        )
        for minute, bucket, requests in (await session.execute(times)).all():
            found = sums.setdefault(bucket_start(minute, resolution), _Sum())
            found.times = found.times or {}
            found.times[bucket] = found.times.get(bucket, 0) + int(requests)
    buckets = []
    for number, (left, right) in enumerate(edges):
        present = sums.get(left, _Sum())
        minutes = max((min(right, end) - max(left, start)) / timedelta(minutes=1), 1.0)
        value: float
        if metric == "totalRequests":
            value = present.requests
        elif metric == "requestsPerMinute":
            value = present.requests / minutes
        elif metric == "totalErrorRate":
            value = present.errors / present.requests if present.requests else 0.0
        elif metric == "responseTime":
            value = quantile_of(present.times or {}, quantile)
        elif metric == "requestsOverN":
            value = count_over(present.times or {}, slow_threshold)
        else:
            value = concurrent if number == len(edges) - 1 else 0
        buckets.append(Bucket(left, right, value))
    return Series(proton, start, end, buckets)


def bucket_start(moment: datetime, resolution: str) -> datetime:
    """The beginning of the bucket that a moment lies in."""
    moment = moment.astimezone(UTC)
    if resolution == "P1M":
        return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    length = _FIXED[resolution]
    return _MONDAY + (moment - _MONDAY) // length * length


def _next(start: datetime, resolution: str) -> datetime:
    if resolution == "P1M":
        return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    return start + _FIXED[resolution]


def _edges(start: datetime, end: datetime, resolution: str) -> Iterator[tuple[datetime, datetime]]:
    left, count = bucket_start(start, resolution), 0
    while left < end or count == 0:
        if (count := count + 1) > MOST_BUCKETS:
            raise FieldError(
                f"This period has more than {MOST_BUCKETS} parts of {resolution}; ask for a coarser resolution or a "
                "shorter period.",
                ("query", "resolution"),
                resolution,
            )
        right = _next(left, resolution)
        yield left, right
        left = right
