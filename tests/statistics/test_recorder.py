"""Counts are exact, and each request counts to the epoch in which it began (§5, §8)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, event, func, select, text

from tests.support.rows import Ids, Person, add_person, add_workload, opened
from tests.support.waiting import until
from workload_api.clock import utc_now
from workload_api.db.engine import Database
from workload_api.db.models import EventRow, RequestCountRow, ResponseTimeRow, WorkloadRow
from workload_api.domain.errors import FieldError, Forbidden, NotFound
from workload_api.statistics.queries import Metrics, request_metrics, summaries
from workload_api.statistics.recorder import Recorder
from workload_api.statistics.service import reset_statistics

DAY = timedelta(days=1)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with opened(database_url) as database:
        yield database


@pytest.fixture
async def person(database: Database) -> Person:
    return await add_person(database)


@pytest.fixture
async def ids(database: Database, person: Person) -> Ids:
    return await add_workload(database, person, statistics_since=utc_now() - timedelta(hours=1))


async def reset(database: Database, person: Person, ids: Ids, **window: datetime | str | None) -> None:
    async with database.write() as session:
        await reset_statistics(session, person.caller, ids.workload_id, **window)  # type: ignore[arg-type]


async def workload_row(database: Database, ids: Ids) -> WorkloadRow:
    async with database.read() as session:
        return (await session.scalars(select(WorkloadRow).where(WorkloadRow.id == ids.workload_id))).one()


async def metrics(database: Database, ids: Ids, **asked: object) -> Metrics:
    row = await workload_row(database, ids)
    async with database.read() as session:
        return await request_metrics(session, row, retention=DAY, **asked)  # type: ignore[arg-type]


def record(
    recorder: Recorder,
    ids: Ids,
    *,
    epoch: int | None = 0,
    started_at: datetime | None = None,
    status: int = 200,
    ms: float = 10,
) -> None:
    recorder.record(ids.workload_id, ids.proton_id, epoch, started_at or utc_now(), status, ms)


async def test_everything_is_counted_once(database: Database, ids: Ids) -> None:
    recorder = Recorder(database)
    for status, times in ((200, 6), (302, 1), (404, 2), (499, 1), (502, 3)):
        for _ in range(times):
            record(recorder, ids, status=status, ms=100)
    record(recorder, ids, ms=2500)
    await recorder.flush()
    await recorder.flush()
    found = await metrics(database, ids)
    assert (found.total_requests, found.user_errors, found.server_errors, found.slow_requests) == (14, 3, 3, 1)
    assert found.user_error_rate == found.server_error_rate == pytest.approx(3 / 14)
    assert found.total_error_rate == pytest.approx(6 / 14)
    assert found.response_time == pytest.approx(100, abs=1)
    assert (await metrics(database, ids, quantile=1.0)).response_time == pytest.approx(2500, rel=0.01)


async def test_no_requests_are_zeros(database: Database, ids: Ids) -> None:
    found = await metrics(database, ids)
    assert found == Metrics(found.start, found.end)
    row = await workload_row(database, ids)
    async with database.read() as session:
        summary = (await summaries(session, [row]))[ids.workload_id]
    assert (summary.total_requests, summary.error_rate, summary.response_time, summary.last_request_at) == (
        0,
        0.0,
        0,
        None,
    )


async def test_later_flushes_add_to_earlier_ones(database: Database, ids: Ids) -> None:
    recorder = Recorder(database)
    for _ in range(3):
        record(recorder, ids, status=500)
        await recorder.flush()
    found = await metrics(database, ids)
    assert (found.total_requests, found.server_errors) == (3, 3)


async def test_what_is_held_back_over_a_reset_counts_to_the_old_epoch(
    database: Database, person: Person, ids: Ids
) -> None:
    recorder = Recorder(database)
    record(recorder, ids, ms=50)
    await reset(database, person, ids)
    # Ends after the reset, but began before it.
    record(recorder, ids, started_at=utc_now() - timedelta(seconds=5), ms=9000)
    await recorder.flush()
    assert (await metrics(database, ids)).total_requests == 0
    async with database.read() as session:
        rows = (
            await session.execute(
                select(RequestCountRow.epoch, func.sum(RequestCountRow.requests)).group_by(RequestCountRow.epoch)
            )
        ).all()
    assert [tuple(row) for row in rows] == [(0, 2)]


async def test_what_begins_after_a_reset_counts_even_where_nobody_heard_of_it(
    database: Database, person: Person, ids: Ids
) -> None:
    recorder = Recorder(database)
    await reset(database, person, ids)
    record(recorder, ids, epoch=0)
    record(recorder, ids, epoch=None)
    await recorder.flush()
    assert (await metrics(database, ids)).total_requests == 2


async def test_an_epoch_that_was_known_counts_whatever_the_clock_says(
    database: Database, person: Person, ids: Ids
) -> None:
    recorder = Recorder(database)
    await reset(database, person, ids)
    record(recorder, ids, epoch=1, started_at=utc_now() - timedelta(seconds=3))
    record(recorder, ids, epoch=None, started_at=utc_now() - timedelta(seconds=3))
    await recorder.flush()
    async with database.read() as session:
        rows = (await session.execute(select(RequestCountRow.epoch, RequestCountRow.requests))).all()
    assert sorted(tuple(row) for row in rows) == [(0, 1), (1, 1)]


async def test_a_first_epoch_has_none_before_it(database: Database, ids: Ids) -> None:
    recorder = Recorder(database)
    record(recorder, ids, epoch=None, started_at=utc_now() - timedelta(hours=2))
    await recorder.flush()
    async with database.read() as session:
        assert (await session.scalars(select(RequestCountRow.epoch))).all() == [0]


async def test_two_processes_that_flush_at_the_same_time_lose_nothing(
    database: Database, person: Person, database_url: str
) -> None:
    everyone = [await add_workload(database, person) for _ in range(4)]
    async with opened(database_url) as other:
        recorders = [Recorder(database), Recorder(other)]

        async def count(recorder: Recorder, order: list[Ids]) -> None:
            for _ in range(10):
                for ids in order:
                    record(recorder, ids)
                await recorder.flush()

        await asyncio.gather(count(recorders[0], everyone), count(recorders[1], everyone[::-1]))
    for ids in everyone:
        assert (await metrics(database, ids)).total_requests == 20
        async with database.read() as session:
            times = select(func.sum(ResponseTimeRow.requests)).where(ResponseTimeRow.proton_id == ids.proton_id)
            assert await session.scalar(times) == 20


async def test_flushes_of_one_process_wait_for_one_another(database: Database, ids: Ids) -> None:
    recorder = Recorder(database)
    for _ in range(5):
        record(recorder, ids)
    await asyncio.gather(*(recorder.flush() for _ in range(5)))
    assert (await metrics(database, ids)).total_requests == 5


async def test_a_flush_that_fails_loses_nothing(database: Database, ids: Ids, person: Person) -> None:
    other = await add_workload(database, person)
    recorder = Recorder(database)
    record(recorder, ids)
    record(recorder, other, status=404)

    def refuse(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if "response_times" in statement:
            raise ConnectionError("the database is gone")

    engine = database.writer.sync_engine
    event.listen(engine, "before_cursor_execute", refuse)
    with pytest.raises(Exception, match=r"cannot be reached|gone"):
        await recorder.flush()
    event.remove(engine, "before_cursor_execute", refuse)
    assert (await metrics(database, ids)).total_requests == 0
    record(recorder, ids)
    await recorder.flush()
    assert (await metrics(database, ids)).total_requests == 2
    assert (await metrics(database, other)).user_errors == 1


async def test_a_caller_that_goes_away_does_not_undo_the_flush(database: Database, ids: Ids) -> None:
    recorder = Recorder(database)
    record(recorder, ids)
    waiting = asyncio.create_task(recorder.flush())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    # No other flush follows: it is the first one that goes on.
    async def written() -> bool:
        return (await metrics(database, ids)).total_requests == 1

    await until(written, timeout=5)


async def test_a_full_buffer_drops_what_comes_then_and_says_so(
    database: Database, ids: Ids, capsys: pytest.CaptureFixture[str]
) -> None:
    recorder = Recorder(database, limit=3)
    for _ in range(5):
        record(recorder, ids)
    await recorder.flush()
    assert "requests_not_counted" in capsys.readouterr().out
    record(recorder, ids)
    await recorder.flush()
    assert (await metrics(database, ids)).total_requests == 4


async def test_requests_of_what_is_gone_are_dropped(database: Database, person: Person, ids: Ids) -> None:
    gone = await add_workload(database, person)
    recorder = Recorder(database)
    record(recorder, gone)
    record(recorder, ids)
    recorder.record(ids.workload_id, "0" * 24, 0, utc_now(), 200, 1)
    async with database.write() as session:
        await session.execute(delete(WorkloadRow).where(WorkloadRow.id == gone.workload_id))
    await recorder.flush()
    assert (await metrics(database, ids)).total_requests == 1


async def test_the_last_response_is_noted_and_is_no_change_of_the_workload(database: Database, ids: Ids) -> None:
    before = await workload_row(database, ids)
    recorder = Recorder(database)
    began = utc_now()
    record(recorder, ids, started_at=began, ms=1500)
    await recorder.flush()
    record(recorder, ids, started_at=began - timedelta(seconds=30), ms=5)
    await recorder.flush()
    after = await workload_row(database, ids)
    assert after.last_response_at == began + timedelta(milliseconds=1500)
    assert after.updated_at == before.updated_at
    async with database.read() as session:
        summary = (await summaries(session, [after]))[ids.workload_id]
    assert (summary.total_requests, summary.last_request_at) == (2, after.last_response_at)


async def test_a_period_takes_whole_minutes(database: Database, person: Person) -> None:
    now = utc_now().replace(second=0, microsecond=0)
    ids = await add_workload(database, person, statistics_since=now - timedelta(hours=1))
    recorder = Recorder(database)
    for minutes in (30, 20, 10):
        record(recorder, ids, started_at=now - timedelta(minutes=minutes) + timedelta(seconds=20))
    await recorder.flush()

    async def total(**asked: datetime) -> int:
        return (await metrics(database, ids, **asked)).total_requests

    at = now - timedelta(minutes=20)
    assert await total() == 3
    assert await total(start=at + timedelta(seconds=59)) == 2
    assert await total(start=at + timedelta(seconds=60)) == 1
    assert await total(end=at) == 1
    assert await total(end=at + timedelta(seconds=1)) == 2
    assert await total(start=datetime.max.replace(tzinfo=UTC)) == 0
    assert await total(end=datetime.min.replace(tzinfo=UTC)) == 0
    assert await total(start=datetime.min.replace(tzinfo=UTC), end=datetime.max.replace(tzinfo=UTC)) == 3


async def test_a_reset_of_a_window_clears_only_that(database: Database, person: Person) -> None:
    now = utc_now().replace(second=0, microsecond=0)
    ids = await add_workload(database, person, statistics_since=now - timedelta(hours=1))
    recorder = Recorder(database)
    for minutes in (30, 20, 10):
        record(recorder, ids, started_at=now - timedelta(minutes=minutes))
    await recorder.flush()
    await reset(database, person, ids, start=now - timedelta(minutes=25), end=now - timedelta(minutes=15))
    assert (await metrics(database, ids)).total_requests == 2
    assert (await workload_row(database, ids)).statistics_epoch == 0
    await reset(database, person, ids, proton_id=ids.proton_id)
    assert (await metrics(database, ids)).total_requests == 0
    async with database.read() as session:
        assert await session.scalar(select(func.count()).select_from(ResponseTimeRow)) == 0
        events = (await session.scalars(select(EventRow.event_type))).all()
    assert events == ["statistics.reset", "statistics.reset"]


async def test_who_may_reset(database: Database, person: Person, ids: Ids) -> None:
    stranger = await add_person(database, "stranger")
    with pytest.raises(NotFound):
        await reset(database, stranger, ids)
    viewed = await add_workload(database, person, role="READ_ONLY")
    with pytest.raises(Forbidden):
        await reset(database, person, viewed)
    with pytest.raises(NotFound, match="no proton"):
        await reset(database, person, ids, proton_id=viewed.proton_id)
    with pytest.raises(FieldError):
        await reset(database, person, ids, start=utc_now(), end=utc_now() - DAY)


async def test_a_summary_of_many_takes_two_queries(database: Database, person: Person) -> None:
    everyone = [await add_workload(database, person) for _ in range(3)]
    recorder = Recorder(database)
    for number, ids in enumerate(everyone):
        for _ in range(number):
            record(recorder, ids, status=500, ms=40)
    await recorder.flush()
    statements: list[str] = []
    event.listen(database.reader.sync_engine, "before_cursor_execute", lambda *args: statements.append(str(args[2])))
    async with database.read() as session:
        rows = (await session.scalars(select(WorkloadRow))).all()
        await session.execute(text("SELECT 1"))
        statements.clear()
        found = await summaries(session, rows)
    assert len(statements) == 2
    assert [found[ids.workload_id].total_requests for ids in everyone] == [0, 1, 2]
    assert [found[ids.workload_id].error_rate for ids in everyone] == [0.0, 1.0, 1.0]
    assert found[everyone[2].workload_id].response_time == 40
