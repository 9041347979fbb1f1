"""The tests' own tools."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.support.payloads import ECHO
from tests.support.ports import free_port
from tests.support.postgresql import PostgreSQL
from tests.support.waiting import until

pytest_plugins = ["pytester"]


async def tables(url: str) -> int:
    """How many tables a database has."""
    connection = await asyncpg.connect(url)
    try:
        count: int = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        return count
    finally:
        await connection.close()


async def test_databases_are_fresh_and_apart(
    postgresql: PostgreSQL, postgresql_url: str, empty_postgresql_url: str
) -> None:
    assert await tables(postgresql_url) > 5
    assert await tables(empty_postgresql_url) == 0
    connection = await asyncpg.connect(empty_postgresql_url)
    try:
        await connection.execute("CREATE TABLE mine ()")
    finally:
        await connection.close()
    another = postgresql.create(migrated=False)
    assert await tables(another) == 0
    postgresql.drop(another)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await tables(another)


@pytest.mark.postgresql
async def test_postgresql_goes_with_the_process_that_started_it() -> None:
    code = (
        "import sys; from tests.support.postgresql import PostgreSQL; "
        "print(PostgreSQL().url_of('postgres'), flush=True); sys.stdin.read()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ECHO.parents[3], text=True
    )
    assert owner.stdout is not None and owner.stdin is not None
    url = owner.stdout.readline().strip()
    connection = await asyncpg.connect(url)
    folder = Path(await connection.fetchval("SHOW data_directory")).parent
    await connection.close()
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    await until(lambda: not folder.exists(), what="the server's folder is gone")
    with pytest.raises(OSError):
        await asyncpg.connect(url)
    owner.stdin.close()
    owner.stdout.close()


async def test_until_says_what_it_last_saw() -> None:
    seen: list[int] = []

    def third_time() -> bool:
        seen.append(1)
        return len(seen) == 3

    assert await until(third_time, interval=0) is True
    with pytest.raises(AssertionError, match=r"the moon.*last: 0"):
        await until(lambda: 0, timeout=0.01, interval=0.001, what="the moon")


def test_what_is_left_out_is_said_loudly(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makeconftest("from tests.conftest import *")
    pytester.makepyfile("import pytest\n@pytest.mark.browser\ndef test_a(): pass\ndef test_b(): pass")
    ini = "[pytest]\nmarkers =\n    browser: x\n    docker: x\n    postgresql: x\n"
    pytester.makeini(f"{ini}pythonpath = {ECHO.parents[3]}\n")
    monkeypatch.setenv("PATH", str(pytester.path))
    monkeypatch.delenv("TEST_CHROMIUM", raising=False)
    monkeypatch.delenv("WORKLOAD_API_TEST_REQUIRE", raising=False)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*LEFT OUT: 1 browser tests (no chromium*"])
    monkeypatch.setenv("WORKLOAD_API_TEST_REQUIRE", "browser")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*browser is required here*"])


async def test_echo() -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(ECHO)], env={"PORT": str(port), "WORKLOAD_ID": "w1"}, stdout=subprocess.DEVNULL
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:

            async def answers() -> bool:
                try:
                    return (await client.get("/health")).status_code == 200
                except httpx.TransportError:
                    return False

            await until(answers)
            assert (await client.get("/")).json() == {
                "pid": process.pid,
                "workload_id": "w1",
                "proton_id": None,
                "version": None,
            }

            async def pieces() -> AsyncIterator[bytes]:
                for piece in (b"ab", b"c"):
                    yield piece

            answer = (await client.put("/echo/a%20b?x=1", content=pieces(), headers={"X-One": "1"})).json()
            assert (answer["method"], answer["path"]) == ("PUT", "/echo/a b")
            assert (answer["query"], answer["body"]) == ("x=1", "abc")
            assert ["X-One", "1"] in answer["headers"]
            assert (await client.get("/stream?n=3")).text == "0\n1\n2\n"
            assert (await client.get("/status/204")).status_code == 204
            assert (await client.get("/nothing")).status_code == 404
            with pytest.raises(httpx.TransportError):
                await client.get("/crash?code=3")
            assert process.wait(10) == 3
    finally:
        process.kill()
        process.wait()
