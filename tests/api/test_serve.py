"""The command line: what ``serve`` refuses in one sentence, what it prints, and the other commands."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from tests.api.support import create, idle_artifact, problem, reach
from tests.support.server import ServerProcess
from tests.support.waiting import until
from workload_api.settings import SettingsError, load_settings


def one_sentence(done: subprocess.CompletedProcess[str], *words: str) -> str:
    """The refusal of a command: exit code 2, one line for a person with these words in it, nothing else."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    logged = re.compile(r"20\d\d-\S+ \[info ")  # what the server tells of itself may stand before it
    said = [line for line in done.stderr.splitlines() if not logged.match(line)]
    assert len(said) == 1, done.stderr
    assert said[0].startswith("workload-api: ")
    for word in words:
        assert word in said[0], said[0]
    assert "export" not in done.stdout
    return said[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "many"), ("PORT", "70000"), ("DRAFT_TTL", "-1"), ("DRAFT_TTL", "0"), ("DRAFT_TTL", "soon"),
        ("LOG_LEVEL", "loud"), ("WORKERS", "0"), ("PUBLIC_URL", "example.test"), ("BODY_LIMIT", "1"),
        ("ADMIN_TOKEN", "hunter2"), ("RUNTIME", "magic"), ("DATABASE_URL", "mysql://me:hunter2@host/db"),
        ("DATABASE_URL", "hunter2"),
    ],
)  # fmt: skip
def test_a_bad_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"WORKLOAD_API_{name}", value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    message = str(refused.value)
    assert f"WORKLOAD_API_{name}" in message
    assert "hunter2" not in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"HOST": "0.0.0.0"}, ("0.0.0.0", "loopback", "ALLOW_REMOTE_PROCESS_RUNTIME")),
        ({"HOST": "example.test"}, ("example.test", "loopback")),
        ({"WORKERS": "2"}, ("WORKERS", "PostgreSQL")),
        ({"PORT": "many"}, ("WORKLOAD_API_PORT",)),
        ({"DATABASE_URL": "postgresql://me:hunter2@127.0.0.1:1/none"}, ("database",)),
    ],
    ids=["remote", "remote name", "workers", "port", "no database"],
)
def test_serve_refuses_in_one_sentence(tmp_path: Path, settings: dict[str, str], words: tuple[str, ...]) -> None:
    done = ServerProcess(tmp_path, settings=settings).command("serve")
    assert "hunter2" not in one_sentence(done, *words)


@pytest.mark.parametrize("what", ["a folder that is a file", "a file that is no database"])
def test_files_that_cannot_be_used_are_told_in_one_sentence(tmp_path: Path, what: str) -> None:
    file = tmp_path / "occupied"
    file.write_text("not a database, and not a folder " * 100)
    server = (
        ServerProcess(tmp_path, data_dir=file)
        if "folder" in what
        else ServerProcess(tmp_path, database_url=f"sqlite:///{file}")
    )
    one_sentence(server.command("serve"), "occupied")


async def test_the_process_runtime_serves_others_only_when_told_to(tmp_path: Path, sqlite_url: str) -> None:
    settings = {"HOST": "0.0.0.0", "ALLOW_REMOTE_PROCESS_RUNTIME": "true"}
    with ServerProcess(tmp_path, database_url=sqlite_url, settings=settings) as server:
        async with server.client() as client:
            assert (await client.get("/version/")).status_code == 200


def test_one_server_per_sqlite_file_and_per_port(tmp_path: Path, sqlite_url: str) -> None:
    with ServerProcess(tmp_path, database_url=sqlite_url) as first:
        second = ServerProcess(tmp_path / "second", database_url=sqlite_url)
        one_sentence(second.command("serve"), sqlite_url.removeprefix("sqlite:///"), "another server")
        elsewhere = ServerProcess(tmp_path / "third", settings={"PORT": str(first.port)})
        one_sentence(elsewhere.command("serve"), str(first.port))
        assert httpx.get(f"{first.url}/readyz").status_code == 200


