"""What makes two requests with one ``Idempotency-Key`` the same, and who was the first of several."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
import pytest
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import Response

from tests.api.support import create, idle_artifact, idle_workload, problem, read
from tests.support.rows import Person, add_person, opened
from workload_api.credentials.sealing import KeyRing
from workload_api.db.engine import Database
from workload_api.domain.errors import Conflict
from workload_api.http.context import ServerContext
from workload_api.http.idempotency import answer_once
from workload_api.identity.authentication import Authenticator
from workload_api.settings import Settings


def new_key() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid4())}


async def test_a_slash_makes_no_other_request(shared_client: httpx.AsyncClient) -> None:
    key, body = new_key(), idle_workload(f"slash {uuid4()}")
    answers = [await shared_client.post(path, json=body, headers=key) for path in ("/workloads", "/workloads/")]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert answers[1].headers["idempotency-replayed"] == "true"


@pytest.mark.parametrize("other", ["white space", "order", "value", "query", "path"])
async def test_other_bytes_are_another_request(shared_client: httpx.AsyncClient, other: str) -> None:
    key, body = new_key(), idle_artifact(f"bytes {uuid4()}", description="d")
    first = await shared_client.post("/artifacts", json=body, headers=key)
    assert first.status_code == 201
    path, content = {
        "white space": ("/artifacts", json.dumps(body, indent=1)),
        "order": ("/artifacts", json.dumps(dict(reversed(body.items())), separators=(",", ":"))),
        "value": ("/artifacts", json.dumps(body | {"description": "e"}, separators=(",", ":"))),
        "query": ("/artifacts?x=1", first.request.content.decode()),
        "path": ("/workloads", json.dumps(idle_workload())),
    }[other]
    headers = {**key, "Content-Type": "application/json"}
    refused = problem(await shared_client.post(path, content=content, headers=headers), 422)
    assert refused["code"] == "IDEMPOTENCY_KEY_REUSED"
    again = await shared_client.post("/artifacts", json=body, headers=key)
    assert (again.status_code, again.content) == (201, first.content)
    assert (await read(shared_client, f"/artifacts?search={body['name']}"))["totalCount"] == 1


@pytest.mark.parametrize("operation", ["/artifacts", "clone", "start", "stop"])
async def test_every_post_is_answered_once(shared_client: httpx.AsyncClient, operation: str) -> None:
    key, made = new_key(), await create(shared_client)
    path, body = {
        "/artifacts": ("/artifacts", idle_artifact()),
        "clone": (f"/artifacts/{made['artifactId']}/clone", {"name": f"clone {uuid4()}"}),
        "start": (f"/workloads/{made['id']}/start", None),
        "stop": (f"/workloads/{made['id']}/stop", None),
    }[operation]
    answers = [await shared_client.post(path, json=body, headers=key) for _ in range(2)]
    assert (
        answers[0].status_code
        == answers[1].status_code
        == {"/artifacts": 201, "clone": 200, "start": 409}.get(operation, 202)
    )
    assert answers[0].content == answers[1].content
    assert ["idempotency-replayed" in answer.headers for answer in answers] == [False, True]


async def test_what_does_not_fit_its_schema_uses_up_no_key(shared_client: httpx.AsyncClient) -> None:
    key, body = new_key(), idle_artifact(f"schema {uuid4()}")
    problem(await shared_client.post("/artifacts", json=body | {"colour": "red"}, headers=key), 422)
    assert (await shared_client.post("/artifacts", json=body, headers=key)).status_code == 201


class Made(BaseModel):
    """An answer."""

    by: str


class Interrupted(Database):
    """A database that lets something happen before the second unit of work."""

    meanwhile: Callable[[], Awaitable[object]] | None = None
    _begun = 0

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        self._begun += 1
        if self._begun == 2 and self.meanwhile is not None:
            await self.meanwhile()
        async with super().write() as session:
            yield session


async def answered(database: Database, person: Person, key: str, act: Callable[[], Made]) -> Response:
    """Send a request to a process of its own."""
    settings = Settings()
    context = ServerContext(settings, database, Authenticator(database), sealer=KeyRing.of(settings))
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/made",
        "query_string": b"",
        "headers": [(b"idempotency-key", key.encode())],
    }

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def carry_out(_session: AsyncSession) -> Made:
        return act()

    return await answer_once(Request(scope, receive), Response(), context, person.caller, carry_out, 201)


async def test_a_refusal_is_the_first_answer_only_if_nobody_was_faster(database_url: str) -> None:
    """Refused here; before that is written down, another process carries out the same request: that one counts."""

    def refuse() -> Made:
        raise Conflict("Not now.")

    key = str(uuid4())
    async with opened(database_url) as other:
        person = await add_person(other)
        here = Interrupted(Settings.model_validate({"database_url": database_url}).sqlalchemy_url, 2)
        here.meanwhile = lambda: answered(other, person, key, lambda: Made(by="the other"))
        try:
            answer = await answered(here, person, key, refuse)
            assert (answer.status_code, answer.body) == (201, b'{"by":"the other"}')
            again = await answered(other, person, key, refuse)
            assert (again.status_code, again.body) == (201, answer.body)
        finally:
            await here.close()
