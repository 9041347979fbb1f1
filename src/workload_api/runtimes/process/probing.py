"""Finding out whether a container is ready and healthy, by the rules that Kubernetes has for probes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import structlog

from workload_api.runtimes.protocol import ContainerSpec, HttpProbe

from .files import Record, read_container, write_record
from .listening import accepts_connections, listening_ports
from .stopping import ask_to_stop

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.2
"""How often the port of a container without a readiness probe is tried until it is ready."""
SLOW_POLL_SECONDS = 1.0
"""The same for one that is not ready after ``EAGER_SECONDS``."""
EAGER_SECONDS = 30.0
CHECK_SECONDS = 2.0
"""How often the port is tried once it is ready."""
PORT_FAILURES = 3
"""After how many failed tries in a row a ready container counts as not ready."""


@dataclass(frozen=True, slots=True)
class Target:
    """One start of a container that is to be probed."""

    replica_path: Path
    replica: str
    directory: Path
    run_id: str
    started_at: float
    port: int
    """The port given as ``PORT``."""
    needs_port: bool
    """Without a readiness probe it is ready when its port takes connections (else as soon as it runs)."""
    container: ContainerSpec
    grace_seconds: float


class Prober:
    """Probes one start of a container and keeps the result in its ``probe.json``.

    A result of the same start that an earlier server left there counts until a probe says otherwise. The first time
    that the container becomes ready, the port must belong to the replica's own processes.
    """

    def __init__(self, target: Target, session: aiohttp.ClientSession) -> None:
        """Take what is to be probed and the session for it."""
        self._target = target
        self._session = session
        self._ready = False
        self._since = target.started_at
        self._started = False
        self._address_port: int | None = None
        self._ports: frozenset[int] = frozenset()
        self._message: str | None = None
        self._written: Record | None = None

    def _resume(self) -> None:
        """Go on from what an earlier prober of the same start found."""
        earlier = read_container(self._target.directory).probe
        if earlier is None:
            return
        self._ready = bool(earlier["ready"])
        self._since = float(earlier["since"])
        self._started = bool(earlier["started"])
        self._address_port = earlier["port"]
        self._ports = frozenset(earlier["ports"])
        self._message = earlier["message"]
        self._written = earlier

    async def run(self) -> None:
        """Probe until cancelled, or until the container was found unhealthy and asked to end."""
        await asyncio.to_thread(self._resume)
        container = self._target.container
        if container.startup_probe is not None and not self._started and not await self._watch_startup():
            return
        self._started = True
        async with asyncio.TaskGroup() as tasks:
            if container.liveness_probe is not None:
                tasks.create_task(self._watch_liveness(container.liveness_probe))
            if container.readiness_probe is not None:
                tasks.create_task(self._watch_readiness(container.readiness_probe))
            elif self._target.needs_port:
                tasks.create_task(self._watch_port())
            else:
                await self._set(True, None)

    async def _watch_startup(self) -> bool:
        """Hold the other probes back until the startup probe succeeds. Returns whether it did."""
        probe = self._target.container.startup_probe
        assert probe is not None
        due, failures, successes = self._first(probe), 0, 0
        while True:
            due = await self._wait(due, probe)
            problem = await self._probe(probe)
            if problem is None:
                failures, successes = 0, successes + 1
                if successes >= probe.success_threshold:
                    return True
                continue
            failures, successes = failures + 1, 0
            await self._set(False, f"Startup probe failed: {problem}")
            if failures >= probe.failure_threshold:
                await self._restart(f"Startup probe failed: {problem}")
                return False

    async def _watch_liveness(self, probe: HttpProbe) -> None:
        due, failures = self._first(probe), 0
        while True:
            due = await self._wait(due, probe)
            problem = await self._probe(probe)
            failures = 0 if problem is None else failures + 1
            if problem is not None and failures >= probe.failure_threshold:
                await self._restart(f"Liveness probe failed: {problem}")
                return

    async def _watch_readiness(self, probe: HttpProbe) -> None:
        due, failures, successes = self._first(probe), 0, 0
        while True:
            due = await self._wait(due, probe)
            problem = await self._probe(probe)
            if problem is None:
                failures, successes = 0, successes + 1
                if self._ready or successes >= probe.success_threshold:
                    await self._set(True, None)
            else:
                failures, successes = failures + 1, 0
                still = self._ready and failures < probe.failure_threshold
                await self._set(still, f"Readiness probe failed: {problem}")

    async def _watch_port(self) -> None:
        """Without a readiness probe: ready is whose port takes connections."""
        failures = 0
        while True:
            problem = await self._try_port()
            if problem is None:
                failures = 0
                await self._set(True, None)
            else:
                failures += 1
                if not self._ready or failures >= PORT_FAILURES:
                    await self._set(False, None if self._address_port is None else f"Port check failed: {problem}")
            eager = failures > 0 and (self._ready or time.time() - self._target.started_at < EAGER_SECONDS)
            await asyncio.sleep(CHECK_SECONDS if problem is None else POLL_SECONDS if eager else SLOW_POLL_SECONDS)

    async def _try_port(self) -> str | None:
        if self._ready and self._address_port is not None:
            found = await accepts_connections(self._address_port)
            return None if found else f"port {self._address_port} takes no connections"
        # Ask cheaply first; whose port it is costs a look at all of the replica's open files.
        for port in {self._target.port, self._target.container.port} - {None}:
            if port is not None and await accepts_connections(port) and await self._find_port() is not None:
                return None
        return f"port {self._target.port} takes no connections"

    async def _find_port(self) -> int | None:
        """Where the container is reached: its ``PORT``, or the declared port if the app listens there instead."""
        if not (self._ready and self._address_port is not None):
            self._ports = await asyncio.to_thread(listening_ports, self._target.replica_path)
            candidates = (self._target.port, self._target.container.port)
            self._address_port = next((port for port in candidates if port in self._ports), None)
        return self._address_port

    async def _probe(self, probe: HttpProbe) -> str | None:
        """Probe once. Returns what is wrong, or ``None`` on success."""
        main = await self._find_port()
        container = self._target.container
        own = probe.port in self._ports and not (container.primary and probe.port == container.port)
        port = probe.port if own else main
        if port is None:
            return f"the replica does not listen on port {self._target.port}"
        return await self._request(probe, port)

    async def _request(self, probe: HttpProbe, port: int) -> str | None:
        path = probe.path if probe.path.startswith("/") else f"/{probe.path}"
        headers = {"User-Agent": "workload-api-probe"}
        if probe.host:
            headers["Host"] = probe.host  # We never connect anywhere but to the replica.
        given = {name.lower() for name in probe.headers}
        headers = {name: value for name, value in headers.items() if name.lower() not in given} | dict(probe.headers)
        seconds = max(probe.timeout_seconds, 1)
        try:
            async with self._session.get(
                f"{probe.scheme.lower()}://127.0.0.1:{port}{path}",
                headers=headers,
                allow_redirects=False,
                ssl=False,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as response:
                return None if 200 <= response.status < 400 else f"HTTP status {response.status}"
        except TimeoutError:
            return f"no answer within {seconds} s"
        except aiohttp.ClientConnectorError:
            return f"no connection to port {port}"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return f"no usable answer ({type(error).__name__})"

    def _first(self, probe: HttpProbe) -> float:
        """When a probe is due first; the delay counts from the container's start, also for an adopted one."""
        waited = max(time.time() - self._target.started_at, 0.0)
        return asyncio.get_running_loop().time() + max(probe.initial_delay_seconds - waited, 0.0)

    @staticmethod
    async def _wait(due: float, probe: HttpProbe) -> float:
        """Wait until a probe is due. Returns when it is due next."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(due - loop.time(), 0.0))
        return loop.time() + max(probe.period_seconds, 1)

    async def _set(self, ready: bool, message: str | None) -> None:
        """Note the result, on disk where it differs."""
        if ready != self._ready:
            log.info("container_ready" if ready else "container_not_ready", **self._names(), why=message)
            self._ready, self._since = ready, time.time()
        self._message = message
        record: Record = {
            "run_id": self._target.run_id,
            "ready": self._ready,
            "since": self._since,
            "started": self._started,
            "port": self._address_port if self._target.container.primary else None,
            "ports": sorted(self._ports),
            "message": self._message,
        }
        if record == self._written:
            return
        try:
            await asyncio.to_thread(write_record, self._target.directory / "probe.json", record)
        except OSError as error:
            # A full disk, or the replica is just being cleared away: the next result is written again.
            log.warning("probe_not_recorded", **self._names(), error=str(error))
        else:
            self._written = record

    async def _restart(self, message: str) -> None:
        log.warning("container_unhealthy", **self._names(), why=message)
        await asyncio.to_thread(self._ask_to_stop, message)

    def _ask_to_stop(self, message: str) -> None:
        files = read_container(self._target.directory)
        if files.run_id == self._target.run_id:
            ask_to_stop(files, self._target.grace_seconds, "Unhealthy", message)

    def _names(self) -> dict[str, str]:
        return {"replica": self._target.replica, "container": self._target.container.name}
