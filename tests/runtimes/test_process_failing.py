"""Ends, back-off, probes and limits."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from dataclasses import replace

import psutil
import pytest

from tests.runtimes.process_support import Bench, alive, ask, kill, probe
from tests.support.waiting import until
from workload_api.runtimes.process import ProcessRuntime, runtime, stopping
from workload_api.runtimes.process.reconciling import BackOff
from workload_api.runtimes.protocol import ContainerObservation


@pytest.mark.parametrize("code", [0, 4])
async def test_an_end_leads_to_back_off_and_is_counted(bench: Bench, code: int) -> None:
    proton = bench.proton(bench.container(f"exit={code}"))
    await bench.runtime.apply(proton)

    async def crashing() -> bool:
        replica = await bench.first(proton)
        (container,) = replica.containers
        if container.reason != "CrashLoopBackOff":
            return False
        assert (container.state, container.exit_code, container.ready) == ("waiting", code, False)
        assert f"exit code {code}" in (container.message or "")
        return container.restarts >= 2

    await until(crashing)
    assert len(set(bench.pids())) >= 3
    assert await bench.runtime.known() == {proton.proton_id}


def test_each_end_doubles_the_wait_up_to_a_limit() -> None:
    back_off = BackOff(1.0, 300.0, 600.0)
    assert [back_off.after(crashes) for crashes in (1, 2, 3, 9, 10, 10_000)] == [1, 2, 4, 256, 300, 300]


async def test_the_back_off_grows_and_begins_anew_after_a_long_run(bench: Bench) -> None:
    calm = ProcessRuntime(bench.path / "calm", backoff_initial=0.1, backoff_reset_after=0.0)
    await calm.start()
    try:
        proton = bench.proton(bench.container("exit=1"))
        await bench.runtime.apply(proton)
        await calm.apply(proton)

        async def crashing(driver: ProcessRuntime) -> ContainerObservation | None:
            container = (await bench.first(proton, driver)).containers[0]
            return container if container.restarts >= 2 and container.reason == "CrashLoopBackOff" else None

        growing = await until(lambda: crashing(bench.runtime))
        assert growing is not None
        assert f"back-off of {0.2 * 2**growing.restarts:g} s" in (growing.message or "")
        same = await until(lambda: crashing(calm))
        assert same is not None and "back-off of 0.1 s" in (same.message or "")
    finally:
        await calm.remove(proton.proton_id, 0)
        await calm.close()


async def test_a_crashed_replica_is_ready_again_and_the_others_stay(bench: Bench) -> None:
    proton = bench.proton(replicas=2)
    await bench.runtime.apply(proton)
    first, second = await bench.ready(proton, 2)
    with pytest.raises(OSError):
        ask(first.address, "/quit")

    async def again() -> bool:
        replica, _ = await bench.ready(proton, 2)
        return replica.containers[0].restarts == 1

    await until(again)
    assert not [child for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE]
    third, fourth = await bench.replicas(proton)
    assert fourth == second
    assert third.containers[0].pid != first.containers[0].pid
    ready = third.conditions[-1]
    assert ready.type == "Ready" and ready.since > first.conditions[-1].since
    assert ask(third.address)["pid"] == third.containers[0].pid


async def test_one_container_of_a_replica_restarts_alone_and_keeps_the_port(bench: Bench) -> None:
    side = bench.container(f"exit-file={bench.path / 'ended'}", "idle=1", name="side", primary=False)
    proton = bench.proton(bench.container(), side)
    await bench.runtime.apply(proton)
    pids = set()

    async def again() -> bool:
        replica = await bench.first(proton)
        pids.add((replica.containers[0].pid, replica.address) if replica.ready else (None, ""))
        return replica.ready and replica.containers[1].restarts == 1

    await until(again)
    (replica,) = await bench.replicas(proton)
    assert pids - {(None, "")} == {(replica.containers[0].pid, replica.address)}
    assert replica.containers[0].restarts == 0
    ports = [
        json.loads((bench.directory(proton, name) / "state.json").read_text())["port"] for name in ("main", "side")
    ]
    assert [f"127.0.0.1:{port}" for port in ports] == [replica.address] * 2


async def test_a_command_that_does_not_exist_says_so(bench: Bench) -> None:
    proton = bench.proton(bench.container(entrypoint=("no-such-command-anywhere", "secret-word")))
    await bench.runtime.apply(proton)
    container = await bench.container_when(proton, reason="CrashLoopBackOff", exit_code=127)
    assert "no-such-command-anywhere" in (container.message or "")
    assert "secret-word" not in (container.message or "")
    assert (await bench.replicas(proton))[0].phase == "pending"
    assert "no such command" in (await bench.runtime.tail(proton.proton_id))[0]


async def test_a_command_that_may_not_be_executed_says_so(bench: Bench) -> None:
    proton = bench.proton(bench.container(entrypoint=(str(bench.path / "app.py"),)))
    await bench.runtime.apply(proton)
    container = await bench.container_when(proton, reason="CrashLoopBackOff", exit_code=126)
    assert "may not be executed" in (container.message or "")


async def test_the_readiness_probe_decides(bench: Bench) -> None:
    health = bench.path / "health"
    container = bench.container(f"health={health}", port=8080, readiness_probe=probe(port=8080, failure_threshold=2))
    proton = bench.proton(container)
    await bench.runtime.apply(proton)
    seen = await bench.container_when(proton, ready=False, reason="Unhealthy", state="running")
    seen = await bench.container_when(proton, message="Readiness probe failed: HTTP status 503")
    assert seen.restarts == 0
    health.write_text("302")  # Counts as success, and is not followed.
    (replica,) = await bench.ready(proton)
    assert replica.containers[0].message is None
    health.write_text("400")
    await bench.container_when(proton, ready=False, message="Readiness probe failed: HTTP status 400")
    health.write_text("200")
    (after,) = await bench.ready(proton)
    assert (after.containers[0].pid, after.containers[0].restarts) == (seen.pid, 0)


async def test_probe_headers_and_host_are_sent(bench: Bench) -> None:
    record = bench.path / "record"
    sent = probe("/record?a=b", host="app.example", headers={"X-Probe": "yes"})
    proton = bench.proton(bench.container(f"record={record}", readiness_probe=sent))
    await bench.runtime.apply(proton)
    await bench.ready(proton)
    path, headers = json.loads(record.read_text())
    assert (path, headers["Host"], headers["X-Probe"]) == ("/record?a=b", "app.example", "yes")


async def test_a_slow_start_is_waited_for(bench: Bench) -> None:
    proton = bench.proton(bench.container("late=1"))
    await bench.runtime.apply(proton)
    running = await bench.container_when(proton, state="running", ready=False)
    (replica,) = await bench.ready(proton)
    assert replica.containers[0].pid == running.pid
    assert replica.containers[0].restarts == 0


async def test_an_unhealthy_container_is_restarted(bench: Bench) -> None:
    health = bench.path / "health"
    health.write_text("200")
    container = bench.container(
        f"health={health}", liveness_probe=probe(failure_threshold=2), readiness_probe=probe("/")
    )
    proton = bench.proton(container)
    await bench.runtime.apply(proton)
    (before,) = await bench.ready(proton)
    health.write_text("500")
    seen = await bench.container_when(proton, reason="CrashLoopBackOff")
    assert "Unhealthy: Liveness probe failed: HTTP status 500" in (seen.message or "")
    health.write_text("200")
    (after,) = await bench.ready(proton)
    assert after.containers[0].restarts == 1
    assert not alive(before.containers[0].pid or 0)


async def test_the_startup_probe_holds_the_others_back_and_restarts(bench: Bench) -> None:
    health = bench.path / "health"
    container = bench.container(
        f"health={health}",
        startup_probe=probe(failure_threshold=2),
        readiness_probe=probe("/"),
        liveness_probe=probe(failure_threshold=1),
    )
    proton = bench.proton(container)
    await bench.runtime.apply(proton)
    seen = await bench.container_when(proton, reason="CrashLoopBackOff")
    assert "Unhealthy: Startup probe failed" in (seen.message or "")
    health.write_text("200")
    (replica,) = await bench.ready(proton)
    assert replica.containers[0].restarts >= 1


async def test_too_much_memory_kills_the_container(bench: Bench) -> None:
    container = bench.container("eat=100000000", memory_bytes=60_000_000)
    proton = bench.proton(container)
    await bench.runtime.apply(proton)
    seen = await bench.container_when(proton, reason="CrashLoopBackOff")
    assert "OOMKilled" in (seen.message or "") and seen.exit_code == 137


async def test_memory_within_the_limit_is_let_be(bench: Bench) -> None:
    proton = bench.proton(bench.container(memory_bytes=200_000_000))
    await bench.runtime.apply(proton)
    (replica,) = await bench.ready(proton)
    assert replica.containers[0].restarts == 0


async def test_what_a_killed_supervisor_leaves_is_swept_up(bench: Bench) -> None:
    proton = bench.proton(bench.container("fork=group apart"))
    await bench.runtime.apply(proton)
    await bench.ready(proton)
    first = bench.pids()
    kill(json.loads((bench.directory(proton) / "state.json").read_text())["supervisor_pid"])
    await until(lambda: not any(alive(pid) for pid in first))

    async def again() -> bool:
        (replica,) = await bench.ready(proton)
        return replica.containers[0].restarts == 1

    await until(again)


async def test_a_supervisor_that_hangs_does_not_keep_a_proton(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "OVERDUE_SECONDS", 0.2)
    proton = bench.proton(bench.container("fork=group apart"))
    await bench.runtime.apply(proton)
    await bench.ready(proton)
    pids = bench.pids()
    os.kill(json.loads((bench.directory(proton) / "state.json").read_text())["supervisor_pid"], signal.SIGSTOP)
    await bench.runtime.remove(proton.proton_id, 0.1)
    assert len(pids) == 3 and not any(alive(pid) for pid in pids)


async def test_what_cannot_be_stopped_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "STOP_MARGIN_SECONDS", -4.9)
    proton = bench.proton()
    await bench.runtime.apply(proton)
    (replica,) = await bench.ready(proton)
    state = json.loads((bench.directory(proton) / "state.json").read_text())
    os.kill(state["supervisor_pid"], signal.SIGSTOP)
    try:
        with pytest.raises(RuntimeError, match=f"{replica.name}/main.*{state['child_pid']}"):
            await bench.runtime.remove(proton.proton_id, 0.1)
    finally:
        os.kill(state["supervisor_pid"], signal.SIGCONT)
    assert await bench.runtime.known() == {proton.proton_id}
    await bench.runtime.remove(proton.proton_id, 5)
    assert not alive(state["child_pid"])


async def test_a_replica_on_its_way_out_is_not_ready(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "OVERDUE_SECONDS", 60)
    proton = bench.proton(bench.container("say-term=only"), replicas=2, grace_seconds=60)
    await bench.runtime.apply(proton)
    _, second = await bench.ready(proton, 2)
    await bench.runtime.apply(replace(proton, groups=(replace(proton.groups[0], replica_count=1),)))

    async def leaving() -> bool:
        replicas = await bench.replicas(proton)
        return [replica.ready for replica in replicas] == [True, False]

    await until(leaving)

    async def told() -> bool:
        return "goodbye" in await bench.runtime.tail(proton.proton_id)

    await until(told)
    assert alive(second.containers[0].pid or 0)
    # A removal with less patience shortens the grace period that is already running.
    async with asyncio.timeout(30):
        await bench.runtime.remove(proton.proton_id, 0.2)
    assert not alive(second.containers[0].pid or 0)
