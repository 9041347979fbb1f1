"""Artifact repositories (§3): always true counts, and deletion with all that is in them."""

from __future__ import annotations

import asyncio

import httpx

from tests.api.support import create, idle_artifact, idle_workload, problem, reach, read
from tests.support.waiting import until

UNKNOWN = "0123456789abcdef01234567"


async def test_counts_are_true_after_every_change(shared_client: httpx.AsyncClient) -> None:
    first = (await shared_client.post("/artifacts", json=idle_artifact("counted"))).json()
    path = f"/artifactRepositories/{first['artifactRepositoryId']}"

    async def counts() -> tuple[int, int]:
        found = await read(shared_client, path)
        return found["lastVersionNumber"], found["numArtifacts"]

    assert await counts() == (0, 1)
    clone = (await shared_client.post(f"/artifacts/{first['id']}/clone", json={"name": "clone"})).json()
    assert await counts() == (0, 2)
    await shared_client.patch(f"/artifacts/{clone['id']}", json={"status": "locked"})
    assert await counts() == (1, 2)
    assert (await shared_client.delete(f"/artifacts/{first['id']}")).status_code == 204
    assert await counts() == (1, 1)
    problem(await shared_client.delete(f"/artifacts/{clone['id']}"), 409)
    assert await counts() == (1, 1)
    listed = await read(shared_client, f"/artifactRepositories?ids={first['artifactRepositoryId']}")
    assert listed["data"] == [await read(shared_client, path)]


async def test_a_repository_goes_with_all_its_artifacts(shared_client: httpx.AsyncClient) -> None:
    first = (await shared_client.post("/artifacts", json=idle_artifact("line", status="locked"))).json()
    repository = first["artifactRepositoryId"]
    draft = (await shared_client.post(f"/artifacts/{first['id']}/clone", json={"name": "next"})).json()
    assert (await shared_client.delete(f"/artifactRepositories/{repository}")).status_code == 204
    for path in (f"/artifactRepositories/{repository}", f"/artifacts/{first['id']}", f"/artifacts/{draft['id']}"):
        problem(await shared_client.get(path), 404)
    assert (await read(shared_client, f"/artifacts?repositoryId={repository}"))["totalCount"] == 0
    problem(await shared_client.delete(f"/artifactRepositories/{repository}"), 404)
    joining = idle_artifact("late", artifactRepositoryId=repository)
    problem(await shared_client.post("/artifacts", json=joining), 404)


async def test_a_repository_in_use_stays(shared_client: httpx.AsyncClient) -> None:
    made = await create(shared_client, idle_workload("user of a line"))
    repository = made["artifact"]["artifactRepositoryId"]
    problem(await shared_client.delete(f"/artifactRepositories/{repository}"), 409)
    assert (await shared_client.post(f"/workloads/{made['id']}/promote")).status_code == 202
    problem(await shared_client.delete(f"/artifactRepositories/{repository}"), 409)
    assert (await shared_client.post(f"/workloads/{made['id']}/stop")).status_code == 202
    await reach(shared_client, made["id"], "stopped")
    # Stopped it may be, but it can be started again, and its history names the artifact.
    problem(await shared_client.delete(f"/artifactRepositories/{repository}"), 409)
    assert (await read(shared_client, f"/artifacts/{made['artifactId']}"))["status"] == "locked"
    assert (await shared_client.delete(f"/workloads/{made['id']}")).status_code == 204

    async def gone() -> bool:
        answer = await shared_client.delete(f"/artifactRepositories/{repository}")
        assert answer.status_code in (204, 409), answer.text
        return answer.status_code == 204

    await until(gone, 20)
    problem(await shared_client.get(f"/artifacts/{made['artifactId']}"), 404)


async def test_repositories_are_made_by_artifacts_alone(shared_client: httpx.AsyncClient) -> None:
    problem(await shared_client.post("/artifactRepositories", json={"name": "x"}), 405)
    problem(await shared_client.get(f"/artifactRepositories/{UNKNOWN}"), 404)
    problem(await shared_client.delete(f"/artifactRepositories/{UNKNOWN}"), 404)


async def test_joining_against_deleting_leaves_no_artifact_without_its_repository(
    shared_client: httpx.AsyncClient,
) -> None:
    """Whichever comes first: the new artifact is refused, or it goes with the others."""
    for _ in range(5):
        first = (await shared_client.post("/artifacts", json=idle_artifact("contested"))).json()
        repository = first["artifactRepositoryId"]
        joining = idle_artifact("joins", artifactRepositoryId=repository)
        deleted, *joined = await asyncio.gather(
            shared_client.delete(f"/artifactRepositories/{repository}"),
            *(shared_client.post("/artifacts", json=joining) for _ in range(4)),
        )
        assert deleted.status_code == 204, deleted.text
        for answer in joined:
            assert answer.status_code in (201, 404), answer.text
            if answer.status_code == 201:
                problem(await shared_client.get(f"/artifacts/{answer.json()['id']}"), 404)
        assert (await read(shared_client, f"/artifacts?repositoryId={repository}"))["totalCount"] == 0
