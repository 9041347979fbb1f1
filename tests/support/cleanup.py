"""Sees to it that servers of the tests and their replicas are gone when the tests are, in whatever way those ended.

Run as a program it keeps a list: a line on standard input with ``+``, a process group and a data directory adds to it,
one with ``-`` takes away. When its input ends (the tests are done, or were killed) it kills what is still on it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Collection
from functools import cache
from pathlib import Path

import psutil


def processes_of(data_dir: Path, apart_from: Collection[int] = ()) -> list[psutil.Process]:
    """The processes that work on a data directory: replicas, and those that stand over them.

    Args:
        data_dir: The directory.
        apart_from: Process ids that are not asked for, such as the server's own.
    """
    needle, found = str(data_dir.resolve()), []
    for process in psutil.process_iter():
        if process.pid in (os.getpid(), *apart_from):
            continue
        try:
            arguments, folder = " ".join(process.cmdline()), process.cwd()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if needle in arguments or Path(folder).is_relative_to(needle):
            found.append(process)
    # A replica's own processes need not name the directory; they are children of those that do.
    for process in list(found):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [child for child in process.children(recursive=True) if child not in found]
    return found


def kill_all(groups: Collection[int], data_dir: Path) -> None:
    """Kill process groups, and everything that works on a data directory; returns when it is gone."""
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    while processes := processes_of(data_dir, groups):
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes, timeout=5)


@cache
def _keeper() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, text=True, start_new_session=True)


def remember(group: int, data_dir: Path) -> None:
    """Have a process group and what works on a data directory killed when this process is gone."""
    _tell("+", group, data_dir)


def forget(group: int, data_dir: Path) -> None:
    """The opposite of :func:`remember`: it is gone already."""
    _tell("-", group, data_dir)


def _tell(sign: str, group: int, data_dir: Path) -> None:
    keeper = _keeper()
    assert keeper.stdin is not None
    keeper.stdin.write(f"{sign} {group} {data_dir.resolve()}\n")
    keeper.stdin.flush()


def main() -> None:
    """Keep the list until the input ends, then kill what is on it."""
    kept: set[tuple[int, str]] = set()
    for line in sys.stdin:
        sign, group, data_dir = line.rstrip("\n").split(" ", 2)
        (kept.add if sign == "+" else kept.discard)((int(group), data_dir))
    for group, data_dir in kept:
        kill_all([group], Path(data_dir))


if __name__ == "__main__":
    main()
