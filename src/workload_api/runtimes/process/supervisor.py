"""The small process that stands over one container of a replica and outlives the server.

It is run as ``python -I -S supervisor.py <container directory>`` in a session of its own and uses nothing but the
standard library. What to run comes as JSON on its standard input (an unnamed file, so that secrets are neither on the
command line nor kept on disk). It starts the command, keeps its output, stops it when told to (SIGTERM), and writes
down how it ended. For as long as it lives it holds the lock of its directory, by which others see that it is alive.

Files that it writes into the container's directory: ``state.json`` once the command runs, ``exit.json`` once the
command and everything that the command started is gone. On Linux the command dies with its supervisor.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

MAX_LINE_BYTES = 64 * 1024
"""A longer line of output is cut into pieces of this size."""
MEMORY_PERIOD_SECONDS = 1.0
LOG_HEAD_BYTES = 22
"""The first line of a file of output: ``#``, twenty digits, line end."""
DRAIN_SECONDS = 2.0
"""How long is waited for the end of the output once every process of the container is gone."""
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a JSON file, readable by its owner only, so that a reader sees the old or the new content, never half."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
        json.dump(record, file)
    temporary.replace(path)


def start_ticks(pid: int) -> int | None:
    """When a process started, in the kernel's ticks, so that a pid used again is told apart.

    Returns:
        The ticks, 0 where the system does not say (not Linux), or ``None`` if there is no such process or only its
        zombie is left.
    """
    if sys.platform != "linux":
        try:
            os.kill(pid, 0)
        except OSError:
            return None
        return 0
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def children(pid: int) -> list[int]:
    """The direct children of a process, zombies included; empty where the system does not say."""
    found: list[int] = []
    # Fails if the process is gone, or the kernel has no such file: then look at every process instead.
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split())
        return found
    found = []
    try:
        candidates = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return found
    for candidate in candidates:
        try:
            stat = Path(f"/proc/{candidate}/stat").read_bytes()
        except OSError:
            continue
        if int(stat[stat.rindex(b")") + 2 :].split()[1]) == pid:
            found.append(candidate)
    return found


def descendants(pid: int) -> list[int]:
    """Every process below one, parents before their children."""
    found = children(pid)
    for child in found:
        found += children(child)
    return found


def log_base(file: int) -> int | None:
    """How many bytes of output there were before an open file of it, as its first line says; ``None`` without one."""
    head = os.pread(file, LOG_HEAD_BYTES, 0)
    return int(head[1:-1]) if len(head) == LOG_HEAD_BYTES and head[:1] == b"#" and head[1:-1].isdigit() else None


