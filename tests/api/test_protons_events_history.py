"""Protons, events and history of a workload (§6, §7)."""

from __future__ import annotations

from datetime import datetime

import httpx

from tests.api.support import create, idle_workload, problem, reach, read, running
from tests.support import payloads
from tests.support.waiting import until

UNKNOWN = "0123456789abcdef01234567"


async def test_a_running_proton_shows_its_replicas(shared_client: httpx.AsyncClient) -> None:
    made = await running(shared_client, runtime=payloads.replicas(2))
    listed = await read(shared_client, f"/workloads/{made['id']}/protons")
    assert (listed["count"], listed["totalCount"], listed["next"], listed["previous"]) == (1, 1, None, None)
    [proton] = listed["data"]
    assert proton == await read(shared_client, f"/workloads/{made['id']}/protons/{made['protonId']}")
    assert (proton["role"], proton["status"], proton["workloadId"]) == ("active", "running", made["id"])
    assert proton["runtime"] == made["runtime"]
    assert datetime.fromisoformat(proton["runningSince"]) >= datetime.fromisoformat(proton["createdAt"])
    assert proton["endpoint"] == f"{made['endpoint']}protons/{proton['id']}/"
    assert (await shared_client.get(proton["endpoint"])).json()["proton_id"] == proton["id"]

    async def two_ready() -> bool:
        answer = await shared_client.get(f"/workloads/{made['id']}/protons/{proton['id']}/statusDetails")
        assert answer.status_code == 200
        snapshot = answer.json()
        assert snapshot["overallStatus"]["state"] == "running"
        assert len(snapshot["replicas"]) == 2
        for replica in snapshot["replicas"]:
            assert replica["status"] == "running"
            assert {condition["type"] for condition in replica["conditions"]} == {
                "PodScheduled",
                "Initialized",
                "ContainersReady",
                "Ready",
            }
            assert all(condition["met"] is condition["value"] is True for condition in replica["conditions"])
            [container] = replica["containers"]
            assert (container["name"], container["image"]) == ("echo", "example.test/echo:1")
            assert (container["ready"], container["restartCount"]) == (True, 0)
        return True

    await until(two_ready, 15)
    names = {
        condition["replica"]
        for condition in (await read(shared_client, f"/workloads/{made['id']}"))["statusDetails"]["conditions"]
    }
    assert len(names) == 2


async def test_a_proton_that_dies_shows_why(shared_client: httpx.AsyncClient) -> None:
    made = await create(shared_client, payloads.workload("dies", variables={"EXIT_AT_START": "7"}))

    async def crashed() -> bool:
        found = await read(shared_client, f"/workloads/{made['id']}")
        assert "ending with 7 because I was told to" in "\n".join(found["statusDetails"]["logTail"])
        details = await read(shared_client, f"/workloads/{made['id']}/protons/{made['protonId']}/statusDetails")
        [container] = details["replicas"][0]["containers"]
        assert container["restartCount"] >= 1
        assert container["ready"] is False
        events = (await read(shared_client, f"/workloads/{made['id']}/events?limit=100"))["data"]
        assert any(event["type"] == "Warning" for event in events)
        return True

    await until(crashed, 20)


async def test_only_its_own_protons_are_there(shared_client: httpx.AsyncClient) -> None:
    made, other = await create(shared_client), await create(shared_client)
    for proton in (UNKNOWN, "x", other["protonId"]):
        for part in ("", "/statusDetails"):
            problem(await shared_client.get(f"/workloads/{made['id']}/protons/{proton}{part}"), 404)
    for proton in (UNKNOWN, other["protonId"]):
        problem(await shared_client.get(f"{made['endpoint']}protons/{proton}/"), 404)


async def test_events_tell_who_what_and_when_newest_first(shared_client: httpx.AsyncClient) -> None:
    made = await create(shared_client, idle_workload("eventful"))
    await reach(shared_client, made["id"], "launching")
    await shared_client.patch(f"/workloads/{made['id']}", json={"importance": "high"})
    await shared_client.post(f"/workloads/{made['id']}/promote")
    await shared_client.post(f"/workloads/{made['id']}/stop")
    await reach(shared_client, made["id"], "stopped")
    found = await read(shared_client, f"/workloads/{made['id']}/events?limit=100")
    events = found["data"]
    assert found["totalCount"] == found["count"] == len(events)
    assert [event["id"] for event in events] == sorted((event["id"] for event in events), reverse=True)
    moments = [datetime.fromisoformat(event["timestamp"]) for event in events]
    assert moments == sorted(moments, reverse=True)
    for event in events:
        assert event["workloadId"] == made["id"]
        assert event["type"] in ("Normal", "Warning")
        assert event["reason"].isalnum()
        assert event["reason"][0].isupper()
        assert event["message"].endswith(".")
        assert {name: event["details"][name] for name in ("type", "reason", "message")} == {
            name: event[name] for name in ("type", "reason", "message")
        }
    by_type = {event["eventType"]: event for event in events}
    for kind in ("workload.created", "workload.updated", "workload.promoted", "workload.stopped"):
        assert by_type[kind]["actorId"] == made["creator"]["id"], kind
    assert events[-1]["eventType"] == "workload.created"
    statuses = [event for event in events if event["actorId"] is None]
    assert statuses, "status changes are the server's own events"
    problem(await shared_client.post(f"/workloads/{made['id']}/events", json={}), 405)
    problem(await shared_client.delete(f"/workloads/{made['id']}/events"), 405)


async def test_events_come_in_pages(shared_client: httpx.AsyncClient) -> None:
    made = await create(shared_client)
    for importance in ("high", "low", "critical"):
        await shared_client.patch(f"/workloads/{made['id']}", json={"importance": importance})
    await reach(shared_client, made["id"], "launching")
    whole = (await read(shared_client, f"/workloads/{made['id']}/events?limit=100"))["data"]
    seen, address = [], f"/workloads/{made['id']}/events?limit=2"
    while address:
        page = await read(shared_client, address)
        assert page["totalCount"] == len(whole)
        seen += page["data"]
        address = page["next"]
    assert seen == whole


async def test_history_is_empty_until_the_promote(shared_client: httpx.AsyncClient) -> None:
    made = await create(shared_client, idle_workload("historic"))
    assert await read(shared_client, f"/workloads/{made['id']}/history") == {
        "count": 0,
        "totalCount": 0,
        "data": [],
        "next": None,
        "previous": None,
    }
    await shared_client.post(f"/workloads/{made['id']}/promote")
    history = await read(shared_client, f"/workloads/{made['id']}/history")
    [entry] = history["data"]
    assert (entry["status"], entry["strategy"], entry["reason"]) == ("completed", "rolling", "promote")
    assert entry["candidateProtonIds"] == entry["previousProtonIds"] == [made["protonId"]]
    assert entry["userId"] == made["creator"]["id"]
    account = await read(shared_client, "/account/info/")
    assert entry["tenantId"] == account["tenantId"]
    assert entry["retiredAt"] is None
    assert entry["isDeleted"] is False
    for part in ("history", "events", "protons"):
        problem(await shared_client.get(f"/workloads/{UNKNOWN}/{part}"), 404)
