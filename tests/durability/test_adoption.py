"""``kill -9`` of the server with running workloads: they go on, are found again, and nothing runs twice (§2, §7)."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.api.support import Json, create, reach, read, running
from tests.support import payloads
from tests.support.postgresql import PostgreSQL
from tests.support.server import ServerProcess
from tests.support.waiting import until


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server whose lease ends soon after it."""
    with ServerProcess(tmp_path, database_url=database_url, settings={"LEASE": "2s"}) as made:
        yield made


@pytest.fixture
async def client(server: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    """The administrator's client; it survives the server."""
    async with server.client() as made:
        yield made


def identities(server: ServerProcess) -> set[tuple[int, float]]:
    """All processes of the data directory but the server; a pid alone could have been given to another since."""
    return {(process.pid, process.create_time()) for process in server.left_behind()}


async def pid_of(client: httpx.AsyncClient, workload: Json) -> int:
    """The pid that the app behind an endpoint says it has."""
    answer = await client.get(workload["endpoint"])
    assert answer.status_code == 200, answer.text
    pid: int = answer.json()["pid"]
    return pid


async def answers_with(client: httpx.AsyncClient, workload: Json, pid: int) -> None:
    """Wait until an endpoint answers, and see that it never does with another pid."""

    async def there() -> bool:
        answer = await client.get(workload["endpoint"])
        if answer.status_code == 503:
            return False
        assert answer.status_code == 200
        return True

    await until(there)
    assert await pid_of(client, workload) == pid


async def restarts(client: httpx.AsyncClient, workload: Json) -> int:
    """How often its container was restarted, as the API tells."""
    details = await read(client, f"/workloads/{workload['id']}/protons/{workload['protonId']}/statusDetails")
    count: int = details["replicas"][0]["containers"][0]["restartCount"]
    return count


async def test_replicas_outlive_the_server_and_are_adopted(client: httpx.AsyncClient, server: ServerProcess) -> None:
    """Same processes, same pids, no restart; also after more crashes at various moments of the start."""
    workloads = await asyncio.gather(*(running(client, name=f"w{n}") for n in range(3)))
    pids = [await pid_of(client, workload) for workload in workloads]
    before = identities(server)
    assert set(pids) <= {pid for pid, _ in before}

    server.kill()
    assert identities(server) == before
    for moment in (0.05, 0.3, 0.6, 0.9, 1.3, 2.0):
        server.launch()
        killed_at = time.monotonic() + moment
        await until(lambda: time.monotonic() >= killed_at, interval=0.01)  # noqa: B023 (asked at once)
        server.kill()
        assert identities(server) == before
    await asyncio.to_thread(server.start)

    for workload, pid in zip(workloads, pids, strict=True):
        await answers_with(client, workload, pid)
        assert (await read(client, f"/workloads/{workload['id']}"))["status"] == "running"
        assert await restarts(client, workload) == 0
    assert identities(server) == before
    # It looks after them, and does not only know them: one that is killed comes again.
    psutil.Process(pids[0]).kill()

    async def again() -> bool:
        answer = await client.get(workloads[0]["endpoint"])
        return answer.status_code == 200 and answer.json()["pid"] != pids[0]

    await until(again, timeout=40)
    assert await pid_of(client, workloads[1]) == pids[1]

    async def counted() -> bool:
        return await restarts(client, workloads[0]) == 1

    await until(counted)
    for workload in workloads:
        assert (await client.delete(f"/workloads/{workload['id']}")).status_code == 204
    await until(lambda: server.left_behind() == [], timeout=40, what="nothing is left")


async def test_what_was_asked_for_just_before_the_crash(client: httpx.AsyncClient, server: ServerProcess) -> None:
    """Made, stopped, deleted, or its replica lost while the server was down: each ends as it was answered."""
    stopped, deleted, lost, kept = await asyncio.gather(*(running(client, name=f"w{n}") for n in range(4)))
    pids = {each["id"]: await pid_of(client, each) for each in (stopped, deleted, lost, kept)}
    made = await create(client, payloads.workload("made"))
    answers = await asyncio.gather(
        client.post(f"/workloads/{stopped['id']}/stop"), client.delete(f"/workloads/{deleted['id']}")
    )
    assert [answer.status_code for answer in answers] == [202, 204]
    server.kill()
    psutil.Process(pids[lost["id"]]).kill()
    await asyncio.to_thread(server.start)

    await reach(client, stopped["id"], "stopped")
    await reach(client, made["id"], "running")
    await reach(client, lost["id"], "running")
    await answers_with(client, kept, pids[kept["id"]])
    await until(lambda: not psutil.pid_exists(pids[stopped["id"]]))
    await until(lambda: not psutil.pid_exists(pids[deleted["id"]]))
    assert (await client.get(f"/workloads/{deleted['id']}")).status_code == 404

    async def anew() -> int | None:
        answer = await client.get(lost["endpoint"])
        return answer.json()["pid"] if answer.status_code == 200 and answer.json()["pid"] != pids[lost["id"]] else None

    lost_pid = await until(anew)
    apps = {pid for pid in (pids[kept["id"]], lost_pid, await pid_of(client, made))}

    def no_twin() -> bool:
        # Each replica is the app and the one who stands over it.
        return {process.pid for process in server.left_behind()} >= apps and len(server.left_behind()) == 2 * len(apps)

    await until(no_twin, what="one app and one supervisor for each of the three")


async def test_a_controller_that_sleeps_through_its_lease(postgresql: PostgreSQL, tmp_path: Path) -> None:
    """Another takes over; once it wakes it drives nothing that is not its own, and what it started anew is removed."""
    url = postgresql.create()

    def server_named(name: str) -> ServerProcess:
        data, token = tmp_path / "data", "one-token-for-both"
        return ServerProcess(
            tmp_path, database_url=url, settings={"LEASE": "1s"}, token=token, data_dir=data, name=name
        )

    with server_named("sleeper") as sleeper:
        async with sleeper.client() as client:
            stopped, kept = await asyncio.gather(*(running(client, name=f"w{n}") for n in range(2)))
        with server_named("other") as other:
            async with other.client() as client:
                sleeper.process.send_signal(signal.SIGSTOP)
                # The other takes over: only a controller brings it to rest.
                assert (await client.post(f"/workloads/{stopped['id']}/stop")).status_code == 202
                await reach(client, stopped["id"], "stopped")
                first = identities(other)
                sleeper.process.send_signal(signal.SIGCONT)

                async def awake() -> bool:
                    async with sleeper.client() as its:
                        return (await its.get("/version/")).status_code == 200

                await until(awake)

                def one_app_and_its_supervisor() -> bool:
                    return len(identities(other)) == 2

                await until(one_app_and_its_supervisor)
                answer = await client.get(f"/endpoints/workloads/{kept['id']}/")
                psutil.Process(answer.json()["pid"]).kill()

                async def again() -> bool:
                    again = await client.get(f"/endpoints/workloads/{kept['id']}/")
                    return again.status_code == 200 and again.json()["pid"] != answer.json()["pid"]

                await until(again, timeout=40)
                await until(one_app_and_its_supervisor)
                assert identities(other) != first
                assert (await read(client, f"/workloads/{stopped['id']}"))["status"] == "stopped"
    postgresql.drop(url)
