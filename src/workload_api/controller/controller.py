"""One controller: the runtime and the loops over it."""

from __future__ import annotations

import structlog

from workload_api.controller.reap import reap
from workload_api.controller.reconcile import Reconciler
from workload_api.controller.replace import replace
from workload_api.controller.retain import retain
from workload_api.controller.scheduler import Scheduler
from workload_api.db.engine import Database
from workload_api.protons.service import leave
from workload_api.runtimes.protocol import Runtime
from workload_api.settings import Settings

log = structlog.get_logger(__name__)


class Controller:
    """Starts and ends the loops of one server process.

    Args:
        database: The database.
        runtime: What makes protons run.
        settings: Intervals and retention times.
        scheduler: Where the loops tick.
    """

    def __init__(self, database: Database, runtime: Runtime, settings: Settings, scheduler: Scheduler) -> None:
        self._database = database
        self._runtime = runtime
        self._settings = settings
        self._reconciler = Reconciler(database, runtime, settings)
        scheduler.every(settings.reconcile_interval, "reconcile", self._reconciler.tick)
        scheduler.every(settings.reconcile_interval, "replace", self._replace)
        scheduler.every(settings.log_collect_interval, "collect", self._reconciler.collector.tick)
        scheduler.every(settings.reap_interval, "reap", self._reap)
        scheduler.every(settings.retain_interval, "retain", self._retain)

    async def start(self) -> None:
        """Adopt what runs already."""
        await self._runtime.start()
        if self._database.is_sqlite:
            # One server at a time: whoever held a lease is gone.
            async with self._database.write() as session:
                await leave(session)

    async def close(self) -> None:
        """Let go; replicas keep running."""
        await self._reconciler.close()
        await self._runtime.close()

    async def _replace(self) -> None:
        await replace(self._database, self._settings)

    async def _reap(self) -> None:
        await reap(self._database)

    async def _retain(self) -> None:
        for proton_id in await retain(self._database, self._settings):
            await self._runtime.forget(proton_id)
