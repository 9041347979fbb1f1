"""What bad input gets: a clear 4xx, nothing changed, nothing lost, and a server that still answers."""

from __future__ import annotations

from copy import deepcopy
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.support import IDLE, Json, create, idle_artifact, idle_spec, idle_workload, problem, reach, read

UNKNOWN = "0123456789abcdef01234567"
LISTS = ("/workloads", "/artifacts", "/artifactRepositories")


@pytest.mark.parametrize(
    "id_", [UNKNOWN, "x", "0" * 23, "X" * 24, "%00", "%ff", "..", "a" * 5000, "%F0%9F%9A%80", "'--"]
)
@pytest.mark.usefixtures("nothing_changes")
async def test_unknown_ids(shared_client: httpx.AsyncClient, id_: str) -> None:
    for method, path in (
        ("GET", f"/workloads/{id_}"),
        ("PATCH", f"/workloads/{id_}"),
        ("POST", f"/workloads/{id_}/promote"),
        ("POST", f"/workloads/{id_}/stop"),
        ("GET", f"/workloads/{id_}/events"),
        ("GET", f"/workloads/{id_}/protons/{id_}"),
        ("GET", f"/artifacts/{id_}"),
        ("DELETE", f"/artifacts/{id_}"),
        ("GET", f"/artifactRepositories/{id_}"),
        ("GET", f"/endpoints/workloads/{id_}/"),
    ):
        if id_ == "..":
            path = path.replace("..", "%2e%2e")
        answer = await shared_client.request(method, path, json={"name": "x"} if method == "PATCH" else None)
        problem(answer, 404)


@pytest.mark.parametrize(
    "query", ["search=%00", "ids=%00", "createdBy=%00", "search=%ff", "repositoryId=%00", "orderBy=%00"]
)
async def test_filters_of_odd_characters(shared_client: httpx.AsyncClient, query: str) -> None:
    for path in LISTS:
        answer = await shared_client.get(f"{path}?{query}")
        assert answer.status_code in (200, 422), (path, answer.text)
        if answer.status_code == 200 and not query.startswith("repositoryId"):
            assert answer.json()["totalCount"] == 0


def changed(path: str, value: Any) -> Json:
    """The body of a workload with one thing made wrong: of its container, or from the top on (``/…``)."""
    body = idle_workload("wrong")
    body["artifact"]["spec"] = deepcopy(body["artifact"]["spec"])
    place: Any = body if path.startswith("/") else body["artifact"]["spec"]["containerGroups"][0]["containers"][0]
    *inner, last = path.strip("/").split(".")
    for key in inner:
        place = place[key]
    place[last] = value
    return body


def two(**fields: Any) -> Json:
    """The body of a workload with a second container."""
    body = idle_workload("two")
    body["artifact"]["spec"] = {
        "containerGroups": [{"name": "g", "containers": [IDLE, {**IDLE, "name": "b", **fields}]}]
    }
    return body


WRONG = {
    "port 80": changed("port", 80),
    "port as text": changed("port", "8080"),
    "port true": changed("port", True),
    "port 65536": changed("port", 65536),
    "no port": changed("port", None),
    "port 8080.5": changed("port", 8080.5),
    "two primaries": two(),
    "a second port": two(primary=False),
    "the same container name": two(name="idle", primary=False, port=None),
    "no image": changed("imageUri", None),
    "entrypoint as text": changed("entrypoint", "sleep 1000"),
    "unknown field of a container": changed("colour", "red"),
    "unknown field of a workload": changed("/colour", "red"),
    "unknown field of an artifact": changed("/artifact.colour", "red"),
    "name as number": changed("/name", 7),
    "name null": changed("/name", None),
    "empty name": changed("/name", ""),
    "10,000 characters": changed("/name", "n" * 10_000),
    "10,000 characters of the artifact": changed("/artifact.name", "n" * 10_000),
    "NUL": changed("/name", "a\0b"),
    "NUL in a variable": changed("environmentVars", [{"name": "A", "value": "\0"}]),
    "variable without value": changed("environmentVars", [{"name": "A"}]),
    "variable named twice": changed("environmentVars", [{"name": "A", "value": ""}, {"name": "A", "value": ""}]),
    "importance": changed("/importance", "HUGE"),
    "artifact as list": changed("/artifact", []),
    "no groups": changed("/artifact.spec", {"containerGroups": []}),
    "no containers": changed("/artifact.spec", {"containerGroups": [{"name": "g", "containers": []}]}),
    "status": changed("/artifact.status", "open"),
    "probe port 0": changed("readinessProbe", {"path": "/", "port": 0}),
    "both": {"name": "both", "artifact": idle_artifact(), "artifactId": UNKNOWN},
    "neither": {"name": "neither"},
    "both null": {"name": "neither", "artifact": None, "artifactId": None},
    "runtime as list": changed("/runtime", []),
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG.keys())
@pytest.mark.usefixtures("nothing_changes")
async def test_wrong_bodies_of_a_workload(shared_client: httpx.AsyncClient, body: Json) -> None:
    found = problem(await shared_client.post("/workloads", json=body), 422)
    assert isinstance(found["detail"], list)
    assert len(found["message"]) < 1000
    if "artifact" in body and body["artifact"] and "artifactId" not in body and "spec" in body["artifact"]:
        answer = await shared_client.post("/artifacts", json=body["artifact"])
        if answer.status_code == 201:  # What was wrong was the workload's own.
            assert (
                await shared_client.delete(f"/artifactRepositories/{answer.json()['artifactRepositoryId']}")
            ).status_code == 204


