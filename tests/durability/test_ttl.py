"""A draft's time (§4): drafts end, promoted and locked ones do not, restarted ones get all of it again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import psutil
import pytest

from tests.api.support import Json, create, problem, reach, read, running
from tests.support.server import ServerProcess
from tests.support.waiting import until

TTL = timedelta(seconds=4)


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server whose drafts live for seconds."""
    settings = {"DRAFT_TTL": f"{TTL.total_seconds()}s", "LEASE": "2s"}
    with ServerProcess(tmp_path, database_url=database_url, settings=settings) as made:
        yield made


@pytest.fixture
async def client(server: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    """The administrator's client."""
    async with server.client() as made:
        yield made


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def events_of(client: httpx.AsyncClient, workload_id: str) -> dict[str, list[datetime]]:
    """When each type of event came."""
    found: dict[str, list[datetime]] = {}
    for event in (await read(client, f"/workloads/{workload_id}/events?limit=100"))["data"]:
        found.setdefault(event["eventType"], []).append(moment(event["timestamp"]))
    return found


async def expired(client: httpx.AsyncClient, workload_id: str) -> Json:
    """Wait until a workload has ended because its time ran out."""
    found = await reach(client, workload_id, "terminated", timeout=40)
    assert len((await events_of(client, workload_id))["workload.expired"]) == 1
    return found


async def test_drafts_end_and_promoted_and_locked_ones_do_not(client: httpx.AsyncClient) -> None:
    """Seen after a draft that was made later than them has had its whole life."""
    promoted, locked, doomed = await asyncio.gather(*(running(client, name=name) for name in ("p", "l", "d")))
    pids = {each["id"]: (await client.get(each["endpoint"])).json()["pid"] for each in (promoted, locked, doomed)}
    assert (await client.post(f"/workloads/{promoted['id']}/promote")).status_code == 202
    assert (await client.patch(f"/artifacts/{locked['artifactId']}", json={"status": "locked"})).status_code == 200
    late = await create(client)
    assert moment(late["expiresAt"]) - moment(late["createdAt"]) >= TTL - timedelta(milliseconds=50)

    await expired(client, late["id"])
    ended = await expired(client, doomed["id"])

    for survivor in (promoted, locked):
        found = await read(client, f"/workloads/{survivor['id']}")
        assert (found["status"], found["expiresAt"]) == ("running", None)
        assert (await client.get(survivor["endpoint"])).json()["pid"] == pids[survivor["id"]]
        assert "workload.expired" not in await events_of(client, survivor["id"])
    assert ended["expiresAt"] is None
    assert not psutil.pid_exists(pids[doomed["id"]])
    refused = await client.get(doomed["endpoint"])
    assert problem(refused, 503)["code"] == "WORKLOAD_EXPIRED"
    assert "4 seconds" in refused.json()["message"]
    assert problem(await client.post(f"/workloads/{doomed['id']}/start"), 409)["code"] == "WORKLOAD_EXPIRED"
    assert problem(await client.post(f"/workloads/{doomed['id']}/promote"), 422)["code"] == "NO_ACTIVE_PROTON"
    happened = await events_of(client, doomed["id"])
    assert happened["workload.expired"][0] >= moment(doomed["expiresAt"])
    # Its artifact is a draft still, and free for another workload.
    again = await create(client, {"name": "again", "artifactId": doomed["artifactId"]})
    assert again["artifact"]["status"] == "draft"


async def test_a_restarted_draft_gets_its_full_time(client: httpx.AsyncClient) -> None:
    """By its events: from the last start to the end no less than the whole time passes; stopped ones end as well."""
    restarted, stopped = await create(client), await create(client)
    for each in (restarted, stopped):
        assert (await client.post(f"/workloads/{each['id']}/stop")).status_code == 202
    await reach(client, restarted["id"], "stopped")
    assert (await client.post(f"/workloads/{restarted['id']}/start")).status_code == 202
    expires_at = moment((await read(client, f"/workloads/{restarted['id']}"))["expiresAt"])
    assert expires_at > moment(restarted["expiresAt"])

    await expired(client, stopped["id"])
    await expired(client, restarted["id"])

    happened = await events_of(client, restarted["id"])
    # SQLite's clock has milliseconds.
    lived = happened["workload.expired"][0] - happened["workload.started"][0]
    assert lived >= TTL - timedelta(milliseconds=50)
    assert happened["workload.expired"][0] >= expires_at


async def test_time_that_ran_out_while_the_server_was_down(client: httpx.AsyncClient, server: ServerProcess) -> None:
    """No expiry is lost over a crash, and its replica goes as well."""
    made = await running(client)
    pid = (await client.get(made["endpoint"])).json()["pid"]
    server.kill()
    due = moment(made["expiresAt"]).timestamp()
    await until(lambda: time.time() > due, what="its time has run out")
    assert psutil.pid_exists(pid)
    await asyncio.to_thread(server.start)
    await expired(client, made["id"])
    await until(lambda: not psutil.pid_exists(pid), what="the replica is gone")
    assert server.left_behind() == []
