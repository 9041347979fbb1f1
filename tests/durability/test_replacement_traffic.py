"""A switch under traffic: no request is lost, those under way end where they began, a crash is made good (§6)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.api.support import Json, read, running
from tests.support import payloads
from tests.support.server import ServerProcess
from tests.support.traffic import Traffic, clients_of
from tests.support.waiting import until

LONG_MS = 9000
"""Longer than it takes to switch, settle, and kill what is stopped: only waiting for it saves such a request."""
STATUSES = ("submitted", "initializing", "awaiting_promotion", "switching", "cleaning_up")
KILLED_IN = ("initializing", "switching", "cleaning_up")
"""The others last no longer than a tick."""


async def begin(client: httpx.AsyncClient, workload: Json, version: str, **variables: str) -> Json:
    """Ask for a replacement by another version."""
    body = payloads.artifact(variables={"VERSION": version, **variables})
    artifact = (await client.post("/artifacts", json=body)).raise_for_status().json()
    answer = await client.post(
        f"/workloads/{workload['id']}/replacement", json={"artifactId": artifact["id"], "strategy": "rolling"}
    )
    assert answer.status_code == 202, answer.text
    begun: Json = answer.json()
    return begun


async def replacement(client: httpx.AsyncClient, workload: Json) -> Json:
    """The replacement that a workload shows."""
    return await read(client, f"/workloads/{workload['id']}/replacement")


async def completed(client: httpx.AsyncClient, workload: Json, timeout: float = 60) -> None:
    """Wait for the end of a replacement."""

    async def there() -> bool:
        found = await replacement(client, workload)
        assert found["status"] != "errored", found
        return bool(found["status"] == "completed")

    await until(there, timeout)


async def switched(client: httpx.AsyncClient, workload: Json) -> bool:
    """Whether traffic goes to another proton by now."""
    return bool((await read(client, f"/workloads/{workload['id']}"))["protonId"] != workload["protonId"])


async def pid_of(client: httpx.AsyncClient, workload: Json) -> int:
    """Who answers."""
    found: int = (await read(client, f"/endpoints/workloads/{workload['id']}/"))["pid"]
    return found


async def test_no_request_is_lost(server: ServerProcess, client: httpx.AsyncClient) -> None:
    """Sixteen clients send all the while; one request is under way for much longer than the switch takes."""
    workload = await running(client, variables={"VERSION": "1"})
    path = f"/endpoints/workloads/{workload['id']}/"
    old = await pid_of(client, workload)
    traffic, slow = Traffic(), Traffic()
    async with AsyncExitStack() as stack:
        clients = await clients_of(stack, server)
        long = asyncio.create_task(slow.request(client, path + "slow", params={"ms": LONG_MS}))
        async with traffic.flowing(clients, path):
            await until(lambda: traffic.sent > 200, what="traffic flows")
            await begin(client, workload, "2")
            await until(lambda: switched(client, workload), 30)
            assert not long.done()
            sent = traffic.sent
            await until(lambda: traffic.sent > sent + 200, what="traffic flows on")
            await long
            await completed(client, workload)
    assert (traffic.failed, slow.failed) == ([], [])
    new = await pid_of(client, workload)
    assert new != old
    assert traffic.pids == {old, new}
    assert slow.pids == {old}
    # What was sent to each proton is counted for it.
    counts = []
    for proton_id in (workload["protonId"], (await read(client, f"/workloads/{workload['id']}"))["protonId"]):
        found = await read(client, f"/workloads/{workload['id']}/stats?protonId={proton_id}")
        counts.append(found["metrics"]["totalRequests"])
    assert sum(counts) == traffic.sent + slow.sent + 2
    assert min(counts) > 100


@pytest.mark.parametrize("candidate", ["fails", "goes"])
async def test_a_candidate_that_is_not_to_be_costs_no_request(
    server: ServerProcess, client: httpx.AsyncClient, candidate: str
) -> None:
    """It breaks at its start, or the replacement is cancelled after the switch: nobody notices."""
    workload = await running(client)
    path = f"/endpoints/workloads/{workload['id']}/"
    old = await pid_of(client, workload)
    traffic = Traffic()
    async with AsyncExitStack() as stack:
        clients = await clients_of(stack, server)
        async with traffic.flowing(clients, path):
            await until(lambda: traffic.sent > 100, what="traffic flows")
            if candidate == "fails":
                await begin(client, workload, "2", EXIT_AT_START="1")

                async def over() -> bool:
                    return bool((await replacement(client, workload))["status"] == "errored")
            else:
                await begin(client, workload, "2")
                await until(lambda: switched(client, workload), 30)
                answer = await client.delete(f"/workloads/{workload['id']}/replacement")
                assert answer.status_code == 202, answer.text

                async def over() -> bool:
                    answer = await client.get(f"/workloads/{workload['id']}/replacement")
                    return answer.status_code == 404

            await until(over, 60)
            sent = traffic.sent
            await until(lambda: traffic.sent > sent + 100, what="traffic flows on")
    assert traffic.failed == []
    assert await pid_of(client, workload) == old


async def test_a_request_through_another_server_is_waited_for(two_servers: tuple[ServerProcess, ServerProcess]) -> None:
    """The controller knows of it though it is another process that forwards it, and loses none that comes that way."""
    first, second = two_servers
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(first.client())
        other = await stack.enter_async_context(second.client(timeout=60))
        workload = await running(client)
        path = f"/endpoints/workloads/{workload['id']}/"
        old = await pid_of(client, workload)
        traffic, slow = Traffic(), Traffic()
        clients = await clients_of(stack, first, second)
        async with traffic.flowing(clients, path):
            await until(lambda: traffic.sent > 100, what="traffic flows")
            long = asyncio.create_task(slow.request(other, path + "slow", params={"ms": LONG_MS}))
            await begin(client, workload, "2")
            await until(lambda: switched(client, workload), 30)
            await long
            await completed(client, workload)
        assert (traffic.failed, slow.failed) == ([], [])
        assert slow.pids == {old}
        assert len(traffic.pids) == 2


@pytest.mark.timeout(300)
async def test_a_kill_at_each_step_is_made_good(database_url: str, tmp_path: Path) -> None:
    """``kill -9`` of the server in each status: the next one goes on, and nothing is left behind."""
    with ServerProcess(tmp_path, database_url=database_url) as server:
        async with server.client() as client:
            workload = await running(client, variables={"VERSION": "0"})
            for number, status in enumerate(KILLED_IN, 1):
                before = await read(client, f"/workloads/{workload['id']}")
                begun = await begin(client, before, str(number))

                async def reached(wanted: str = status) -> bool:
                    found = await replacement(client, workload)
                    return found["status"] not in STATUSES[: STATUSES.index(wanted)]

                await until(reached, 30, interval=0.01, what=status)
                await asyncio.to_thread(server.kill)
                await asyncio.to_thread(server.start)
                await completed(client, workload)
                assert (await replacement(client, workload))["id"] == begun["id"]
                found = await read(client, f"/endpoints/workloads/{workload['id']}/")
                assert found["version"] == str(number)
            protons = await read(client, f"/workloads/{workload['id']}/protons")
            assert [p["role"] for p in protons["data"]] == ["active", *[None] * len(KILLED_IN)]
            history = await read(client, f"/workloads/{workload['id']}/history")
            assert [entry["status"] for entry in history["data"]] == ["completed"] * len(KILLED_IN)
            pid = await pid_of(client, workload)

            async def alone() -> bool:
                return {p.pid for p in server.left_behind() if p.name().startswith("python") and p.ppid() != 1} - {
                    server.pid
                } == {pid}

            await until(alone, 30, what="one replica")
