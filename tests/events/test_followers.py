"""The one look for all followers: what it costs, what it keeps, and the order of events in the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from sqlalchemy import delete, event, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from tests.support.rows import Ids, Person, add_person, add_workload, opened
from tests.support.waiting import until
from workload_api.db.changes import mark_changed
from workload_api.db.engine import Database
from workload_api.db.models import EventRow, ProtonRow, WorkloadRow
from workload_api.domain.errors import TryAgain
from workload_api.events import followers as module
from workload_api.events import queries
from workload_api.events.followers import LIMIT, PAGE, WORKLOAD_DELETED, Follower, Followers
from workload_api.events.service import event_values
from workload_api.identity.authentication import Authenticator


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with opened(database_url) as made:
        yield made


@pytest.fixture
async def person(database: Database) -> Person:
    return await add_person(database)


@pytest.fixture
async def followers(database: Database) -> AsyncIterator[Followers]:
    made = Followers(database, Authenticator(database))
    made.start()
    yield made
    await made.close()


async def write(database: Database, ids: Ids, *messages: str) -> None:
    async with database.write() as session:
        for message in messages:
            values = event_values(ids.workload_id, "test.happened", "Happened", message)
            await session.execute(insert(EventRow).values(values))


async def take(follower: Follower, count: int) -> list[str]:
    """The next so many pieces."""
    found: list[str] = []
    async with asyncio.timeout(20):
        async for piece in follower.pieces():
            if piece is not None:
                found.append(piece.decode())
            if len(found) == count:
                break
    return found


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """All statements of a process while the block runs."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith("BEGIN"):
            found.append(statement)

    engines = {database.writer.sync_engine, database.reader.sync_engine}
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield found
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("count", [1, 200])
async def test_a_look_costs_the_same_however_many_follow(
    database: Database, person: Person, followers: Followers, count: int
) -> None:
    ids = await add_workload(database, person)
    with ExitStack() as stack:
        all_of_them = [
            stack.enter_context(followers.follow(ids.workload_id, person.caller, 0, 0)) for _ in range(count)
        ]
        with statements(database) as idle:

            def looks() -> int:
                return sum("max(events.position)" in each for each in idle)

            await until(lambda: looks() >= 2)
            assert len(idle) <= 3 * (looks() + 1), idle
        with statements(database) as busy:
            await write(database, ids, "one", "two")
            for pieces in await asyncio.gather(*(take(each, 2) for each in all_of_them)):
                assert ["one" in pieces[0], "two" in pieces[1]] == [True, True]
        reads = [each for each in busy if each.startswith("SELECT") and "events.message" in each]
        assert len(reads) == 1, "new events are read once for all"


async def test_nobody_looks_where_nobody_follows(database: Database, person: Person, followers: Followers) -> None:
    ids = await add_workload(database, person)
    with followers.follow(ids.workload_id, person.caller, 0, 0) as follower:
        await write(database, ids, "one")
        await take(follower, 1)
    with statements(database) as found:
        # Longer than a look takes to come round; at most the one that was under way ends.
        await asyncio.sleep(3 * module.LOOK_SECONDS)
    assert sum("max(events.position)" in each for each in found) <= 1


async def test_a_change_of_this_process_is_seen_at_once(
    database: Database, person: Person, followers: Followers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 3600.0)
    ids = await add_workload(database, person)
    with followers.follow(ids.workload_id, person.caller, 0, 0) as follower:
        for message in ("one", "two", "three"):
            async with database.write() as session:
                values = event_values(ids.workload_id, "test.happened", "Happened", message)
                await session.execute(insert(EventRow).values(values))
                mark_changed(session, ids.workload_id)
            assert message in (await take(follower, 1))[0]


async def test_one_who_takes_nothing_in_costs_nothing_and_misses_nothing(
    database: Database, person: Person, followers: Followers
) -> None:
    ids = await add_workload(database, person)
    with (
        followers.follow(ids.workload_id, person.caller, 0, 0) as slow,
        followers.follow(ids.workload_id, person.caller, 0, 0) as quick,
    ):
        told: list[str] = []
        for batch in range(8):
            messages = [f"<{batch}.{number}>" for number in range(60)]
            await write(database, ids, *messages)
            told += messages
            assert len(await take(quick, 60)) == 60
        assert len(followers._feeds[ids.workload_id].kept) <= PAGE
        got = await take(slow, len(told))
        assert len(got) == len(told)
        assert all(message in piece for message, piece in zip(told, got, strict=True))


