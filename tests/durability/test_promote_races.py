"""Promotes at once, from several servers, and against everything else that can happen to a workload (§5)."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.api.support import read
from tests.durability.checker import check_promotes
from tests.support.many import add_drafts
from tests.support.rows import Ids, Person, add_person, opened
from tests.support.server import ServerProcess
from workload_api.db.engine import Database

pytestmark = pytest.mark.xdist_group("three servers")

Act = Callable[[httpx.AsyncClient, Ids], Awaitable[httpx.Response]]


def clients_of(servers: list[ServerProcess], person: Person) -> itertools.cycle[httpx.AsyncClient]:
    """The person's clients of these servers, in turn."""
    return itertools.cycle([server.client(token=person.token, timeout=60) for server in servers])


async def test_of_fifty_promotes_at_once_one_wins(three_servers: list[ServerProcess]) -> None:
    """One 202, 49 times 422, one version, one history row, one event."""
    async with opened(three_servers[0].database_url or "") as database:
        person = await add_person(database, f"racer {uuid4()}")
        for _ in range(5):
            (draft,) = await add_drafts(database, person, 1)
            clients = clients_of(three_servers, person)
            answers = await asyncio.gather(
                *(next(clients).post(f"/workloads/{draft.workload_id}/promote") for _ in range(50))
            )
            assert Counter(answer.status_code for answer in answers) == {202: 1, 422: 49}
            assert {a.json()["code"] for a in answers if a.status_code == 422} == {"ARTIFACT_NOT_DRAFT"}
            found = await check_promotes(database, [draft.workload_id])
            assert (found.violations, len(found.after)) == ([], 1)
            history = await read(next(clients), f"/workloads/{draft.workload_id}/history")
            assert [entry["reason"] for entry in history["data"]] == ["promote"]


async def test_two_hundred_drafts_of_one_repository(three_servers: list[ServerProcess]) -> None:
    """All at once, through three servers: the versions are 1 to 200, each once."""
    async with opened(three_servers[0].database_url or "") as database:
        person = await add_person(database, f"racer {uuid4()}")
        drafts = await add_drafts(database, person, 200)
        clients = clients_of(three_servers, person)
        answers = await asyncio.gather(
            *(next(clients).post(f"/workloads/{draft.workload_id}/promote") for draft in drafts)
        )
        assert Counter(answer.status_code for answer in answers) == {202: 200}
        assert sorted(answer.json()["artifact"]["version"] for answer in answers) == list(range(1, 201))
        found = await check_promotes(database, [draft.workload_id for draft in drafts])
        assert (found.violations, len(found.after)) == ([], 200)


async def test_one_idempotency_key_at_once(three_servers: list[ServerProcess]) -> None:
    """The promote happens once; whoever comes meanwhile is told so, whoever comes later gets the first answer."""
    async with opened(three_servers[0].database_url or "") as database:
        person = await add_person(database, f"racer {uuid4()}")
        (draft,) = await add_drafts(database, person, 1)
        clients = clients_of(three_servers, person)
        key = {"Idempotency-Key": str(uuid4())}

        async def promote() -> httpx.Response:
            return await next(clients).post(f"/workloads/{draft.workload_id}/promote", headers=key)

        answers = await asyncio.gather(*(promote() for _ in range(30)))
        for answer in answers:
            assert answer.status_code == 202 or (answer.status_code == 409 and answer.headers["retry-after"])
        again = await promote()
        assert again.headers["idempotency-replayed"] == "true"
        assert {answer.content for answer in answers if answer.status_code == 202} == {again.content}
        assert (await check_promotes(database, [draft.workload_id])).violations == []


async def patch_workload(client: httpx.AsyncClient, draft: Ids) -> httpx.Response:
    return await client.patch(f"/workloads/{draft.workload_id}", json={"importance": "high"})


async def lock_artifact(client: httpx.AsyncClient, draft: Ids) -> httpx.Response:
    return await client.patch(f"/artifacts/{draft.artifact_id}", json={"status": "locked"})


