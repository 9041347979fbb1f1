"""``kill -9`` of the server while containers write: no line is lost, none is there twice (§7)."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.support import Json
from tests.api.test_logs import all_pages, logged, path_of, talking
from tests.support.postgresql import PostgreSQL
from tests.support.server import ServerProcess
from tests.support.waiting import until

COUNTING = "for n in range(6000):\n    print(n, file=(sys.stdout, sys.stderr)[n % 2])\n    time.sleep(0.002)"
"""Numbers on both streams by turns, for a dozen seconds: the container takes its time, the test does not sleep."""


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server whose lease ends soon after it, and that collects all the time."""
    settings = {"LEASE": "1s", "LOG_COLLECT_INTERVAL": "0.05"}
    with ServerProcess(tmp_path, database_url=database_url, settings=settings) as made:
        yield made


async def numbers(client: httpx.AsyncClient, workload: Json) -> list[int]:
    """All that was counted, the oldest first."""
    return [int(entry["message"]) for entry in (await all_pages(client, f"{path_of(workload)}?limit=1000"))[::-1]]


async def complete(client: httpx.AsyncClient, workload: Json, count: int) -> list[int]:
    """Wait for the last number, and return all."""

    async def there() -> list[int]:
        found = await numbers(client, workload)
        assert len(found) >= count, len(found)
        return found

    return await until(there, timeout=60, interval=0.5)


async def test_each_line_once_over_kills_of_the_server(client: httpx.AsyncClient, server: ServerProcess) -> None:
    workload = await talking(client, COUNTING)
    await logged(client, workload, 1)
    chance = random.Random(1)
    for _ in range(4):
        moment = time.monotonic() + chance.uniform(0.1, 1.5)
        await until(lambda: time.monotonic() >= moment, interval=0.01)  # noqa: B023 (asked at once)
        server.kill()
        await asyncio.to_thread(server.start)
    found = await complete(client, workload, 6000)
    assert len(found) == 6000
    assert sorted(found) == list(range(6000))
    for stream in (0, 1):
        assert [n for n in found if n % 2 == stream] == list(range(stream, 6000, 2))


async def test_what_was_said_while_no_server_was_there(client: httpx.AsyncClient, server: ServerProcess) -> None:
    """Also of a workload that was told to stop right before, and of one that has ended by itself since."""
    short = await talking(client, "for n in range(20): print(n)\nos._exit(0)", name="short")
    # The container goes on writing while no server is there.
    workload = await talking(client, "for n in range(300):\n    print(n)\n    time.sleep(0.01)")
    await logged(client, workload, 1)
    assert (await client.post(f"/workloads/{short['id']}/stop")).status_code == 202
    assert (await client.post(f"/workloads/{workload['id']}/stop")).status_code == 202
    server.kill()
    await asyncio.to_thread(server.start)

    async def stopped() -> bool:
        answers = [await client.get(f"/workloads/{each['id']}") for each in (short, workload)]
        return [answer.json()["status"] for answer in answers] == ["stopped", "stopped"]

    await until(stopped, timeout=40)
    found = await numbers(client, workload)
    assert found == list(range(len(found)))
    for start in range(0, len(again := await numbers(client, short)), 20):
        assert again[start : start + 20] == list(range(20))


async def test_two_servers_hand_over(postgresql: PostgreSQL, tmp_path: Path) -> None:
    """One is killed, the other goes on from where it was."""
    url = postgresql.create()

    def named(name: str) -> ServerProcess:
        settings = {"LEASE": "1s", "LOG_COLLECT_INTERVAL": "0.05"}
        return ServerProcess(
            tmp_path,
            database_url=url,
            settings=settings,
            token="one-token-for-both",
            data_dir=tmp_path / "d",
            name=name,
        )

    with named("first") as first, named("second") as second:
        async with second.client() as client:
            made = [await talking(client, COUNTING, name=f"w{n}") for n in range(4)]
            for workload in made:
                await logged(client, workload, 100)
            first.kill()
            for workload in made:
                found = await complete(client, workload, 6000)
                assert len(found) == 6000 and sorted(found) == list(range(6000))
    postgresql.drop(url)


async def test_a_flood_does_not_fill_the_database(database_url: str, tmp_path: Path) -> None:
    """The newest lines are kept, not much more than the setting says; others are heard meanwhile."""
    settings = {"LOG_LINES": "3000", "RETAIN_INTERVAL": "0.5", "LOG_RETENTION": "1h"}
    with ServerProcess(tmp_path, database_url=database_url, settings=settings) as server:
        async with server.client(timeout=60) as client:
            flood = await talking(client, "n = 0\nwhile n < 40000:\n    print(n)\n    n += 1", name="flood")
            quiet = await talking(client, "print('heard')", name="quiet")
            assert [entry["message"] for entry in await logged(client, quiet, 1)] == ["heard"]

            async def to_the_end() -> bool:
                answer = await client.get(path_of(flood), params={"limit": 1})
                return [entry["message"] for entry in answer.json()["data"]] == ["39999"]

            await until(to_the_end, timeout=60)

            async def trimmed() -> list[int]:
                found = await numbers(client, flood)
                assert len(found) <= 3000
                return found

            assert await until(trimmed) == list(range(37000, 40000))


async def test_old_lines_are_cleared(database_url: str, tmp_path: Path) -> None:
    settings = {"LOG_RETENTION": "2s", "RETAIN_INTERVAL": "0.3"}
    with ServerProcess(tmp_path, database_url=database_url, settings=settings) as server:
        async with server.client() as client:
            # The container's second line is as much younger as the first has to be old; the test polls.
            workload = await talking(client, "print('early')\ntime.sleep(4)\nprint('late')")
            assert (await logged(client, workload, 1))[0]["message"] == "early"

            async def gone() -> bool:
                answer = await client.get(path_of(workload))
                return [entry["message"] for entry in answer.json()["data"]] == ["late"]

            await until(gone)

            async def nothing() -> bool:
                return bool((await client.get(path_of(workload))).json()["data"] == [])

            await until(nothing)
