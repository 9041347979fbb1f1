"""Making what runs match a proton's spec; one pass at a time, everything it knows is on disk."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from workload_api.runtimes.protocol import ContainerSpec, GroupSpec, ProtonSpec

from .files import (
    ContainerFiles,
    Record,
    ReplicaFiles,
    lock_is_held,
    make_directory,
    proton_directory,
    read_container,
    read_record,
    replica_directory,
    replicas_of,
    write_record,
)
from .launch import Launcher, write_replica
from .logs import drop_old_logs
from .observing import how_it_ended
from .probing import Target
from .stopping import advance_stop, ask_to_stop, kill_supervisor, mark_stopping, sweep

log = structlog.get_logger(__name__)

LAUNCH_SECONDS = 10.0
"""How long a supervisor may take to start its command."""
FULL_CHECK_SECONDS = 2.0
"""How often the lock of a container is looked at whose supervisor seems to be there."""


@dataclass(frozen=True, slots=True)
class BackOff:
    """How long a container that ended waits to be started again; all in seconds."""

    initial: float
    maximum: float
    reset_after: float
    """A start that lasted this long makes the next wait the initial one again."""

    def after(self, crashes: int) -> float:
        """The wait after so many ends in a row: twice as long each time."""
        return float(min(self.maximum, self.initial * 2 ** min(crashes - 1, 40)))


@dataclass(slots=True)
class Outcome:
    """What a pass over a proton found."""

    targets: dict[Path, Target]
    """What runs, by the container's directory."""
    settled: bool
    """Everything runs, and nothing is left to be stopped."""


@dataclass(frozen=True, slots=True)
class _Seen:
    supervisor: int
    state: Record
    checked_at: float


def find_fault(proton: ProtonSpec) -> str | None:
    """Why a proton can never run in this runtime, or ``None``."""
    for group in proton.groups:
        for container in group.containers:
            if not container.entrypoint:
                return (
                    f"Container {container.name!r} of group {group.name!r} has no entrypoint: give the container an "
                    "`entrypoint` (the command to run); the process runtime records images but does not run them."
                )
    return None


def _metas(proton: ProtonSpec, group: GroupSpec) -> list[Record]:
    return [
        {
            "name": container.name,
            "image": container.image,
            "primary": container.primary,
            "probed": _needs_port(proton, group, container)
            or any((container.readiness_probe, container.liveness_probe, container.startup_probe)),
        }
        for container in group.containers
    ]


def _needs_port(proton: ProtonSpec, group: GroupSpec, container: ContainerSpec) -> bool:
    """The endpoint's group must be reachable; a further group (workers, say) only if it declares a port."""
    return container.primary and (group is proton.groups[0] or container.port is not None)