def test_what_serve_prints_is_all_that_a_client_needs(tmp_path: Path) -> None:
    """On nothing at all: it makes its database, an administrator and a token, and keeps the token (0600)."""
    server = ServerProcess(tmp_path, settings={"LOG_LEVEL": "debug"})
    del server.settings["ADMIN_TOKEN"]
    with server:
        exports = re.findall(r"^export (\w+)=(\S+)$", server.log, re.MULTILINE)
        assert [name for name, _ in exports] == ["DATAROBOT_ENDPOINT", "DATAROBOT_API_TOKEN"]
        endpoint, token = (value for _, value in exports)
        assert endpoint == f"{server.url}/api/v2"
        file = server.data_dir / "admin-token"
        assert file.read_text().strip() == token
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert len(token) >= 40

        def account() -> httpx.Response:
            return httpx.get(f"{endpoint}/account/info/", headers={"authorization": f"Bearer {token}"})

        before = account().json()
        httpx.post(f"{endpoint}/workloads", headers={"authorization": f"Bearer {token}"}, content=b"{")
        server.restart()
        assert account().json() == before, "a second start makes no second administrator"
        used = server.command("token", "list").stdout
        assert re.search(r"admin .* last used 20\d\d-", used), used
        told = [line for line in server.log.splitlines() if token in line]
        assert told == [f"export DATAROBOT_API_TOKEN={token}"] * 2, "the token is nowhere else in the log"
        assert "request" in server.log
        with closing(sqlite3.connect(server.data_dir / "workload-api.sqlite3")) as database:
            assert token.encode() not in "\n".join(database.iterdump()).encode()


@pytest.mark.parametrize("log_format", ["console", "json"])
async def test_a_fault_tells_the_client_nothing_and_the_log_no_secrets(
    tmp_path: Path, sqlite_url: str, log_format: str
) -> None:
    with ServerProcess(tmp_path, database_url=sqlite_url, settings={"LOG_FORMAT": log_format}) as server:
        with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as database:
            database.execute("DROP TABLE shared_roles")
            database.commit()
        body = idle_artifact("faulty")
        container = body["spec"]["containerGroups"][0]["containers"][0]
        container["environmentVars"] = [{"name": "PASSWORD", "value": "hunter2"}]
        async with server.client(timeout=5) as client:
            answer = await client.post("/artifacts", json=body)
            found = problem(answer, 500)
            assert found["code"] == "INTERNAL_ERROR"
            assert not re.search("sql|shared_roles|Traceback", answer.text, re.IGNORECASE)
            assert (await client.get("/version/")).status_code == 200, "also on the same connection"
        assert answer.headers["x-request-id"] in server.log
        assert server.log.count("no such table: shared_roles") <= 2
        assert "shared_roles" in server.log
        assert "hunter2" not in server.log
        assert [line for line in server.log.splitlines() if server.token in line] == [
            f"export DATAROBOT_API_TOKEN={server.token}"
        ]


async def test_a_postgresql_schema_that_does_not_fit_is_refused(tmp_path: Path, empty_postgresql_url: str) -> None:
    server = ServerProcess(tmp_path, database_url=empty_postgresql_url)
    one_sentence(server.command("serve"), "empty", "workload-api migrate")
    one_sentence(server.command("user", "list"), "empty", "workload-api migrate")
    first, second = server.command("migrate"), server.command("migrate")
    assert (first.returncode, second.returncode) == (0, 0)
    assert "up to date" in second.stdout
    connection = await asyncpg.connect(empty_postgresql_url)
    await connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    await connection.close()
    one_sentence(await asyncio.to_thread(server.command, "serve"), "ffffffffffff", "newer")


async def test_several_server_processes_on_postgresql(tmp_path: Path, postgresql_url: str) -> None:
    """Each answers on the one port, what one changes the others know, and all end together."""
    with ServerProcess(tmp_path, database_url=postgresql_url, settings={"WORKERS": "2"}) as server:

        def workers() -> list[psutil.Process]:
            children = psutil.Process(server.pid).children()
            return [child for child in children if "spawn_main" in " ".join(child.cmdline())]

        def all_listen() -> bool:
            return len(workers()) == 2 and all(worker.net_connections("tcp") for worker in workers())

        await until(all_listen, 20)
        async with server.client() as client:
            made = await create(client)
            await reach(client, made["id"], "launching")
        for number in range(10):
            async with server.client() as client:  # each a connection of its own, so that both workers get some
                answer = await client.patch(f"/workloads/{made['id']}", json={"name": f"name {number}"})
                assert answer.status_code == 200, answer.text
        answers = await asyncio.gather(*(promote(server, made["id"]) for _ in range(10)))
        assert sorted(answers) == [202] + [422] * 9
        started = workers()
        server.terminate()
        assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in started)


async def promote(server: ServerProcess, workload_id: str) -> int:
    async with server.client() as client:
        return (await client.post(f"/workloads/{workload_id}/promote")).status_code


def test_migrate_and_version(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path)
    first, second = server.command("migrate"), server.command("migrate")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr
    assert "up to date" not in first.stdout
    assert "up to date" in second.stdout
    assert (server.data_dir / "workload-api.sqlite3").exists()
    said = server.command("version")
    assert (said.returncode, said.stdout.strip()) == (0, version("workload-api"))
    script = Path(sys.executable).with_name("workload-api")
    if os.access(script, os.X_OK):
        again = subprocess.run([script, "version"], capture_output=True, text=True, check=True)
        assert again.stdout == said.stdout
