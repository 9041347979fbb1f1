"""Replacements and changes of settings of workloads that really run (§6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import update

from tests.api.raw import ask
from tests.api.support import Json, create, idle_artifact, idle_workload, problem, reach, read, running
from tests.support import payloads
from tests.support.rows import opened
from tests.support.server import ServerProcess
from tests.support.waiting import until
from workload_api.db.engine import Database
from workload_api.db.models import ReplacementRow

STAYS = ("id", "name", "description", "importance", "endpoint", "creator", "owners", "permissions", "tags", "createdAt")
BROKEN = {"EXIT_AT_START": "3"}


@pytest.fixture
async def database(shared_server: ServerProcess) -> AsyncIterator[Database]:
    """The server's database, to turn its clock: moments in it are set back."""
    async with opened(shared_server.database_url or "") as made:
        yield made


async def ago(database: Database, replacement: Json, **columns: timedelta) -> None:
    """Let something about a replacement have happened a while ago."""
    moments = {name: datetime.now(UTC) - duration for name, duration in columns.items()}
    async with database.write() as session:
        await session.execute(update(ReplacementRow).where(ReplacementRow.id == replacement["id"]).values(moments))


async def draft(client: httpx.AsyncClient, version: str = "2", **variables: str) -> str:
    """A draft of the echo application in this version; its id."""
    answer = await client.post("/artifacts", json=payloads.artifact(variables={"VERSION": version, **variables}))
    assert answer.status_code == 201, answer.text
    made: str = answer.json()["id"]
    return made


async def locked(client: httpx.AsyncClient, version: str) -> str:
    """The same, locked."""
    body = payloads.artifact(variables={"VERSION": version}, status="locked")
    answer = await client.post("/artifacts", json=body)
    assert answer.status_code == 201, answer.text
    made: str = answer.json()["id"]
    return made


async def replace(client: httpx.AsyncClient, workload: Json, artifact_id: str, **fields: Any) -> httpx.Response:
    """Ask for a replacement."""
    body = {"artifactId": artifact_id, "strategy": "rolling", **fields}
    return await client.post(f"/workloads/{workload['id']}/replacement", json=body)


async def begun(client: httpx.AsyncClient, workload: Json, artifact_id: str, **fields: Any) -> Json:
    """A replacement that was begun."""
    answer = await replace(client, workload, artifact_id, **fields)
    assert answer.status_code == 202, answer.text
    made: Json = answer.json()
    return made


async def comes_to(client: httpx.AsyncClient, workload: Json, *statuses: str) -> Json:
    """Wait until the replacement of a workload has one of these statuses; the workload shows the same record."""

    async def there() -> Json:
        found = await read(client, f"/workloads/{workload['id']}/replacement")
        assert found["status"] in statuses, found
        return found

    return await until(there, 30, what=f"replacement {statuses}")


async def is_gone(client: httpx.AsyncClient, workload: Json) -> None:
    """Wait until a workload shows no replacement, in either place."""

    async def gone() -> bool:
        answer = await client.get(f"/workloads/{workload['id']}/replacement")
        assert problem(answer, 404)["message"] == "There is no active replacement for this workload."
        return True

    await until(gone, 30)
    assert (await read(client, f"/workloads/{workload['id']}"))["replacement"] is None


async def invoke(client: httpx.AsyncClient, workload: Json) -> Json:
    """What the endpoint answers."""
    return await read(client, f"/endpoints/workloads/{workload['id']}/")


async def gone(client: httpx.AsyncClient, workload: Json, proton_id: str) -> None:
    """Wait until a proton's compute is gone."""

    async def terminated() -> bool:
        proton = await read(client, f"/workloads/{workload['id']}/protons/{proton_id}")
        assert (proton["status"], proton["role"]) == ("terminated", None)
        return True

    await until(terminated, 30)


