"""Steps that the tests of the API share: they speak HTTP and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.support import payloads
from tests.support.waiting import until

Json = dict[str, Any]

KEPT = (
    "id",
    "name",
    "description",
    "importance",
    "type",
    "status",
    "endpoint",
    "protonId",
    "artifactId",
    "runtime",
    "creator",
    "owners",
    "permissions",
    "tags",
    "createdAt",
    "replacement",
)
"""What a promote leaves as it was, of what a workload shows (§5)."""

IDLE = {
    "name": "idle",
    "imageUri": "example.test/idle:1",
    "primary": True,
    "port": 8080,
    "entrypoint": ["sleep", "1000"],
}
"""A container that never listens: its workload stays `launching`, which promote accepts."""


def idle_spec() -> Json:
    """The spec of an artifact that costs next to nothing to run."""
    return {"containerGroups": [{"name": "default", "containers": [dict(IDLE)]}]}


def idle_artifact(name: str = "idle", **fields: Any) -> Json:
    """The body of an artifact that costs next to nothing to run."""
    return {"name": name, "spec": idle_spec(), **fields}


def idle_workload(name: str = "idle", **fields: Any) -> Json:
    """The body of a workload that costs next to nothing to run."""
    return {"name": name, "artifact": idle_artifact(name), **fields}


async def create(client: httpx.AsyncClient, body: Json | None = None) -> Json:
    """Create a workload, by default one that costs next to nothing."""
    answer = await client.post("/workloads", json=body or idle_workload())
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    return made


async def read(client: httpx.AsyncClient, path: str) -> Json:
    """GET what is there."""
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def reach(client: httpx.AsyncClient, workload_id: str, status: str, timeout: float = 30) -> Json:
    """Wait until a workload has a status, and return it."""

    async def there() -> Json:
        found = await read(client, f"/workloads/{workload_id}")
        assert found["status"] == status, (found["status"], found["statusDetails"])
        return found

    return await until(there, timeout, what=f"workload {workload_id} {status}")


async def running(client: httpx.AsyncClient, **fields: Any) -> Json:
    """A workload on the echo application that answers at its endpoint."""
    made = await create(client, payloads.workload(**fields))
    return await reach(client, made["id"], "running")


def problem(answer: httpx.Response, status: int) -> Json:
    """The body of a refusal, in the form that every refusal has (§2)."""
    assert answer.status_code == status, (answer.status_code, answer.text)
    body: Json = answer.json()
    assert set(body) == {"detail", "message", "code"}, body
    assert isinstance(body["message"], str) and body["message"]
    assert body["code"] == body["code"].upper()
    assert isinstance(body["detail"], str | list)
    assert answer.headers["x-request-id"]
    return body


@asynccontextmanager
async def unchanged(client: httpx.AsyncClient) -> AsyncIterator[None]:
    """The same number of everything before and after, and the server answers."""

    async def counts() -> list[int]:
        return [
            (await read(client, f"{path}?limit=1"))["totalCount"]
            for path in ("/workloads", "/artifacts", "/artifactRepositories")
        ]

    before = await counts()
    yield
    assert await counts() == before
