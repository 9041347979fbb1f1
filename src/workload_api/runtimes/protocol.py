"""What every runtime can do, and the plain values that go in and come out.

A runtime makes compute match a :class:`ProtonSpec`; it knows nothing of the database, of HTTP or of workloads'
rules. Three promises hold for each implementation:

* acting twice is harmless (``apply`` of what is there already changes nothing, ``remove`` of what is gone succeeds);
* it never touches compute that it did not make;
* replicas outlive a crash of the server, and the next ``observe`` finds them again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

ReplicaPhase = Literal["pending", "running", "succeeded", "failed", "unknown"]
ContainerState = Literal["running", "waiting", "terminated", "unknown"]


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """An HTTP probe of one container; times in seconds, as in the artifact's ``ProbeConfig``."""

    path: str
    port: int
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    host: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    initial_delay_seconds: int = 30
    period_seconds: int = 30
    timeout_seconds: int = 30
    failure_threshold: int = 3
    success_threshold: int = 1


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container of a replica.

    ``environment`` holds the artifact's variables, resolved; the runtime adds ``PORT`` and fills ``$(NAME)`` in the
    entrypoint. It may hold secrets and is therefore left out of ``repr``.
    """

    name: str
    image: str | None
    entrypoint: tuple[str, ...] | None
    port: int | None
    primary: bool
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    readiness_probe: HttpProbe | None = None
    liveness_probe: HttpProbe | None = None
    startup_probe: HttpProbe | None = None
    cpu: float | None = None
    """CPU cores."""
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """One container group and how many copies (replicas) of it should run."""

    name: str
    replica_count: int
    containers: tuple[ContainerSpec, ...]


@dataclass(frozen=True, slots=True)
class ProtonSpec:
    """Everything a runtime needs to run one proton. ``groups[0]`` is the one that the endpoint reaches."""

    proton_id: str
    workload_id: str
    generation: int
    """Grows with each start of the proton: replicas of an older generation are not this spec's and are replaced."""
    groups: tuple[GroupSpec, ...]
    grace_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class ContainerObservation:
    """One container as the runtime sees it now."""

    name: str
    state: ContainerState
    ready: bool
    image: str
    restarts: int = 0
    started_at: datetime | None = None
    reason: str | None = None
    """One CamelCase word where something is worth saying: ``CrashLoopBackOff``, ``Error``, ``OOMKilled`` …"""
    message: str | None = None
    exit_code: int | None = None
    pid: int | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """One of ``PodScheduled``, ``Initialized``, ``ContainersReady``, ``Ready``."""

    type: str
    met: bool | None
    since: datetime


@dataclass(frozen=True, slots=True)
class ReplicaObservation:
    """One replica as the runtime sees it now. ``address`` is ``host:port`` once it is known, else empty."""

    name: str
    group: str
    index: int
    generation: int
    phase: ReplicaPhase
    ready: bool
    address: str
    node_address: str
    started_at: datetime | None
    containers: tuple[ContainerObservation, ...]
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class ProtonObservation:
    """All replicas of one proton, ordered by group and index; empty where none is left."""

    proton_id: str
    replicas: tuple[ReplicaObservation, ...]
    fault: str | None = None
    """Why this proton can never run as it is specified (a sentence that says what to do), or ``None``."""
    usage: Usage | None = None
    """What its replicas use; ``None`` where that is not known (yet)."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a container's output."""

    timestamp: datetime
    replica: str
    container: str
    stream: Literal["stdout", "stderr"]
    text: str
    source: str
    """What it was read from: a name that is unique within the proton. Lines of one source have a certain order."""
    position: str
    """Where in its source it ends, in the runtime's own words: reading after it goes on with the next line."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the containers of a proton use at present, over all its replicas."""

    cpu_nanocores: int
    memory_bytes: int
    network_received_bytes: int | None = None
    """Since the replicas began; ``None`` where the runtime cannot tell."""
    network_sent_bytes: int | None = None


class Runtime(Protocol):
    """What the controller asks of a runtime. Every method may be called at any time and in any order."""

    name: str

    async def start(self) -> None:
        """Get ready: connect, adopt the replicas that an earlier server left running."""

    async def close(self) -> None:
        """Let go of everything held in this process; replicas keep running."""

    async def apply(self, proton: ProtonSpec) -> None:
        """Make it so: start what is missing, restart what died (with back-off), stop what is too much.

        Returns quickly; progress is seen by :meth:`observe`. Harmless when it is so already.
        """

    async def observe(self, proton_ids: Collection[str]) -> dict[str, ProtonObservation]:
        """How these protons are now; one entry for each id asked for."""

    async def remove(self, proton_id: str, grace_seconds: float) -> None:
        """Stop all replicas of a proton: SIGTERM (or its like), after the grace period SIGKILL.

        Returns once nothing of it is left, or raises ``RuntimeError`` saying what could not be stopped.
        Succeeds at once when nothing is there.
        """

    async def release(self, proton_id: str) -> None:
        """Look after a proton no longer in this process; its replicas keep running. Another process took it over."""

    async def forget(self, proton_id: str) -> None:
        """Delete what is kept of a proton whose compute is gone: its output."""

    async def known(self) -> frozenset[str]:
        """The ids of every proton that this runtime holds compute for, so that orphans are found."""

    async def logs(self, proton_id: str, after: Mapping[str, str], limit: int) -> list[LogLine]:
        """The lines that are kept of a proton's output and came after these positions, up to now.

        A line is given for as long as it is kept, also after :meth:`remove`, until :meth:`forget`. Where lines were
        given up before they were read, a line in their place should say so.

        Args:
            proton_id: The proton.
            after: By source the position of the last line that is not wanted any more; other sources from their
                beginning.
            limit: The most lines of each source; those of a source come oldest first and without a gap.
        """

    async def tail(self, proton_id: str, lines: int = 30) -> list[str]:
        """The last lines of a proton's output over all replicas, oldest first, without timestamps."""