async def test_a_draft_rolls_onto_another_draft(shared_client: httpx.AsyncClient) -> None:
    before = await running(shared_client, variables={"VERSION": "1"})
    first = await invoke(shared_client, before)
    artifact_id = await draft(shared_client)
    record = await begun(shared_client, before, artifact_id)
    assert record["status"] == "submitted"
    assert (record["reason"], record["strategy"]) == ("replace", "rolling")
    assert record["config"] == {"warmupDurationMinutes": 0, "keepOldVersionMinutes": 0}
    assert record["candidateArtifactId"] == record["artifactId"] == artifact_id
    assert record["previousProtonIds"] == [before["protonId"]]
    assert record["workloadId"] == before["id"]
    assert (record["message"], record["isDeleted"], record["deletedAt"]) == (None, False, None)
    (candidate,) = record["candidateProtonIds"]
    assert candidate != before["protonId"]

    seen: list[str] = []
    while not seen or seen[-1] not in ("completed", "errored"):
        workload = await read(shared_client, f"/workloads/{before['id']}")
        assert workload["status"] == "running"
        shown = workload["replacement"]
        assert shown["id"] == record["id"]
        if not seen or seen[-1] != shown["status"]:
            seen.append(shown["status"])
        moved = shown["status"] in ("switching", "cleaning_up", "completed")
        assert (workload["artifactId"], workload["protonId"]) == (
            (artifact_id, candidate) if moved else (before["artifactId"], before["protonId"])
        )
        assert {name: workload[name] for name in STAYS} == {name: before[name] for name in STAYS}
        await invoke(shared_client, before)
    ways = ["submitted", "initializing", "awaiting_promotion", "switching", "cleaning_up", "completed"]
    assert [status for status in ways if status in seen] == seen
    assert "switching" in seen

    after = await invoke(shared_client, before)
    assert (after["version"], after["proton_id"]) == ("2", candidate)
    assert first["pid"] != after["pid"]
    await gone(shared_client, before, before["protonId"])
    assert (await read(shared_client, f"/workloads/{before['id']}/replacement"))["status"] == "completed"
    history = await read(shared_client, f"/workloads/{before['id']}/history")
    (entry,) = history["data"]
    assert (entry["id"], entry["status"], entry["retiredAt"]) == (record["id"], "completed", None)
    assert entry["deployedAt"] == entry["switchedAt"] is not None
    # The old draft is free, the new one is not.
    assert (await shared_client.post("/workloads", json={"name": "x", "artifactId": artifact_id})).status_code == 422
    again = await shared_client.post("/workloads", json={"name": "x", "artifactId": before["artifactId"]})
    assert again.status_code == 201, again.text
    # The draft's time goes on: a replacement is no start.
    assert (await read(shared_client, f"/workloads/{before['id']}"))["expiresAt"] == before["expiresAt"]
    events = (await read(shared_client, f"/workloads/{before['id']}/events?limit=100"))["data"]
    told = [event["eventType"] for event in reversed(events) if event["eventType"].startswith("replacement.")]
    assert told == [f"replacement.{status}" for status in ways]
    assert {e["details"]["replacementId"] for e in events if e["eventType"] == "replacement.completed"} == {
        record["id"]
    }


async def test_a_locked_version_rolls_onto_the_next(shared_client: httpx.AsyncClient) -> None:
    first, second = await locked(shared_client, "1"), await locked(shared_client, "2")
    workload = await running(shared_client, artifactId=first)
    refusal = await replace(shared_client, workload, first)
    assert problem(refusal, 422)["code"] == "SAME_ARTIFACT"
    await begun(shared_client, workload, second)
    done = await comes_to(shared_client, workload, "completed")
    assert (await invoke(shared_client, workload))["version"] == "2"
    after = await read(shared_client, f"/workloads/{workload['id']}")
    assert (after["artifact"]["status"], after["expiresAt"], after["artifactId"]) == ("locked", None, second)
    # A settled one never stands in the way of the next, which takes its place at once.
    back = await begun(shared_client, workload, first)
    shown = await read(shared_client, f"/workloads/{workload['id']}/replacement")
    assert shown["id"] == back["id"] != done["id"]
    await comes_to(shared_client, workload, "completed")
    history = (await read(shared_client, f"/workloads/{workload['id']}/history"))["data"]
    assert [entry["id"] for entry in history] == [back["id"], done["id"]]
    assert history[0]["retiredAt"] is None
    assert history[1]["retiredAt"] == history[0]["deployedAt"]


