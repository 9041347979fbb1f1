"""Lists (§2): pages, filters, search and a total order, on each of the three lists."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import httpx
import pytest

from tests.api.support import Json, create, idle_artifact, idle_workload, problem, reach, read

LISTS = ["/artifacts", "/artifactRepositories", "/workloads"]
EVERY_LIST = pytest.mark.parametrize("path", LISTS)


async def make(client: httpx.AsyncClient, path: str, name: str, **fields: object) -> Json:
    """What the list at this path lists."""
    if path == "/workloads":
        return await create(client, idle_workload(name, **fields))
    artifact = (await client.post("/artifacts", json=idle_artifact(name, **fields))).json()
    return artifact if path == "/artifacts" else await read(client, f"{path}/{artifact['artifactRepositoryId']}")


async def walk(client: httpx.AsyncClient, address: str) -> list[Json]:
    """All pages from this one on, by ``next``."""
    seen: list[Json] = []
    following: str | None = address
    while following:
        page = await read(client, following)
        assert page["count"] == len(page["data"])
        seen += page["data"]
        following = page["next"]
    return seen


@EVERY_LIST
async def test_pages_hold_each_thing_once_newest_first(shared_client: httpx.AsyncClient, path: str) -> None:
    tag = uuid4().hex
    made = [await make(shared_client, path, f"{tag} {number}") for number in range(5)]
    newest_first = [one["id"] for one in reversed(made)]
    assert newest_first == sorted(newest_first, reverse=True)
    page = await read(shared_client, f"{path}?search={tag}&limit=2")
    assert (page["count"], page["totalCount"], page["previous"]) == (2, 5, None)
    assert [one["id"] for one in await walk(shared_client, f"{path}?search={tag}&limit=2")] == newest_first
    assert [one["id"] for one in await walk(shared_client, f"{path}/?search={tag}&limit=5")] == newest_first

    middle = await read(shared_client, f"{path}?search={tag}&limit=2&offset=2")
    assert [one["id"] for one in middle["data"]] == newest_first[2:4]
    back = await read(shared_client, middle["previous"])
    assert [one["id"] for one in back["data"]] == newest_first[:2]
    assert back["previous"] is None
    assert (await read(shared_client, middle["next"]))["next"] is None
    beyond = await read(shared_client, f"{path}?search={tag}&offset=50")
    assert (beyond["count"], beyond["totalCount"], beyond["data"], beyond["next"]) == (0, 5, [], None)


@EVERY_LIST
async def test_links_keep_every_other_parameter(shared_client: httpx.AsyncClient, path: str) -> None:
    tag = uuid4().hex
    made = [(await make(shared_client, path, f"{tag} & ü {number}"))["id"] for number in range(3)]
    query = [("search", f"{tag} & ü"), ("orderBy", "-name"), ("limit", "1"), *(("ids", id_) for id_ in made)]
    page = (await shared_client.get(path, params=query)).json()
    found = httpx.URL(page["next"])
    assert sorted(found.params.multi_items()) == sorted([*query, ("offset", "1")])
    assert [one["id"] for one in await walk(shared_client, page["next"])] == [made[1], made[0]]


@EVERY_LIST
async def test_search_finds_name_and_part_of_the_id_in_any_case(shared_client: httpx.AsyncClient, path: str) -> None:
    tag = uuid4().hex
    wanted = await make(shared_client, path, f"größe 100%_{tag.upper()} ÄPFEL")
    await make(shared_client, path, f"Groesse 100xy{tag}")
    for search in (f"100%_{tag}", f"100%_{tag.upper()}", f"größe 100%_{tag}", f"{tag} ÄPFEL", wanted["id"][4:].upper()):
        found = (await shared_client.get(path, params={"search": search})).json()
        assert [one["id"] for one in found["data"]] == [wanted["id"]], search
    for search in (f"nothing {uuid4()}", "\\"):
        assert (await shared_client.get(path, params={"search": search})).json()["totalCount"] == 0


@pytest.mark.parametrize("path", ["/artifacts", "/workloads"])
async def test_search_finds_the_description(shared_client: httpx.AsyncClient, path: str) -> None:
    tag = uuid4().hex
    made = await make(shared_client, path, "described", description=f"says {tag.upper()} somewhere")
    assert [one["id"] for one in await walk(shared_client, f"{path}?search={tag}")] == [made["id"]]


@EVERY_LIST
async def test_filters_by_id_and_creator(shared_client: httpx.AsyncClient, path: str) -> None:
    first, second, third = [await make(shared_client, path, "filtered") for _ in range(3)]
    found = await read(shared_client, f"{path}?ids={first['id']}&ids={third['id']}&ids=nobody")
    assert [one["id"] for one in found["data"]] == [third["id"], first["id"]]
    mine = await read(shared_client, f"{path}?ids={second['id']}&createdBy={second['creator']['id']}")
    assert [one["id"] for one in mine["data"]] == [second["id"]]
    assert (await read(shared_client, f"{path}?createdBy=nobody"))["totalCount"] == 0


@EVERY_LIST
async def test_the_order_asked_for_is_total(shared_client: httpx.AsyncClient, path: str) -> None:
    tag = uuid4().hex
    made = [await make(shared_client, path, f"{tag} {letter}") for letter in "bab"]
    ids = [one["id"] for one in made]
    expected = {
        "name": [ids[1], ids[0], ids[2]],
        "-name": [ids[2], ids[0], ids[1]],
        "createdAt": ids,
        "-createdAt": ids[::-1],
        "updatedAt": ids,
    }
    for order, wanted in expected.items():
        found = await walk(shared_client, f"{path}?search={tag}&orderBy={order}&limit=1")
        assert [one["id"] for one in found] == wanted, order
    problem(await shared_client.get(f"{path}?orderBy=colour"), 422)


async def test_importance_is_ordered_by_its_weight(shared_client: httpx.AsyncClient) -> None:
    tag = uuid4().hex
    for importance in ("high", "low", "critical", "moderate"):
        await make(shared_client, "/workloads", tag, importance=importance)
    found = await walk(shared_client, f"/workloads?search={tag}&orderBy=importance")
    assert [one["importance"] for one in found] == ["low", "moderate", "high", "critical"]
    found = await walk(shared_client, f"/workloads?search={tag}&orderBy=-importance&limit=1")
    assert [one["importance"] for one in found] == ["critical", "high", "moderate", "low"]


@EVERY_LIST
async def test_bounds_of_offset_and_limit(shared_client: httpx.AsyncClient, path: str) -> None:
    beyond = ("limit=99999999999999999999", "offset=9223372036854775808")
    for query in (
        "limit=0",
        "limit=-1",
        "offset=-1",
        "limit=many",
        "offset=1.5",
        "limit=",
        f"search={'x' * 101}",
        *beyond,
    ):
        body = problem(await shared_client.get(f"{path}?{query}"), 422)
        assert body["detail"][0]["loc"] == ["query", query.split("=")[0]]
    for query in ("limit=9223372036854775807", "offset=9223372036854775807"):
        assert (await shared_client.get(f"{path}?{query}")).status_code == 200, query


async def test_a_limit_above_a_hundred_is_taken_as_a_hundred(shared_client: httpx.AsyncClient) -> None:
    tag = uuid4().hex
    await asyncio.gather(*(make(shared_client, "/artifacts", tag) for _ in range(101)))
    page = await read(shared_client, f"/artifacts?search={tag}&limit=1000")
    assert (page["count"], page["totalCount"]) == (100, 101)
    assert httpx.URL(page["next"]).params["offset"] == "100"
    assert len({one["id"] for one in await walk(shared_client, f"/artifacts?search={tag}&limit=1000")}) == 101


async def test_filters_of_workloads(shared_client: httpx.AsyncClient) -> None:
    tag = uuid4().hex
    draft = await make(shared_client, "/workloads", tag, importance="high")
    locked = await make(shared_client, "/workloads", tag, importance="critical")
    await shared_client.post(f"/workloads/{locked['id']}/promote")
    await shared_client.post(f"/workloads/{locked['id']}/stop")
    await reach(shared_client, locked["id"], "stopped")
    await reach(shared_client, draft["id"], "launching")
    for query, wanted in {
        "status=stopped": [locked],
        "status=stopped&status=launching": [locked, draft],
        "status=suspended": [],
        "status=interrupted": [],
        "importance=high": [draft],
        "importance=high&importance=critical": [locked, draft],
        "artifactStatus=locked": [locked],
        "artifactStatus=draft&artifactStatus=locked": [locked, draft],
        f"artifactId={draft['artifactId']}": [draft],
        f"repositoryId={locked['artifact']['artifactRepositoryId']}": [locked],
        "enclave=anything&importance=high": [draft],
    }.items():
        found = await read(shared_client, f"/workloads?search={tag}&{query}")
        assert [one["id"] for one in found["data"]] == [one["id"] for one in wanted], query
        assert found["totalCount"] == len(wanted)
    for query in ("status=fine", "importance=huge", "artifactStatus=open"):
        problem(await shared_client.get(f"/workloads?{query}"), 422)


async def test_filters_of_artifacts(shared_client: httpx.AsyncClient) -> None:
    tag = uuid4().hex
    draft = await make(shared_client, "/artifacts", tag)
    locked = await make(shared_client, "/artifacts", tag, status="locked")
    agent = await make(shared_client, "/artifacts", tag, type="agent")
    for query, wanted in {
        "status=locked": [locked],
        "status=draft": [agent, draft],
        "type=agent": [agent],
        f"repositoryId={draft['artifactRepositoryId']}": [draft],
    }.items():
        found = await read(shared_client, f"/artifacts?search={tag}&{query}")
        assert [one["id"] for one in found["data"]] == [one["id"] for one in wanted], query
