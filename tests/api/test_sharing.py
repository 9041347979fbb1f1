"""Roles for users, groups and organizations (§10), tags, and what a version protects (``If-Match``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.support import Json, create, idle_artifact, problem, read
from tests.support.rows import add_person, add_user, opened
from tests.support.server import ServerProcess
from tests.support.waiting import until

KINDS = pytest.mark.parametrize("kind", ["workloads", "artifacts", "artifactRepositories"])


@dataclass(frozen=True)
class User:
    """A user with a client."""

    id: str
    name: str
    client: httpx.AsyncClient


async def user(server: ServerProcess, *, foreign: bool = False) -> User:
    """A new user with a token, of the administrator's organization or alone in another one."""
    name = f"{uuid4()}@example.test"
    async with opened(server.database_url or "") as database:
        if foreign:
            made = await add_person(database, name)
        else:
            async with server.client() as client:
                account = await read(client, "/account/info")
            made = await add_user(database, account["orgId"], account["tenantId"], name)
    return User(made.caller.user_id, name, server.client(token=made.token))


async def address(client: httpx.AsyncClient, kind: str) -> str:
    """The path of a new thing of a kind."""
    made = await create(client)
    key = {
        "workloads": made["id"],
        "artifacts": made["artifactId"],
        "artifactRepositories": made["artifact"]["artifactRepositoryId"],
    }[kind]
    return f"/{kind}/{key}"


async def share(client: httpx.AsyncClient, path: str, *roles: Json, **headers: str) -> httpx.Response:
    """Give roles."""
    body = {"operation": "updateRoles", "roles": list(roles)}
    return await client.patch(f"{path}/sharedRoles", json=body, headers=headers)


def to(kind: str, role: str, **who: str) -> Json:
    """A role for somebody."""
    return {"shareRecipientType": kind, "role": role, **who}


@KINDS
async def test_a_user_is_given_a_role_and_loses_it(
    shared_client: httpx.AsyncClient, shared_server: ServerProcess, kind: str
) -> None:
    """By id or name, the role in any letter case; `permissions` and the lists show it."""
    path = await address(shared_client, kind)
    ann = await user(shared_server)
    assert (await ann.client.get(path)).status_code == 404
    assert (await share(shared_client, path, to("user", "Read_Only", id=ann.id))).status_code == 204
    shown = await read(ann.client, path)
    assert shown["permissions"] == ["CAN_VIEW"]
    assert shown["id"] in [each["id"] for each in (await read(ann.client, f"/{kind}"))["data"]]
    assert (await ann.client.put(f"{path}/tags", json={"tags": []})).status_code == 403
    assert (await share(ann.client, path, to("user", "OWNER", id=ann.id))).status_code == 403

    assert (await share(shared_client, path, to("user", "editor", username=ann.name.upper()))).status_code == 204
    assert (await read(ann.client, path))["permissions"] == ["CAN_VIEW", "CAN_UPDATE", "CAN_MAKE_PREDICTIONS"]
    roles = await read(shared_client, f"{path}/sharedRoles")
    assert roles["totalCount"] == 2
    assert {"id": ann.id, "name": ann.name, "shareRecipientType": "user", "role": "EDITOR"} in roles["data"]
    first = await read(shared_client, f"{path}/sharedRoles?limit=1")
    assert (first["count"], first["totalCount"]) == (1, 2)
    assert (await read(shared_client, first["next"]))["data"][0]["id"] == ann.id

    assert (await share(shared_client, path, to("user", "NO_ROLE", id=ann.id))).status_code == 204
    assert (await ann.client.get(path)).status_code == 404
    assert (await read(ann.client, f"/{kind}"))["totalCount"] == 0