async def test_draft_and_locked_do_not_mix(shared_client: httpx.AsyncClient) -> None:
    of_draft = await running(shared_client)
    answer = await replace(shared_client, of_draft, await locked(shared_client, "2"))
    assert problem(answer, 400)["code"] == "ARTIFACT_STATUS_MISMATCH"
    assert "Artifact status mismatch" in answer.json()["detail"]
    assert (await shared_client.post(f"/workloads/{of_draft['id']}/promote")).status_code == 202
    answer = await replace(shared_client, of_draft, await draft(shared_client))
    assert "Artifact status mismatch" in problem(answer, 400)["message"]
    await is_gone(shared_client, of_draft)


async def test_settings_move_onto_the_artifact_as_it_is_now(shared_client: httpx.AsyncClient) -> None:
    workload = await running(shared_client, variables={"VERSION": "1"})
    path = f"/workloads/{workload['id']}/settings"
    spec = payloads.spec(payloads.container(variables={"VERSION": "1b"}))
    answer = await shared_client.patch(f"/artifacts/{workload['artifactId']}", json={"spec": spec})
    assert answer.status_code == 200
    assert (await invoke(shared_client, workload))["version"] == "1"

    answer = await shared_client.patch(path, json={"runtime": payloads.replicas(2)})
    assert answer.status_code == 202, answer.text
    record = answer.json()
    assert (record["reason"], record["status"]) == ("settings", "submitted")
    assert record["runtime"]["containerGroups"][0]["replicaCount"] == 2
    assert (await read(shared_client, path))["runtime"] == {}, "until traffic moves, the old settings hold"
    again = await shared_client.patch(path, json={"runtime": payloads.replicas(3)})
    assert problem(again, 409)["code"] == "REPLACEMENT_IN_PROGRESS"
    assert problem(await replace(shared_client, workload, await draft(shared_client)), 422)
    promote = await shared_client.post(f"/workloads/{workload['id']}/promote")
    assert problem(promote, 422)["code"] == "REPLACEMENT_IN_PROGRESS"

    await comes_to(shared_client, workload, "completed")
    assert (await read(shared_client, path))["runtime"] == record["runtime"]
    after = await read(shared_client, f"/workloads/{workload['id']}")
    assert (after["runtime"], after["artifactId"]) == (record["runtime"], workload["artifactId"])
    pids = {(await invoke(shared_client, workload))["pid"] for _ in range(8)}
    assert len(pids) == 2
    assert (await invoke(shared_client, workload))["version"] == "1b"
    # Then it can be promoted, and the history tells both.
    assert (await shared_client.post(f"/workloads/{workload['id']}/promote")).status_code == 202
    history = (await read(shared_client, f"/workloads/{workload['id']}/history"))["data"]
    assert [entry["reason"] for entry in history] == ["promote", "settings"]
    assert history[1]["retiredAt"] == history[0]["deployedAt"]
    shown = (await read(shared_client, f"/workloads/{workload['id']}"))["replacement"]
    assert shown["id"] == record["id"], "a promote never shows as replacement"


async def test_the_same_draft_again(shared_client: httpx.AsyncClient) -> None:
    workload = await running(shared_client)
    await begun(shared_client, workload, workload["artifactId"])
    await comes_to(shared_client, workload, "completed")
    after = await read(shared_client, f"/workloads/{workload['id']}")
    assert after["artifactId"] == workload["artifactId"]
    assert after["protonId"] != workload["protonId"]


