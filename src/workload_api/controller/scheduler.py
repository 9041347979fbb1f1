"""The ticks. The only import of APScheduler: it keeps time and nothing else.

"Exactly once" comes from the database, so any number of processes may tick. A tick that is late is made up for by one
(``coalesce``), never dropped (``misfire_grace_time=None``), never run beside itself (``max_instances=1``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, timedelta

import structlog
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from workload_api.domain.errors import TryAgain

log = structlog.get_logger(__name__)


class Scheduler:
    """Runs each loop at its interval."""

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(
            jobstores={"default": MemoryJobStore()},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=UTC,
        )
        self._locks: dict[str, asyncio.Lock] = {}
        self._closing = False

    def every(self, interval: timedelta, name: str, tick: Callable[[], Awaitable[object]]) -> None:
        """Call a tick at an interval. A tick that fails is logged and called again at the next."""
        lock = self._locks[name] = asyncio.Lock()

        async def run() -> None:
            if self._closing:
                return
            async with lock:
                try:
                    await tick()
                except TryAgain as error:
                    log.warning("tick_postponed", loop=name, reason=error.message)
                except Exception:
                    # One bad tick must not end the loop: the next begins anew from the database.
                    log.exception("tick_failed", loop=name)

        self._scheduler.add_job(run, "interval", seconds=interval.total_seconds(), id=name)

    def start(self) -> None:
        """Begin to tick."""
        self._scheduler.start()

    async def close(self) -> None:
        """Let ticks under way end, then stop: APScheduler's own shutdown would cancel them."""
        self._closing = True
        self._scheduler.pause()
        for lock in self._locks.values():
            async with lock:
                pass
        self._scheduler.shutdown(wait=False)
