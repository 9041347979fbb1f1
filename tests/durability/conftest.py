"""Several servers on one PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.postgresql import PostgreSQL
from tests.support.server import ServerProcess


@pytest.fixture
def two_servers(postgresql_url: str, tmp_path: Path) -> Iterator[tuple[ServerProcess, ServerProcess]]:
    """Two server processes on one PostgreSQL database; the first runs the controller, both serve endpoints."""
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(
                ServerProcess(
                    tmp_path,
                    database_url=postgresql_url,
                    settings=settings,
                    token="the-same-token-for-both",
                    name=name,
                )
            )
            for name, settings in (("first", {}), ("second", {"CONTROLLER": "false"}))
        )
        yield first, second


@pytest.fixture(scope="module")
def three_servers(postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    """Three server processes on one PostgreSQL database, without controllers: no replicas, no reaper."""
    directory, url = tmp_path_factory.mktemp("three-servers"), postgresql.create()
    with ExitStack() as stack:
        servers = [
            ServerProcess(
                directory,
                database_url=url,
                settings={"CONTROLLER": "false"},
                token="the-same-token-for-all-three",
                data_dir=directory / f"data-{number}",
                name=f"server-{number}",
            )
            for number in range(3)
        ]
        for server in servers:
            stack.callback(server.close)
            server.launch()
        for server in servers:
            server.wait_until_answering()
        yield servers
    postgresql.drop(url)
