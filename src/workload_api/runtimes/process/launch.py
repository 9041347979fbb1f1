"""Starting a container: its port, its environment, its command line, its supervisor."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from workload_api.domain.entrypoint import expand
from workload_api.runtimes.protocol import ContainerSpec, ProtonSpec

from .files import (
    LOGS,
    WORK,
    Record,
    ReplicaFiles,
    exclusive,
    make_directory,
    read_record,
    replicas_of,
    safe_name,
    take_lock,
    write_record,
)

RUN_VARIABLE = "WORKLOAD_RUN_ID"
"""Names this start of the container in its environment; by it is found what a killed supervisor left behind."""
SUPERVISOR = Path(__file__).with_name("supervisor.py")

_children: set[subprocess.Popen[bytes]] = set()
_children_lock = threading.Lock()


def build_environment(
    proton: ProtonSpec, container: ContainerSpec, port: int, work: Path, run_id: str
) -> dict[str, str]:
    """The whole environment of a container: nothing of the server's own but its ``PATH``."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(work),
        "LANG": "C.UTF-8",
        "TMPDIR": str(work / "tmp"),
        **container.environment,
        "WORKLOAD_ID": proton.workload_id,
        "PROTON_ID": proton.proton_id,
        "PORT": str(port),
        RUN_VARIABLE: run_id,
    }


def taken_ports(state_dir: Path) -> set[int]:
    """The ports given to the replicas of a state directory."""
    protons = [path for path in state_dir.iterdir() if path.is_dir()]
    return {int(replica.meta["port"]) for proton in protons for replica in replicas_of(proton)}


def free_port(taken: Collection[int]) -> int:
    """Find a port of 127.0.0.1 that nobody listens on and that is not among those taken."""
    held: list[socket.socket] = []
    try:
        while True:
            candidate = socket.socket()
            held.append(candidate)  # Kept open, so that the next try finds another one.
            candidate.bind(("127.0.0.1", 0))
            port: int = candidate.getsockname()[1]
            if port not in taken:
                return port
    finally:
        for candidate in held:
            candidate.close()


def write_replica(state_dir: Path, path: Path, meta: Record) -> Record:
    """Give a replica a fresh port and write down what it is.

    Args:
        state_dir: The runtime's directory.
        path: The replica's directory, which must be there.
        meta: What ``replica.json`` is to hold, without ``port``.

    Returns:
        The record with its port.
    """
    with exclusive(state_dir / "ports.lock"):
        meta = {**meta, "port": free_port(taken_ports(state_dir))}
        write_record(path / "replica.json", meta)
    return meta


def log_directory(state_dir: Path, replica: ReplicaFiles, container: str) -> Path:
    """Where the output of a container goes; it stays when the replica is gone."""
    logs = state_dir / str(replica.meta["proton_id"]) / LOGS
    return logs / str(replica.generation) / replica.path.name / safe_name(container)


@dataclass(frozen=True, slots=True)
class Launcher:
    """Starts containers of one state directory."""

    state_dir: Path
    log_limit_bytes: int

    def launch(self, proton: ProtonSpec, container: ContainerSpec, replica: ReplicaFiles, restarts: int) -> bool:
        """Start a container under a supervisor of its own.

        The lock is taken here and handed to the supervisor, so that there is no moment at which one is on its way
        and the lock is free: whatever dies when, there is never a twin.

        Args:
            proton: What the replica belongs to.
            container: What to start; its entrypoint is not empty.
            replica: Whose container it is.
            restarts: How often this container will have been started again.

        Returns:
            ``False`` if somebody else is just looking after it; try again.

        Raises:
            OSError: The files cannot be written or no process can be made.
        """
        directory = replica.container(container.name)
        # Not its parents: a replica that another server cleared away must not come back.
        directory.mkdir(mode=0o700, exist_ok=True)
        lock = take_lock(directory)
        if lock is None:
            return False
        try:
            run_id = secrets.token_hex(16)
            write_record(
                directory / "launch.json", {"run_id": run_id, "launched_at": time.time(), "restarts": restarts}
            )
            for stale in ("exit.json", "stop.json", "probe.json"):
                (directory / stale).unlink(missing_ok=True)
            logs = make_directory(log_directory(self.state_dir, replica, container.name))
            if read_record(logs / "about.json") is None:
                write_record(logs / "about.json", {"replica": replica.name, "container": container.name})
            spec = self._spec(proton, container, replica, run_id) | {"log_dir": str(logs), "lock_fd": lock}
            self._spawn(directory, spec, lock)
        finally:
            os.close(lock)
        return True

    def _spec(self, proton: ProtonSpec, container: ContainerSpec, replica: ReplicaFiles, run_id: str) -> Record:
        port = int(replica.meta["port"])
        work = replica.path / WORK
        for path in (work, work / "tmp"):
            path.mkdir(mode=0o700, exist_ok=True)
        environment = build_environment(proton, container, port, work, run_id)
        entrypoint = container.entrypoint or ()
        return {
            "run_id": run_id,
            "argv": [expand(text, environment) for text in entrypoint],
            "command": entrypoint[0],
            "env": environment,
            "cwd": str(work),
            "port": port,
            "log_limit": self.log_limit_bytes,
            "memory_bytes": container.memory_bytes,
            "grace_seconds": proton.grace_seconds,
        }

    @staticmethod
    def _spawn(directory: Path, spec: Record, lock: int) -> None:
        errors = os.open(directory / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with tempfile.TemporaryFile(dir=directory) as unnamed:
                unnamed.write(json.dumps(spec).encode())
                unnamed.seek(0)
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(SUPERVISOR), str(directory)],
                    stdin=unnamed,
                    stdout=errors,
                    stderr=errors,
                    cwd="/",
                    env={"PATH": os.defpath, "LANG": "C.UTF-8"},
                    pass_fds=(lock,),
                    start_new_session=True,
                )
        finally:
            os.close(errors)
        with _children_lock:
            _children.add(process)


def reap() -> None:
    """Collect the supervisors that this process started and that have ended, so that no zombies pile up."""
    with _children_lock:
        for process in [process for process in _children if process.poll() is not None]:
            _children.discard(process)
