"""``Idempotency-Key`` over processes, crashes and restarts: whatever a client sends again happens once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select

from tests.api.support import idle_workload, read
from tests.conftest import DATABASES
from tests.support.rows import opened
from tests.support.server import ServerProcess
from tests.support.waiting import until
from workload_api.db.models import ArtifactRow, EventRow, ProtonRow, SharedRoleRow, WorkloadRow

KEYS, TIMES, AT_ONCE = 50, 10, 40

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(params=DATABASES)
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[ServerProcess]]:
    """Two server processes on one PostgreSQL database; on SQLite one. Without controllers: no replicas."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                ServerProcess(
                    tmp_path,
                    database_url=url,
                    settings={"CONTROLLER": "false"},
                    token="the-same-token-for-all-of-them",
                    data_dir=tmp_path / f"data-{number}",
                    name=f"server-{number}",
                )
            )
            for number in range(1 if request.param == "sqlite" else 2)
        ]


class Retrying:
    """Clients that send a request again until it is answered, as documented: with the same key.

    Attributes:
        answers: The answers by key.
        told: How often each status code came, and how often none (0).
    """

    def __init__(self, servers: list[ServerProcess]) -> None:
        self.answers: defaultdict[int, list[httpx.Response]] = defaultdict(list)
        self.told: Counter[int] = Counter()
        self.prefix = uuid4().hex
        self._clients = [server.client(timeout=60) for server in servers for _ in range(5)]
        self._room = asyncio.Semaphore(AT_ONCE)

    async def create(self, number: int) -> None:
        """Create the workload of a key."""
        body, key = idle_workload(f"once {number}"), {"Idempotency-Key": f"{self.prefix} {number}"}
        async with self._room:
            while True:
                try:
                    answer = await random.choice(self._clients).post("/workloads", json=body, headers=key)
                except httpx.TransportError:
                    # Nobody knows whether it was done.
                    self.told[0] += 1
                    await asyncio.sleep(0.2)
                    continue
                self.told[answer.status_code] += 1
                if answer.status_code not in (409, 503):
                    break
                await asyncio.sleep(int(answer.headers["retry-after"]))
            self.answers[number].append(answer)

    async def create_all(self, times: int) -> None:
        """Create the workload of each key so many times, in any order."""
        numbers = list(range(KEYS)) * times
        random.shuffle(numbers)
        await asyncio.gather(*(self.create(number) for number in numbers))

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()

    def check(self, times: int) -> None:
        """All clients of a key were told the same."""
        assert sorted(self.answers) == list(range(KEYS))
        for number, answers in self.answers.items():
            assert [answer.status_code for answer in answers] == [201] * times, (number, self.told)
            assert len({answer.content for answer in answers}) == 1
            assert len({answer.headers["etag"] for answer in answers}) == 1
            assert answers[0].json()["name"] == f"once {number}"
            assert sum("idempotency-replayed" in answer.headers for answer in answers) >= times - 1
        assert len({answers[0].json()["id"] for answers in self.answers.values()}) == KEYS


async def check_made(servers: list[ServerProcess]) -> None:
    """There is one of everything for each key, and nothing half done."""
    async with servers[0].client() as client:
        listed = await read(client, "/workloads?limit=100")
    assert sorted(each["name"] for each in listed["data"]) == sorted(f"once {number}" for number in range(KEYS))
    async with opened(servers[0].database_url or "") as database, database.read() as session:
        for table in (WorkloadRow, ArtifactRow, ProtonRow, EventRow):
            assert await session.scalar(select(func.count()).select_from(table)) == KEYS, table
        assert await session.scalar(select(func.count()).select_from(SharedRoleRow)) == 3 * KEYS


async def test_five_hundred_requests_with_fifty_keys_make_fifty_workloads(servers: list[ServerProcess]) -> None:
    clients = Retrying(servers)
    await clients.create_all(TIMES)
    clients.check(TIMES)
    await check_made(servers)
    for server in servers:
        await asyncio.to_thread(server.restart)
    await clients.create_all(1)
    clients.check(TIMES + 1)
    await check_made(servers)
    await clients.close()


async def test_they_do_so_while_a_process_is_killed(servers: list[ServerProcess]) -> None:
    clients = Retrying(servers)
    victim = servers[-1]

    async def crash() -> None:
        for share in (0.15, 0.4, 0.7):
            enough = int(share * KEYS * TIMES)
            await until(lambda enough=enough: clients.told[201] >= enough, 120, 0.005)  # type: ignore[misc]
            victim.kill()
            await asyncio.to_thread(victim.start)

    await asyncio.gather(clients.create_all(TIMES), crash())
    assert clients.told[0] > 0, "nobody was hit"
    assert sum(len(answers) for answers in clients.answers.values()) == KEYS * TIMES
    for answers in clients.answers.values():
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.content for answer in answers}) == 1
    await check_made(servers)
    await clients.close()