async def test_a_candidate_that_fails_leaves_the_old_one_serving(shared_client: httpx.AsyncClient) -> None:
    workload = await running(shared_client)
    pid = (await invoke(shared_client, workload))["pid"]
    record = await begun(shared_client, workload, await draft(shared_client, **BROKEN))
    failed = await comes_to(shared_client, workload, "errored")
    assert record["candidateProtonIds"][0] in failed["message"]
    assert "3" in failed["message"], "the exit code"
    await gone(shared_client, workload, record["candidateProtonIds"][0])
    after = await read(shared_client, f"/workloads/{workload['id']}")
    assert (after["status"], after["protonId"], after["artifactId"]) == (
        "running",
        workload["protonId"],
        workload["artifactId"],
    )
    assert (await invoke(shared_client, workload))["pid"] == pid
    assert after["replacement"]["status"] == "errored", "until the next attempt"
    second = await begun(shared_client, workload, await draft(shared_client))
    assert second["status"] == "submitted"
    assert (await read(shared_client, f"/workloads/{workload['id']}"))["replacement"]["id"] == second["id"]
    await comes_to(shared_client, workload, "completed")
    history = (await read(shared_client, f"/workloads/{workload['id']}/history"))["data"]
    assert [(entry["status"], entry["deployedAt"] is None) for entry in history] == [
        ("completed", False),
        ("errored", True),
    ]


async def test_a_candidate_that_never_gets_ready_is_given_up(
    shared_client: httpx.AsyncClient, database: Database
) -> None:
    workload = await running(shared_client)
    record = await begun(shared_client, workload, await draft(shared_client, START_DELAY="600"))
    await comes_to(shared_client, workload, "initializing")
    await ago(database, record, created_at=timedelta(minutes=11))
    failed = await comes_to(shared_client, workload, "errored")
    assert "was not ready within 0:10:00" in failed["message"]
    assert (await invoke(shared_client, workload))["proton_id"] == workload["protonId"]


async def test_a_candidate_warms_up(shared_client: httpx.AsyncClient, database: Database) -> None:
    workload = await running(shared_client, variables={"VERSION": "1"})
    config = {"warmupDurationMinutes": 5}
    record = await begun(shared_client, workload, await draft(shared_client), config=config)
    assert record["config"] == {"warmupDurationMinutes": 5, "keepOldVersionMinutes": 0}
    await comes_to(shared_client, workload, "awaiting_promotion")
    (candidate,) = record["candidateProtonIds"]
    path = f"/workloads/{workload['id']}/protons/{candidate}"
    proton = await read(shared_client, path)
    assert (proton["role"], proton["status"]) == ("candidate", "warming")
    assert (await invoke(shared_client, workload))["version"] == "1"
    # One can try it before traffic comes to it.
    assert (await read(shared_client, f"/endpoints{path}/"))["version"] == "2"
    await ago(database, record, status_since=timedelta(minutes=5))
    await comes_to(shared_client, workload, "completed")
    assert (await invoke(shared_client, workload))["version"] == "2"


async def test_cancel_before_the_switch(shared_client: httpx.AsyncClient) -> None:
    workload = await running(shared_client)
    record = await begun(shared_client, workload, await draft(shared_client), config={"warmupDurationMinutes": 5})
    await comes_to(shared_client, workload, "awaiting_promotion")
    answer = await shared_client.delete(f"/workloads/{workload['id']}/replacement")
    assert answer.status_code == 202, answer.text
    assert (answer.json()["id"], answer.json()["status"]) == (record["id"], "deleting")
    again = await shared_client.delete(f"/workloads/{workload['id']}/replacement")
    assert again.status_code in (202, 404)
    await is_gone(shared_client, workload)
    await gone(shared_client, workload, record["candidateProtonIds"][0])
    after = await read(shared_client, f"/workloads/{workload['id']}")
    assert (after["protonId"], after["artifactId"]) == (workload["protonId"], workload["artifactId"])
    (entry,) = (await read(shared_client, f"/workloads/{workload['id']}/history"))["data"]
    assert entry["isDeleted"] is True
    assert entry["deletedAt"] is not None
    assert entry["message"] == "Cancelled by admin."
    assert problem(await shared_client.delete(f"/workloads/{workload['id']}/replacement"), 404)
    # And the next one goes through.
    await begun(shared_client, workload, await draft(shared_client))
    await comes_to(shared_client, workload, "completed")