NAMES = {
    "control characters": "a\x01\t\n\r\x1b[31m\x7f\x85b",
    "emoji": "🚀👩‍👩‍👧‍👦 e\u0301 é",
    "right to left": "שלום \u202eعالم\u202c",  # noqa: RUF001
    "spaces around": "  x  ",
    "markup": "<script>alert(1)</script> '; DROP TABLE workloads; -- {{7*7}} %s",
    "the longest": "🚀" * 5000,
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
async def test_names_are_kept_as_they_are(shared_client: httpx.AsyncClient, name: str) -> None:
    description = f"{name}{uuid4().hex}"
    made = await create(shared_client, idle_workload(name, description=description))
    found = await read(shared_client, f"/workloads/{made['id']}")
    assert (found["name"], found["description"], found["artifact"]["name"]) == (name, description, name)
    assert (await read(shared_client, f"/artifacts/{made['artifactId']}"))["name"] == name
    repository = await read(shared_client, f"/artifactRepositories/{made['artifact']['artifactRepositoryId']}")
    assert repository["name"] == name
    assert (await read(shared_client, f"/workloads/{made['id']}/protons/{made['protonId']}"))["name"] == name
    renamed = await shared_client.patch(f"/workloads/{made['id']}", json={"name": f"{name[:-1]}!"})
    assert renamed.json()["name"] == f"{name[:-1]}!"
    assert (await shared_client.post(f"/workloads/{made['id']}/promote")).status_code == 202
    assert (await read(shared_client, f"/workloads/{made['id']}/history"))["totalCount"] == 1
    listed = (await shared_client.get("/workloads", params={"search": description[-32:]})).json()
    assert [one["id"] for one in listed["data"]] == [made["id"]]


async def test_operations_that_a_state_forbids(shared_client: httpx.AsyncClient) -> None:
    """A second workload on a draft, a change of a locked artifact, promote of what is locked, stopped or missing."""
    made = await create(shared_client)
    problem(await shared_client.post("/workloads", json={"name": "second", "artifactId": made["artifactId"]}), 422)
    problem(await shared_client.post("/workloads", json={"name": "none", "artifactId": UNKNOWN}), 404)
    await shared_client.post(f"/workloads/{made['id']}/promote")
    before = (await shared_client.get(f"/artifacts/{made['artifactId']}")).content
    problem(await shared_client.patch(f"/artifacts/{made['artifactId']}", json={"spec": idle_spec()}), 422)
    problem(await shared_client.post(f"/workloads/{made['id']}/promote"), 422)
    assert (await shared_client.get(f"/artifacts/{made['artifactId']}")).content == before
    stopped = await create(shared_client)
    await shared_client.post(f"/workloads/{stopped['id']}/stop")
    await reach(shared_client, stopped["id"], "stopped")
    shown = await read(shared_client, f"/workloads/{stopped['id']}")
    problem(await shared_client.post(f"/workloads/{stopped['id']}/promote"), 422)
    problem(await shared_client.post(f"/workloads/{UNKNOWN}/promote"), 404)
    assert await read(shared_client, f"/workloads/{stopped['id']}") == shown
