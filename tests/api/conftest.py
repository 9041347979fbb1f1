"""One server on each kind of database for all tests of the API in one test process: starting one takes seconds."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.support import unchanged
from tests.conftest import DATABASES
from tests.support.postgresql import PostgreSQL
from tests.support.server import ServerProcess


@pytest.fixture(scope="session")
def sqlite_server(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running server on SQLite."""
    directory = tmp_path_factory.mktemp("api-sqlite")
    path = directory / "workload-api.sqlite3"
    shutil.copy(migrated_sqlite, path)
    with ServerProcess(directory, database_url=f"sqlite:///{path}") as running:
        yield running


@pytest.fixture(scope="session")
def postgresql_server(postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running server on PostgreSQL."""
    url = postgresql.create()
    with ServerProcess(tmp_path_factory.mktemp("api-postgresql"), database_url=url) as running:
        yield running
    postgresql.drop(url)


@pytest.fixture(scope="module", params=DATABASES)
def shared_server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """The server that all modules share; what a module leaves running there is deleted after it."""
    server: ServerProcess = request.getfixturevalue(f"{request.param}_server")
    yield server
    with httpx.Client(base_url=f"{server.url}/api/v2", headers=server.headers, timeout=30, trust_env=False) as client:
        while found := client.get("/workloads", params={"limit": 100}).raise_for_status().json()["data"]:
            for workload in found:
                client.delete(f"/workloads/{workload['id']}").raise_for_status()


@pytest.fixture
async def nothing_changes(shared_client: httpx.AsyncClient) -> AsyncIterator[None]:
    """The same around a whole test."""
    async with unchanged(shared_client):
        yield