class LogFile:
    """The kept output of a container: one line is ``<RFC 3339 time> <stdout|stderr> <text>``.

    The current file and one older one together stay within ``limit`` bytes. A full disk loses lines (they are
    counted, and the count is written once there is room), never the container. The first line of a file is ``#``
    and how many bytes there were before it in all, so that every byte of the output has a number of its own.
    """

    def __init__(self, directory: Path, limit: int) -> None:
        """Take the directory of the output and the limit in bytes; opened at the first line."""
        self._path = directory / "output.log"
        self._old = directory / "output.log.1"
        self._limit = max(limit // 2, 1)
        self._file: int | None = None
        self._size = 0
        self._lost = 0
        self._torn = False

    def write(self, stream: str, lines: list[bytes]) -> None:
        """Append lines (without their line ends) that were just read."""
        if not lines:
            return
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        head = f"{now} {stream} ".encode()
        batch: list[bytes] = []
        size = 0
        for line in lines:
            data = head + line.removesuffix(b"\r").decode("utf-8", "replace").encode() + b"\n"
            if batch and size + len(data) > min(self._limit, MAX_LINE_BYTES):
                self._write_batch(now, batch)
                batch, size = [], 0
            batch.append(data)
            size += len(data)
        self._write_batch(now, batch)

    def _write_batch(self, now: str, batch: list[bytes]) -> None:
        lost = b"\n" if self._torn else b""
        if self._lost:
            lost += f"{now} stderr [{self._lost} lines of output were lost: the log could not be written]\n".encode()
        data = lost + b"".join(batch)
        try:
            written = self._append(data)
        except OSError:
            written = 0
        if written == len(data):
            self._lost, self._torn = 0, False
        else:
            self._lost += len(batch)
            self._torn = self._torn or written > 0

    def _append(self, data: bytes) -> int:
        if self._file is not None and self._size and self._size + len(data) > self._limit:
            os.close(self._file)
            self._file = None
            self._path.replace(self._old)
        if self._file is None:
            self._open()
        assert self._file is not None
        written = os.write(self._file, data)
        self._size += written
        return written

    def _open(self) -> None:
        file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(file).st_size == 0:
                head = b"#%0*d\n" % (LOG_HEAD_BYTES - 2, self._bytes_before())
                if os.write(file, head) < len(head):
                    os.truncate(file, 0)
                    raise OSError("no room for the first line")
            self._size = os.fstat(file).st_size
        except BaseException:
            os.close(file)
            raise
        self._file = file

    def _bytes_before(self) -> int:
        try:
            older = os.open(self._old, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return 0
        try:
            return (log_base(older) or 0) + os.fstat(older).st_size
        finally:
            os.close(older)


class LineSplitter:
    """Makes lines of the pieces in which output arrives."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Take in a piece and give back the lines that it completes."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        while len(self._rest) >= MAX_LINE_BYTES:
            lines.append(self._rest[:MAX_LINE_BYTES])
            self._rest = self._rest[MAX_LINE_BYTES:]
        return [line[at : at + MAX_LINE_BYTES] for line in lines for at in range(0, len(line) or 1, MAX_LINE_BYTES)]

    def finish(self) -> list[bytes]:
        """Give back what came after the last line end."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


class Supervisor:
    """Runs one command to its end; see the module's text."""

    def __init__(self, directory: Path, spec: dict[str, Any]) -> None:
        """Take the container's directory and what to run there."""
        self._directory = directory
        self._spec = spec
        self._log = LogFile(Path(spec["log_dir"]), spec["log_limit"])
        self._lines = {"stdout": LineSplitter(), "stderr": LineSplitter()}
        self._selector = selectors.DefaultSelector()
        self._command = 0
        self._status: int | None = None
        self._stop_asked = False
        self._deadline: float | None = None
        self._reason: str | None = None
        self._message: str | None = None

    def run(self) -> None:
        """Start the command, stay until all of it is gone, and write down how it ended."""
        self._listen_to_signals()
        _set_process_option(_PR_SET_CHILD_SUBREAPER, 1)
        started = time.monotonic()
        try:
            process = self._start()
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            code, message = _why_not_started(error, self._spec["command"])
            self._log.write("stderr", [message.encode()])
            self._write_exit(code, None, "Error", message, 0.0)
            return
        self._command = process.pid
        try:
            self._write_state()
            self._watch()
        finally:
            # Also where the state cannot be written (a full disk): nothing may be left without a supervisor.
            self._kill_everything()
        process.returncode = self._status
        self._drain()
        self._write_end(time.monotonic() - started)

    def _listen_to_signals(self) -> None:
        receiver, sender = socket.socketpair()
        receiver.setblocking(False)
        sender.setblocking(False)
        self._wakeup = (receiver, sender)
        signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        self._selector.register(receiver, selectors.EVENT_READ)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
            # Handlers rather than SIG_IGN, which the command would inherit.
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGTERM, self._on_terminate)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])

    def _on_terminate(self, *_: object) -> None:
        self._stop_asked = True

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            self._spec["argv"],
            env=self._spec["env"],
            cwd=self._spec["cwd"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
            preexec_fn=_die_with(os.getpid()),
        )
        for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, selectors.EVENT_READ, (name, pipe))
        return process

    def _write_state(self) -> None:
        record = {
            "run_id": self._spec["run_id"],
            "supervisor_pid": os.getpid(),
            "supervisor_start": start_ticks(os.getpid()),
            "child_pid": self._command,
            "child_start": start_ticks(self._command) or 0,
            "started_at": time.time(),
            "port": self._spec["port"],
        }
        write_record(self._directory / "state.json", record)

    def _watch(self) -> None:
        """Keep the output and obey until the command has ended."""
        limit = self._spec["memory_bytes"]
        next_memory = time.monotonic() + MEMORY_PERIOD_SECONDS if limit else None
        while True:
            self._reap()
            if self._status is not None:
                return
            if self._stop_asked:
                self._stop_asked = False
                self._begin_stop()
            now = time.monotonic()
            if self._deadline is not None and now >= self._deadline:
                return
            if next_memory is not None and now >= next_memory:
                next_memory = now + MEMORY_PERIOD_SECONDS
                if _memory_used(self._command, limit) > limit:
                    self._reason, self._message = "OOMKilled", f"used more than its limit of {limit} bytes of memory"
                    return
            until = [moment for moment in (self._deadline, next_memory) if moment is not None]
            self._read(max(min(until) - now, 0) if until else None)

    def _begin_stop(self) -> None:
        """Send SIGTERM to the command's group; a later request can only shorten the time until SIGKILL."""
        request: dict[str, Any] = {}
        # Without a request it was a plain SIGTERM: the usual grace period counts.
        with contextlib.suppress(OSError, ValueError):
            request = json.loads((self._directory / "stop.json").read_text())
        if request.get("run_id") != self._spec["run_id"]:
            request = {}
        deadline = time.monotonic() + float(request.get("grace_seconds", self._spec["grace_seconds"]))
        if self._deadline is None:
            self._reason, self._message = request.get("reason"), request.get("message")
            self._deadline = deadline
            _signal_group(self._command, signal.SIGTERM)
        else:
            self._deadline = min(self._deadline, deadline)

    def _read(self, timeout: float | None) -> None:
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    self._wakeup[0].recv(4096)
                continue
            name, pipe = key.data
            self._read_pipe(name, pipe)

    def _read_pipe(self, name: str, pipe: IO[bytes]) -> None:
        try:
            data = os.read(pipe.fileno(), MAX_LINE_BYTES)
        except BlockingIOError:
            return
        if data:
            self._log.write(name, self._lines[name].feed(data))
        else:
            self._selector.unregister(pipe)
            pipe.close()

    def _reap(self) -> bool:
        """Collect the processes that ended. Returns whether any process is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._command:
                self._status = os.waitstatus_to_exitcode(status)

    def _kill_everything(self) -> None:
        """Kill the command's group and whatever was orphaned to us, until nothing is left."""
        _signal_group(self._command, signal.SIGKILL)
        while self._reap():
            for pid in descendants(os.getpid()):
                _signal(pid, signal.SIGKILL)
            # Killed processes end in their own time; SIGCHLD wakes this up, and pipes are read meanwhile.
            self._read(0.05)

    def _drain(self) -> None:
        end = time.monotonic() + DRAIN_SECONDS
        while len(self._selector.get_map()) > 1 and time.monotonic() < end:
            self._read(0.1)
        for name, lines in self._lines.items():
            self._log.write(name, lines.finish())

    def _write_end(self, seconds: float) -> None:
        status = self._status if self._status is not None else -signal.SIGKILL
        if status < 0:
            code, number = 128 - status, -status
            reason, message = "Error", f"ended by signal {_signal_name(number)}"
        else:
            code, number = status, None
            reason, message = ("Error", f"exit code {code}") if code else ("Completed", "exit code 0")
        self._write_exit(code, number, self._reason or reason, self._message or message, seconds)

    def _write_exit(self, code: int, number: int | None, reason: str, message: str, seconds: float) -> None:
        record = {
            "run_id": self._spec["run_id"],
            "exit_code": code,
            "signal": number,
            "reason": reason,
            "message": message,
            "stop_asked": self._deadline is not None,
            "ended_at": time.time(),
            "seconds": seconds,
        }
        write_record(self._directory / "exit.json", record)


