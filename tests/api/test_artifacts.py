"""Artifacts (§3): drafts change, locked ones never do, and what was sent comes back."""

from __future__ import annotations

import asyncio
from datetime import datetime

import httpx
import pytest

from tests.api.support import Json, create, idle_artifact, idle_spec, problem, read
from tests.support import payloads
from tests.support.waiting import until

UNKNOWN = "0123456789abcdef01234567"


async def make(client: httpx.AsyncClient, name: str = "idle", **fields: object) -> Json:
    answer = await client.post("/artifacts", json=idle_artifact(name, **fields))
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


async def test_a_draft_is_made_with_a_repository_of_its_name(shared_client: httpx.AsyncClient) -> None:
    made = await make(shared_client, "first of a line", description="what it is")
    assert (made["name"], made["description"]) == ("first of a line", "what it is")
    assert (made["type"], made["status"], made["version"], made["tags"]) == ("service", "draft", None, [])
    assert made["creator"]["username"] == "admin"
    assert {"CAN_VIEW", "CAN_UPDATE", "CAN_DELETE", "CAN_SHARE"} <= set(made["permissions"])
    for name in ("createdAt", "updatedAt"):
        moment = datetime.fromisoformat(made[name])
        assert moment.utcoffset() is not None
        assert not moment.utcoffset()
    for id_ in (made["id"], made["artifactRepositoryId"], made["creator"]["id"]):
        assert len(id_) == 24
        assert set(id_) <= set("0123456789abcdef")
    repository = await read(shared_client, f"/artifactRepositories/{made['artifactRepositoryId']}")
    assert (repository["name"], repository["type"]) == ("first of a line", "service")
    assert (repository["lastVersionNumber"], repository["numArtifacts"]) == (0, 1)
    assert await read(shared_client, f"/artifacts/{made['id']}") == made


async def test_a_draft_joins_a_repository_of_its_type(shared_client: httpx.AsyncClient) -> None:
    first = await make(shared_client)
    second = await make(shared_client, "second", artifactRepositoryId=first["artifactRepositoryId"])
    assert second["artifactRepositoryId"] == first["artifactRepositoryId"]
    assert second["id"] > first["id"]
    other_type = idle_artifact("nim", type="nim", artifactRepositoryId=first["artifactRepositoryId"])
    problem(await shared_client.post("/artifacts", json=other_type), 422)
    nowhere = idle_artifact("lost", artifactRepositoryId=UNKNOWN)
    problem(await shared_client.post("/artifacts", json=nowhere), 404)
    repository = await read(shared_client, f"/artifactRepositories/{first['artifactRepositoryId']}")
    assert repository["numArtifacts"] == 2


async def test_made_and_locked_in_one_step(shared_client: httpx.AsyncClient) -> None:
    first = await make(shared_client, status="locked")
    assert (first["status"], first["version"]) == ("locked", 1)
    second = await make(shared_client, status="locked", artifactRepositoryId=first["artifactRepositoryId"])
    assert (second["status"], second["version"]) == ("locked", 2)


@pytest.mark.parametrize("kind", ["service", "nim", "agent"])
async def test_each_type_comes_back_as_its_own(shared_client: httpx.AsyncClient, kind: str) -> None:
    extras: dict[str, Json] = {
        "service": {},
        "nim": {"storage": {"mode": "nimCache"}},
        "agent": {"templateId": "template-1", "a2aEnabled": True},
    }
    extra = extras[kind]
    answer = await shared_client.post("/artifacts", json={"name": kind, "type": kind, "spec": {**idle_spec(), **extra}})
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["type"], made["spec"]["type"]) == (kind, kind)
    assert {name: made["spec"][name] for name in extra} == extra