async def test_going_back_while_the_old_version_is_kept(shared_client: httpx.AsyncClient) -> None:
    workload = await running(shared_client, variables={"VERSION": "1"}, runtime=payloads.replicas(1))
    pid = (await invoke(shared_client, workload))["pid"]
    record = await begun(
        shared_client,
        workload,
        await draft(shared_client),
        config={"keepOldVersionMinutes": 60},
        runtime=payloads.replicas(2),
    )
    await comes_to(shared_client, workload, "cleaning_up")
    assert (await invoke(shared_client, workload))["version"] == "2"
    proton = await read(shared_client, f"/workloads/{workload['id']}/protons/{workload['protonId']}")
    assert (proton["role"], proton["status"]) == (None, "draining")
    stolen = await shared_client.post("/workloads", json={"name": "x", "artifactId": workload["artifactId"]})
    assert problem(stolen, 422)["code"] == "DRAFT_IN_USE", "one may still go back to it"

    answer = await shared_client.delete(f"/workloads/{workload['id']}/replacement")
    assert (answer.status_code, answer.json()["status"]) == (202, "deleting")
    back = await invoke(shared_client, workload)
    assert (back["version"], back["pid"]) == ("1", pid), "at once, and it is the very same process"
    after = await read(shared_client, f"/workloads/{workload['id']}")
    assert (after["protonId"], after["artifactId"], after["runtime"], after["status"]) == (
        workload["protonId"],
        workload["artifactId"],
        workload["runtime"],
        "running",
    )
    await is_gone(shared_client, workload)
    await gone(shared_client, workload, record["candidateProtonIds"][0])
    assert (await invoke(shared_client, workload))["pid"] == pid
    free = await shared_client.post("/workloads", json=idle_workload(artifactId=record["artifactId"], artifact=None))
    assert free.status_code == 201, free.text


async def test_going_back_to_one_that_is_not_ready_shows_it(shared_client: httpx.AsyncClient) -> None:
    """The kept version fell ill meanwhile: its status is its own, before and after traffic goes back to it."""
    workload = await running(shared_client)
    await begun(shared_client, workload, await draft(shared_client), config={"keepOldVersionMinutes": 60})
    await comes_to(shared_client, workload, "cleaning_up")
    ill = f"/endpoints/workloads/{workload['id']}/protons/{workload['protonId']}/unhealthy"
    assert (await shared_client.post(ill)).status_code == 200

    async def seen() -> bool:
        proton = await read(shared_client, f"/workloads/{workload['id']}/protons/{workload['protonId']}")
        return bool(proton["status"] == "launching")

    await until(seen, 30)
    assert (await read(shared_client, f"/workloads/{workload['id']}"))["status"] == "running", "the new one is well"
    assert (await shared_client.delete(f"/workloads/{workload['id']}/replacement")).status_code == 202
    await reach(shared_client, workload["id"], "launching")


async def test_the_kept_version_goes_when_its_time_is_over(
    shared_client: httpx.AsyncClient, database: Database
) -> None:
    workload = await running(shared_client)
    record = await begun(shared_client, workload, await draft(shared_client), config={"keepOldVersionMinutes": 60})
    await comes_to(shared_client, workload, "cleaning_up")
    await ago(database, record, switched_at=timedelta(minutes=61))
    await comes_to(shared_client, workload, "completed")
    await gone(shared_client, workload, workload["protonId"])


async def test_there_is_no_way_back_once_the_artifact_is_locked(shared_client: httpx.AsyncClient) -> None:
    workload = await running(shared_client)
    record = await begun(shared_client, workload, await draft(shared_client), config={"keepOldVersionMinutes": 60})
    await comes_to(shared_client, workload, "cleaning_up")
    answer = await shared_client.patch(f"/artifacts/{record['artifactId']}", json={"status": "locked"})
    assert answer.status_code == 200
    assert (await read(shared_client, f"/workloads/{workload['id']}"))["expiresAt"] is None
    answer = await shared_client.delete(f"/workloads/{workload['id']}/replacement")
    assert problem(answer, 422)["code"] == "ARTIFACT_STATUS_MISMATCH"
    assert (await read(shared_client, f"/workloads/{workload['id']}/replacement"))["status"] == "cleaning_up"


