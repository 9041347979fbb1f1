"""Start and stop (§4), with the draft's time and its present spec."""

from __future__ import annotations

import asyncio

import httpx

from tests.api.support import Json, create, idle_artifact, problem, reach, read, running
from tests.support import payloads


async def stop(client: httpx.AsyncClient, workload_id: str) -> Json:
    assert (await client.post(f"/workloads/{workload_id}/stop")).status_code == 202
    return await reach(client, workload_id, "stopped")


async def test_the_operation_tells_where_to_watch_it(shared_client: httpx.AsyncClient) -> None:
    made = await create(shared_client)
    answer = await shared_client.post(f"/workloads/{made['id']}/stop/", headers={"content-type": "application/json"})
    assert answer.status_code == 202
    body = answer.json()
    assert set(body) == {"status", "workloadId", "trackVia"}
    assert body["workloadId"] == made["id"]
    tracked = await shared_client.get(body["trackVia"])
    assert (tracked.status_code, tracked.json()["id"]) == (200, made["id"])
    await reach(shared_client, made["id"], "stopped")


async def test_stopped_keeps_its_identity_and_starts_again_with_its_full_time(shared_client: httpx.AsyncClient) -> None:
    before = await running(shared_client, variables={"VERSION": "one"})
    pid = (await shared_client.get(before["endpoint"])).json()["pid"]
    changed = payloads.spec(payloads.container(variables={"VERSION": "two"}))
    assert (await shared_client.patch(f"/artifacts/{before['artifactId']}", json={"spec": changed})).status_code == 200
    answer = (await shared_client.get(before["endpoint"])).json()
    assert (answer["pid"], answer["version"]) == (pid, "one"), "a change to a draft does not touch what runs"

    stopped = await stop(shared_client, before["id"])
    kept = ("id", "name", "endpoint", "artifactId", "importance", "runtime", "creator", "createdAt")
    assert {name: stopped[name] for name in kept} == {name: before[name] for name in kept}
    refused = await shared_client.get(before["endpoint"])
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    assert refused.json()["message"]

    started = await shared_client.post(f"/workloads/{before['id']}/start")
    assert started.status_code == 202, started.text
    after = await reach(shared_client, before["id"], "running")
    assert after["expiresAt"] > before["expiresAt"]
    answer = (await shared_client.get(after["endpoint"])).json()
    assert answer["pid"] != pid
    assert answer["version"] == "two", "a start reads the artifact's spec anew"
    events = (await read(shared_client, f"/workloads/{before['id']}/events?limit=100"))["data"]
    kinds = [event["eventType"] for event in events]
    assert (kinds.count("workload.stopped"), kinds.count("workload.started")) == (1, 1)


async def test_only_stopped_or_errored_ones_start(shared_client: httpx.AsyncClient) -> None:
    made = await create(shared_client)
    problem(await shared_client.post(f"/workloads/{made['id']}/start"), 409)
    await reach(shared_client, made["id"], "launching")
    problem(await shared_client.post(f"/workloads/{made['id']}/start"), 409)
    await stop(shared_client, made["id"])
    answers = await asyncio.gather(*(shared_client.post(f"/workloads/{made['id']}/start") for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409, 409]
    events = (await read(shared_client, f"/workloads/{made['id']}/events?limit=100"))["data"]
    assert [event["eventType"] for event in events].count("workload.started") == 1


async def test_an_errored_one_starts_once_its_draft_is_mended(shared_client: httpx.AsyncClient) -> None:
    broken = payloads.spec(payloads.container(entrypoint=None))
    made = await create(shared_client, {"name": "broken", "artifact": {"name": "broken", "spec": broken}})
    await reach(shared_client, made["id"], "errored")
    mended = {"spec": payloads.spec()}
    assert (await shared_client.patch(f"/artifacts/{made['artifactId']}", json=mended)).status_code == 200
    assert (await shared_client.post(f"/workloads/{made['id']}/start")).status_code == 202
    await reach(shared_client, made["id"], "running")


async def test_stopping_again_is_harmless(shared_client: httpx.AsyncClient) -> None:
    made = await create(shared_client)
    answers = await asyncio.gather(*(shared_client.post(f"/workloads/{made['id']}/stop") for _ in range(3)))
    assert [answer.status_code for answer in answers] == [202] * 3
    await reach(shared_client, made["id"], "stopped")
    assert (await shared_client.post(f"/workloads/{made['id']}/stop")).status_code == 202
    assert (await read(shared_client, f"/workloads/{made['id']}"))["status"] == "stopped"
    events = (await read(shared_client, f"/workloads/{made['id']}/events?limit=100"))["data"]
    assert [event["eventType"] for event in events].count("workload.stopped") == 1


async def test_a_locked_one_starts_without_a_time_limit(shared_client: httpx.AsyncClient) -> None:
    made = await create(shared_client, {"name": "locked", "artifact": idle_artifact("locked", status="locked")})
    await stop(shared_client, made["id"])
    assert (await shared_client.post(f"/workloads/{made['id']}/start")).status_code == 202
    assert (await read(shared_client, f"/workloads/{made['id']}"))["expiresAt"] is None


async def test_what_is_not_there_neither_starts_nor_stops(shared_client: httpx.AsyncClient) -> None:
    for operation in ("start", "stop"):
        problem(await shared_client.post(f"/workloads/0123456789abcdef01234567/{operation}"), 404)
        made = await create(shared_client)
        problem(await shared_client.post(f"/workloads/{made['id']}/{operation}", json={"force": True}), 422)
