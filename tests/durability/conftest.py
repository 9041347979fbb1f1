"""Several servers on one PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.postgresql import PostgreSQL
from tests.support.server import ServerProcess


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