async def test_what_was_sent_comes_back_with_scalar_defaults_and_nothing_else(shared_client: httpx.AsyncClient) -> None:
    """§12: programs compare what they sent with what they read, so no parts are added and order is kept."""
    container: Json = {
        "environmentVars": [
            {"name": "B", "value": "$(A) ü", "source": "string"},
            {"value": "", "name": "A"},
            {"source": "api-key"},
            {"source": "dr-credential", "name": "KEY", "drCredentialId": "65a", "key": "apiToken"},
        ],
        "entrypoint": ["sleep", "  1000", ""],
        "readinessProbe": {"path": "/ready", "periodSeconds": 7, "httpHeaders": {"X-B": "1", "X-A": "2"}},
        "port": 8080,
        "imageUri": "example.test/image@sha256:abc",
        "name": "main",
    }
    sidecar = {"name": "side", "imageUri": "example.test/side:1"}
    spec = {"containerGroups": [{"name": "g", "containers": [{**container, "primary": True}, sidecar]}]}
    made = (await shared_client.post("/artifacts", json={"name": "as sent", "spec": spec})).json()
    [group] = made["spec"]["containerGroups"]
    main, side = group["containers"]
    assert main["environmentVars"] == [
        container["environmentVars"][0],
        {"value": "", "name": "A", "source": "string"},
        *container["environmentVars"][2:],
    ]
    assert [list(variable) for variable in main["environmentVars"][:2]] == [
        ["name", "value", "source"],
        ["value", "name", "source"],
    ]
    assert main["entrypoint"] == container["entrypoint"]
    assert main["readinessProbe"] == {
        **container["readinessProbe"],
        "port": 8080,
        "scheme": "HTTP",
        "initialDelaySeconds": 30,
        "timeoutSeconds": 30,
        "failureThreshold": 3,
        "successThreshold": 1,
    }
    assert set(main) == {*container, "primary", "description"}
    assert side == {**sidecar, "description": "", "primary": False}
    # Sending back what was read is accepted and changes nothing.
    again = await shared_client.patch(f"/artifacts/{made['id']}", json={"spec": made["spec"]})
    assert again.status_code == 200, again.text
    assert again.json()["spec"] == made["spec"]


async def test_patch_changes_what_is_given(shared_client: httpx.AsyncClient) -> None:
    made = await make(shared_client, "before", description="kept")
    answer = await shared_client.patch(f"/artifacts/{made['id']}", json={"name": "after"})
    assert answer.status_code == 200
    after = answer.json()
    assert after == {**made, "name": "after", "updatedAt": after["updatedAt"]}
    assert after["updatedAt"] > made["updatedAt"]
    spec = payloads.spec(payloads.container(name="other"))
    after = (await shared_client.patch(f"/artifacts/{made['id']}", json={"spec": spec})).json()
    assert [group["containers"][0]["name"] for group in after["spec"]["containerGroups"]] == ["other"]
    assert (after["name"], after["description"]) == ("after", "kept")
    problem(await shared_client.patch(f"/artifacts/{made['id']}", json={"version": 9}), 422)
    problem(await shared_client.patch(f"/artifacts/{UNKNOWN}", json={"name": "x"}), 404)


async def test_put_replaces_all(shared_client: httpx.AsyncClient) -> None:
    made = await make(shared_client, "before", description="goes")
    answer = await shared_client.put(f"/artifacts/{made['id']}", json=idle_artifact("after"))
    assert answer.status_code == 200, answer.text
    after = answer.json()
    assert (after["name"], after["description"], after["status"]) == ("after", "", "draft")
    assert (after["id"], after["artifactRepositoryId"]) == (made["id"], made["artifactRepositoryId"])
    problem(await shared_client.put(f"/artifacts/{made['id']}", json={"name": "no spec"}), 422)
    problem(await shared_client.put(f"/artifacts/{made['id']}", json=idle_artifact(type="nim")), 422)
    locked = (await shared_client.put(f"/artifacts/{made['id']}", json=idle_artifact("now", status="locked"))).json()
    assert (locked["name"], locked["status"], locked["version"]) == ("now", "locked", 1)


async def test_a_locked_artifact_never_changes_on_any_route(shared_client: httpx.AsyncClient) -> None:
    made = await make(shared_client)
    locked = await shared_client.patch(f"/artifacts/{made['id']}", json={"status": "locked"})
    assert (locked.json()["status"], locked.json()["version"]) == ("locked", 1)
    before = (await shared_client.get(f"/artifacts/{made['id']}")).content
    changes: list[Json] = [{"name": "x"}, {"description": "x"}, {"spec": idle_spec()}, {"status": "draft"}, {}]
    for change in [*changes, {"status": "locked"}]:
        body = problem(await shared_client.patch(f"/artifacts/{made['id']}", json=change), 422)
        assert body["code"] == "ARTIFACT_LOCKED"
    problem(await shared_client.put(f"/artifacts/{made['id']}", json=idle_artifact("x")), 422)
    problem(await shared_client.delete(f"/artifacts/{made['id']}"), 409)
    assert (await shared_client.get(f"/artifacts/{made['id']}")).content == before
    repository = await read(shared_client, f"/artifactRepositories/{made['artifactRepositoryId']}")
    assert repository["lastVersionNumber"] == 1


