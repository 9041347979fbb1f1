"""The process runtime: replicas are process groups of this machine."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import aiohttp
import structlog

from workload_api.runtimes.protocol import LogLine, ProtonObservation, ProtonSpec

from .files import LOGS, make_directory, proton_directory, replicas_of
from .launch import Launcher, reap
from .logs import last_lines, read_lines
from .observing import commands_of, observe_proton
from .probing import Prober, Target
from .reconciling import BackOff, Outcome, Reconciler
from .stopping import OVERDUE_SECONDS, advance_stop, empty_trash, has_replica, mark_stopping
from .usage import Meter

log = structlog.get_logger(__name__)

TICK_SECONDS = 0.2
SETTLED_TICK_SECONDS = 0.5
"""Between two looks at the replicas when all of them run."""
RETRY_SECONDS = 2.0
"""After a pass over a proton failed (a full disk, no more processes)."""
STOP_POLL_SECONDS = 0.05
STOP_MARGIN_SECONDS = 10.0
"""How long after the grace period a replica may take to be gone."""
_STRIPES = 64


class ProcessRuntime:
    """Runs each replica as processes of this machine, under supervisors that outlive the server.

    The images of containers are recorded, not run: what runs is the ``entrypoint``. Everything that is known of a
    replica is in files under ``state_dir``; several servers on one machine may share it, as long as only one of them
    at a time calls :meth:`apply` for a given proton (and :meth:`release` when it hands it over).
    """

    name = "process"

    def __init__(
        self,
        state_dir: Path,
        *,
        log_limit_bytes: int = 5_000_000,
        backoff_initial: float = 1.0,
        backoff_max: float = 300.0,
        backoff_reset_after: float = 600.0,
        usage_seconds: float = 10.0,
    ) -> None:
        """Set the runtime up; nothing is read or written yet.

        Args:
            state_dir: Where the files of replicas are, for the server's user only.
            log_limit_bytes: Output kept of each container of a generation, in bytes.
            backoff_initial: Seconds until a container that ended is started again; doubled with each further end.
            backoff_max: The longest wait, in seconds.
            backoff_reset_after: Seconds that a start must last for the wait to be the initial one again.
            usage_seconds: Seconds between two measurements of what a proton uses.
        """
        self._state_dir = state_dir.absolute()
        launcher = Launcher(self._state_dir, log_limit_bytes)
        self._reconciler = Reconciler(
            self._state_dir, launcher, BackOff(backoff_initial, backoff_max, backoff_reset_after)
        )
        self._applied: dict[str, ProtonSpec] = {}
        self._failed: dict[str, tuple[float, str]] = {}
        self._targets: dict[str, dict[Path, Target]] = {}
        self._probers: dict[Path, tuple[Target, asyncio.Task[None]]] = {}
        # Passes, stops and hand-overs of one proton exclude each other.
        self._locks = [threading.Lock() for _ in range(_STRIPES)]
        self._meter = Meter(usage_seconds)
        self._wake = asyncio.Event()
        self._closing = False
        self._driver: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Make the state directory if it is missing and begin to drive what is applied.

        Replicas that an earlier server left running need nothing more to be seen: they are observed at once, and
        are probed and restarted again from their :meth:`apply` on.

        Raises:
            OSError: The state directory cannot be used.
        """
        if self._driver is not None:
            return
        found = await asyncio.to_thread(self._prepare)
        log.info("process_runtime_started", state_dir=str(self._state_dir), protons_found=found)
        self._closing = False
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True), cookie_jar=aiohttp.DummyCookieJar()
        )
        self._driver = asyncio.create_task(self._drive(), name="process-runtime")

    def _prepare(self) -> int:
        make_directory(self._state_dir)
        for path in self._state_dir.iterdir():
            empty_trash(path)
        return len(self._known())

    async def close(self) -> None:
        """Stop driving and probing; replicas keep running, and another server may apply them."""
        self._closing = True
        self._wake.set()
        if self._driver is not None:
            await self._driver  # A pass that is under way is ended, so that no start happens after this.
            self._driver = None
        await self._cancel_probers(list(self._probers))
        if self._session is not None:
            await self._session.close()
            self._session = None
        await asyncio.to_thread(reap)

    async def apply(self, proton: ProtonSpec) -> None:
        """Make it so from now on, in the background: see :meth:`Runtime.apply`.

        A changed spec of the same generation changes the number of replicas at once, and of the containers what
        counts at their next start (environment, entrypoint) or probe; only a new generation replaces replicas.

        Raises:
            ValueError: The proton's id cannot be one.
        """
        proton_directory(self._state_dir, proton.proton_id)
        if self._applied.get(proton.proton_id) != proton:
            self._applied[proton.proton_id] = proton
            self._failed.pop(proton.proton_id, None)
            self._wake.set()

    async def release(self, proton_id: str) -> None:
        """Drive a proton no more (another server does); its replicas keep running and can still be observed."""
        self._applied.pop(proton_id, None)
        self._failed.pop(proton_id, None)
        await asyncio.to_thread(self._let_go, proton_id)
        await self._cancel_probers(list(self._targets.pop(proton_id, {})))

    def _let_go(self, proton_id: str) -> None:
        with self._lock(proton_id):  # A pass that is under way ends first.
            self._reconciler.forget(proton_id)
        self._meter.forget(proton_id)

    async def observe(self, proton_ids: Collection[str]) -> dict[str, ProtonObservation]:
        """How these protons are now, whoever drives them: see :meth:`Runtime.observe`."""
        return await asyncio.to_thread(self._observe, list(proton_ids))

    def _observe(self, proton_ids: list[str]) -> dict[str, ProtonObservation]:
        found = {
            proton_id: observe_proton(proton_directory(self._state_dir, proton_id), proton_id)
            for proton_id in proton_ids
        }
        usages = self._meter.measure({proton_id: commands_of(seen) for proton_id, seen in found.items()})
        return {proton_id: replace(seen, usage=usages.get(proton_id)) for proton_id, seen in found.items()}

    async def remove(self, proton_id: str, grace_seconds: float) -> None:
        """Stop all replicas of a proton, of every generation, and delete their files; the output stays readable.

        Args:
            proton_id: The proton; nothing happens if it has no replicas.
            grace_seconds: Seconds between SIGTERM and SIGKILL.

        Raises:
            RuntimeError: Something could not be stopped; the message names it. Calling again goes on.
        """
        await self.release(proton_id)
        deadline = time.monotonic() + grace_seconds + OVERDUE_SECONDS + STOP_MARGIN_SECONDS
        while left := await asyncio.to_thread(self._stop_all, proton_id, grace_seconds):
            if time.monotonic() > deadline:
                raise RuntimeError(f"could not stop {'; '.join(left)} of proton {proton_id}")
            await asyncio.sleep(STOP_POLL_SECONDS)

    def _stop_all(self, proton_id: str, grace_seconds: float) -> list[str]:
        """Go on with stopping a proton. Returns what still lives."""
        directory = proton_directory(self._state_dir, proton_id)
        left: list[str] = []
        with self._lock(proton_id):
            reap()
            if proton_id in self._applied:
                return []  # Applied anew meanwhile: what is there now belongs to that.
            for replica in replicas_of(directory):
                left += advance_stop(mark_stopping(replica, grace_seconds))
            if not left:
                (directory / "fault.json").unlink(missing_ok=True)
                with suppress(OSError):
                    directory.rmdir()  # Fails, as it should, where there is output to be kept.
        return left

    async def forget(self, proton_id: str) -> None:
        """Delete the kept output of a proton that was removed.

        Raises:
            RuntimeError: The proton still has replicas.
        """
        await asyncio.to_thread(self._forget, proton_id)

    def _forget(self, proton_id: str) -> None:
        directory = proton_directory(self._state_dir, proton_id)
        with self._lock(proton_id):
            if has_replica(directory):
                raise RuntimeError(f"proton {proton_id} still has replicas: remove it first")
            empty_trash(directory)
            shutil.rmtree(directory / LOGS, ignore_errors=True)
            with suppress(OSError):
                directory.rmdir()

    async def known(self) -> frozenset[str]:
        """The ids of the protons that have replicas on disk, live or waiting to be started again."""
        return await asyncio.to_thread(self._known)

    def _known(self) -> frozenset[str]:
        try:
            return frozenset(path.name for path in self._state_dir.iterdir() if has_replica(path))
        except FileNotFoundError:
            return frozenset()

    async def logs(self, proton_id: str, after: Mapping[str, str], limit: int) -> list[LogLine]:
        """The kept lines of a proton's output after these positions: see :meth:`Runtime.logs`."""
        return await asyncio.to_thread(read_lines, proton_directory(self._state_dir, proton_id), after, limit)

    async def tail(self, proton_id: str, lines: int = 30) -> list[str]:
        """The last lines of a proton's output, oldest first, without times; also of one that was removed."""
        return await asyncio.to_thread(last_lines, proton_directory(self._state_dir, proton_id), lines)

    def _lock(self, proton_id: str) -> threading.Lock:
        return self._locks[hash(proton_id) % _STRIPES]

    async def _drive(self) -> None:
        """Make pass after pass over what is applied, until closed."""
        while not self._closing:
            self._wake.clear()
            settled = await asyncio.to_thread(self._pass)
            await self._match_probers()
            with suppress(TimeoutError):
                async with asyncio.timeout(SETTLED_TICK_SECONDS if settled else TICK_SECONDS):
                    await self._wake.wait()

    def _pass(self) -> bool:
        """Make one pass over every applied proton. Returns whether nothing is under way."""
        reap()
        settled = True
        for proton in list(self._applied.values()):
            with self._lock(proton.proton_id):
                if self._closing:
                    return True
                # Not if it was released or applied anew since the list was made.
                if self._applied.get(proton.proton_id) is proton:
                    outcome = self._reconcile(proton)
                    self._targets[proton.proton_id] = outcome.targets
                    settled = settled and outcome.settled
        return settled

    def _reconcile(self, proton: ProtonSpec) -> Outcome:
        failed_at, earlier = self._failed.get(proton.proton_id, (0.0, ""))
        known = self._targets.get(proton.proton_id, {})
        if failed_at and time.monotonic() - failed_at < RETRY_SECONDS:
            return Outcome(known, False)
        try:
            outcome = self._reconciler.reconcile(proton)
        except Exception as error:
            # One proton's trouble must not keep the others from being looked after. It is said once, and tried again.
            text = f"{type(error).__name__}: {error}"
            if text != earlier:
                log.exception("reconcile_failed", proton_id=proton.proton_id)
            self._failed[proton.proton_id] = (time.monotonic(), text)
            return Outcome(known, False)
        self._failed.pop(proton.proton_id, None)
        return outcome

    async def _match_probers(self) -> None:
        """Have one prober for each start of a container that runs, and none for others."""
        assert self._session is not None
        wanted = {
            path: target
            for proton_id, targets in self._targets.copy().items()
            if proton_id in self._applied
            for path, target in targets.items()
        }
        await self._cancel_probers(
            [path for path, (target, task) in self._probers.items() if _failed(task) or wanted.get(path) != target]
        )
        for path, target in wanted.items():
            if path not in self._probers:
                task = asyncio.create_task(Prober(target, self._session).run(), name=f"probe {target.replica}")
                self._probers[path] = (target, task)

    async def _cancel_probers(self, paths: Collection[Path]) -> None:
        tasks = [self._probers.pop(path)[1] for path in paths if path in self._probers]
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                log.error("prober_failed", exc_info=result)


def _failed(task: asyncio.Task[None]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None
