"""Counts the requests of this process and writes them down, each to the epoch in which it began (§5, §8).

A promote or a reset begins a new epoch. Which one a request belongs to is decided when it is written, under the
lock of its workload's row: to the present one if the process knew that epoch when the request began, or if it began
after the reset; else to an older one. So a request from before a reset never shows after it, however late it ends or is
written, and one from after it always does, even in a process that had not heard of it yet.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

import structlog
from sqlalchemy import Insert, Table, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.engine import Database
from workload_api.db.locks import locked
from workload_api.db.models import ProtonRow, RequestCountRow, ResponseTimeRow, WorkloadRow
from workload_api.db.types import UtcDateTime
from workload_api.statistics.histogram import bucket_of

log = structlog.get_logger(__name__)

BUFFER_LIMIT = 200_000
"""Requests that are kept while the database cannot be written to."""
_WORKLOADS_AT_ONCE = 200
"""Workloads written in one transaction: nobody who wants to change one of them waits long."""

_USER_ERROR: Final = 1
_SERVER_ERROR: Final = 2

_COUNTS: Final = RequestCountRow.metadata.tables[RequestCountRow.__tablename__]
_TIMES: Final = ResponseTimeRow.metadata.tables[ResponseTimeRow.__tablename__]
_WORKLOADS: Final = WorkloadRow.metadata.tables[WorkloadRow.__tablename__]

_Request = tuple[datetime, int, int]
"""When it began, its kind of outcome, the bucket of its duration."""


@dataclass(slots=True)
class _Batch:
    """What is to be written of one workload: requests by proton and by the epoch known when they began."""

    requests: dict[tuple[str, int | None], list[_Request]] = field(default_factory=dict)
    last_response_at: datetime | None = None

    def add(self, proton_id: str, epoch_known: int | None, requests: list[_Request], ended_at: datetime) -> None:
        self.requests.setdefault((proton_id, epoch_known), []).extend(requests)
        if self.last_response_at is None or ended_at > self.last_response_at:
            self.last_response_at = ended_at

    def size(self) -> int:
        return sum(map(len, self.requests.values()))


class Recorder:
    """Counts requests in memory until they are flushed.

    Args:
        database: Where they are written.
        limit: How many requests are kept at the most.
    """

    def __init__(self, database: Database, limit: int = BUFFER_LIMIT) -> None:
        self._database = database
        self._limit = limit
        self._batches: dict[str, _Batch] = {}
        self._held = 0
        self._dropped = 0
        self._flushing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def record(
        self,
        workload_id: str,
        proton_id: str,
        epoch_known: int | None,
        started_at: datetime,
        status: int,
        milliseconds: float,
    ) -> None:
        """Count one request that has ended.

        Args:
            workload_id: Whose request it was.
            proton_id: Which proton it was for.
            epoch_known: The workload's statistics epoch as this process knew it when the request arrived; ``None``
                where it knew none.
            started_at: When the request arrived, by the wall clock.
            status: The status of the answer; 499 where the client hung up.
            milliseconds: From the arrival to the last byte of the answer.
        """
        if self._held >= self._limit:
            self._dropped += 1
            return
        batch = self._batches.get(workload_id)
        if batch is None:
            batch = self._batches[workload_id] = _Batch()
        outcome = _SERVER_ERROR if status >= 500 else _USER_ERROR if status >= 400 else 0
        request = (started_at, outcome, bucket_of(milliseconds))
        batch.add(proton_id, epoch_known, [request], started_at + timedelta(milliseconds=milliseconds))
        self._held += 1

    async def flush(self) -> None:
        """Write down all that has been counted so far; what a flush under way is writing is waited for.

        A caller that is cancelled does not cancel the writing. What could not be written is kept for the next flush.

        Raises:
            TryAgain: The database was busy or lost.
        """
        task = asyncio.create_task(self._flush())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.shield(task)

    async def _flush(self) -> None:
        async with self._flushing:
            if self._dropped:
                log.error("requests_not_counted", requests=self._dropped, held=self._held, limit=self._limit)
                self._dropped = 0
            taken, self._batches = self._batches, {}
            while taken:
                ids = sorted(taken)[:_WORKLOADS_AT_ONCE]
                part = {workload_id: taken[workload_id] for workload_id in ids}
                try:
                    await self._write(part)
                except BaseException:
                    self._put_back(taken)
                    raise
                for workload_id in ids:
                    self._held -= taken.pop(workload_id).size()

    def _put_back(self, batches: dict[str, _Batch]) -> None:
        for workload_id, newer in self._batches.items():
            older = batches.setdefault(workload_id, _Batch())
            assert newer.last_response_at is not None
            for (proton_id, epoch_known), requests in newer.requests.items():
                older.add(proton_id, epoch_known, requests, newer.last_response_at)
        self._batches = batches

    async def _write(self, batches: dict[str, _Batch]) -> None:
        async with self._database.write() as session:
            # The lock, in the order of ids: the epoch stands still, the protons stay, and of two processes that
            # write for the same workloads one waits for the other.
            standing = (
                await session.execute(
                    locked(
                        select(
                            WorkloadRow.id,
                            WorkloadRow.statistics_epoch,
                            WorkloadRow.statistics_since,
                            WorkloadRow.last_response_at,
                        )
                        .where(WorkloadRow.id.in_(batches))
                        .order_by(WorkloadRow.id),
                        WorkloadRow,
                    )
                )
            ).all()
            wanted = {proton_id for batch in batches.values() for proton_id, _ in batch.requests}
            protons = set((await session.scalars(select(ProtonRow.id).where(ProtonRow.id.in_(wanted)))).all())
            tally = _Tally()
            later: list[dict[str, Any]] = []
            for workload_id, epoch, since, last_response_at in standing:
                batch = batches[workload_id]
                for (proton_id, epoch_known), requests in batch.requests.items():
                    if proton_id in protons:
                        tally.add(proton_id, epoch_known, requests, epoch, since)
                ended_at = batch.last_response_at
                if ended_at is not None and (last_response_at is None or last_response_at < ended_at):
                    later.append({"workload": workload_id, "ended_at": ended_at})
            await tally.write(session)
            if later:
                # A request is no change of the workload: `updated_at` stays.
                statement = (
                    update(_WORKLOADS)
                    .where(_WORKLOADS.c.id == bindparam("workload"))
                    .values(
                        last_response_at=bindparam("ended_at", type_=UtcDateTime()),
                        updated_at=_WORKLOADS.c.updated_at,
                    )
                )
                await session.execute(statement, later)


class _Tally:
    """Requests added up by proton, epoch and minute."""

    def __init__(self) -> None:
        self._outcomes: Counter[tuple[str, int, datetime, int]] = Counter()
        self._times: Counter[tuple[str, int, datetime, int]] = Counter()

    def add(
        self, proton_id: str, epoch_known: int | None, requests: list[_Request], epoch: int, since: datetime
    ) -> None:
        older = max(0, epoch - 1 if epoch_known is None else min(epoch_known, epoch - 1))
        known = epoch_known is not None and epoch_known >= epoch
        for started_at, outcome, bucket in requests:
            its_epoch = epoch if known or started_at >= since else older
            minute = started_at.replace(second=0, microsecond=0)
            self._outcomes[proton_id, its_epoch, minute, outcome] += 1
            self._times[proton_id, its_epoch, minute, bucket] += 1

    async def write(self, session: AsyncSession) -> None:
        counts: dict[tuple[str, int, datetime], dict[str, Any]] = {}
        for (proton_id, epoch, minute, outcome), requests in sorted(self._outcomes.items()):
            row = counts.setdefault(
                (proton_id, epoch, minute),
                {
                    "proton_id": proton_id,
                    "epoch": epoch,
                    "minute": minute,
                    "requests": 0,
                    "user_errors": 0,
                    "server_errors": 0,
                },
            )
            row["requests"] += requests
            row["user_errors"] += requests if outcome == _USER_ERROR else 0
            row["server_errors"] += requests if outcome == _SERVER_ERROR else 0
        if not counts:
            return
        times = [
            {"proton_id": proton_id, "epoch": epoch, "minute": minute, "bucket": bucket, "requests": requests}
            for (proton_id, epoch, minute, bucket), requests in sorted(self._times.items())
        ]
        dialect = session.get_bind().dialect.name
        await session.execute(_add_up(_COUNTS, dialect), list(counts.values()))
        await session.execute(_add_up(_TIMES, dialect), times)


@cache
def _add_up(table: Table, dialect: str) -> Insert:
    """An insert that adds to the row that is there already."""
    statement = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)
    keys = list(table.primary_key.columns)
    return statement.on_conflict_do_update(
        index_elements=keys,
        set_={
            column.name: column + statement.excluded[column.name] for column in table.columns if not column.primary_key
        },
    )
