"""Following events over HTTP: ``GET /workloads/{id}/events?follow=true``."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from sqlalchemy import insert, update

from tests.api.support import Json, create, problem, read
from tests.api.test_sharing import share, to, user
from tests.support.postgresql import PostgreSQL
from tests.support.rows import opened
from tests.support.server import ServerProcess
from tests.support.streams import Got, following
from workload_api.clock import utc_now
from workload_api.db.models import EventRow, TokenRow
from workload_api.events.service import event_values

UNKNOWN = "0123456789abcdef01234567"
QUIET = {"CONTROLLER": "false"}
"""Without a controller nothing happens but what the tests do."""


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def quiet_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that all tests of this module share, on each kind of database."""
    directory = tmp_path_factory.mktemp("quiet")
    if request.param == "sqlite":
        with ServerProcess(directory, database_url=f"sqlite:///{directory / 'quiet.sqlite3'}", settings=QUIET) as made:
            yield made
        return
    postgresql: PostgreSQL = request.getfixturevalue("postgresql")
    url = postgresql.create()
    with ServerProcess(directory, database_url=url, settings=QUIET) as made:
        yield made
    postgresql.drop(url)


@pytest.fixture
async def client(quiet_server: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with quiet_server.client() as made:
        yield made


async def rename(client: httpx.AsyncClient, workload_id: str, name: str) -> None:
    """Make an event."""
    answer = await client.patch(f"/workloads/{workload_id}", json={"name": name})
    assert answer.status_code == 200, answer.text


async def listed(client: httpx.AsyncClient, workload_id: str) -> list[Json]:
    """All events, oldest first."""
    found: list[Json] = (await read(client, f"/workloads/{workload_id}/events?limit=100"))["data"]
    return found[::-1]


def check(got: list[Got], events: list[Json]) -> None:
    """What was sent is what the list shows, in its order."""
    assert [each.data for each in got] == events
    assert [(each.id, each.event) for each in got] == [(event["id"], event["eventType"]) for event in events]


async def put(server: ServerProcess, workload_id: str, count: int, **columns: object) -> None:
    """Write events as another process would, in one transaction."""
    async with opened(server.database_url or "") as database, database.write() as session:
        for number in range(count):
            values = event_values(workload_id, "test.happened", "Happened", f"The event {number}.")
            await session.execute(insert(EventRow).values(values | columns))


async def test_what_happens_is_sent_as_it_happens(client: httpx.AsyncClient) -> None:
    made = await create(client)
    async with following(client, made["id"]) as stream:
        headers = stream.answer.headers
        assert headers["content-type"] == "text/event-stream; charset=utf-8"
        assert headers["cache-control"] == "no-store"
        assert headers["x-request-id"]
        assert "content-length" not in headers
        created = await listed(client, made["id"])
        assert stream.last_id == created[-1]["id"], "a client whose connection breaks now must not miss what comes"
        for number in range(3):
            await rename(client, made["id"], f"n{number}")
            got = await stream.take(1)
            check(got, (await listed(client, made["id"]))[-1:])
        assert (await client.post(f"/workloads/{made['id']}/stop")).status_code == 202
        assert [each.event for each in await stream.take(1)] == ["workload.stopped"]


async def test_the_document_declares_both_forms(client: httpx.AsyncClient) -> None:
    document = await read(client, "/openapi.json")
    operation = document["paths"]["/api/v2/workloads/{workload_id}/events"]["get"]
    forms = operation["responses"]["200"]["content"]
    assert set(forms) == {"application/json", "text/event-stream"}
    assert forms["application/json"]["schema"] == {"$ref": "#/components/schemas/WorkloadEventsResponse"}
    assert {"follow", "lastEventId", "Last-Event-ID"} <= {each["name"] for each in operation["parameters"]}


async def test_either_slash_and_the_other_scheme(client: httpx.AsyncClient, quiet_server: ServerProcess) -> None:
    made = await create(client)
    headers = {"Authorization": f"Token {quiet_server.token}"}
    async with client.stream("GET", f"/workloads/{made['id']}/events/?follow=1", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize("how", ["header", "query", "both"])
async def test_a_dropped_connection_is_taken_up_again(client: httpx.AsyncClient, how: str) -> None:
    made = await create(client)
    async with following(client, made["id"]) as stream:
        await rename(client, made["id"], "first")
        await rename(client, made["id"], "second")
        before = await stream.take(1)
        last = stream.last_id
        assert last is not None
    await rename(client, made["id"], "third")
    query = {"header": "", "query": f"&lastEventId={last}", "both": f"&lastEventId={UNKNOWN}"}[how]
    headers = {} if how == "query" else {"Last-Event-ID": last}
    async with following(client, made["id"], query, **headers) as stream:
        assert stream.last_id == last
        missed = await stream.take(2)
        await rename(client, made["id"], "fourth")
        check(before + missed + await stream.take(1), (await listed(client, made["id"]))[1:])


async def test_many_missed_events_come_in_order_and_once(
    client: httpx.AsyncClient, quiet_server: ServerProcess
) -> None:
    made = await create(client)
    [created] = await listed(client, made["id"])
    await put(quiet_server, made["id"], 230)
    async with following(client, made["id"], f"&lastEventId={created['id']}") as stream:
        got = await stream.take(230)
        assert [each.data["message"] for each in got] == [f"The event {number}." for number in range(230)]
        # More at once than are kept, while it is followed.
        await put(quiet_server, made["id"], 230)
        got = await stream.take(230)
        assert [each.data["message"] for each in got] == [f"The event {number}." for number in range(230)]


@pytest.mark.parametrize("last", [UNKNOWN, "0", "x" * 500, "foreign"])
@pytest.mark.parametrize("where", ["header", "query"])
async def test_an_event_of_another_workload_is_no_place_to_begin(
    client: httpx.AsyncClient, last: str, where: str
) -> None:
    made, other = await create(client), await create(client)
    if last == "foreign":
        last = (await listed(client, other["id"]))[0]["id"]
    path = f"/workloads/{made['id']}/events"
    if where == "header":
        answer = await client.get(path, params={"follow": "true"}, headers={"Last-Event-ID": last})
    else:
        answer = await client.get(path, params={"follow": "true", "lastEventId": last})
    body = problem(answer, 422)
    assert body["detail"][0]["loc"] == {"header": ["header", "last-event-id"], "query": ["query", "lastEventId"]}[where]


async def test_refusals_are_no_streams(client: httpx.AsyncClient, quiet_server: ServerProcess) -> None:
    made = await create(client)
    path = f"/workloads/{made['id']}/events?follow=true"
    problem(await client.get(f"/workloads/{UNKNOWN}/events?follow=true"), 404)
    problem(await client.get(path, headers={"Authorization": "Bearer nobody"}), 401)
    problem(await client.get(path.replace("true", "perhaps")), 422)
    stranger = await user(quiet_server)
    async with stranger.client:
        problem(await stranger.client.get(path), 404)


async def test_an_event_with_an_older_id_is_neither_missed_nor_doubled(
    client: httpx.AsyncClient, quiet_server: ServerProcess
) -> None:
    made = await create(client)
    async with following(client, made["id"]) as stream:
        await rename(client, made["id"], "newer")
        [newer] = await stream.take(1)
        # By a machine whose clock is an hour behind.
        older = f"{int(newer.data['id'][:12], 16) - 3_600_000:012x}{'0' * 12}"
        await put(quiet_server, made["id"], 1, id=older)
        [late] = await stream.take(1)
        assert late.id == older
        await rename(client, made["id"], "newest")
        [newest] = await stream.take(1)
    for last, behind in ((newer.id, [older, newest.id]), (older, [newest.id])):
        async with following(client, made["id"], f"&lastEventId={last}") as stream:
            assert [each.id for each in await stream.take(len(behind))] == behind
    # The list has the same order.
    assert [event["id"] for event in (await listed(client, made["id"]))[1:]] == [newer.id, older, newest.id]


async def test_a_revoked_token_ends_it(client: httpx.AsyncClient, quiet_server: ServerProcess) -> None:
    made = await create(client)
    reader = await user(quiet_server)
    assert (await share(client, f"/workloads/{made['id']}", to("user", "READ_ONLY", id=reader.id))).status_code == 204
    async with reader.client, following(reader.client, made["id"]) as stream:
        async with opened(quiet_server.database_url or "") as database, database.write() as session:
            await session.execute(update(TokenRow).where(TokenRow.user_id == reader.id).values(revoked_at=utc_now()))
            values = event_values(made["id"], "test.secret", "Secret", "Not for a revoked token.")
            await session.execute(insert(EventRow).values(values))
        [end] = await stream.rest()
        assert (end.event, end.id, end.data["code"]) == ("end", None, "TOKEN_REVOKED")
        problem(await reader.client.get(f"/workloads/{made['id']}/events?follow=true"), 401)


async def test_a_lost_right_ends_it(client: httpx.AsyncClient, quiet_server: ServerProcess) -> None:
    made = await create(client)
    path = f"/workloads/{made['id']}"
    reader = await user(quiet_server)
    assert (await share(client, path, to("user", "READ_ONLY", id=reader.id))).status_code == 204
    async with reader.client, following(reader.client, made["id"]) as stream, following(client, made["id"]) as owners:
        assert (await share(client, path, to("user", "CONSUMER", id=reader.id))).status_code == 204
        [end] = await stream.rest()
        assert (end.event, end.id, end.data["code"]) == ("end", None, "RIGHT_LOST")
        await rename(client, made["id"], "the owner goes on")
        assert (await owners.take(2))[-1].event == "workload.updated"


async def test_a_deleted_workload_ends_it_after_all_that_happened(client: httpx.AsyncClient) -> None:
    made = await create(client)
    async with following(client, made["id"]) as stream:
        await rename(client, made["id"], "last words")
        assert (await client.delete(f"/workloads/{made['id']}")).status_code == 204
        *before, end = await stream.rest()
        assert [each.event for each in before] == ["workload.updated"]
        assert (end.event, end.id, end.data["code"]) == ("end", None, "WORKLOAD_DELETED")
    problem(await client.get(f"/workloads/{made['id']}/events?follow=true"), 404)


async def test_two_hundred_followers_of_one_workload(client: httpx.AsyncClient) -> None:
    made = await create(client)
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(following(client, made["id"])) for _ in range(200)]
        await rename(client, made["id"], "to all")
        await rename(client, made["id"], "to all again")
        expected = (await listed(client, made["id"]))[1:]
        for got in await asyncio.gather(*(stream.take(2) for stream in streams)):
            check(got, expected)
    # All connections are gone; those who come now are served.
    async with following(client, made["id"]) as stream:
        await rename(client, made["id"], "afterwards")
        await stream.take(1)


@pytest.mark.parametrize(
    "workers", ["1", pytest.param("2", marks=pytest.mark.postgresql)], ids=["one process", "two workers"]
)
async def test_followers_do_not_keep_the_server_from_stopping(
    request: pytest.FixtureRequest, tmp_path: Path, workers: str
) -> None:
    url = request.getfixturevalue("sqlite_url" if workers == "1" else "postgresql_url")
    with ServerProcess(tmp_path, database_url=url, settings={**QUIET, "WORKERS": workers}) as server:
        async with server.client() as client, AsyncExitStack() as stack:
            made = await create(client)
            streams = [await stack.enter_async_context(following(client, made["id"])) for _ in range(20)]
            os.kill(server.pid, signal.SIGTERM)
            for stream in streams:
                assert await stream.rest() == []
                assert stream.comments[-1] == "The server stops; connect again."
            await asyncio.to_thread(server.process.wait, 30)
        assert "timeout graceful shutdown exceeded" not in server.log
        assert "Traceback" not in server.log


async def test_what_another_process_changes_is_sent(postgresql_url: str, tmp_path: Path) -> None:
    names = ["one", "other"]
    servers = [
        ServerProcess(
            tmp_path, database_url=postgresql_url, settings=QUIET, token="the-same-for-both-of-them", name=name
        )
        for name in names
    ]
    with servers[0], servers[1]:
        async with servers[0].client() as one, servers[1].client() as other:
            made = await create(one)
            async with following(one, made["id"]) as here, following(other, made["id"]) as there:
                # Both write at the same time; whoever follows where sees the same, in the same order.
                writes = [rename(client, made["id"], f"n{n}") for n in range(20) for client in (one, other)]
                await asyncio.gather(*writes)
                expected = (await listed(one, made["id"]))[1:]
                check(await here.take(len(expected)), expected)
                check(await there.take(len(expected)), expected)
                assert (await other.delete(f"/workloads/{made['id']}")).status_code == 204
                assert [got.data["code"] for got in await here.rest()] == ["WORKLOAD_DELETED"]
