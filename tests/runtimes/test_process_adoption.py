"""Replicas outlive the server: a runtime in another process is killed, and a new one goes on."""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import workload_api
from tests.runtimes.process_support import Bench, alive, ask, kill, left_over, probe
from tests.support.waiting import until
from workload_api.runtimes.process import ProcessRuntime, launch
from workload_api.runtimes.protocol import ProtonSpec

HOST = """
import asyncio, os, pickle, signal, sys
from pathlib import Path
from workload_api.runtimes.process import ProcessRuntime, launch

when, proton = sys.argv[2], pickle.loads(Path(sys.argv[3]).read_bytes())
spawn = launch.Launcher._spawn

def dying(*arguments):
    if when == "after":
        spawn(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)

if when != "never":
    launch.Launcher._spawn = staticmethod(dying)

async def main():
    runtime = ProcessRuntime(Path(sys.argv[1]), backoff_initial=0.2)
    await runtime.start()
    await runtime.apply(proton)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@contextmanager
def host(bench: Bench, proton: ProtonSpec, die: str = "never") -> Iterator[subprocess.Popen[bytes]]:
    """Run a runtime with this proton in a process of its own."""
    spec = bench.path / "spec.pickle"
    spec.write_bytes(pickle.dumps(proton))
    environment = os.environ | {"PYTHONPATH": str(Path(workload_api.__file__).parents[1])}
    command = [sys.executable, "-c", HOST, str(bench.state_dir), die, str(spec)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


async def test_replicas_outlive_a_killed_server_and_are_adopted(bench: Bench) -> None:
    container = bench.container(readiness_probe=probe("/", initial_delay_seconds=0))
    proton = bench.proton(container, bench.container("idle=1", name="side", primary=False), replicas=2)
    with host(bench, proton) as server:
        before = await bench.ready(proton, 2)
        kill(server.pid)
        server.wait()
    for replica in before:
        assert ask(replica.address)["pid"] == replica.containers[0].pid
    # Another runtime sees them at once, with address, process and readiness, before anything is applied to it.
    new = ProcessRuntime(bench.state_dir, backoff_initial=0.2)
    await new.start()
    try:
        assert await bench.replicas(proton, new) == before
        assert await new.known() == {proton.proton_id}
        await new.apply(proton)
        # Restarts are the new one's now.
        kill(before[0].containers[0].pid or 0)

        async def again() -> bool:
            first, second = await bench.ready(proton, 2, new)
            assert second == before[1]
            return first.containers[0].restarts == 1

        await until(again)
        assert len(bench.pids()) == 5
    finally:
        await new.remove(proton.proton_id, 5)
        await new.close()
    assert left_over(bench.state_dir) == []


async def test_an_adopted_replica_is_probed_at_once(bench: Bench) -> None:
    health = bench.path / "health"
    health.write_text("503")
    slow = probe(initial_delay_seconds=1, period_seconds=60, failure_threshold=1)
    proton = bench.proton(bench.container(f"health={health}", readiness_probe=slow))
    with host(bench, proton) as server:
        await bench.container_when(proton, reason="Unhealthy")
        kill(server.pid)
        server.wait()
    health.write_text("200")
    began = time.monotonic()
    await bench.runtime.apply(proton)
    await bench.ready(proton)
    assert time.monotonic() - began < 30  # Not a period, nor the delay, later.


async def test_restarts_are_still_counted_after_the_server_was_killed(bench: Bench) -> None:
    proton = bench.proton(bench.container("exit=1"))

    async def restarts() -> int:
        replicas = await bench.replicas(proton)
        return replicas[0].containers[0].restarts if replicas else 0

    async def at_least(count: int) -> bool:
        return await restarts() >= count

    with host(bench, proton) as server:
        await until(lambda: at_least(2))
        kill(server.pid)
        server.wait()

    before = await restarts()
    await bench.runtime.apply(proton)
    await until(lambda: at_least(before + 1))


@pytest.mark.parametrize("die", ["before", "after"])
async def test_a_server_killed_while_it_starts_a_replica_leaves_no_twin(bench: Bench, die: str) -> None:
    proton = bench.proton()
    with host(bench, proton, die) as server:
        assert server.wait(20) == -signal.SIGKILL
    await bench.runtime.apply(proton)
    (replica,) = await bench.ready(proton)
    if die == "after":
        assert replica.containers[0].restarts == 0
    assert bench.pids() == [replica.containers[0].pid]


async def test_a_supervisor_on_its_way_is_waited_for(bench: Bench) -> None:
    proton = bench.proton()
    directory = bench.directory(proton)
    directory.mkdir(parents=True)
    with open(directory / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (directory / "launch.json").write_text(
            json.dumps({"run_id": "early", "launched_at": time.time(), "restarts": 0})
        )
        await bench.runtime.apply(proton)
        seen = await bench.container_when(proton, state="waiting", reason="ContainerCreating")
        assert seen.pid is None
        other = bench.proton()
        await bench.runtime.apply(other)
        await bench.ready(other)
        assert len(bench.pids()) == 1
    await bench.ready(proton)


async def test_a_supervisor_that_never_starts_its_command_is_killed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = bench.path / "hanging" / "supervisor.py"
    hanging.parent.mkdir()
    # The supervisor itself hangs; the test does not wait for it.
    hanging.write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setattr(launch, "SUPERVISOR", hanging)
    proton = bench.proton()
    await bench.runtime.apply(proton)
    (stuck,) = await until(lambda: left_over(bench.state_dir))
    monkeypatch.undo()
    seen = await bench.container_when(proton, state="waiting", reason="ContainerCreating")
    assert seen.restarts == 0
    record = bench.directory(proton) / "launch.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"launched_at": time.time() - 60}))
    (replica,) = await bench.ready(proton)
    assert not alive(stuck.pid)
    assert bench.pids() == [replica.containers[0].pid]


async def test_a_half_done_removal_is_gone_on_with(bench: Bench) -> None:
    proton = bench.proton(bench.container("ignore-term=1"))
    with host(bench, proton) as server:
        (replica,) = await bench.ready(proton)
        kill(server.pid)
        server.wait()
    path = bench.directory(proton).parent / "stopping.json"
    path.write_text(json.dumps({"grace_seconds": 0.3, "deadline": time.time() + 0.3}))
    (seen,) = await bench.replicas(proton)
    assert not seen.ready
    # The server that is told to run it lets the old one go, and then starts it anew.
    await bench.runtime.apply(proton)
    (after,) = await bench.ready(proton)
    assert after.containers[0].pid != replica.containers[0].pid
    assert not alive(replica.containers[0].pid or 0)


async def test_known_lists_orphans_of_an_earlier_server(bench: Bench) -> None:
    proton = bench.proton(bench.container("say-term=1"))
    with host(bench, proton) as server:
        (replica,) = await bench.ready(proton)
        kill(server.pid)
        server.wait()
    assert await bench.runtime.known() == {proton.proton_id}
    await bench.runtime.remove(proton.proton_id, 5)
    assert await bench.runtime.known() == frozenset()
    assert not alive(replica.containers[0].pid or 0)
    assert await bench.runtime.tail(proton.proton_id) == ["", "goodbye"]


async def test_a_closed_runtime_leaves_its_replicas_alone(bench: Bench) -> None:
    first = ProcessRuntime(bench.state_dir)
    await first.start()
    proton = bench.proton()
    await first.apply(proton)
    before = await bench.ready(proton, runtime=first)
    await first.close()
    await bench.runtime.apply(proton)
    other = bench.proton()
    await bench.runtime.apply(other)
    await bench.ready(other)
    assert await bench.replicas(proton) == before