def _set_process_option(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _die_with(parent: int) -> Callable[[], None]:
    """Make what runs in the new process before the command: on Linux, be killed when the supervisor dies."""
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def prepare() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
            if os.getppid() != parent:  # It died before we asked to be told.
                os._exit(1)

    return prepare


def _why_not_started(error: Exception, command: str) -> tuple[int, str]:
    """Exit code (as a shell gives it) and a sentence, without the arguments, which may hold secrets."""
    if isinstance(error, FileNotFoundError):
        return 127, f"cannot start {command!r}: no such command"
    if isinstance(error, PermissionError):
        return 126, f"cannot start {command!r}: it may not be executed (permission denied)"
    if isinstance(error, OSError):
        return 126, f"cannot start {command!r}: {os.strerror(error.errno or 0)}"
    return 126, f"cannot start {command!r}: an argument or variable holds a character that is not possible there"


def _signal_group(group: int, number: int) -> None:
    # Empty, or (macOS) nothing but zombies.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _signal(pid: int, number: int) -> None:
    # One that became another user by itself cannot be signalled: its end is waited for.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _memory_used(command: int, limit: int) -> int:
    """Resident memory of the command and all below it, in bytes.

    Memory that several processes share is counted once for each of them at first; only if that is over the limit,
    the shares are asked of the kernel, which is dear.
    """
    pids = [command, *descendants(os.getpid())]
    total = sum(_resident(pid) for pid in set(pids))
    return total if total <= limit else sum(_proportional(pid) for pid in set(pids))


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _proportional(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    return _resident(pid)


def _take_lock(directory: Path, inherited: int) -> bool:
    """Hold the directory's lock from here to our death. The server took it already and hands it to us.

    Returns:
        ``False`` if this is no longer the directory's lock: somebody cleared the directory away meanwhile.
    """
    os.set_inheritable(inherited, False)
    fcntl.flock(inherited, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        return os.path.samestat(os.fstat(inherited), os.stat(directory / "lock"))
    except FileNotFoundError:
        return False


def main() -> int:
    """Run the supervisor for the directory named on the command line."""
    directory = Path(sys.argv[1])
    # An unnamed file of the server's making: it is whole, or the server died and there is nothing in it.
    spec = json.loads(sys.stdin.buffer.read())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    if not _take_lock(directory, spec["lock_fd"]):
        return 1
    Supervisor(directory, spec).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
