"""Workloads (§4): creating, changing, deleting, and what belongs to one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.support import IDLE, Json, create, idle_artifact, idle_workload, problem, reach, read

UNKNOWN = "0123456789abcdef01234567"


async def test_a_new_workload_is_answered_at_once(shared_client: httpx.AsyncClient) -> None:
    made = await create(shared_client, idle_workload("fresh"))
    assert (made["name"], made["status"], made["importance"], made["description"]) == ("fresh", "submitted", "low", "")
    assert (made["type"], made["runtime"], made["replacement"], made["tags"]) == ("service", {}, None, [])
    assert made["endpoint"] == f"{str(shared_client.base_url).rstrip('/')}/endpoints/workloads/{made['id']}/"
    assert made["statusDetails"] == {"logTail": [], "conditions": []}
    assert made["owners"] == [made["creator"]]
    left = datetime.fromisoformat(made["expiresAt"]) - datetime.now(UTC)
    assert timedelta(hours=7, minutes=59) < left < timedelta(hours=8, minutes=1)
    artifact = await read(shared_client, f"/artifacts/{made['artifactId']}")
    assert (artifact["name"], artifact["status"]) == ("fresh", "draft")
    assert made["artifact"] == {
        name: artifact[name] for name in ("id", "name", "type", "status", "version", "artifactRepositoryId")
    }
    proton = await read(shared_client, f"/workloads/{made['id']}/protons/{made['protonId']}")
    assert (proton["role"], proton["artifactId"]) == ("active", artifact["id"])


async def test_a_draft_backs_one_living_workload_and_a_locked_one_any_number(shared_client: httpx.AsyncClient) -> None:
    artifact = (await shared_client.post("/artifacts", json=idle_artifact("shared"))).json()
    body = {"name": "on it", "artifactId": artifact["id"]}
    answers = await asyncio.gather(*(shared_client.post("/workloads", json=body) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422, 422]
    [made] = [answer.json() for answer in answers if answer.status_code == 201]
    assert (await read(shared_client, f"/workloads?artifactId={artifact['id']}"))["totalCount"] == 1
    assert (await shared_client.delete(f"/workloads/{made['id']}")).status_code == 204
    again = await create(shared_client, body)
    assert (await shared_client.patch(f"/artifacts/{artifact['id']}", json={"status": "locked"})).status_code == 200
    second = await create(shared_client, body)
    assert second["expiresAt"] is None
    assert {again["artifactId"], second["artifactId"]} == {artifact["id"]}


async def test_an_inline_artifact_may_be_locked_or_join_a_repository(shared_client: httpx.AsyncClient) -> None:
    locked = await create(shared_client, {"name": "w", "artifact": idle_artifact("a", status="locked")})
    assert (locked["artifact"]["status"], locked["artifact"]["version"], locked["expiresAt"]) == ("locked", 1, None)
    repository = locked["artifact"]["artifactRepositoryId"]
    joined = await create(shared_client, {"name": "w", "artifact": idle_artifact("b", artifactRepositoryId=repository)})
    assert joined["artifact"]["artifactRepositoryId"] == repository


async def test_runtime_comes_back_as_sent_with_memory_in_bytes(shared_client: httpx.AsyncClient) -> None:
    policy = {"scalingMetric": "cpuAverageUtilization", "target": 70, "minCount": 1, "maxCount": 3}
    runtime: Json = {
        "containerGroups": [
            {
                "name": "default",
                "autoscaling": {"policies": [policy]},
                "containers": [{"name": "idle", "resourceAllocation": {"memory": "1.5GiB", "cpu": 0.5}}],
            }
        ]
    }
    made = await create(shared_client, idle_workload("sized", runtime=runtime))
    [group] = made["runtime"]["containerGroups"]
    assert group["autoscaling"]["policies"] == [policy]
    assert (group["autoscaling"]["minReplicaCount"], group["autoscaling"]["maxReplicaCount"]) == (1, 3)
    assert group["containers"][0]["resourceAllocation"] == {"memory": 3 * 2**29, "cpu": 0.5}
    assert "replicaCount" not in group
    assert (await read(shared_client, f"/workloads/{made['id']}/settings"))["runtime"] == made["runtime"]
    # What was read is accepted again.
    again = await create(shared_client, idle_workload("again", runtime=made["runtime"]))
    assert again["runtime"] == made["runtime"]


@pytest.mark.parametrize(
    "group",
    [
        {"name": "nobody"},
        {"name": "default", "containers": [{"name": "nobody"}]},
        {
            "name": "default",
            "replicaCount": 2,
            "autoscaling": {
                "policies": [{"scalingMetric": "cpuAverageUtilization", "target": 1, "minCount": 1, "maxCount": 2}]
            },
        },
        {"name": "default", "replicaCount": 0},
        {"name": "default", "replicaCount": "2"},
        {"name": "default", "containers": [{"name": "idle", "resourceAllocation": {"memory": "2 potatoes"}}]},
    ],
    ids=["group", "container", "both", "none", "text", "unit"],
)
async def test_a_runtime_that_does_not_fit_makes_nothing(shared_client: httpx.AsyncClient, group: Any) -> None:
    name = f"unfit {uuid4()}"
    answer = await shared_client.post("/workloads", json=idle_workload(name, runtime={"containerGroups": [group]}))
    assert isinstance(problem(answer, 422)["detail"], list)
    assert (await read(shared_client, f"/workloads?search={name}"))["totalCount"] == 0
    assert (await read(shared_client, f"/artifacts?search={name}"))["totalCount"] == 0
    assert (await read(shared_client, f"/artifactRepositories?search={name}"))["totalCount"] == 0


async def test_patch_takes_three_fields_and_restarts_nothing(shared_client: httpx.AsyncClient) -> None:
    made = await create(shared_client)
    await reach(shared_client, made["id"], "launching")
    before = await read(shared_client, f"/workloads/{made['id']}")
    proton = await read(shared_client, f"/workloads/{made['id']}/protons/{made['protonId']}")
    change = {"name": "new", "description": "said", "importance": "critical"}
    answer = await shared_client.patch(f"/workloads/{made['id']}", json=change)
    assert answer.status_code == 200
    assert answer.json() == {**before, **change, "updatedAt": answer.json()["updatedAt"]}
    assert await read(shared_client, f"/workloads/{made['id']}/protons/{made['protonId']}") == proton
    wrongs: list[Json] = [{"runtime": {}}, {"artifactId": made["artifactId"]}, {"status": "x"}, {"importance": "huge"}]
    for wrong in wrongs:
        problem(await shared_client.patch(f"/workloads/{made['id']}", json=wrong), 422)
    assert {name: (await read(shared_client, f"/workloads/{made['id']}"))[name] for name in change} == change
    events = (await read(shared_client, f"/workloads/{made['id']}/events?limit=100"))["data"]
    assert [event["eventType"] for event in events].count("workload.updated") == 1


async def test_deleted_is_gone_at_once_and_for_ever(shared_client: httpx.AsyncClient) -> None:
    made = await create(shared_client)
    await reach(shared_client, made["id"], "launching")
    answer = await shared_client.delete(f"/workloads/{made['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    path = f"/workloads/{made['id']}"
    proton = f"/protons/{made['protonId']}"
    for part in ("", "/settings", "/related", "/events", "/history", "/protons", proton, "/stats"):
        problem(await shared_client.get(path + part), 404)
    for part in ("/promote", "/start", "/stop"):
        problem(await shared_client.post(path + part), 404)
    problem(await shared_client.patch(path, json={"name": "x"}), 404)
    problem(await shared_client.delete(path), 404)
    assert (await shared_client.get(f"/endpoints/workloads/{made['id']}/")).status_code == 404
    assert (await read(shared_client, f"/workloads?ids={made['id']}"))["totalCount"] == 0
    assert (await read(shared_client, f"/artifacts/{made['artifactId']}"))["status"] == "draft"


async def test_related_names_artifact_repository_and_protons(shared_client: httpx.AsyncClient) -> None:
    made = await create(shared_client, idle_workload("related"))
    found = await read(shared_client, f"/workloads/{made['id']}/related")
    assert found["count"] == 3
    assert {(item["type"], item["id"]) for item in found["data"]} == {
        ("artifact", made["artifactId"]),
        ("artifact_repository", made["artifact"]["artifactRepositoryId"]),
        ("proton", made["protonId"]),
    }


async def test_without_an_entrypoint_it_errs_and_says_what_to_do(shared_client: httpx.AsyncClient) -> None:
    container = {name: value for name, value in IDLE.items() if name != "entrypoint"}
    spec = {"containerGroups": [{"name": "default", "containers": [container]}]}
    made = await create(shared_client, {"name": "empty", "artifact": {"name": "empty", "spec": spec}})
    await reach(shared_client, made["id"], "errored")
    events = (await read(shared_client, f"/workloads/{made['id']}/events?limit=100"))["data"]
    assert any(event["type"] == "Warning" and "entrypoint" in event["message"] for event in events), events
    problem(await shared_client.post(f"/workloads/{made['id']}/promote"), 422)


async def test_a_retried_creation_makes_one_workload(shared_client: httpx.AsyncClient) -> None:
    key, name = {"Idempotency-Key": str(uuid4())}, f"once {uuid4()}"
    answers = [await shared_client.post("/workloads", json=idle_workload(name), headers=key) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert (await read(shared_client, f"/workloads?search={name}"))["totalCount"] == 1
    assert (await read(shared_client, f"/artifacts?search={name}"))["totalCount"] == 1