async def test_heartbeats_while_nothing_happens(
    database: Database, person: Person, followers: Followers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.05)
    ids = await add_workload(database, person)
    with followers.follow(ids.workload_id, person.caller, 0, 0) as follower:
        async with asyncio.timeout(20):
            beats = 0
            async for piece in follower.pieces():
                beats += piece is None
                if beats == 3:
                    break


async def test_a_workload_whose_row_is_gone_is_deleted(
    database: Database, person: Person, followers: Followers
) -> None:
    ids = await add_workload(database, person)
    await write(database, ids, "one")
    async with database.read() as session:
        _, head = await queries.newest_event(session, ids.workload_id)
    with followers.follow(ids.workload_id, person.caller, 0, head) as follower:
        async with database.write() as session:
            await session.execute(delete(ProtonRow).where(ProtonRow.workload_id == ids.workload_id))
            await session.execute(delete(WorkloadRow).where(WorkloadRow.id == ids.workload_id))
        async with asyncio.timeout(20):
            assert [piece async for piece in follower.pieces()] == []
        assert follower.ended is WORKLOAD_DELETED


async def test_a_look_that_fails_is_made_up_for(
    database: Database, person: Person, followers: Followers, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await add_workload(database, person)
    failed = asyncio.Event()

    async def fail(_session: AsyncSession, _ids: Any) -> Any:
        failed.set()
        raise RuntimeError("as the test wants it")

    with followers.follow(ids.workload_id, person.caller, 0, 0) as follower:
        with monkeypatch.context() as patch:
            patch.setattr(queries, "heads", fail)
            await write(database, ids, "one")
            await asyncio.wait_for(failed.wait(), 20)
        assert "one" in (await take(follower, 1))[0]


async def test_no_more_than_the_limit(database: Database, person: Person, followers: Followers) -> None:
    ids = await add_workload(database, person)
    with ExitStack() as stack:
        for _ in range(LIMIT):
            followers.refuse_more()
            stack.enter_context(followers.follow(ids.workload_id, person.caller, 0, 0))
        with pytest.raises(TryAgain, match="follow events here already"):
            followers.refuse_more()
    followers.refuse_more()


@pytest.mark.postgresql
async def test_an_event_waits_for_one_that_is_not_committed_yet(postgresql_url: str) -> None:
    """Whoever has seen a position has seen all before it, also from writers that took no lock of their own."""
    async with opened(postgresql_url) as database:
        ids = await add_workload(database, await add_person(database))
        async with database.write() as first:
            values = event_values(ids.workload_id, "test.happened", "Happened", "first")
            await first.execute(insert(EventRow).values(values))
            second = asyncio.create_task(write(database, ids, "second"))

            async def waits() -> bool:
                async with database.read() as session:
                    return bool(await session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))

            await until(waits)
            async with database.read() as session:
                assert (await session.scalars(select(EventRow.message))).all() == []
        await second
        async with database.read() as session:
            found = await queries.events_after(session, ids.workload_id, 0, 10)
        assert [row.message for row in found] == ["first", "second"]


@pytest.mark.postgresql
async def test_a_program_that_knows_no_positions_yet_gets_them_too(postgresql_url: str) -> None:
    """During an upgrade servers of the version before still write events."""
    async with opened(postgresql_url) as database:
        ids = await add_workload(database, await add_person(database))
        async with database.write() as session:
            values = event_values(ids.workload_id, "test.happened", "Happened", "as before")
            columns = {**values, "details": "{}"}
            names = ", ".join(columns)
            marks = ", ".join(f":{name}" for name in columns)
            await session.execute(text(f"INSERT INTO events ({names}) VALUES ({marks})"), columns)
        async with database.read() as session:
            assert (await queries.newest_event(session, ids.workload_id))[1] > 0
