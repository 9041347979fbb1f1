"""The reconcile loop: claim protons, act through the runtime outside of any transaction, report what is seen.

Level-triggered: each tick compares what should be with what is, so nothing depends on an event that might be missed.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import structlog
from sqlalchemy import select

from workload_api.db.engine import Database
from workload_api.db.models import ProtonRow
from workload_api.domain.ids import new_id
from workload_api.domain.planner import proton_status
from workload_api.protons import service
from workload_api.protons.observations import replica_state, stored
from workload_api.protons.service import OwnedProton, Report
from workload_api.protons.specification import UnresolvedVariable, proton_spec
from workload_api.runtimes.protocol import ProtonObservation, ProtonSpec, Runtime
from workload_api.settings import Settings

log = structlog.get_logger(__name__)

CLAIM_LIMIT = 200
"""Protons taken over in one tick, so that several controllers share a backlog."""


class Reconciler:
    """One controller's part of the work.

    Args:
        database: What should be.
        runtime: What is.
        settings: Intervals, lease and grace.
    """

    def __init__(self, database: Database, runtime: Runtime, settings: Settings) -> None:
        self.controller_id = new_id()
        self._database = database
        self._runtime = runtime
        self._settings = settings
        self._next_beat = 0.0
        self._specs: dict[str, tuple[int, ProtonSpec | str]] = {}
        self._applied: dict[str, int] = {}
        self._reported: dict[str, Any] = {}
        self._removals: dict[str, asyncio.Task[None]] = {}
        self._orphans_checked = False

    async def tick(self) -> None:
        """One round: heartbeat, claim, act, report."""
        await self._beat()
        async with self._database.read() as session:
            unclaimed = await service.has_unclaimed(session)
        if unclaimed:
            async with self._database.write() as session:
                count = await service.claim(session, self.controller_id, CLAIM_LIMIT)
            log.debug("protons_claimed", count=count)
        async with self._database.read() as session:
            protons = await service.owned(session, self.controller_id)
        self._forget_all_but({proton.id for proton in protons})
        running = [proton for proton in protons if proton.desired_state == "running"]
        for proton in protons:
            if proton.desired_state != "running" and proton.id not in self._removals:
                self._removals[proton.id] = asyncio.create_task(self._remove(proton), name=f"remove {proton.id}")
        await self._run([proton for proton in running if proton.id not in self._removals])
        if not self._orphans_checked:
            self._orphans_checked = True
            await self._remove_orphans()

    async def close(self) -> None:
        """Let go of everything; compute keeps running, and another controller may take over at once."""
        for task in self._removals.values():
            task.cancel()
        await asyncio.gather(*self._removals.values(), return_exceptions=True)
        async with self._database.write() as session:
            await service.leave(session, self.controller_id)

    async def _beat(self) -> None:
        if time.monotonic() < self._next_beat:
            return
        lease = self._settings.lease
        async with self._database.write() as session:
            alive = await service.beat(session, self.controller_id, lease)
        if not alive:
            self._applied.clear()
            self._reported.clear()
        self._next_beat = time.monotonic() + lease.total_seconds() / 3

    def _forget_all_but(self, owned: set[str]) -> None:
        for known in (self._specs, self._applied, self._reported):
            for proton_id in known.keys() - owned:
                known.pop(proton_id, None)

    async def _run(self, protons: list[OwnedProton]) -> None:
        if not protons:
            return
        await self._load_specs(protons)
        for proton in protons:
            await self._apply(proton)
        observations = await self._runtime.observe([proton.id for proton in protons])
        for proton in protons:
            await self._report(proton, observations.get(proton.id) or ProtonObservation(proton.id, ()))

    async def _load_specs(self, protons: list[OwnedProton]) -> None:
        wanted = [p.id for p in protons if self._specs.get(p.id, (0, ""))[0] != p.generation]
        if not wanted:
            return
        async with self._database.read() as session:
            rows = (await session.scalars(select(ProtonRow).where(ProtonRow.id.in_(wanted)))).all()
        grace = self._settings.stop_grace.total_seconds()
        for row in rows:
            spec: ProtonSpec | str
            try:
                spec = proton_spec(row.id, row.workload_id, row.generation, row.spec, row.runtime, grace)
            except UnresolvedVariable as error:
                spec = str(error)
            self._specs[row.id] = (row.generation, spec)

    def _spec(self, proton: OwnedProton) -> ProtonSpec | str | None:
        generation, spec = self._specs.get(proton.id, (0, None))
        return spec if generation == proton.generation else None

    async def _apply(self, proton: OwnedProton) -> None:
        spec = self._spec(proton)
        if not isinstance(spec, ProtonSpec) or self._applied.get(proton.id) == proton.generation:
            return
        if proton.status == "submitted":
            async with self._database.write() as session:
                await service.report(session, self.controller_id, proton, Report("provisioning", [], None, None))
        try:
            await self._runtime.apply(spec)
        except OSError as error:
            # Of this one proton: the others go on, and it is tried again at the next tick.
            log.warning("apply_failed", proton_id=proton.id, workload_id=proton.workload_id, error=str(error))
            return
        self._applied[proton.id] = proton.generation

    async def _report(self, proton: OwnedProton, observation: ProtonObservation) -> None:
        spec = self._spec(proton)
        if spec is None:
            return
        fault = spec if isinstance(spec, str) else observation.fault
        wanted = sum(group.replica_count for group in spec.groups) if isinstance(spec, ProtonSpec) else 0
        status = proton_status([replica_state(replica) for replica in observation.replicas], wanted, fault)
        replicas = stored(observation)
        key = (proton.generation, status, replicas, fault)
        if self._reported.get(proton.id) == key:
            return
        healthy = status == "running"
        tail = None if healthy else await self._runtime.tail(proton.id)
        message = None if healthy else fault or _reason(observation)
        async with self._database.write() as session:
            known = await service.report(session, self.controller_id, proton, Report(status, replicas, message, tail))
        if known is not None:
            self._reported[proton.id] = key
        if known not in (None, proton.status):
            log.info("proton_status", proton_id=proton.id, workload_id=proton.workload_id, status=known)

    async def _remove(self, proton: OwnedProton) -> None:
        try:
            await self._runtime.remove(proton.id, self._settings.stop_grace.total_seconds())
            async with self._database.write() as session:
                await service.report_gone(session, self.controller_id, proton)
            log.info("proton_removed", proton_id=proton.id, workload_id=proton.workload_id)
        except RuntimeError as error:
            log.warning("remove_failed", proton_id=proton.id, workload_id=proton.workload_id, error=str(error))
            async with self._database.write() as session:
                await service.report_stuck(session, self.controller_id, proton, str(error))
        finally:
            self._removals.pop(proton.id, None)

    async def _remove_orphans(self) -> None:
        """Take down compute that no proton wants: left by a crash between its start and its record."""
        known = await self._runtime.known()
        if not known:
            return
        async with self._database.read() as session:
            there = set((await session.scalars(select(ProtonRow.id).where(ProtonRow.id.in_(known)))).all())
        for proton_id in known - there:
            log.warning("orphan_removed", proton_id=proton_id)
            await self._runtime.remove(proton_id, self._settings.stop_grace.total_seconds())


def _reason(observation: ProtonObservation) -> str | None:
    """The first thing that a container has to say, in one sentence."""
    for replica in observation.replicas:
        for container in replica.containers:
            if container.reason or container.message:
                text = container.message or container.reason
                return f"The container {container.name} of {replica.name}: {text}"
    return None
