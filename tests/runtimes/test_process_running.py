"""Starting, observing, scaling and stopping replicas."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace

import pytest

from tests.runtimes.process_support import Bench, alive, ask, kill, left_over
from tests.support.waiting import until
from workload_api.runtimes.process import ProcessRuntime
from workload_api.runtimes.process.launch import SUPERVISOR
from workload_api.runtimes.protocol import GroupSpec


async def test_a_replica_gets_ready_and_answers_at_its_address(bench: Bench) -> None:
    proton = bench.proton()
    await bench.runtime.apply(proton)
    (replica,) = await bench.ready(proton)
    assert ask(replica.address)["pid"] == replica.containers[0].pid
    assert replica.name == f"{proton.proton_id}-default-0"
    assert (replica.phase, replica.group, replica.index, replica.generation) == ("running", "default", 0, 1)
    assert replica.containers[0].image == "registry.example/app:1"
    assert replica.containers[0].state == "running"
    assert {condition.type: condition.met for condition in replica.conditions} == {
        "PodScheduled": True,
        "Initialized": True,
        "ContainersReady": True,
        "Ready": True,
    }
    assert await bench.runtime.known() == {proton.proton_id}


async def test_applying_the_same_again_changes_nothing(bench: Bench) -> None:
    proton = bench.proton(replicas=2)
    await bench.runtime.apply(proton)
    before = await bench.ready(proton, 2)
    await bench.runtime.apply(replace(proton))
    # A second proton that gets ready shows that passes over the first went by.
    other = bench.proton()
    await bench.runtime.apply(other)
    await bench.ready(other)
    assert await bench.replicas(proton) == before
    assert len(bench.pids()) == 3


async def test_the_environment_is_the_containers_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKLOAD_API_ADMIN_TOKEN", "not for replicas")
    monkeypatch.setenv("DATABASE_URL", "not for replicas")
    container = bench.container("port=$(PORT)", "name=$(GREETING)-$(NOBODY)-$$(PORT)", environment={"GREETING": "hi"})
    proton = bench.proton(container)
    await bench.runtime.apply(proton)
    (replica,) = await bench.ready(proton)
    answer = ask(replica.address)
    environment = answer["environment"]
    port = replica.address.removeprefix("127.0.0.1:")
    assert answer["arguments"][1:] == [f"port={port}", "name=hi-$(NOBODY)-$(PORT)"]
    assert environment["GREETING"] == "hi"
    assert environment["WORKLOAD_ID"] == proton.workload_id
    assert environment["PROTON_ID"] == proton.proton_id
    assert environment["PORT"] == port
    assert answer["directory"] == environment["HOME"]
    extra = {"PATH", "HOME", "LANG", "TMPDIR", "WORKLOAD_RUN_ID", "LC_CTYPE"}
    assert set(environment) - extra == {"GREETING", "WORKLOAD_ID", "PROTON_ID", "PORT"}
    # Neither the lock nor a pipe of the supervisor's: three streams, the listener, the connection, the listing.
    assert len(answer["files"]) <= 6


async def test_secrets_are_nowhere_on_disk_or_on_the_supervisors_command_line(bench: Bench) -> None:
    proton = bench.proton(bench.container("word=$(SECRET)", environment={"SECRET": "correct-horse"}))
    await bench.runtime.apply(proton)
    await bench.ready(proton)
    files = [path for path in bench.state_dir.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if b"correct-horse" in path.read_bytes()] == []
    supervisors = [process for process in left_over(bench.state_dir) if "supervisor.py" in " ".join(process.cmdline())]
    assert len(supervisors) == 1
    assert "correct-horse" not in " ".join([*supervisors[0].cmdline(), *supervisors[0].environ().values()])
    for path in [bench.state_dir, *bench.state_dir.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


async def test_each_replica_has_a_port_of_its_own(bench: Bench) -> None:
    proton = bench.proton(replicas=3)
    await bench.runtime.apply(proton)
    replicas = await bench.ready(proton, 3)
    assert len({replica.address for replica in replicas}) == 3
    assert [replica.index for replica in replicas] == [0, 1, 2]


async def test_scaling_up_and_down_keeps_the_others(bench: Bench) -> None:
    proton = bench.proton()
    await bench.runtime.apply(proton)
    (first,) = await bench.ready(proton)
    group = proton.groups[0]
    await bench.runtime.apply(replace(proton, groups=(replace(group, replica_count=3),)))
    three = await bench.ready(proton, 3)
    assert three[0].containers[0].pid == first.containers[0].pid
    await bench.runtime.apply(proton)
    one = await bench.ready(proton, 1)
    assert one == (first,)
    assert not alive(three[1].containers[0].pid or 0)
    assert not alive(three[2].containers[0].pid or 0)


async def test_a_new_generation_and_a_gone_group_replace_what_was(bench: Bench) -> None:
    further = GroupSpec("workers", 1, (bench.container("idle=1"),))
    proton = bench.proton(further=(further,))
    await bench.runtime.apply(proton)
    old = await bench.ready(proton, 2)
    await bench.runtime.apply(bench.proton(proton_id=proton.proton_id, generation=2))
    (new,) = await bench.ready(replace(proton, generation=2), 1)
    assert new.containers[0].pid not in [replica.containers[0].pid for replica in old]
    assert not any(alive(replica.containers[0].pid or 0) for replica in old)


async def test_a_further_group_without_a_port_is_ready_when_it_runs(bench: Bench) -> None:
    proton = bench.proton(further=(GroupSpec("a.group/of.workers", 1, (bench.container("idle=1"),)),))
    await bench.runtime.apply(proton)
    replicas = await bench.ready(proton, 2)
    assert [replica.group for replica in replicas] == ["a.group/of.workers", "default"]


async def test_removal_gives_the_app_time_to_end(bench: Bench) -> None:
    proton = bench.proton(bench.container("say-term=1"), replicas=2)
    await bench.runtime.apply(proton)
    await bench.ready(proton, 2)
    await bench.runtime.remove(proton.proton_id, 20)
    assert left_over(bench.state_dir) == []
    assert await bench.replicas(proton) == ()
    assert await bench.runtime.known() == frozenset()
    assert (await bench.runtime.tail(proton.proton_id)).count("goodbye") == 2
    await bench.runtime.remove(proton.proton_id, 20)
    await bench.runtime.forget(proton.proton_id)
    assert await bench.runtime.tail(proton.proton_id) == []
    assert not (bench.state_dir / proton.proton_id).exists()


async def test_what_ignores_sigterm_is_killed_with_its_whole_tree(bench: Bench) -> None:
    proton = bench.proton(bench.container("ignore-term=1", "fork=group apart"))
    await bench.runtime.apply(proton)
    await bench.ready(proton)
    pids = bench.pids()
    assert len(pids) == 3 and all(alive(pid) for pid in pids)
    await bench.runtime.remove(proton.proton_id, 0.3)
    assert not any(alive(pid) for pid in pids)


async def test_children_do_not_outlive_a_command_that_ends_in_time(bench: Bench) -> None:
    proton = bench.proton(bench.container("fork=group apart"))
    await bench.runtime.apply(proton)
    await bench.ready(proton)
    pids = bench.pids()
    await bench.runtime.remove(proton.proton_id, 60)
    assert len(pids) == 3 and not any(alive(pid) for pid in pids)


async def test_removing_what_never_was_succeeds(bench: Bench) -> None:
    await bench.runtime.remove("0" * 24, 10)
    observed = (await bench.runtime.observe(["0" * 24]))["0" * 24]
    assert (observed.replicas, observed.fault) == ((), None)
    assert await bench.runtime.tail("0" * 24) == []
    assert await bench.runtime.logs("0" * 24, {}, 10) == []


async def test_a_removed_proton_can_be_applied_again(bench: Bench) -> None:
    proton = bench.proton()
    await bench.runtime.apply(proton)
    (before,) = await bench.ready(proton)
    await bench.runtime.remove(proton.proton_id, 5)
    await bench.runtime.apply(proton)
    (after,) = await bench.ready(proton)
    assert after.containers[0].pid != before.containers[0].pid


async def test_forgetting_a_proton_that_runs_is_refused(bench: Bench) -> None:
    proton = bench.proton()
    await bench.runtime.apply(proton)
    await bench.ready(proton)
    with pytest.raises(RuntimeError, match="remove it first"):
        await bench.runtime.forget(proton.proton_id)


@pytest.mark.parametrize("proton_id", ["", "..", "a/b", "a\n"])
async def test_an_id_cannot_climb_out_of_the_directory(bench: Bench, proton_id: str) -> None:
    proton = replace(bench.proton(), proton_id=proton_id)
    with pytest.raises(ValueError, match="not the id"):
        await bench.runtime.apply(proton)


async def test_a_container_without_entrypoint_is_a_fault_and_starts_nothing(bench: Bench) -> None:
    proton = bench.proton(bench.container(), bench.container(name="side", primary=False, entrypoint=None))
    await bench.runtime.apply(proton)

    async def fault() -> str | None:
        return (await bench.runtime.observe([proton.proton_id]))[proton.proton_id].fault

    text = await until(fault)
    assert text is not None and "entrypoint" in text and "'side'" in text
    assert await bench.replicas(proton) == ()
    assert await bench.runtime.known() == frozenset()
    assert bench.pids() == []
    # With one it runs, and the fault is gone.
    mended = replace(proton, groups=(replace(proton.groups[0], containers=(bench.container(),)),))
    await bench.runtime.apply(mended)
    await bench.ready(mended)
    assert await fault() is None


async def test_an_app_that_ignores_PORT_is_reached_at_its_declared_port(bench: Bench) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    proton = bench.proton(bench.container(f"port={port}", port=port))
    await bench.runtime.apply(proton)
    (replica,) = await bench.ready(proton)
    assert replica.address == f"127.0.0.1:{port}"
    assert ask(replica.address)["pid"] == replica.containers[0].pid


async def test_a_foreign_process_on_the_declared_port_is_not_taken_for_the_app(bench: Bench) -> None:
    with socket.socket() as foreign:
        foreign.bind(("127.0.0.1", 0))
        foreign.listen()
        foreign.setblocking(False)
        proton = bench.proton(bench.container("idle=1", port=foreign.getsockname()[1]))
        await bench.runtime.apply(proton)
        ready: set[bool] = set()
        tries = 0

        async def tried_often() -> bool:
            nonlocal tries
            with suppress(BlockingIOError):
                foreign.accept()[0].close()
                tries += 1
            ready.update(replica.ready for replica in await bench.replicas(proton))
            return tries >= 3

        await until(tried_often)
        assert ready == {False}


async def test_two_runtimes_see_the_same_and_never_start_twins(bench: Bench) -> None:
    other = ProcessRuntime(bench.state_dir)
    await other.start()
    try:
        proton = bench.proton(replicas=2)
        await bench.runtime.apply(proton)
        await other.apply(proton)
        seen = await bench.ready(proton, 2)
        pids = [replica.containers[0].pid for replica in seen]
        assert [replica.containers[0].pid for replica in await bench.ready(proton, 2, other)] == pids
        assert sorted(bench.pids()) == sorted(pid or 0 for pid in pids)
        await other.release(proton.proton_id)
        assert await bench.replicas(proton, other) == await bench.replicas(proton)
        # Only the one that still drives it starts again what ends.
        kill(pids[0] or 0)

        async def again() -> bool:
            return (await bench.ready(proton, 2))[0].containers[0].restarts == 1

        await until(again)
        assert len(bench.pids()) == 3
    finally:
        await other.close()


async def test_names_of_containers_are_safe_as_files(bench: Bench) -> None:
    names = ["..", ".work", "a/b", "x" * 300]
    containers = [bench.container("idle=1", name=name, primary=False) for name in names]
    proton = bench.proton(bench.container(), *containers)
    await bench.runtime.apply(proton)
    (replica,) = await bench.ready(proton)
    assert [container.name for container in replica.containers] == ["main", *names]
    assert {path.name for path in bench.path.iterdir()} == {"app.py", "pids", "state"}


def test_importing_the_supervisor_needs_nothing_but_the_standard_library() -> None:
    code = f"import runpy, sys; runpy.run_path({str(SUPERVISOR)!r}); print('site' in sys.modules)"
    result = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, cwd=os.sep)
    assert (result.returncode, result.stdout.strip(), result.stderr) == (0, "False", "")