async def test_of_many_locks_at_once_one_counts(shared_client: httpx.AsyncClient) -> None:
    made = await make(shared_client)
    answers = await asyncio.gather(
        *(shared_client.patch(f"/artifacts/{made['id']}", json={"status": "locked"}) for _ in range(10))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [422] * 9
    repository = await read(shared_client, f"/artifactRepositories/{made['artifactRepositoryId']}")
    assert repository["lastVersionNumber"] == 1


async def test_clones_are_drafts_of_the_same_line(shared_client: httpx.AsyncClient) -> None:
    made = await make(shared_client, "original", description="described")
    for number, status in enumerate(("draft", "locked")):
        await shared_client.patch(f"/artifacts/{made['id']}", json={"status": status})
        answer = await shared_client.post(f"/artifacts/{made['id']}/clone", json={"name": f"clone {number}"})
        assert answer.status_code == 200, answer.text
        clone = answer.json()
        assert clone["id"] != made["id"]
        assert (clone["name"], clone["status"], clone["version"]) == (f"clone {number}", "draft", None)
        assert (clone["artifactRepositoryId"], clone["spec"]) == (made["artifactRepositoryId"], made["spec"])
    changed = {"spec": payloads.spec(payloads.container(name="changed"))}
    assert (await shared_client.patch(f"/artifacts/{clone['id']}", json=changed)).status_code == 200
    assert (await read(shared_client, f"/artifacts/{made['id']}"))["spec"] == made["spec"]
    problem(await shared_client.post(f"/artifacts/{made['id']}/clone", json={}), 422)
    problem(await shared_client.post(f"/artifacts/{UNKNOWN}/clone", json={"name": "x"}), 404)


async def test_a_draft_goes_once_nothing_uses_it(shared_client: httpx.AsyncClient) -> None:
    made = await make(shared_client)
    workload = await create(shared_client, {"name": "user", "artifactId": made["id"]})
    problem(await shared_client.delete(f"/artifacts/{made['id']}"), 409)
    assert (await read(shared_client, f"/artifacts/{made['id']}"))["status"] == "draft"
    assert (await shared_client.delete(f"/workloads/{workload['id']}")).status_code == 204

    async def gone() -> bool:
        answer = await shared_client.delete(f"/artifacts/{made['id']}")
        assert answer.status_code in (204, 409), answer.text
        return answer.status_code == 204

    await until(gone, 20)
    for answer in (
        await shared_client.get(f"/artifacts/{made['id']}"),
        await shared_client.delete(f"/artifacts/{made['id']}"),
        await shared_client.patch(f"/artifacts/{made['id']}", json={"name": "x"}),
        await shared_client.post(f"/artifacts/{made['id']}/clone", json={"name": "x"}),
        await shared_client.post("/workloads", json={"name": "x", "artifactId": made["id"]}),
    ):
        problem(answer, 404)
    repository = await read(shared_client, f"/artifactRepositories/{made['artifactRepositoryId']}")
    assert repository["numArtifacts"] == 0


async def test_an_image_that_is_not_built_is_shown_as_null(shared_client: httpx.AsyncClient) -> None:
    container = {"name": "app", "port": 8080, "imageBuildConfig": {"dockerfile": {"source": "provided"}}}
    body = {"name": "unbuilt", "spec": {"containerGroups": [{"name": "default", "containers": [container]}]}}
    made = (await shared_client.post("/artifacts", json=body)).json()
    assert made["spec"]["containerGroups"][0]["containers"][0]["imageUri"] is None
    problem(await shared_client.post("/artifacts", json={**body, "status": "locked"}), 422)
    problem(await shared_client.patch(f"/artifacts/{made['id']}", json={"status": "locked"}), 422)
    assert (await read(shared_client, f"/artifacts/{made['id']}"))["status"] == "draft"