async def test_groups_and_organizations(shared_client: httpx.AsyncClient, shared_server: ServerProcess) -> None:
    """A member has the group's roles as long as it is one; a whole organization can have one."""
    path = await address(shared_client, "workloads")
    bob, name = await user(shared_server), f"group {uuid4()}"
    added = shared_server.command("group", "add", name)
    assert added.returncode == 0, added.stderr
    group_id = added.stdout.split()[0]
    assert (await share(shared_client, path, to("group", "USER", id=group_id))).status_code == 204
    assert (await bob.client.get(path)).status_code == 404
    assert shared_server.command("group", "join", name, bob.name).returncode == 0
    assert f"{group_id}  {name}  default  {bob.name}" in shared_server.command("group", "list").stdout

    await until(lambda: has_code(bob.client, path, 200))
    assert (await read(bob.client, path))["permissions"] == ["CAN_VIEW", "CAN_MAKE_PREDICTIONS"]
    assert shared_server.command("group", "leave", name, bob.name).returncode == 0
    await until(lambda: has_code(bob.client, path, 404))
    assert shared_server.command("group", "leave", name, bob.name).returncode == 1
    assert shared_server.command("group", "join", name, "nobody").returncode == 1
    assert shared_server.command("group", "add", name).returncode == 1

    organization = (await read(shared_client, "/account/info"))["orgId"]
    assert (await share(shared_client, path, to("organization", "OBSERVER", id=organization))).status_code == 204
    assert (await read(bob.client, path))["permissions"] == ["CAN_VIEW"]
    kinds = [each["shareRecipientType"] for each in (await read(shared_client, f"{path}/sharedRoles"))["data"]]
    assert kinds == ["user", "group", "organization"]
    assert shared_server.command("group", "delete", name).returncode == 0
    kinds = [each["shareRecipientType"] for each in (await read(shared_client, f"{path}/sharedRoles"))["data"]]
    assert kinds == ["user", "organization"]


async def has_code(client: httpx.AsyncClient, path: str, code: int) -> bool:
    """Whether a thing is answered with a code."""
    return (await client.get(path)).status_code == code


@KINDS
async def test_the_last_owner_stays(shared_client: httpx.AsyncClient, shared_server: ServerProcess, kind: str) -> None:
    path = await address(shared_client, kind)
    me = (await read(shared_client, "/account/info"))["uid"]
    before = await read(shared_client, f"{path}/sharedRoles")
    for role in ("NO_ROLE", "EDITOR"):
        answer = await share(shared_client, path, to("user", role, id=me))
        assert problem(answer, 422)["code"] == "LAST_OWNER"
    empty = f"empty {uuid4()}"
    group_id = shared_server.command("group", "add", empty).stdout.split()[0]
    answer = await share(shared_client, path, to("group", "OWNER", id=group_id), to("user", "NO_ROLE", id=me))
    assert problem(answer, 422)["code"] == "LAST_OWNER"
    assert await read(shared_client, f"{path}/sharedRoles") == before

    heir = await user(shared_server)
    answer = await share(shared_client, path, to("user", "OWNER", id=heir.id), to("user", "NO_ROLE", id=me))
    assert answer.status_code == 204
    assert (await shared_client.get(path)).status_code == 404
    assert "CAN_SHARE_ROLE_OWNER" in (await read(heir.client, path))["permissions"]
    assert (await share(heir.client, path, to("user", "OWNER", id=me))).status_code == 204


