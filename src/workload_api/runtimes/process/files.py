"""Where a replica's files are, and what is read from them.

Under the runtime's directory::

    ports.lock                                          held while a port is chosen
    <proton>/fault.json                                 why the proton cannot run
    <proton>/logs/<generation>/<group>-<index>/<container>/output.log
    <proton>/<generation>/<group>-<index>/replica.json  what the replica is (no secrets), its port
                                         /stopping.json it is to go, never to be started again
                                         /.work         working directory of its containers
                                         /<container>/  files of one container

A container's directory has ``lock`` (held by its supervisor for life), ``launch.json`` (the server's record of the
latest start), ``state.json`` and ``exit.json`` (the supervisor's), ``stop.json`` (asks the supervisor to stop),
``probe.json`` (the prober's) and ``restart.json`` (the back-off after an end). Records name the start that they
belong to by its ``run_id``; those of another start count for nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .supervisor import write_record

__all__ = [
    "ContainerFiles",
    "Record",
    "ReplicaFiles",
    "exclusive",
    "make_directory",
    "proton_directory",
    "read_container",
    "read_record",
    "replica_directory",
    "replicas_of",
    "safe_name",
    "take_lock",
    "write_record",
]

Record = dict[str, Any]
LOGS = "logs"
WORK = ".work"
TRASH = ".trash"


def safe_name(name: str) -> str:
    """Make one file name of any name: nothing can climb out of the directory, begin with a dot or be too long."""
    text = quote(name, safe=" ").replace(".", "%2E")
    return text if 0 < len(text) <= 200 else f"{text[:150]}%{sha256(name.encode()).hexdigest()[:32]}"


def make_directory(path: Path) -> Path:
    """Make a directory, with those above it that are missing, for the owner only."""
    if not path.is_dir():
        if not path.parent.is_dir():
            make_directory(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
    return path


def proton_directory(state_dir: Path, proton_id: str) -> Path:
    """A proton's directory.

    Raises:
        ValueError: The id cannot be one (only letters, digits, ``_`` and ``-`` may stand in it).
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", proton_id):
        raise ValueError(f"not the id of a proton: {proton_id!r}")
    return state_dir / proton_id


def replica_directory(state_dir: Path, proton_id: str, generation: int, group: str, index: int) -> Path:
    """A replica's directory."""
    return proton_directory(state_dir, proton_id) / str(generation) / f"{safe_name(group)}-{index}"


@lru_cache(maxsize=20_000)
def _parse(path: str, modified: int, inode: int, size: int) -> Record | None:
    try:
        record = json.loads(Path(path).read_bytes())
    except (OSError, ValueError):
        return None  # Gone meanwhile, or torn by a power failure: as good as not there.
    return record if isinstance(record, dict) else None


def read_record(path: Path) -> Record | None:
    """Read a JSON file, or ``None`` where there is none. What did not change is not read again: do not change it."""
    name = str(path)
    try:
        stat = os.stat(name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return _parse(name, stat.st_mtime_ns, stat.st_ino, stat.st_size)


@dataclass(frozen=True, slots=True)
class ReplicaFiles:
    """One replica as it is on disk."""

    path: Path
    meta: Record
    stopping: Record | None

    @property
    def generation(self) -> int:
        """The generation of the spec that it was made for."""
        return int(self.meta["generation"])

    @property
    def group(self) -> str:
        """Its container group."""
        return str(self.meta["group"])

    @property
    def index(self) -> int:
        """Its number within the group, from 0."""
        return int(self.meta["index"])

    @property
    def name(self) -> str:
        """Its name as observations and log lines give it."""
        return f"{self.meta['proton_id']}-{self.group}-{self.index}"

    def container(self, name: str) -> Path:
        """The directory of one of its containers."""
        return self.path / safe_name(name)

    def containers(self) -> list[Path]:
        """The directories of its containers that were ever started."""
        with os.scandir(self.path) as entries:
            return [Path(entry.path) for entry in entries if entry.name != WORK and entry.is_dir()]


def replicas_of(proton: Path) -> list[ReplicaFiles]:
    """Every replica of a proton that is on disk, of all generations, ordered by generation, group and index."""
    found = []
    for generation in _names(proton):
        if not generation.isdigit():
            continue
        for name in _names(proton / generation):
            path = proton / generation / name
            meta = read_record(path / "replica.json")
            if meta is not None:
                found.append(ReplicaFiles(path, meta, read_record(path / "stopping.json")))
    return sorted(found, key=lambda replica: (replica.generation, replica.group, replica.index))


def _names(path: Path) -> list[str]:
    with suppress(FileNotFoundError, NotADirectoryError):
        return os.listdir(path)
    return []


def lock_is_held(path: Path) -> bool:
    """Tell whether a supervisor (or a server that is just starting one) holds a container's lock."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that those who only look do not see one another.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def take_lock(directory: Path) -> int | None:
    """Take a container's lock, or ``None`` if somebody has it or the directory was cleared away meanwhile."""
    path = directory / "lock"
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file), os.stat(path)):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(file)
    return None


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Keep everybody else who asks for the same file out, in this and in other processes; waits for its turn."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


@dataclass(frozen=True, slots=True)
class ContainerFiles:
    """One container as its files tell; records of an earlier start are left out."""

    path: Path
    held: bool
    """Its supervisor lives (or is just being started)."""
    launch: Record | None
    state: Record | None
    exit: Record | None
    stop: Record | None
    probe: Record | None
    restart: Record | None
    started_ever: bool

    @property
    def run_id(self) -> str | None:
        """The name of its latest start."""
        return None if self.launch is None else str(self.launch["run_id"])

    @property
    def running(self) -> bool:
        """Its command runs."""
        return self.held and self.state is not None and self.exit is None

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return 0 if self.launch is None else int(self.launch["restarts"])


def read_container(path: Path) -> ContainerFiles:
    """Read the files of a container's directory (which need not be there)."""
    # The lock first: a supervisor lets go of it after its last word.
    held = lock_is_held(path / "lock")
    launch = read_record(path / "launch.json")
    run_id = None if launch is None else launch["run_id"]

    def of_this_run(name: str) -> Record | None:
        record = read_record(path / name)
        return record if record is not None and record.get("run_id") == run_id else None

    state = of_this_run("state.json")
    return ContainerFiles(
        path=path,
        held=held,
        launch=launch,
        state=state,
        exit=of_this_run("exit.json"),
        stop=of_this_run("stop.json"),
        probe=of_this_run("probe.json"),
        restart=of_this_run("restart.json"),
        started_ever=state is not None or (path / "state.json").exists(),
    )
