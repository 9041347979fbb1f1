"""The tests' server process: it leaves nothing behind, and says why it did not start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.payloads import workload
from tests.support.server import ServerProcess
from tests.support.waiting import until


def gone(process: psutil.Process) -> bool:
    """Whether a process has ended; nobody may have collected its exit code yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_replicas_outlive_a_kill_but_not_the_close(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        async with server.client() as client:
            made = (await client.post("/workloads", json=workload())).json()
            endpoint = f"/endpoints/workloads/{made['id']}/"

            async def pid() -> int:
                answer = await client.get(endpoint)
                assert answer.status_code == 200, answer.text
                return int(answer.json()["pid"])

            replica = psutil.Process(await until(pid))
            spawned = psutil.Process((await client.post(f"{endpoint}spawn")).json()["pid"])
        server.kill()
        assert not psutil.pid_exists(server.pid)
        assert replica.is_running() and spawned.is_running()
        assert {replica.pid, spawned.pid} <= {process.pid for process in server.left_behind()}
        server.start()
        assert server.terminate() in (0, -signal.SIGTERM)
        assert replica.is_running()
    assert server.left_behind() == []
    assert gone(replica) and gone(spawned)


async def test_nothing_is_left_when_the_tests_are_killed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.support.server import ServerProcess; "
        "server = ServerProcess(Path(sys.argv[1])); server.start(); print(server.pid, flush=True); sys.stdin.read()"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        text=True,
    )
    with owner:
        assert owner.stdout is not None
        server = psutil.Process(int(owner.stdout.readline()))
        os.kill(owner.pid, signal.SIGKILL)
        await until(lambda: gone(server), what="the server is gone")


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match=r"ended with \d[\s\S]*DRAFT_TTL"),
        ServerProcess(tmp_path, settings={"DRAFT_TTL": "never"}),
    ):
        pass


@pytest.mark.parametrize("turn", [1, 2])
async def test_a_shared_server_is_started_once(
    shared_server: ServerProcess, shared_client: httpx.AsyncClient, turn: int
) -> None:
    assert (await shared_client.get("/version/")).status_code == 200
    assert shared_server.log.count("export DATAROBOT_ENDPOINT") == 1