async def test_recipients_that_are_not_there(shared_client: httpx.AsyncClient, shared_server: ServerProcess) -> None:
    """Unknown, in another organization, named twice, or of an unknown kind: nothing changes."""
    path = await address(shared_client, "workloads")
    ann, stranger = await user(shared_server), await user(shared_server, foreign=True)
    before = await read(shared_client, f"{path}/sharedRoles")
    good = to("user", "USER", id=ann.id)
    bad: list[tuple[Json, str]] = [
        (to("user", "USER", id=stranger.id), "id"),
        (to("user", "USER", username=stranger.name), "username"),
        (to("group", "USER", id="0" * 24), "id"),
        (to("organization", "USER", id=(await read(stranger.client, "/account/info"))["orgId"]), "id"),
        (to("role", "USER", id=ann.id), "shareRecipientType"),
    ]
    for wrong, where in bad:
        answer = problem(await share(shared_client, path, good, wrong), 422)
        assert answer["detail"][0]["loc"] == ["body", "roles", 1, where], answer
    problem(await share(shared_client, path, good, to("user", "EDITOR", username=ann.name)), 422)
    bodies: list[Any] = [
        {"operation": "updateRoles", "roles": []},
        {"operation": "updateRoles", "roles": [good] * 101},
        {"operation": "setRoles", "roles": [good]},
        {"operation": "updateRoles", "roles": [{**good, "username": ann.name}]},
        {"operation": "updateRoles", "roles": [to("user", "KING", id=ann.id)]},
    ]
    for body in bodies:
        problem(await shared_client.patch(f"{path}/sharedRoles", json=body), 422)
    assert await read(shared_client, f"{path}/sharedRoles") == before
    assert (await ann.client.get(path)).status_code == 404


async def test_sharing_is_an_event(shared_client: httpx.AsyncClient, shared_server: ServerProcess) -> None:
    path = await address(shared_client, "workloads")
    ann = await user(shared_server)
    await share(shared_client, path, to("user", "USER", id=ann.id))
    newest = (await read(shared_client, f"{path}/events?limit=50"))["data"]
    (event,) = [each for each in newest if each["eventType"] == "workload.shared"]
    assert event["details"]["roles"] == [{"type": "user", "id": ann.id, "name": ann.name, "role": "USER"}]


@KINDS
async def test_tags(shared_client: httpx.AsyncClient, kind: str) -> None:
    """Set as a whole, shown in every answer; lists are narrowed by one tag that meets both filters."""
    mark = uuid4().hex
    one, two = await address(shared_client, kind), await address(shared_client, kind)
    sent = [{"name": f"team-{mark}", "value": "blue"}, {"name": "stage", "value": mark}]
    answer = await shared_client.put(f"{one}/tags", json={"tags": sent})
    assert answer.status_code == 200, answer.text
    await shared_client.put(f"{two}/tags/", json={"tags": [{"name": f"team-{mark}", "value": f"red {mark}"}]})
    shown = await read(shared_client, one)
    assert [{"name": tag["name"], "value": tag["value"]} for tag in shown["tags"]] == sent
    assert shown["tags"] == answer.json()["tags"]

    async def found(**query: Any) -> set[str]:
        listed = (await shared_client.get(f"/{kind}", params=query)).raise_for_status().json()
        assert listed["totalCount"] == len(listed["data"])
        return {f"/{kind}/{each['id']}" for each in listed["data"]}

    assert await found(tagKeys=f"team-{mark}") == {one, two}
    assert await found(tagValues=mark) == {one}
    assert await found(tagValues=[mark, f"red {mark}"]) == {one, two}
    assert await found(tagKeys=f"team-{mark}", tagValues="blue") == {one}
    assert await found(tagKeys=f"team-{mark}", tagValues=mark) == set()

    bad: list[Any] = [
        {"tags": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]},
        {"tags": [{"name": "", "value": "1"}]},
        {"tags": [{"name": "x" * 101, "value": "1"}]},
        {"tags": [{"name": "a", "value": 1}]},
        {"tags": None},
        {},
    ]
    for body in bad:
        problem(await shared_client.put(f"{one}/tags", json=body), 422)
    assert (await read(shared_client, one))["tags"] == shown["tags"]
    assert (await shared_client.put(f"{one}/tags", json={"tags": []})).json() == {"tags": []}
    assert (await read(shared_client, one))["tags"] == []


