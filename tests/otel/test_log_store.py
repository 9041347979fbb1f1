"""What is stored of logs: by whom, how much, for how long; and that no query looks through all of a log in vain."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from tests.support.rows import Ids, Person, add_person, add_workload, opened
from workload_api.clock import utc_now
from workload_api.db.engine import Database
from workload_api.db.locks import table_of
from workload_api.db.models import (
    ControllerRow,
    LogLineRow,
    LogSourceRow,
    ProtonRow,
    ProtonUsageRow,
    WorkloadLogRow,
    WorkloadRow,
)
from workload_api.domain.ids import new_id
from workload_api.otel.entries import Entry, entries_of
from workload_api.otel.queries import Cursor, LogFilter, _page, log_part
from workload_api.otel.service import (
    BATCH,
    Extent,
    Reading,
    Source,
    add_sources,
    clear,
    sources_of,
    store,
    store_usages,
)
from workload_api.runtimes.protocol import LogLine, Usage

START = datetime(2026, 1, 1, tzinfo=UTC)
NO_LIMIT = Extent(10**9, 10**12)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with opened(database_url) as database:
        yield database


@pytest.fixture
async def person(database: Database) -> Person:
    return await add_person(database)


async def owned_workload(database: Database, person: Person, controller_id: str) -> Ids:
    """A workload whose proton a controller looks after."""
    ids = await add_workload(database, person)
    async with database.write() as session:
        if await session.get(ControllerRow, controller_id) is None:
            session.add(ControllerRow(id=controller_id, lease_until=utc_now() + timedelta(hours=1)))
            await session.flush()
        await session.execute(
            update(ProtonRow).where(ProtonRow.id == ids.proton_id).values(controller_id=controller_id)
        )
    return ids


async def source_of(database: Database, ids: Ids, name: str = "s") -> Source:
    async with database.write() as session:
        await add_sources(session, {(ids.proton_id, name): ("r", "c")})
    async with database.read() as session:
        return (await sources_of(session, [ids.proton_id]))[ids.proton_id][name]


def entries(*texts: str, at: datetime = START) -> list[Entry]:
    lines = [LogLine(at + timedelta(seconds=n), "r", "c", "stdout", each, "s", str(n)) for n, each in enumerate(texts)]
    return entries_of(lines, utc_now(), ended=True)[0]


async def messages(database: Database, ids: Ids, **wanted: Any) -> list[str]:
    async with database.read() as session:
        part = await log_part(session, ids.workload_id, LogFilter(**wanted), None, 0, 1000)
    return [entry.message for entry in part.entries]


async def extent(database: Database, ids: Ids) -> tuple[int, int]:
    async with database.read() as session:
        row = (await session.scalars(select(WorkloadLogRow).where(WorkloadLogRow.workload_id == ids.workload_id))).one()
        return row.lines, row.size


async def test_only_from_where_the_last_one_ended(database: Database, person: Person) -> None:
    """Two that read from the same position: what the second has read is dropped; and what one reads that owns not."""
    mine = new_id()
    ids = await owned_workload(database, person, mine)
    source = await source_of(database, ids)
    first = Reading(ids.proton_id, source, entries("a", "b"), "2")
    async with database.write() as session:
        stored = await store(session, mine, [first])
    assert (stored.lost, stored.overtaken) == (frozenset(), frozenset())
    assert await extent(database, ids) == (2, 2)
    async with database.write() as session:
        stored = await store(session, mine, [first])
    assert stored.overtaken == {ids.proton_id}
    there = await source_of(database, ids)
    assert (there.id, there.position) == (source.id, "2")
    async with database.write() as session:
        stored = await store(session, new_id(), [Reading(ids.proton_id, there, entries("c"), "3")])
    assert stored.lost == {ids.proton_id}
    assert await messages(database, ids) == ["b", "a"]
    async with database.write() as session:
        await store(session, mine, [Reading(ids.proton_id, there, entries("c", at=START + timedelta(hours=1)), "3")])
    assert await messages(database, ids) == ["c", "b", "a"]
    assert (await source_of(database, ids)).position == "3"


async def test_lines_and_position_are_stored_together(database: Database, person: Person) -> None:
    mine = new_id()
    ids = await owned_workload(database, person, mine)
    source = await source_of(database, ids)
    with pytest.raises(RuntimeError):
        async with database.write() as session:
            await store(session, mine, [Reading(ids.proton_id, source, entries("a"), "1")])
            raise RuntimeError("the end of the transaction")
    assert (await messages(database, ids), await source_of(database, ids)) == ([], source)


async def test_what_is_old_goes(database: Database, person: Person) -> None:
    mine = new_id()
    ids = await owned_workload(database, person, mine)
    source = await source_of(database, ids)
    readings = [Reading(ids.proton_id, source, entries("old", at=START) + entries("new", at=utc_now()), "1")]
    async with database.write() as session:
        await store(session, mine, readings)
    for gone in (1, 0):
        async with database.write() as session:
            assert await clear(session, utc_now() - timedelta(days=1), NO_LIMIT) == gone
    assert await messages(database, ids) == ["new"]
    assert await extent(database, ids) == (1, 3)


@pytest.mark.parametrize("limit", [Extent(1000, 10**9), Extent(10**9, 10_000)])
async def test_what_is_too_much_goes_batch_by_batch(database: Database, person: Person, limit: Extent) -> None:
    """The oldest go until both limits are kept; 1,000 lines of 10 characters are left either way."""
    mine = new_id()
    ids = await owned_workload(database, person, mine)
    source = await source_of(database, ids)
    count = BATCH + 1500
    async with database.write() as session:
        await store(session, mine, [Reading(ids.proton_id, source, entries(*(f"{n:010}" for n in range(count))), "1")])
    for gone in (BATCH, 500, 0):
        async with database.write() as session:
            assert await clear(session, START, limit) == gone
    assert await messages(database, ids) == [f"{n:010}" for n in range(count - 1, count - 1001, -1)]
    assert await extent(database, ids) == (1000, 10_000)


async def test_the_log_of_a_workload_that_is_gone_goes(database: Database, person: Person) -> None:
    mine = new_id()
    gone, kept = [await owned_workload(database, person, mine) for _ in range(2)]
    for ids in (gone, kept):
        source = await source_of(database, ids)
        texts = [f"{n}" for n in range(BATCH + 10)]
        async with database.write() as session:
            await store(session, mine, [Reading(ids.proton_id, source, entries(*texts), "1")])
    async with database.write() as session:
        await session.execute(delete(WorkloadRow).where(WorkloadRow.id == gone.workload_id))
        # At once, however long its log: its lines are cleared away afterwards.
        assert await session.scalar(select(func.count()).select_from(LogLineRow)) == 2 * (BATCH + 10)
    for count in (BATCH, 10, 0):
        async with database.write() as session:
            assert await clear(session, START, NO_LIMIT) == count
    async with database.read() as session:
        for table, left in ((LogLineRow, BATCH + 10), (LogSourceRow, 1), (WorkloadLogRow, 1)):
            assert await session.scalar(select(func.count()).select_from(table)) == left
    # What is read of it afterwards begins nothing anew.
    async with database.write() as session:
        await add_sources(session, {(gone.proton_id, "s"): ("r", "c")})
    async with database.read() as session:
        assert await sources_of(session, [gone.proton_id]) == {gone.proton_id: {}}


async def test_usages_are_replaced(database: Database, person: Person) -> None:
    ids = await add_workload(database, person)
    for cpu in (1, 2):
        async with database.write() as session:
            await store_usages(session, {ids.proton_id: Usage(cpu, 3), new_id(): Usage(9, 9)})
    async with database.read() as session:
        (row,) = (await session.scalars(select(ProtonUsageRow))).all()
    assert (row.proton_id, row.cpu_nanocores, row.memory_bytes) == (ids.proton_id, 2, 3)


# --- query plans ------------------------------------------------------------------------------------------------------

LINES = 20_000


@pytest.fixture
async def long_log(database: Database, person: Person) -> tuple[Ids, int, list[int]]:
    """A log of many lines of three sources, few of them worse than INFO, among the logs of others."""
    found: list[tuple[Ids, int, list[int]]] = []
    for _ in range(2):
        ids = await owned_workload(database, person, new_id())
        sources = [await source_of(database, ids, name) for name in ("s0", "s1", "s2")]
        rows = [
            {
                "log_id": sources[0].log_id,
                "source_id": sources[(n % 1000 == 1 and 2) or n % 2].id,
                "at": START + timedelta(milliseconds=n),
                "severity": 21 if n % 5000 == 3 else 17 if n % 500 == 3 else 13 if n % 50 == 3 else 9,
                "message": f"line {n} of those that say nothing much at all",
                "stacktrace": None,
                "attributes": None,
                "searched": None,
                "size": 40,
            }
            for n in range(LINES)
        ]
        async with database.write() as session:
            await session.execute(insert(table_of(LogLineRow)), rows)
        found.append((ids, sources[0].log_id, [source.id for source in sources]))
    if not database.is_sqlite:
        async with database.write() as session:
            await session.execute(text("ANALYZE log_lines"))
    return found[0]


async def plan(session: AsyncSession, log_id: int, sources: list[int] | None, *asked: Any) -> str:
    """How the database goes about a page."""
    wanted, cursor, offset = asked
    dialect = session.get_bind().dialect
    statement = _page(log_id, sources, wanted, cursor, offset, 101)
    query = str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    explain = "EXPLAIN QUERY PLAN" if dialect.name == "sqlite" else "EXPLAIN"
    rows = await (await session.connection()).exec_driver_sql(f"{explain} {query.replace('%', '%%')}")
    return "\n".join(str(row[-1]) for row in rows)


def by(index: str, cursor: Cursor | None = None, offset: int = 0, **wanted: Any) -> tuple[Any, ...]:
    return index, LogFilter(**wanted), cursor, offset


HERE = START + timedelta(milliseconds=LINES // 2)
CASES: Sequence[tuple[Any, ...]] = (
    by("newest"),
    by("newest", offset=LINES - 200),
    by("newest", Cursor("older", HERE, 5)),
    by("newest", Cursor("newer", HERE, 5)),
    by("newest", least_severity=9),
    by("newest", start=HERE, end=HERE + timedelta(milliseconds=100)),
    by("newest", includes=["nothing"]),
    by("warn", least_severity=13),
    by("error", least_severity=17),
    by("error", severities=[17]),
    by("error", Cursor("older", HERE, 5), least_severity=17, includes=["x"]),
    by("critical", least_severity=21),
)


async def test_pages_are_found_by_an_index(database: Database, long_log: tuple[Ids, int, list[int]]) -> None:
    """In the order of the index, without sorting what is found and without looking through the table."""
    _, log_id, sources = long_log
    async with database.read() as session:
        for index, *asked in CASES:
            told = await plan(session, log_id, None, *asked)
            assert f"ix_log_lines_{index}" in told, f"{asked}\n{told}"
            assert "Seq Scan on log_lines" not in told and "SCAN log_lines" not in told, (asked, told)
        for few in (sources[2:], sources):
            told = await plan(session, log_id, few, LogFilter(), None, 0)
            assert told.count("ix_log_lines_source") == len(few), told
            assert "Seq Scan on log_lines" not in told and "SCAN log_lines" not in told, told


async def test_pages_of_a_long_log(database: Database, long_log: tuple[Ids, int, list[int]]) -> None:
    """What the plans find is right: by sources side by side, and by worse entries."""
    ids, _, _ = long_log

    async def count(**wanted: Any) -> int:
        return len(await messages(database, ids, **wanted))

    assert await count(least_severity=17) == LINES // 500
    assert await count(least_severity=21) == LINES // 5000
    assert await count(severities=[17]) == LINES // 500 - LINES // 5000
    assert await count(least_severity=13) == LINES // 50
    assert await count(proton_ids=[ids.proton_id], least_severity=17) == LINES // 500
    assert await count(includes=["LINE 777 "]) == 1
    newest = await messages(database, ids, proton_ids=[ids.proton_id])
    assert newest == [f"line {n} of those that say nothing much at all" for n in range(LINES - 1, LINES - 1001, -1)]
    async with database.read() as session:
        deep = await log_part(session, ids.workload_id, LogFilter(replicas=["r"]), None, LINES - 5, 100)
    assert [entry.message.split()[1] for entry in deep.entries] == ["4", "3", "2", "1", "0"]
    assert (deep.has_older, deep.has_newer) == (False, True)
