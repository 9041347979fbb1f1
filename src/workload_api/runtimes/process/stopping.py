"""Ending containers and replicas, and making sure that nothing of them is left."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import structlog

from .files import (
    TRASH,
    ContainerFiles,
    Record,
    ReplicaFiles,
    make_directory,
    read_container,
    read_record,
    take_lock,
    write_record,
)
from .launch import RUN_VARIABLE, SUPERVISOR
from .supervisor import start_ticks

log = structlog.get_logger(__name__)

REPEAT_SECONDS = 1.0
"""After this time SIGTERM is sent again, in case its sender died before the first one."""
OVERDUE_SECONDS = 5.0
"""A supervisor that has not ended this long after the grace period is killed itself."""


def ask_to_stop(
    files: ContainerFiles, grace_seconds: float, reason: str | None = None, message: str | None = None
) -> None:
    """Have a container's supervisor end its command: SIGTERM now, SIGKILL after the grace period.

    Args:
        files: The container.
        grace_seconds: Seconds until SIGKILL; of several requests the earliest end counts.
        reason: What the end is to be put down to (``Unhealthy``), if it is not to be put down to the exit code.
        message: A sentence that goes with the reason.
    """
    if files.state is None:
        return
    stop, now = files.stop, time.time()
    if stop is not None and stop["grace_seconds"] <= grace_seconds and now - stop["asked_at"] < REPEAT_SECONDS:
        return
    request: Record = {
        "run_id": files.run_id,
        "grace_seconds": grace_seconds,
        "asked_at": now,
        "reason": reason,
        "message": message,
    }
    write_record(files.path / "stop.json", request)
    _signal_exactly(files.state["supervisor_pid"], files.state["supervisor_start"], signal.SIGTERM)


def kill_supervisor(files: ContainerFiles) -> None:
    """Kill a supervisor that does not do its work; what it started dies with it or is swept up afterwards."""
    log.warning("supervisor_killed", directory=str(files.path), run_id=files.run_id)
    if files.state is not None:
        _signal_exactly(files.state["supervisor_pid"], files.state["supervisor_start"], signal.SIGKILL)
        return
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command = process.cmdline()
            if command[-1:] == [str(files.path)] and Path(command[-2]).name == SUPERVISOR.name:
                process.kill()


def sweep(run_id: str) -> list[int]:
    """Kill the processes that a supervisor left behind when it was killed.

    Returns:
        The ids of the processes found; they may take a moment to end.
    """
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(RUN_VARIABLE) == run_id and process.status() != psutil.STATUS_ZOMBIE:
                process.kill()
                found.append(process.pid)
    return found


def _signal_exactly(pid: int, start: int | None, number: signal.Signals) -> None:
    """Signal a process unless its id means another process by now."""
    with suppress(ProcessLookupError):
        if sys.platform == "linux":
            handle = os.pidfd_open(pid)
            try:
                if start_ticks(pid) == start:
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)
        elif start_ticks(pid) == start:
            os.kill(pid, number)


def mark_stopping(replica: ReplicaFiles, grace_seconds: float) -> ReplicaFiles:
    """Write down that a replica is to go, so that whoever comes next goes on with it; a shorter grace period counts."""
    stopping = replica.stopping
    deadline = time.time() + grace_seconds
    if stopping is None or deadline < stopping["deadline"]:
        stopping = {"grace_seconds": grace_seconds, "deadline": deadline}
        write_record(replica.path / "stopping.json", stopping)
    return ReplicaFiles(replica.path, replica.meta, stopping)


def advance_stop(replica: ReplicaFiles) -> list[str]:
    """Go on with stopping a replica that is marked so; returns at once.

    Returns:
        What of it still lives, in words; empty once it is gone, its directory included.
    """
    assert replica.stopping is not None
    left = []
    overdue = time.time() > replica.stopping["deadline"] + OVERDUE_SECONDS
    for directory in replica.containers():
        files = read_container(directory)
        if files.held:
            left.append(f"{replica.name}/{directory.name} (process {_main_pid(files)})")
            ask_to_stop(files, float(replica.stopping["grace_seconds"]))
            if overdue:
                kill_supervisor(files)
        elif files.run_id is not None and files.exit is None and (pids := sweep(files.run_id)):
            left.append(f"{replica.name}/{directory.name} (processes {', '.join(map(str, pids))})")
    return left if left or _discard(replica) else [f"{replica.name} (its files are in use)"]


def _main_pid(files: ContainerFiles) -> str:
    return "still starting" if files.state is None else str(files.state["child_pid"])


def _discard(replica: ReplicaFiles) -> bool:
    """Delete the directory of a replica of which nothing lives. Returns ``False`` if somebody is at its files."""
    proton = replica.path.parent.parent
    locks: list[int] = []
    try:
        for directory in replica.containers():
            lock = take_lock(directory)
            if lock is None:
                return False
            locks.append(lock)
        # Renamed first: a crash in the middle leaves no half replica, only rubbish.
        make_directory(proton / TRASH)
        try:
            replica.path.rename(proton / TRASH / secrets.token_hex(8))
        except FileNotFoundError:  # Another server cleared the replica, or the rubbish, away at the same time.
            return not replica.path.exists()
    finally:
        for lock in locks:
            os.close(lock)
    empty_trash(proton)
    for path in (replica.path.parent, proton):
        with suppress(OSError):
            path.rmdir()  # Fails, as it should, where something is left in it.
    log.info("replica_removed", replica=replica.name, generation=replica.generation)
    return True


def empty_trash(proton: Path) -> None:
    """Delete what was put aside for deletion."""
    trash = proton / TRASH
    if not trash.is_dir():
        return
    for root, directories, _ in os.walk(trash):
        for name in directories:
            path = os.path.join(root, name)
            if not os.path.islink(path):
                with suppress(FileNotFoundError):
                    os.chmod(path, 0o700)  # An app may have locked us out of its own directories.
    shutil.rmtree(trash, ignore_errors=True)


def has_replica(proton: Path) -> bool:
    """Tell whether a directory of the state directory is a proton with compute."""
    with suppress(FileNotFoundError, NotADirectoryError):
        for generation in filter(str.isdigit, os.listdir(proton)):
            for name in os.listdir(proton / generation):
                if read_record(proton / generation / name / "replica.json") is not None:
                    return True
    return False
