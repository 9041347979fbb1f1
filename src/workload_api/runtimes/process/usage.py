"""How much CPU and memory replicas use, as Linux tells of the processes below their supervisors."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from workload_api.runtimes.protocol import Usage

from .supervisor import descendants

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    pids: frozenset[int]
    cpu_seconds: Mapping[int, float]
    """By container: all that it has used since it began, of processes that have ended too."""
    usage: Usage


class Meter:
    """Remembers the last sample of each proton: CPU use is the growth since then."""

    def __init__(self, seconds: float) -> None:
        """Take the time between two looks at a proton: each reads a few small files of each process."""
        self._seconds = seconds
        self._samples: dict[str, _Sample] = {}
        self._lock = threading.Lock()

    def measure(self, commands: Mapping[str, Iterable[int]]) -> dict[str, Usage]:
        """What protons use; those of which nothing runs are left out.

        Args:
            commands: The processes of each proton's running containers.
        """
        found = {}
        for proton_id, running in commands.items():
            pids = frozenset(running)
            with self._lock:
                before = self._samples.get(proton_id)
                if not pids:
                    self._samples.pop(proton_id, None)
                    continue
                now = time.monotonic()
                if before is None or before.pids != pids or now - before.at >= self._seconds:
                    self._samples[proton_id] = before = _sample(pids, before, now)
            found[proton_id] = before.usage
        return found

    def forget(self, proton_id: str) -> None:
        """Let go of the samples of a proton."""
        with self._lock:
            self._samples.pop(proton_id, None)


def _sample(commands: frozenset[int], before: _Sample | None, now: float) -> _Sample:
    memory, growth, seconds = 0, 0.0, {}
    for command in commands:
        used, resident = _container(command)
        seconds[command] = used
        memory += resident
        if before is not None and command in before.cpu_seconds:
            growth += max(used - before.cpu_seconds[command], 0.0)
    elapsed = now - before.at if before is not None else 0.0
    cpu = int(growth / elapsed * 1e9) if elapsed > 0 else 0
    return _Sample(now, commands, seconds, Usage(cpu, memory))


def _container(command: int) -> tuple[float, int]:
    """CPU seconds that a container has used so far, and its resident memory in bytes."""
    fields = _stat(command)
    if fields is None:
        return 0.0, 0
    supervisor = int(fields[1])
    # What has ended and was waited for is in its parent's account; orphans are waited for by the supervisor.
    accounts = [account for pid in descendants(supervisor) if (account := _stat(pid)) is not None]
    ended = sum(int(account[13]) + int(account[14]) for account in (*accounts, _stat(supervisor) or fields))
    own = sum(int(account[11]) + int(account[12]) for account in accounts)
    return (own + ended) / _TICKS, sum(int(account[21]) for account in accounts) * _PAGE


def _stat(pid: int) -> list[bytes] | None:
    """What the kernel tells of a process, from its state on (proc_pid_stat(5)); ``None`` if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    return stat[stat.rindex(b")") + 2 :].split()
