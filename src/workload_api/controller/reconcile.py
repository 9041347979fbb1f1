"""The reconcile loop: claim protons, act through the runtime outside of any transaction, report what is seen.

Level-triggered: each tick compares what should be with what is, so nothing depends on an event that might be missed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import structlog
from sqlalchemy import select

from workload_api.controller.collect import Collector
from workload_api.credentials.injection import secrets_of
from workload_api.credentials.sealing import KeyRing
from workload_api.db.engine import Database
from workload_api.db.models import ProtonRow
from workload_api.domain.ids import new_id
from workload_api.domain.planner import proton_status
from workload_api.otel.service import store_usages
from workload_api.protons import service
from workload_api.protons.observations import replica_state, stored
from workload_api.protons.service import OwnedProton, Report
from workload_api.protons.specification import UnresolvedVariable, proton_spec
from workload_api.runtimes.protocol import ProtonObservation, ProtonSpec, Runtime, Usage
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
        self._keys = KeyRing.of(settings)
        self._next_beat = 0.0
        self._specs: dict[str, tuple[int, ProtonSpec | str]] = {}
        self._applied: dict[str, int] = {}
        self._reported: dict[str, Any] = {}
        self._removals: dict[str, asyncio.Task[None]] = {}
        self._held: set[str] = set()
        self._next_orphan_check = 0.0
        self.collector = Collector(database, runtime, settings, self.controller_id)
        self._used: dict[str, Usage] = {}
        self._next_usage = 0.0

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
        await self._forget_all_but({proton.id for proton in protons})
        running = [proton for proton in protons if proton.desired_state == "running"]
        for proton in protons:
            if proton.desired_state != "running" and proton.id not in self._removals:
                self._begin(proton.id, self._remove(proton))
        await self._run([proton for proton in running if proton.id not in self._removals])
        if time.monotonic() >= self._next_orphan_check:
            self._next_orphan_check = time.monotonic() + self._settings.lease.total_seconds()
            self._forget_unresolved()
            await self._find_orphans()

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

    async def _forget_all_but(self, owned: set[str]) -> None:
        for known in (self._specs, self._applied, self._reported, self._used):
            for proton_id in known.keys() - owned:
                known.pop(proton_id, None)
        for proton_id in self._held - owned - self._removals.keys():
            # At rest, or taken over by another controller after our lease ended: two must not drive it.
            await self._runtime.release(proton_id)
            self._held.discard(proton_id)

    def _begin(self, proton_id: str, removal: Coroutine[Any, Any, None]) -> None:
        """Remove a proton's compute beside the ticks: its grace period may be long."""
        self._removals[proton_id] = asyncio.create_task(removal, name=f"remove {proton_id}")

    async def _run(self, protons: list[OwnedProton]) -> None:
        if not protons:
            return
        await self._load_specs(protons)
        for proton in protons:
            await self._apply(proton)
        observations = await self._runtime.observe([proton.id for proton in protons])
        for proton in protons:
            await self._report(proton, observations.get(proton.id) or ProtonObservation(proton.id, ()))
        await self._note_usage(observations)

    async def _note_usage(self, observations: dict[str, ProtonObservation]) -> None:
        """Write down what protons use, all in one transaction, now and then, and only what has changed."""
        if time.monotonic() < self._next_usage:
            return
        self._next_usage = time.monotonic() + self._settings.usage_interval.total_seconds()
        changed = {
            proton_id: seen.usage
            for proton_id, seen in observations.items()
            if seen.usage is not None and self._used.get(proton_id) != seen.usage
        }
        if changed:
            async with self._database.write() as session:
                await store_usages(session, changed)
            self._used.update(changed)

    async def _load_specs(self, protons: list[OwnedProton]) -> None:
        wanted = [p.id for p in protons if self._specs.get(p.id, (0, ""))[0] != p.generation]
        if not wanted:
            return
        async with self._database.read() as session:
            rows = (await session.scalars(select(ProtonRow).where(ProtonRow.id.in_(wanted)))).all()
        secrets = await secrets_of(self._database, self._keys, rows)
        grace = self._settings.stop_grace.total_seconds()
        for row in rows:
            spec: ProtonSpec | str
            try:
                spec = proton_spec(
                    row.id, row.workload_id, row.generation, row.spec, row.runtime, grace, secrets[row.id]
                )
            except UnresolvedVariable as error:
                spec = str(error)
            self._specs[row.id] = (row.generation, spec)

    def _forget_unresolved(self) -> None:
        """Look again for what variables refer to and was not there: it may have been made, or a key come back."""
        for proton_id in [proton_id for proton_id, (_, spec) in self._specs.items() if isinstance(spec, str)]:
            del self._specs[proton_id]

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
        self._held.add(proton.id)
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
        if isinstance(spec, ProtonSpec):
            fault, wanted = observation.fault, sum(group.replica_count for group in spec.groups)
        else:
            # Replicas that run do so with what they were started with, whatever has become of that since.
            well = [each.ready and each.generation == proton.generation for each in observation.replicas]
            fault, wanted = None if well and all(well) else spec, len(well)
        status = proton_status([replica_state(replica) for replica in observation.replicas], wanted, fault)
        replicas = stored(observation)
        # The role too: what the same observation means changes with it (§6).
        key = (proton.generation, proton.role, status, replicas, fault)
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
            await self.collector.finish(proton.id)
            async with self._database.write() as session:
                await service.report_gone(session, self.controller_id, proton)
            log.info("proton_removed", proton_id=proton.id, workload_id=proton.workload_id)
        except RuntimeError as error:
            log.warning("remove_failed", proton_id=proton.id, workload_id=proton.workload_id, error=str(error))
            async with self._database.write() as session:
                await service.report_stuck(session, self.controller_id, proton, str(error))
        finally:
            self._removals.pop(proton.id, None)

    async def _find_orphans(self) -> None:
        """Take down compute that nothing wants: left by a crash, or by a controller that slept through its lease."""
        known = await self._runtime.known() - self._removals.keys()
        if not known:
            return
        async with self._database.write() as session:
            orphans = await service.orphans(session, self.controller_id, known)
        for proton_id in orphans:
            log.warning("orphan_found", proton_id=proton_id)
            self._begin(proton_id, self._remove_orphan(proton_id))

    async def _remove_orphan(self, proton_id: str) -> None:
        try:
            await self._runtime.remove(proton_id, self._settings.stop_grace.total_seconds())
            log.info("orphan_removed", proton_id=proton_id)
        except RuntimeError as error:
            log.warning("remove_failed", proton_id=proton_id, error=str(error))
        finally:
            self._removals.pop(proton_id, None)
            async with self._database.write() as session:
                await service.let_go(session, self.controller_id, proton_id)


def _reason(observation: ProtonObservation) -> str | None:
    """The first thing that a container has to say, in one sentence."""
    for replica in observation.replicas:
        for container in replica.containers:
            if container.reason or container.message:
                text = container.message or container.reason
                return f"The container {container.name} of {replica.name}: {text}"
    return None