@pytest.mark.parametrize("which", ["old", "new"])
async def test_a_draft_that_is_locked_meanwhile_ends_it(shared_client: httpx.AsyncClient, which: str) -> None:
    workload = await running(shared_client)
    artifact_id = await draft(shared_client, START_DELAY="2")
    await begun(shared_client, workload, artifact_id)
    named = workload["artifactId"] if which == "old" else artifact_id
    assert (await shared_client.patch(f"/artifacts/{named}", json={"status": "locked"})).status_code == 200
    failed = await comes_to(shared_client, workload, "errored")
    assert "Artifact status mismatch" in failed["message"]
    after = await read(shared_client, f"/workloads/{workload['id']}")
    assert (after["protonId"], after["expiresAt"] is None) == (workload["protonId"], which == "old")


async def test_without_an_active_proton_there_is_nothing_to_replace(shared_client: httpx.AsyncClient) -> None:
    workload = await create(shared_client)
    assert (await shared_client.post(f"/workloads/{workload['id']}/stop")).status_code == 202
    answer = await replace(shared_client, workload, await draft(shared_client))
    assert problem(answer, 422)["code"] == "NO_ACTIVE_PROTON"
    answer = await shared_client.patch(f"/workloads/{workload['id']}/settings", json={"runtime": {}})
    assert problem(answer, 422)["code"] == "NO_ACTIVE_PROTON"


async def test_what_does_not_fit_is_refused_and_changes_nothing(shared_client: httpx.AsyncClient) -> None:
    workload = await create(shared_client, idle_workload(runtime=payloads.replicas(1)))
    other = await create(shared_client)
    artifact_id = await draft(shared_client)

    async def refused(status: int, code: str, artifact: str = artifact_id, **fields: Any) -> Json:
        answer = await replace(shared_client, workload, artifact, **fields)
        body = problem(answer, status)
        assert body["code"] == code, body
        assert (await read(shared_client, f"/workloads/{workload['id']}"))["replacement"] is None
        return body

    await refused(404, "ARTIFACT_NOT_FOUND", "0123456789abcdef01234567")
    await refused(422, "DRAFT_IN_USE", other["artifactId"])
    await refused(403, "REPLICA_LIMIT_EXCEEDED", runtime=payloads.replicas(101))
    await refused(422, "VALIDATION_ERROR", runtime={"containerGroups": [{"name": "no-such"}]})
    await refused(422, "VALIDATION_ERROR", strategy="blueGreen")
    await refused(422, "VALIDATION_ERROR", config={"warmupDurationMinutes": -1})
    await refused(422, "VALIDATION_ERROR", config={"keepOldVersionMinutes": 1.5})
    await refused(422, "VALIDATION_ERROR", runtime={"containerGroups": [{"resourceBundles": ["no-such"]}]})
    await refused(422, "VALIDATION_ERROR", more=1)
    renamed = idle_artifact()
    renamed["spec"]["containerGroups"][0]["name"] = "renamed"
    other_group = (await shared_client.post("/artifacts", json=renamed)).json()["id"]
    body = await refused(422, "VALIDATION_ERROR", other_group)
    assert "Give a runtime that does" in body["message"]
    path = f"/workloads/{workload['id']}/settings"
    for runtime, status in ((payloads.replicas(101), 403), ({"containerGroups": [{"name": "no-such"}]}, 422)):
        problem(await shared_client.patch(path, json={"runtime": runtime}), status)
    unfit: list[Any] = [{}, {"runtime": None}, {"runtime": {}, "more": 1}, []]
    for bad in unfit:
        problem(await shared_client.patch(path, json=bad), 422)
    nowhere = "/workloads/0123456789abcdef01234567"
    requests: list[tuple[str, str, Json | None]] = [
        ("POST", "/replacement", {"artifactId": artifact_id, "strategy": "rolling"}),
        ("GET", "/replacement", None),
        ("DELETE", "/replacement", None),
        ("PATCH", "/settings", {"runtime": {}}),
    ]
    for method, part, sent in requests:
        answer = await shared_client.request(method, nowhere + part, json=sent)
        assert problem(answer, 404)["code"] == "WORKLOAD_NOT_FOUND"


