"""Promote (§5): what changes, what stays, what stands in the way, and what a retry gets."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import httpx

from tests.api.support import KEPT, create, idle_artifact, idle_workload, problem, reach, read, running
from tests.support import payloads


async def test_promote_changes_the_five_things_and_keeps_the_rest(shared_client: httpx.AsyncClient) -> None:
    """All five effects of §5, and none but them."""
    before = await running(shared_client, name="שלום 🚀", importance="moderate", runtime=payloads.replicas(1))
    proton = await read(shared_client, f"/workloads/{before['id']}/protons/{before['protonId']}")
    assert before["artifact"]["status"] == "draft"
    assert before["expiresAt"] is not None
    async with httpx.AsyncClient(headers=shared_client.headers) as caller:
        pid = (await caller.get(before["endpoint"])).json()["pid"]
        assert (await read(shared_client, f"/workloads/{before['id']}/stats"))["metrics"]["totalRequests"] == 1

        answer = await shared_client.post(f"/workloads/{before['id']}/promote")

        assert answer.status_code == 202, answer.text
        after = answer.json()
        assert (await read(shared_client, f"/workloads/{before['id']}/stats"))["metrics"]["totalRequests"] == 0
        assert (await caller.get(after["endpoint"])).json()["pid"] == pid
    assert {name: after[name] for name in KEPT} == {name: before[name] for name in KEPT}
    assert after["expiresAt"] is None
    assert after["artifact"] == {**before["artifact"], "status": "locked", "version": 1}
    assert await read(shared_client, f"/workloads/{before['id']}/protons/{before['protonId']}") == {
        **proton,
        "updatedAt": (await read(shared_client, f"/workloads/{before['id']}/protons/{before['protonId']}"))[
            "updatedAt"
        ],
    }
    artifact = await read(shared_client, f"/artifacts/{before['artifactId']}")
    assert (artifact["status"], artifact["version"]) == ("locked", 1)
    repository = await read(shared_client, f"/artifactRepositories/{artifact['artifactRepositoryId']}")
    assert (repository["lastVersionNumber"], repository["numArtifacts"]) == (1, 1)
    history = await read(shared_client, f"/workloads/{before['id']}/history")
    assert history["totalCount"] == 1
    entry = history["data"][0]
    assert entry["status"] == "completed"
    assert entry["strategy"] == "rolling"
    assert entry["reason"] == "promote"
    assert entry["candidateProtonIds"] == entry["previousProtonIds"] == [before["protonId"]]
    assert entry["candidateArtifactId"] == entry["artifactId"] == before["artifactId"]
    assert entry["workloadId"] == before["id"]
    assert entry["deployedAt"] is not None
    events = (await read(shared_client, f"/workloads/{before['id']}/events?limit=100"))["data"]
    assert [event["reason"] for event in events].count("Promoted") == 1
    assert after["replacement"] is None


async def test_promote_takes_no_body_an_empty_one_or_an_empty_object(shared_client: httpx.AsyncClient) -> None:
    """Each accepted form of "no body" is accepted, also with a JSON content type; anything else is a mistake."""
    for content, kind in (
        (b"", None),
        (b"", "application/json"),
        (b"{}", "application/json"),
        (b"null", "application/json"),
    ):
        made = await create(shared_client)
        headers = {"content-type": kind} if kind else {}
        answer = await shared_client.post(f"/workloads/{made['id']}/promote/", content=content, headers=headers)
        assert answer.status_code == 202, (content, answer.text)
    made = await create(shared_client)
    for content in (b'{"force": true}', b"[]", b"nonsense"):
        answer = await shared_client.post(
            f"/workloads/{made['id']}/promote", content=content, headers={"content-type": "application/json"}
        )
        problem(answer, 422)
    assert (await read(shared_client, f"/workloads/{made['id']}"))["artifact"]["status"] == "draft"


async def test_what_stands_in_the_way_is_said_and_nothing_changes(shared_client: httpx.AsyncClient) -> None:
    """Locked, stopped, missing: 422 or 404, with version, history and TTL as before."""
    made = await create(shared_client)
    assert (await shared_client.post(f"/workloads/{made['id']}/promote")).status_code == 202
    body = problem(await shared_client.post(f"/workloads/{made['id']}/promote"), 422)
    assert body["code"] == "ARTIFACT_NOT_DRAFT"
    assert made["artifactId"] in body["message"]

    stopped = await create(shared_client)
    assert (await shared_client.post(f"/workloads/{stopped['id']}/stop")).status_code == 202
    problem(await shared_client.post(f"/workloads/{stopped['id']}/promote"), 422)
    await reach(shared_client, stopped["id"], "stopped")
    body = problem(await shared_client.post(f"/workloads/{stopped['id']}/promote"), 422)
    assert body["code"] == "NO_ACTIVE_PROTON"
    artifact = await read(shared_client, f"/artifacts/{stopped['artifactId']}")
    assert (artifact["status"], artifact["version"]) == ("draft", None)
    assert (await read(shared_client, f"/workloads/{stopped['id']}/history"))["totalCount"] == 0

    problem(await shared_client.post("/workloads/0123456789abcdef01234567/promote"), 404)
    problem(await shared_client.post("/workloads/no-such-id/promote"), 404)
    problem(
        await shared_client.post(f"/workloads/{made['id']}/promote", headers={"authorization": "Bearer wrong"}), 401
    )


async def test_an_unbuilt_image_stands_in_the_way(shared_client: httpx.AsyncClient) -> None:
    """A container that names a build that never ran cannot be locked, by promote or by PATCH."""
    build = {
        "name": "app",
        "primary": True,
        "port": 8080,
        "entrypoint": ["sleep", "1000"],
        "imageBuildConfig": {"dockerfile": {"source": "provided"}},
    }
    body = {"name": "unbuilt", "artifact": {"name": "unbuilt", "spec": {"containerGroups": [{"containers": [build]}]}}}
    made = await create(shared_client, body)
    assert problem(await shared_client.post(f"/workloads/{made['id']}/promote"), 422)["code"] == "BUILD_REQUIRED"
    problem(await shared_client.patch(f"/artifacts/{made['artifactId']}", json={"status": "locked"}), 422)
    repository = (await read(shared_client, f"/artifacts/{made['artifactId']}"))["artifactRepositoryId"]
    assert (await read(shared_client, f"/artifactRepositories/{repository}"))["lastVersionNumber"] == 0


async def test_of_many_promotes_at_once_one_wins(shared_client: httpx.AsyncClient) -> None:
    """Exactly one 202, one version, one history row."""
    made = await create(shared_client)
    answers = await asyncio.gather(*(shared_client.post(f"/workloads/{made['id']}/promote") for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [202] + [422] * 19
    artifact = await read(shared_client, f"/artifacts/{made['artifactId']}")
    repository = await read(shared_client, f"/artifactRepositories/{artifact['artifactRepositoryId']}")
    assert repository["lastVersionNumber"] == artifact["version"] == 1
    assert (await read(shared_client, f"/workloads/{made['id']}/history"))["totalCount"] == 1


async def test_a_retry_with_the_same_key_gets_the_first_answer(shared_client: httpx.AsyncClient) -> None:
    """The same ``Idempotency-Key`` gives the same answer, a new key gives the rule, another request is refused."""
    made = await create(shared_client)
    key = {"Idempotency-Key": str(uuid4())}
    first = await shared_client.post(f"/workloads/{made['id']}/promote", headers=key)
    again = await shared_client.post(f"/workloads/{made['id']}/promote", headers=key)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    problem(
        await shared_client.post(f"/workloads/{made['id']}/promote", headers={"Idempotency-Key": str(uuid4())}), 422
    )
    other = await create(shared_client)
    body = problem(await shared_client.post(f"/workloads/{other['id']}/promote", headers=key), 422)
    assert body["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert (await read(shared_client, f"/workloads/{other['id']}"))["artifact"]["status"] == "draft"

    refused = {"Idempotency-Key": str(uuid4())}
    assert (await shared_client.post(f"/workloads/{made['id']}/promote", headers=refused)).status_code == 422
    problem(await shared_client.post(f"/workloads/{made['id']}/promote", headers=refused), 422)
    problem(await shared_client.post(f"/workloads/{other['id']}/promote", headers={"Idempotency-Key": "x" * 256}), 400)


async def test_many_retries_with_one_key_at_once_promote_once(shared_client: httpx.AsyncClient) -> None:
    """All that answer 202 answer the same; the others say that the first still runs."""
    made = await create(shared_client)
    key = {"Idempotency-Key": str(uuid4())}
    answers = await asyncio.gather(
        *(shared_client.post(f"/workloads/{made['id']}/promote", headers=key) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert len({answer.content for answer in answers if answer.status_code == 202}) == 1
    assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 409)
    assert (await read(shared_client, f"/workloads/{made['id']}/history"))["totalCount"] == 1


async def test_versions_are_dense_over_all_ways_to_lock(shared_client: httpx.AsyncClient) -> None:
    """Promote, PATCH and POST hand out 1, 2, 3, … of one repository, each once, whatever comes at once."""
    first = (await shared_client.post("/artifacts", json=idle_artifact("line"))).json()
    repository = first["artifactRepositoryId"]
    drafts = [first]
    for number in range(8):
        body = idle_artifact(f"line {number}", artifactRepositoryId=repository)
        drafts.append((await shared_client.post("/artifacts", json=body)).json())
    made = [await create(shared_client, {"name": "line", "artifactId": draft["id"]}) for draft in drafts[:4]]
    await asyncio.gather(
        *(shared_client.post(f"/workloads/{workload['id']}/promote") for workload in made),
        *(shared_client.patch(f"/artifacts/{draft['id']}", json={"status": "locked"}) for draft in drafts[4:]),
        *(
            shared_client.post(
                "/artifacts", json=idle_artifact("new", artifactRepositoryId=repository, status="locked")
            )
            for _ in range(3)
        ),
    )
    found = (await read(shared_client, f"/artifacts?repositoryId={repository}&limit=100"))["data"]
    assert sorted(artifact["version"] for artifact in found) == list(range(1, 13))
    shown = await read(shared_client, f"/artifactRepositories/{repository}")
    assert (shown["lastVersionNumber"], shown["numArtifacts"]) == (12, 12)


async def test_locking_by_patch_ends_the_ttl_and_resets_nothing(shared_client: httpx.AsyncClient) -> None:
    """The lifetime follows the artifact's status; statistics and history are promote's alone (§3)."""
    made = await running(shared_client)
    async with httpx.AsyncClient(headers=shared_client.headers) as caller:
        await caller.get(made["endpoint"])
    answer = await shared_client.patch(f"/artifacts/{made['artifactId']}", json={"status": "locked"})
    assert answer.status_code == 200, answer.text
    after = await read(shared_client, f"/workloads/{made['id']}")
    assert after["expiresAt"] is None
    assert (await read(shared_client, f"/workloads/{made['id']}/stats"))["metrics"]["totalRequests"] == 1
    assert (await read(shared_client, f"/workloads/{made['id']}/history"))["totalCount"] == 0
    problem(await shared_client.post(f"/workloads/{made['id']}/promote"), 422)


async def test_a_workload_on_a_locked_artifact_is_created_without_ttl(shared_client: httpx.AsyncClient) -> None:
    """A locked artifact backs any number of workloads, none of which expires or can be promoted."""
    artifact = (await shared_client.post("/artifacts", json=idle_artifact("locked", status="locked"))).json()
    assert (artifact["status"], artifact["version"]) == ("locked", 1)
    for _ in range(2):
        made = await create(shared_client, {"name": "on locked", "artifactId": artifact["id"]})
        assert made["expiresAt"] is None
        problem(await shared_client.post(f"/workloads/{made['id']}/promote"), 422)
    draft = await create(shared_client, idle_workload())
    body = problem(
        await shared_client.post("/workloads", json={"name": "second", "artifactId": draft["artifactId"]}), 422
    )
    assert body["code"] == "DRAFT_IN_USE"