async def test_a_locked_artifact_keeps_its_tags(shared_client: httpx.AsyncClient) -> None:
    """It stays as it is on every route (§3)."""
    made = (await shared_client.post("/artifacts", json=idle_artifact())).json()
    path = f"/artifacts/{made['id']}"
    await shared_client.put(f"{path}/tags", json={"tags": [{"name": "a", "value": "1"}]})
    assert (await shared_client.patch(path, json={"status": "locked"})).status_code == 200
    before = await read(shared_client, path)
    assert [tag["name"] for tag in before["tags"]] == ["a"]
    answer = await shared_client.put(f"{path}/tags", json={"tags": []})
    assert problem(answer, 422)["code"] == "ARTIFACT_LOCKED"
    assert await read(shared_client, path) == before


@KINDS
async def test_what_has_changed_since_it_was_read_is_not_overwritten(
    shared_client: httpx.AsyncClient, kind: str
) -> None:
    """412 and nothing done with an old tag, a weak one or none that is known; `*` and the present one pass."""
    path = await address(shared_client, kind)
    tags = {"tags": [{"name": "a", "value": "1"}]}
    old = (await shared_client.get(path)).headers["etag"]
    assert (await shared_client.get(path)).headers["etag"] == old
    assert (await shared_client.put(f"{path}/tags", json=tags, headers={"If-Match": old})).status_code == 200
    new = (await shared_client.get(path)).headers["etag"]
    assert new != old
    for stale in (old, f"W/{new}", '"nothing"', "rubbish"):
        headers = {"If-Match": stale}
        assert problem(await shared_client.put(f"{path}/tags", json={"tags": []}, headers=headers), 412)
        problem(await shared_client.delete(path, headers=headers), 412)
        assert (await share(shared_client, path, to("user", "USER", id="0" * 24), **headers)).status_code == 412
    if kind == "workloads":
        problem(await shared_client.patch(path, json={"name": "x"}, headers={"If-Match": old}), 412)
        problem(await shared_client.post(f"{path}/promote", headers={"If-Match": old}), 412)
        problem(await shared_client.delete(f"{path}/stats", headers={"If-Match": old}), 412)
    if kind == "artifacts":
        problem(await shared_client.patch(path, json={"name": "x"}, headers={"If-Match": old}), 412)
        problem(await shared_client.put(path, json=idle_artifact(), headers={"If-Match": old}), 412)
    assert (await shared_client.get(path)).headers["etag"] == new
    several = {"If-Match": f'"nothing", {new}'}
    assert (await shared_client.put(f"{path}/tags", json={"tags": []}, headers=several)).status_code == 200
    assert (await shared_client.put(f"{path}/tags", json=tags, headers={"If-Match": "*"})).status_code == 200


async def test_a_dry_run_of_promote(shared_client: httpx.AsyncClient) -> None:
    """What would change, or what stands in the way; nothing is written either way."""
    made = await create(shared_client)
    path = f"/workloads/{made['id']}"
    before, tag = await read(shared_client, f"{path}/history"), (await shared_client.get(path)).headers["etag"]
    for _ in range(2):
        plan = (await shared_client.post(f"{path}/promote?dryRun=true")).raise_for_status().json()
        assert (plan["dryRun"], plan["possible"], plan["obstacles"]) == (True, True, [])
        assert plan["changes"]["version"] == 1
        assert plan["changes"]["artifactId"] == made["artifactId"]
        assert plan["protonId"] == made["protonId"]
        assert plan["currentExpiresAt"] == made["expiresAt"]
    assert await read(shared_client, f"{path}/history") == before
    assert (await shared_client.get(path)).headers["etag"] == tag
    assert (await shared_client.post(f"{path}/promote")).status_code == 202
    assert (await shared_client.post(f"{path}/stop")).status_code == 202
    plan = (await shared_client.post(f"{path}/promote?dryRun=true")).raise_for_status().json()
    assert (plan["possible"], plan["changes"]) == (False, None)
    assert [each["code"] for each in plan["obstacles"]] == ["NO_ACTIVE_PROTON", "ARTIFACT_NOT_DRAFT"]
    assert (await shared_client.post(f"/workloads/{'0' * 24}/promote?dryRun=true")).status_code == 404