async def test_a_stop_ends_it(shared_client: httpx.AsyncClient) -> None:
    """Before the switch the candidate goes with the rest; the record says why."""
    workload = await running(shared_client)
    record = await begun(shared_client, workload, await draft(shared_client), config={"warmupDurationMinutes": 5})
    await comes_to(shared_client, workload, "awaiting_promotion")
    assert (await shared_client.post(f"/workloads/{workload['id']}/stop")).status_code == 202
    await reach(shared_client, workload["id"], "stopped")
    await gone(shared_client, workload, record["candidateProtonIds"][0])
    ended = await read(shared_client, f"/workloads/{workload['id']}/replacement")
    assert (ended["status"], ended["message"]) == ("errored", "The workload was stopped.")
    assert (await shared_client.post(f"/workloads/{workload['id']}/start")).status_code == 202
    after = await reach(shared_client, workload["id"], "running")
    assert after["protonId"] == workload["protonId"]


async def test_a_stop_while_the_old_version_is_kept(shared_client: httpx.AsyncClient) -> None:
    workload = await running(shared_client)
    record = await begun(shared_client, workload, await draft(shared_client), config={"keepOldVersionMinutes": 60})
    await comes_to(shared_client, workload, "cleaning_up")
    assert (await shared_client.post(f"/workloads/{workload['id']}/stop")).status_code == 202
    await reach(shared_client, workload["id"], "stopped")
    await gone(shared_client, workload, workload["protonId"])
    ended = await read(shared_client, f"/workloads/{workload['id']}/replacement")
    assert (ended["id"], ended["status"]) == (record["id"], "completed")


async def test_a_delete_takes_both_down(shared_client: httpx.AsyncClient) -> None:
    workload = await running(shared_client)
    artifact_id = await draft(shared_client)
    await begun(shared_client, workload, artifact_id, config={"warmupDurationMinutes": 5})
    await comes_to(shared_client, workload, "awaiting_promotion")
    assert (await shared_client.delete(f"/artifacts/{artifact_id}")).status_code == 409, "it is in use"
    assert (await shared_client.delete(f"/workloads/{workload['id']}")).status_code == 204
    assert (await shared_client.get(f"/workloads/{workload['id']}/replacement")).status_code == 404

    async def free() -> bool:
        return (await shared_client.delete(f"/artifacts/{artifact_id}")).status_code == 204

    await until(free, 30)


async def test_one_of_many_at_once(shared_client: httpx.AsyncClient) -> None:
    workload = await running(shared_client)
    artifacts = [await draft(shared_client) for _ in range(8)]
    answers = await asyncio.gather(*(replace(shared_client, workload, each) for each in artifacts))
    assert sorted(answer.status_code for answer in answers) == [202, *[422] * 7]
    answers = await asyncio.gather(
        *(shared_client.patch(f"/workloads/{workload['id']}/settings", json={"runtime": {}}) for _ in range(3))
    )
    assert [answer.status_code for answer in answers] == [409] * 3
    await comes_to(shared_client, workload, "completed")
    assert (await read(shared_client, f"/workloads/{workload['id']}/history"))["totalCount"] == 1


async def test_one_draft_for_two_workloads_at_once(shared_client: httpx.AsyncClient) -> None:
    """A draft backs one living workload, whoever comes first: a replacement or a new workload."""
    workload, other = await create(shared_client), await create(shared_client)
    for _ in range(3):
        artifact_id = await draft(shared_client)
        answers = await asyncio.gather(
            replace(shared_client, workload, artifact_id),
            replace(shared_client, other, artifact_id),
            shared_client.post("/workloads", json={"name": "third", "artifactId": artifact_id}),
        )
        won = [answer.status_code for answer in answers if answer.status_code != 422]
        assert len(won) == 1, [answer.text for answer in answers]
        for each in (workload, other):
            await shared_client.delete(f"/workloads/{each['id']}/replacement")
            await is_gone(shared_client, each)


