"""What every test can use: databases, the running server, and the kinds of tests that need certain programs."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.support.postgresql import PostgreSQL, run
from tests.support.programs import KINDS, LEFT_OUT, REQUIRED_VARIABLE, missing, required
from tests.support.server import ServerProcess
from workload_api.db.schema import migrate
from workload_api.settings import Settings

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]
"""For tests that run on both databases and make their own arrangements."""

_NEEDS_POSTGRESQL = {"postgresql", "postgresql_url", "empty_postgresql_url", "three_servers"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--postgresql-url",
        default=os.environ.get("TEST_POSTGRESQL_URL"),
        help="Use this PostgreSQL server (a user who may create databases) instead of starting one.",
    )


def pytest_configure(config: pytest.Config) -> None:
    required()
    # Settings of whoever runs the tests are not for the tests.
    for name in [name for name in os.environ if name.startswith("WORKLOAD_API_") and name != REQUIRED_VARIABLE]:
        del os.environ[name]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & _NEEDS_POSTGRESQL:
            item.add_marker(pytest.mark.postgresql)
        if "shared_server" in fixtures and isinstance(item, pytest.Function):
            # One worker for all tests that share a server, so that it is started once.
            database = item.callspec.params.get("shared_server", "") if hasattr(item, "callspec") else ""
            item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}-{database}"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    for kind in KINDS:
        if item.get_closest_marker(kind) is None:
            continue
        reason = missing(kind, postgresql_url=item.config.getoption("--postgresql-url"))
        if reason is None:
            continue
        if kind in required():
            pytest.fail(f"{KINDS[kind]} is required here, but: {reason}", pytrace=False)
        item.user_properties.append((LEFT_OUT, f"{kind}:{reason}"))
        # A program that these tests need is not there: left out, and said so loudly at the end.
        pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    arguments = getattr(item, "funcargs", {})
    for server in (arguments.get("server"), arguments.get("shared_server")):
        if report.failed and isinstance(server, ServerProcess):
            report.sections.append(("the server's log ends", "\n".join(server.log.splitlines()[-60:])))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts: dict[tuple[str, str], int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        for name, value in getattr(report, "user_properties", ()):
            if name == LEFT_OUT:
                kind, _, reason = str(value).partition(":")
                counts[kind, reason] = counts.get((kind, reason), 0) + 1
    if counts:
        terminalreporter.section("LEFT OUT", sep="!", yellow=True, bold=True)
    for (kind, reason), count in sorted(counts.items()):
        terminalreporter.line(f"LEFT OUT: {count} {KINDS[kind]} tests ({reason})", yellow=True, bold=True)


@pytest.fixture(scope="session")
def postgresql(request: pytest.FixtureRequest) -> Iterator[PostgreSQL]:
    """A PostgreSQL server for the whole session, one per test process."""
    server = PostgreSQL(request.config.getoption("--postgresql-url"))
    yield server
    server.close()


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    """The address of a fresh database with the newest schema."""
    url = postgresql.create()
    yield url
    postgresql.drop(url)


@pytest.fixture
def empty_postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    """The address of a fresh database with nothing in it."""
    url = postgresql.create(migrated=False)
    yield url
    postgresql.drop(url)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the newest schema, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.sqlite3"
    run(migrate(Settings.model_validate({"database_url": f"sqlite:///{path}"}).sqlalchemy_url))
    with closing(sqlite3.connect(path)) as connection:
        # Everything into the one file, so that copying it is enough.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, migrated_sqlite: Path) -> str:
    """The address of a fresh SQLite file with the newest schema."""
    path = tmp_path / "workload-api.sqlite3"
    shutil.copy(migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a fresh database with the newest schema, on each kind of database."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[ServerProcess]:
    """A running server of this test's own, on each kind of database."""
    with ServerProcess(tmp_path, database_url=database_url) as running:
        yield running


@pytest.fixture
async def client(server: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    """The administrator's client of :func:`server`."""
    async with server.client() as made:
        yield made


@pytest.fixture(scope="module", params=DATABASES)
def shared_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running server that the tests of a module share, on each kind of database.

    Starting one costs seconds: take this one wherever a test neither stops it nor counts what is in it, and give
    what the test makes names of its own.
    """
    directory = tmp_path_factory.mktemp("shared")
    if request.param == "postgresql":
        postgresql: PostgreSQL = request.getfixturevalue("postgresql")
        url = postgresql.create()
        with ServerProcess(directory, database_url=url) as running:
            yield running
        postgresql.drop(url)
    else:
        template: Path = request.getfixturevalue("migrated_sqlite")
        path = directory / "workload-api.sqlite3"
        shutil.copy(template, path)
        with ServerProcess(directory, database_url=f"sqlite:///{path}") as running:
            yield running


@pytest.fixture
async def shared_client(shared_server: ServerProcess) -> AsyncIterator[httpx.AsyncClient]:
    """The administrator's client of :func:`shared_server`."""
    async with shared_server.client() as made:
        yield made