async def rename_artifact(client: httpx.AsyncClient, draft: Ids) -> httpx.Response:
    return await client.patch(f"/artifacts/{draft.artifact_id}", json={"name": "renamed"})


async def stop(client: httpx.AsyncClient, draft: Ids) -> httpx.Response:
    return await client.post(f"/workloads/{draft.workload_id}/stop")


async def delete(client: httpx.AsyncClient, draft: Ids) -> httpx.Response:
    return await client.delete(f"/workloads/{draft.workload_id}")


async def reset_statistics(client: httpx.AsyncClient, draft: Ids) -> httpx.Response:
    return await client.delete(f"/workloads/{draft.workload_id}/stats")


async def clone(client: httpx.AsyncClient, draft: Ids) -> httpx.Response:
    return await client.post(f"/artifacts/{draft.artifact_id}/clone", json={"name": "copy"})


async def replace(client: httpx.AsyncClient, draft: Ids) -> httpx.Response:
    body = {"artifactId": draft.artifact_id, "strategy": "rolling"}
    return await client.post(f"/workloads/{draft.workload_id}/replacement", json=body)


async def change_settings(client: httpx.AsyncClient, draft: Ids) -> httpx.Response:
    return await client.patch(f"/workloads/{draft.workload_id}/settings", json={"runtime": {}})


# What may come of (promote, the other): as if one had come wholly before the other.
RIVALS: dict[str, tuple[Act, set[tuple[int, int]]]] = {
    "PATCH of the workload": (patch_workload, {(202, 200)}),
    "lock of the artifact": (lock_artifact, {(202, 422), (422, 200)}),
    "PATCH of the artifact": (rename_artifact, {(202, 200), (202, 422)}),
    "stop": (stop, {(202, 202), (422, 202)}),
    "delete": (delete, {(202, 204), (404, 204)}),
    "reset of the statistics": (reset_statistics, {(202, 204)}),
    "clone of the artifact": (clone, {(202, 200)}),
    "replacement": (replace, {(202, 422), (422, 202)}),
    "change of settings": (change_settings, {(202, 202), (422, 202)}),
}


async def race(database: Database, servers: list[ServerProcess], rival: Act, rounds: int) -> Counter[tuple[int, int]]:
    """Promote against a rival, many times; both requests of a round set out together.

    Returns:
        How often each pair of codes came.
    """
    person = await add_person(database, f"racer {uuid4()}")
    drafts = await add_drafts(database, person, rounds, repositories=max(1, rounds // 4))
    clients = clients_of(servers, person)
    pairs: Counter[tuple[int, int]] = Counter()
    for start in range(0, rounds, 5):
        batch = drafts[start : start + 5]

        async def one(number: int, draft: Ids) -> tuple[int, int]:
            first, second = next(clients), next(clients)
            promote = first.post(f"/workloads/{draft.workload_id}/promote")
            # Who sets out first changes from round to round.
            if number % 2:
                promoted, other = await asyncio.gather(promote, rival(second, draft))
            else:
                other, promoted = await asyncio.gather(rival(second, draft), promote)
            assert promoted.status_code < 500, promoted.text
            assert other.status_code < 500, other.text
            return promoted.status_code, other.status_code

        pairs.update(await asyncio.gather(*(one(number, draft) for number, draft in enumerate(batch))))
    return pairs


@pytest.mark.parametrize("name", RIVALS)
async def test_promote_against_others(three_servers: list[ServerProcess], name: str) -> None:
    """A hundred races through three servers on PostgreSQL."""
    rival, lawful = RIVALS[name]
    async with opened(three_servers[0].database_url or "") as database:
        pairs = await race(database, three_servers, rival, 100)
    assert set(pairs) <= lawful, pairs


async def test_promote_against_others_on_sqlite(sqlite_url: str, tmp_path: Path) -> None:
    """The same through one server, as SQLite has it."""
    with ServerProcess(tmp_path, database_url=sqlite_url, settings={"CONTROLLER": "false"}) as server:
        async with opened(sqlite_url) as database:
            for name, (rival, lawful) in RIVALS.items():
                pairs = await race(database, [server], rival, 30)
                assert set(pairs) <= lawful, (name, pairs)
