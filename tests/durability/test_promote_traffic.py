"""Promote while sixteen clients send: nobody notices, and the baseline is exact to the request (§5)."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import httpx

from tests.api.support import KEPT, create, read, running
from tests.support import payloads
from tests.support.server import ServerProcess
from tests.support.traffic import Traffic, clients_of
from tests.support.waiting import until

SLOW_MS = 1200


async def total_requests(client: httpx.AsyncClient, workload_id: str) -> int:
    """What the statistics count."""
    found: int = (await read(client, f"/workloads/{workload_id}/stats"))["metrics"]["totalRequests"]
    return found


async def test_no_request_fails_and_the_baseline_is_exact(server: ServerProcess, client: httpx.AsyncClient) -> None:
    """No request begins while the promote is on its way; slow ones straddle it: the count must fit exactly."""
    before = await running(client, name="traffic", importance="moderate", runtime=payloads.replicas(1))
    path = f"/endpoints/workloads/{before['id']}/"
    proton = await read(client, f"/workloads/{before['id']}/protons/{before['protonId']}")
    traffic = Traffic()
    async with AsyncExitStack() as stack:
        clients = await clients_of(stack, server)
        async with traffic.flowing(clients[4:], path):
            await until(lambda: traffic.sent > 200, what="traffic flows")
            slow = [
                asyncio.create_task(traffic.request(each, path + "slow", params={"ms": SLOW_MS}))
                for each in clients[:4]
            ]
            traffic.gate.clear()
            await until(lambda: traffic.waiting == len(clients) - 4, interval=0.005, what="all clients pause")

            async def slow_ones_are_under_way() -> bool:
                metrics = (await read(client, f"/workloads/{before['id']}/stats"))["metrics"]
                return bool(metrics["concurrentRequests"] == len(slow))

            await until(slow_ones_are_under_way, interval=0.01)
            answer = await client.post(f"/workloads/{before['id']}/promote")
            assert answer.status_code == 202, answer.text
            assert not any(task.done() for task in slow), "they should straddle the promote"
            traffic.phase = "after"
            traffic.gate.set()
            await asyncio.gather(*slow)
            await until(lambda: traffic.begun["after"] > 200, what="traffic flows on")
    assert traffic.failed == []
    assert len(traffic.pids) == 1
    assert await total_requests(client, before["id"]) == traffic.begun["after"]
    after = await read(client, f"/workloads/{before['id']}")
    assert {name: after[name] for name in KEPT} == {name: before[name] for name in KEPT}
    assert (after["artifact"]["status"], after["artifact"]["version"], after["expiresAt"]) == ("locked", 1, None)
    proton_after = await read(client, f"/workloads/{before['id']}/protons/{before['protonId']}")
    assert {**proton_after, "updatedAt": None} == {**proton, "updatedAt": None}


async def test_traffic_that_never_pauses(server: ServerProcess, client: httpx.AsyncClient) -> None:
    """Requests begin all the while: what began after the answer counts, what began before the promote does not."""
    made = await running(client)
    traffic = Traffic()
    async with AsyncExitStack() as stack:
        clients = await clients_of(stack, server)
        async with traffic.flowing(clients, f"/endpoints/workloads/{made['id']}/"):
            await until(lambda: traffic.sent > 200, what="traffic flows")
            traffic.phase = "during"
            assert (await client.post(f"/workloads/{made['id']}/promote")).status_code == 202
            traffic.phase = "after"
            await until(lambda: traffic.begun["after"] > 200, what="traffic flows on")
    assert traffic.failed == []
    assert len(traffic.pids) == 1
    counted = await total_requests(client, made["id"])
    assert traffic.begun["after"] <= counted <= traffic.begun["after"] + traffic.begun["during"]


async def test_a_server_that_has_not_heard_of_the_promote_counts_right(
    two_servers: tuple[ServerProcess, ServerProcess],
) -> None:
    """Traffic goes through two servers, the promote to one of them: the other's counts fit all the same."""
    first, second = two_servers
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(first.client())
        made = await running(client)
        path = f"/endpoints/workloads/{made['id']}/"
        clients = await clients_of(stack, first, second)
        traffic = Traffic()
        async with traffic.flowing(clients, path):
            await until(lambda: traffic.sent > 200, what="traffic flows")
            traffic.gate.clear()
            await until(lambda: traffic.waiting == len(clients), interval=0.005, what="all clients pause")
            slow = asyncio.create_task(traffic.request(clients[1], path + "slow", params={"ms": SLOW_MS}))
            other = await stack.enter_async_context(second.client())

            async def under_way() -> bool:
                metrics = (await read(other, f"/workloads/{made['id']}/stats"))["metrics"]
                return bool(metrics["concurrentRequests"])

            await until(under_way, interval=0.01)
            assert (await client.post(f"/workloads/{made['id']}/promote")).status_code == 202
            assert not slow.done(), "it should straddle the promote"
            traffic.phase = "after"
            traffic.gate.set()
            await slow
            await until(lambda: traffic.begun["after"] > 200, what="traffic flows on")
        assert traffic.failed == []
        assert len(traffic.pids) == 1

        async def exact() -> None:
            # The other server's counts come with its next flush.
            assert await total_requests(client, made["id"]) == traffic.begun["after"]

        async def settled() -> bool:
            await exact()
            return True

        await until(settled)
        assert await total_requests(other, made["id"]) == traffic.begun["after"]


async def test_a_draft_that_is_not_running_yet_can_be_promoted(client: httpx.AsyncClient) -> None:
    """It has an active proton that comes up; it comes up under the locked artifact just the same (§5)."""
    made = await create(client, payloads.workload(variables={"START_DELAY": "1"}))
    answer = await client.post(f"/workloads/{made['id']}/promote")
    assert answer.status_code == 202, answer.text

    async def up() -> bool:
        found = await read(client, f"/workloads/{made['id']}")
        return bool(found["status"] == "running" and found["protonId"] == made["protonId"])

    await until(up)
