"""Reading the kept output of a proton, of live replicas and of those that are gone.

A container's output in one generation of its proton is one source: ``2/default-0/main``. A position in it is how many
bytes of it were read; each file says how many there were before it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Literal

from workload_api.runtimes.protocol import LogLine

from .files import LOGS, read_record
from .supervisor import log_base

_BLOCK = 64 * 1024
_MOST_BYTES = 1024 * 1024
"""Read of one source at a time."""
KEPT_GENERATIONS = 2
"""Of how many generations of a proton the output is kept, the newest included."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One file of the output, open, and how many bytes of its generation came before it."""

    file: BinaryIO
    base: int

    @property
    def end(self) -> int:
        return self.base + os.fstat(self.file.fileno()).st_size


@dataclass(frozen=True, slots=True)
class _Output:
    """The output of one container in one generation."""

    path: Path
    source: str
    replica: str
    container: str

    def parse(self, line: bytes, end: int) -> LogLine | None:
        """Make a log line of a line of the file; ``None`` if it is torn (a full disk, a power failure) or a head."""
        head = line.split(b" ", 2)
        if len(head) != 3 or head[1] not in (b"stdout", b"stderr"):
            return None
        try:
            timestamp = datetime.fromisoformat(head[0].decode())
        except ValueError:
            return None
        stream: Literal["stdout", "stderr"] = "stdout" if head[1] == b"stdout" else "stderr"
        return self.line(timestamp, stream, head[2].decode("utf-8", "replace"), end)

    def line(self, timestamp: datetime, stream: Literal["stdout", "stderr"], text: str, end: int) -> LogLine:
        """A line of this output that ends after so many bytes of it."""
        return LogLine(timestamp, self.replica, self.container, stream, text, self.source, str(end))

    def open(self, stack: ExitStack) -> list[_Part]:
        """Open its files, oldest first."""
        found: list[BinaryIO] = []
        # The newer one first: if it is rotated meanwhile, it is met again under the older name, and left out there.
        for name in ("output.log", "output.log.1"):
            with suppress(FileNotFoundError, IsADirectoryError):
                found.append(stack.enter_context((self.path / name).open("rb")))
        if len(found) == 2 and os.path.sameopenfile(found[0].fileno(), found[1].fileno()):
            found.pop()
        parts: list[_Part] = []
        for file in found[::-1]:
            # Files of an earlier version have no head: they follow upon one another.
            base = log_base(file.fileno())
            parts.append(_Part(file, (parts[-1].end if parts else 0) if base is None else base))
        # Rotated twice meanwhile: the older name is the newer file then.
        return sorted(parts, key=lambda part: part.base)

    def lines(self, after: int) -> Iterator[LogLine]:
        """Its lines that end after a number of bytes, oldest first, up to what is there now."""
        at = after
        with ExitStack() as stack:
            for part in self.open(stack):
                if part.base > at:
                    now = datetime.now(UTC)
                    yield self.line(now, "stderr", _given_up(part.base - at), part.base)
                at = max(at, part.base)
                part.file.seek(at - part.base)
                end = part.end
                while at < end:
                    raw = part.file.readline()
                    if not raw.endswith(b"\n"):
                        break  # Just being written.
                    at += len(raw)
                    if (line := self.parse(raw[:-1], at)) is not None:
                        yield line

    def last(self, count: int) -> list[LogLine]:
        """Its last lines, oldest first."""
        found: list[LogLine] = []
        with ExitStack() as stack:
            for part in reversed(self.open(stack)):
                lines = (self.parse(raw, part.end) for raw in _last_lines(part.file, count - len(found)))
                found = [line for line in lines if line is not None] + found
                if len(found) >= count:
                    break
        return found


def _given_up(count: int) -> str:
    return f"[{count} bytes of output were given up here: there was more than is kept until it is collected]"


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


def _outputs(proton: Path) -> list[_Output]:
    found = []
    for path in sorted((proton / LOGS).glob("*/*/*")):
        about = read_record(path / "about.json")
        if about is not None:
            source = "/".join(path.parts[-3:])
            found.append(_Output(path, source, str(about["replica"]), str(about["container"])))
    return found


def read_lines(proton: Path, after: Mapping[str, str], limit: int) -> list[LogLine]:
    """The kept lines of a proton after these positions, those of each source in order.

    Args:
        proton: The proton's directory.
        after: The position in each source from which to go on.
        limit: The most lines of each source.
    """
    found: list[LogLine] = []
    for output in _outputs(proton):
        size = 0
        for line in islice(output.lines(int(after.get(output.source) or 0)), limit):
            found.append(line)
            size += len(line.text)
            if size >= _MOST_BYTES:
                break
    return found


def last_lines(proton: Path, count: int) -> list[str]:
    """The last lines of a proton over all its containers, oldest first, without times."""
    if count <= 0:
        return []
    found = [line for output in _outputs(proton) for line in output.last(count)]
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