class Reconciler:
    """Drives the protons of one state directory. Its methods block for short and are called from threads."""

    def __init__(self, state_dir: Path, launcher: Launcher, back_off: BackOff) -> None:
        """Take the directory, who starts containers there, and how long an ended one waits."""
        self._state_dir = state_dir
        self._launcher = launcher
        self._back_off = back_off
        self._seen: dict[Path, _Seen] = {}

    def reconcile(self, proton: ProtonSpec) -> Outcome:
        """Make one pass over a proton: start what is missing or due again, go on stopping what is too much.

        Raises:
            OSError: Files cannot be written or no process can be made; what was done stays, call again.
        """
        directory = proton_directory(self._state_dir, proton.proton_id)
        fault = find_fault(proton)
        self._note_fault(directory, proton, fault)
        counts = {} if fault else {group.name: group.replica_count for group in proton.groups}
        kept: dict[tuple[str, int], ReplicaFiles] = {}
        going: set[tuple[str, int]] = set()
        outcome = Outcome({}, True)
        for replica in replicas_of(directory):
            key = (replica.group, replica.index)
            current = replica.generation == proton.generation
            if current and replica.stopping is None and replica.index < counts.get(replica.group, 0):
                kept[key] = replica
            elif advance_stop(mark_stopping(replica, proton.grace_seconds)):
                outcome.settled = False
                if current:
                    going.add(key)
        for group in proton.groups:
            for index in range(counts.get(group.name, 0)):
                key = (group.name, index)
                if key not in going:
                    self._drive_replica(proton, group, kept.get(key), index, outcome)
        return outcome

    def forget(self, proton_id: str) -> None:
        """Let go of what is remembered of a proton; its replicas stay as they are."""
        directory = proton_directory(self._state_dir, proton_id)
        for path in [path for path in self._seen if path.is_relative_to(directory)]:
            self._seen.pop(path, None)

    @staticmethod
    def _note_fault(directory: Path, proton: ProtonSpec, fault: str | None) -> None:
        path = directory / "fault.json"
        noted = read_record(path)
        if fault is None:
            if noted is not None:
                path.unlink(missing_ok=True)
        elif noted is None or noted["fault"] != fault:
            log.warning("proton_cannot_run", proton_id=proton.proton_id, fault=fault)
            make_directory(directory)
            write_record(path, {"fault": fault})

    def _drive_replica(
        self, proton: ProtonSpec, group: GroupSpec, replica: ReplicaFiles | None, index: int, outcome: Outcome
    ) -> None:
        metas = _metas(proton, group)
        if replica is None:
            path = replica_directory(self._state_dir, proton.proton_id, proton.generation, group.name, index)
            meta: Record = {
                "proton_id": proton.proton_id,
                "workload_id": proton.workload_id,
                "generation": proton.generation,
                "group": group.name,
                "index": index,
                "created_at": time.time(),
                "containers": metas,
            }
            replica = ReplicaFiles(make_directory(path), write_replica(self._state_dir, path, meta), None)
            drop_old_logs(proton_directory(self._state_dir, proton.proton_id), proton.generation)
            log.info("replica_created", replica=replica.name, generation=proton.generation, port=replica.meta["port"])
        elif replica.meta["containers"] != metas:
            replica = ReplicaFiles(replica.path, {**replica.meta, "containers": metas}, None)
            write_record(replica.path / "replica.json", replica.meta)
        for container in group.containers:
            state = self._drive_container(proton, group, container, replica)
            if state is None:
                outcome.settled = False
                continue
            path = replica.container(container.name)
            outcome.targets[path] = Target(
                replica_path=replica.path,
                replica=replica.name,
                directory=path,
                run_id=state["run_id"],
                started_at=state["started_at"],
                port=state["port"],
                needs_port=_needs_port(proton, group, container),
                container=container,
                grace_seconds=proton.grace_seconds,
            )

    def _drive_container(
        self, proton: ProtonSpec, group: GroupSpec, container: ContainerSpec, replica: ReplicaFiles
    ) -> Record | None:
        """Start a container if it is due. Returns the record of its running command, or ``None``."""
        path = replica.container(container.name)
        seen = self._seen.get(path)
        if seen is not None and _seems_alive(path, seen):
            return seen.state
        files = read_container(path)
        if files.running and files.state is not None:
            if (stop := files.stop) is not None:
                # Asked to end (found unhealthy); whoever asked may have died before the signal was sent.
                ask_to_stop(files, stop["grace_seconds"], stop["reason"], stop["message"])
            self._seen[path] = _Seen(int(files.state["supervisor_pid"]), files.state, time.monotonic())
            return files.state
        self._seen.pop(path, None)
        if files.held:
            # Starting, or just ending. It is waited for: another start would be refused the lock anyway.
            late = files.launch is not None and time.time() - files.launch["launched_at"] > LAUNCH_SECONDS
            if late and files.state is None and files.exit is None:
                kill_supervisor(files)
            return None
        restarts = 0
        if files.run_id is not None:
            if not self._may_start_again(files, replica, container):
                return None
            restarts = files.restarts + 1
            others = [replica.container(other.name) for other in group.containers if other is not container]
            if not any(lock_is_held(other / "lock") for other in others):
                # Nobody else of the replica relies on the old port, which may have been taken by now.
                meta = {name: value for name, value in replica.meta.items() if name != "port"}
                replica = ReplicaFiles(replica.path, write_replica(self._state_dir, replica.path, meta), None)
        if self._launcher.launch(proton, container, replica, restarts):
            log.info("container_started", replica=replica.name, container=container.name, restarts=restarts)
        return None

    def _may_start_again(self, files: ContainerFiles, replica: ReplicaFiles, container: ContainerSpec) -> bool:
        """Tell whether a container that ended is due again; notes the back-off when it is first seen ended."""
        assert files.run_id is not None and files.launch is not None
        now = time.time()
        restart = files.restart
        if restart is None:
            if files.exit is None and sweep(files.run_id):
                return False  # What its killed supervisor left must be gone first.
            seconds = now - files.launch["launched_at"] if files.exit is None else files.exit["seconds"]
            earlier = read_record(files.path / "restart.json") or {"crashes": 0}
            crashes = 1 if seconds >= self._back_off.reset_after else int(earlier["crashes"]) + 1
            delay = self._back_off.after(crashes)
            restart = {
                "run_id": files.run_id,
                "crashes": crashes,
                "delay_seconds": delay,
                "not_before": now + delay,
            }
            write_record(files.path / "restart.json", restart)
            code, reason, message = how_it_ended(files)
            log.warning(
                "container_ended",
                replica=replica.name,
                container=container.name,
                exit_code=code,
                reason=reason,
                message=message,
                back_off_seconds=delay,
            )
        # Clearly longer than the whole wait is left only if the clock was set back.
        return not 0 < restart["not_before"] - now < restart["delay_seconds"] + 1


def _seems_alive(path: Path, seen: _Seen) -> bool:
    """Look cheaply whether a supervisor that was there a moment ago still is."""
    if time.monotonic() - seen.checked_at > FULL_CHECK_SECONDS:
        return False
    try:
        os.kill(seen.supervisor, 0)
    except OSError:
        return False
    return not os.path.exists(path / "exit.json")