async def test_an_idempotency_key(shared_client: httpx.AsyncClient) -> None:
    workload = await running(shared_client)
    artifact_id = await draft(shared_client)
    body = {"artifactId": artifact_id, "strategy": "rolling"}
    headers = {"Idempotency-Key": str(uuid4())}
    path = f"/workloads/{workload['id']}/replacement"
    first = await shared_client.post(path, json=body, headers=headers)
    again = await shared_client.post(path, json=body, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"


async def test_preconditions(shared_client: httpx.AsyncClient) -> None:
    """Settings are changed, and a replacement is cancelled, as the caller has seen them or not at all."""
    workload = await running(shared_client)
    path = f"/workloads/{workload['id']}"
    seen = (await shared_client.get(f"{path}/settings")).headers["etag"]
    assert (await shared_client.patch(path, json={"importance": "high"})).status_code == 200
    answer = await shared_client.patch(f"{path}/settings", json={"runtime": {}}, headers={"If-Match": seen})
    problem(answer, 412)
    config = {"warmupDurationMinutes": 5}
    record = await replace(shared_client, workload, await draft(shared_client), config=config)
    await comes_to(shared_client, workload, "awaiting_promotion")
    old = {"If-Match": record.headers["etag"]}
    problem(await shared_client.delete(f"{path}/replacement", headers=old), 412)
    now = (await shared_client.get(f"{path}/replacement")).headers["etag"]
    answer = await shared_client.delete(f"{path}/replacement", headers={"If-Match": now})
    assert answer.status_code == 202


@pytest.mark.parametrize("slash", ["", "/"])
async def test_what_clients_rely_on(shared_server: ServerProcess, shared_client: httpx.AsyncClient, slash: str) -> None:
    """Over a socket (§12): 202, the record in both places at once, `completed` for pollers, null and 404 else."""
    workload = await running(shared_client)
    path = f"/workloads/{workload['id']}"
    none = await ask(shared_server, "GET", f"{path}/replacement{slash}")
    assert (none.status, none.json["detail"]) == (404, "There is no active replacement for this workload.")
    assert (await ask(shared_server, "GET", f"{path}{slash}")).json["replacement"] is None
    body = {"artifactId": workload["artifactId"], "strategy": "rolling", "config": {}, "runtime": None}
    requests: list[tuple[str, str, Json]] = [
        ("POST", "replacement", body),
        ("PATCH", "settings", {"runtime": payloads.replicas(1)}),
    ]
    for method, part, sent in requests:
        answer = await ask(shared_server, method, f"{path}/{part}{slash}", sent)
        assert answer.status == 202, answer.body
        record = answer.json
        assert (record["deletedAt"], record["isDeleted"], record["message"]) == (None, False, None)
        assert isinstance(record["previousProtonIds"], list)
        shown = await ask(shared_server, "GET", f"{path}/replacement{slash}")
        assert (shown.status, shown.json["id"]) == (200, record["id"])
        whole = (await ask(shared_server, "GET", f"{path}{slash}")).json
        assert (whole["status"], whole["replacement"]["id"]) == ("running", record["id"])
        assert whole["replacement"].keys() == record.keys()
        await comes_to(shared_client, workload, "completed")
    assert (await ask(shared_server, "DELETE", f"{path}/replacement{slash}", raw=b"null")).status == 404
    config = {"warmupDurationMinutes": 5}
    begun_at_last = await begun(shared_client, workload, workload["artifactId"], config=config)
    cancelled = await ask(shared_server, "DELETE", f"{path}/replacement{slash}", raw=b"null")
    assert (cancelled.status, cancelled.json["id"], cancelled.json["status"]) == (202, begun_at_last["id"], "deleting")


async def test_a_completed_one_is_shown_for_a_while(shared_client: httpx.AsyncClient, database: Database) -> None:
    workload = await running(shared_client)
    record = await begun(shared_client, workload, workload["artifactId"])
    await comes_to(shared_client, workload, "completed")
    await ago(database, record, updated_at=timedelta(seconds=31))
    await is_gone(shared_client, workload)
