"""Reading the kept output of a proton, of live replicas and of those that are gone."""

from __future__ import annotations

import heapq
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Literal

from workload_api.runtimes.protocol import LogLine

from .files import LOGS, read_record

_BLOCK = 64 * 1024
KEPT_GENERATIONS = 2
"""Of how many generations of a proton the output is kept, the newest included."""


@dataclass(frozen=True, slots=True)
class _Source:
    """The output of one container."""

    path: Path
    replica: str
    container: str

    def parse(self, line: bytes) -> LogLine | None:
        """Make a log line of a line of the file; ``None`` if it is torn (a full disk, a power failure)."""
        head = line.split(b" ", 2)
        if len(head) != 3 or head[1] not in (b"stdout", b"stderr"):
            return None
        try:
            timestamp = datetime.fromisoformat(head[0].decode())
        except ValueError:
            return None
        stream: Literal["stdout", "stderr"] = "stdout" if head[1] == b"stdout" else "stderr"
        return LogLine(timestamp, self.replica, self.container, stream, head[2].decode("utf-8", "replace"))

    def open(self, stack: ExitStack) -> list[BinaryIO]:
        """Open its files, oldest first."""
        found: list[BinaryIO] = []
        # The newer one first: if it is rotated meanwhile, it is met again under the older name, and left out there.
        for name in ("output.log", "output.log.1"):
            with suppress(FileNotFoundError):
                found.append(stack.enter_context((self.path / name).open("rb")))
        if len(found) == 2 and os.path.sameopenfile(found[0].fileno(), found[1].fileno()):
            found.pop()
        return found[::-1]

    def lines(self, stack: ExitStack) -> Iterator[LogLine]:
        """Its lines, oldest first, up to what is there now."""
        for file in self.open(stack):
            end = os.fstat(file.fileno()).st_size
            while file.tell() < end:
                raw = file.readline()
                if not raw.endswith(b"\n"):
                    break  # Just being written.
                if (line := self.parse(raw[:-1])) is not None:
                    yield line

    def last(self, count: int) -> list[LogLine]:
        """Its last lines, oldest first."""
        found: list[LogLine] = []
        with ExitStack() as stack:
            for file in reversed(self.open(stack)):
                lines = (self.parse(raw) for raw in _last_lines(file, count - len(found)))
                found = [line for line in lines if line is not None] + found
                if len(found) >= count:
                    break
        return found


def _last_lines(file: BinaryIO, count: int) -> list[bytes]:
    """The last whole lines of a file, read from its end."""
    at = file.seek(0, os.SEEK_END)
    data = b""
    while at > 0 and data.count(b"\n") <= count:
        step = min(_BLOCK, at)
        at -= step
        file.seek(at)
        data = file.read(step) + data
    lines = data.split(b"\n")[:-1]
    return lines[-count:] if count else []


def _sources(proton: Path) -> list[_Source]:
    found = []
    for path in sorted((proton / LOGS).glob("*/*/*")):
        about = read_record(path / "about.json")
        if about is not None:
            found.append(_Source(path, str(about["replica"]), str(about["container"])))
    return found


def read_lines(proton: Path, since: datetime | None) -> Iterator[LogLine]:
    """The kept lines of a proton in the order of their times.

    Args:
        proton: The proton's directory.
        since: Leave out lines before this time.
    """
    with ExitStack() as stack:
        streams = [source.lines(stack) for source in _sources(proton)]
        for line in heapq.merge(*streams, key=lambda line: line.timestamp):
            if since is None or line.timestamp >= since:
                yield line


def last_lines(proton: Path, count: int) -> list[str]:
    """The last lines of a proton over all its containers, oldest first, without times."""
    if count <= 0:
        return []
    found = [line for source in _sources(proton) for line in source.last(count)]
    return [line.text for line in sorted(found, key=lambda line: line.timestamp)[-count:]]


def drop_old_logs(proton: Path, generation: int) -> None:
    """Delete the output of old generations, so that a proton that is restarted often does not fill the disk.

    Args:
        proton: The proton's directory.
        generation: The newest one; what was stopped to make room for it is kept too.
    """
    with suppress(FileNotFoundError):
        older = sorted(int(name) for name in os.listdir(proton / LOGS) if name.isdigit() and int(name) != generation)
        for number in older[: max(len(older) - (KEPT_GENERATIONS - 1), 0)]:
            if not (proton / str(number)).exists():
                shutil.rmtree(proton / LOGS / str(number), ignore_errors=True)
