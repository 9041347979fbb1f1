"""Where requests go: what this process knows of the workloads that are called, kept for a second at a time."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import func, or_, select

from workload_api.db.engine import Database
from workload_api.db.models import ProtonRow, SharedRoleRow, WorkloadRow
from workload_api.domain.errors import NotFound, TryAgain
from workload_api.domain.replacement import ROUTES_FRESH
from workload_api.identity.rights import Caller, missing, require
from workload_api.protons.observations import ready_addresses
from workload_api.settings import Settings

log = structlog.get_logger(__name__)

FRESH_SECONDS: Final = ROUTES_FRESH.total_seconds()
"""How long a route is good without a look at the database: changes by other processes show no later than this."""
_LIMIT: Final = 10_000
_LATER: Final = 60
"""Seconds after which to try again what does not come back by itself."""
_UNITS: Final = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why a proton takes no requests: a stable code, and a sentence for a person."""

    code: str
    message: str
    retry_after: int = 1
    """Seconds."""


@dataclass(frozen=True, slots=True)
class ProtonRoute:
    """Where one proton's ready replicas listen."""

    proton_id: str
    addresses: tuple[str, ...]
    unavailable: Unavailable
    """What to say where there is no address."""


@dataclass(frozen=True, slots=True)
class Route:
    """What the gateway knows of one workload."""

    workload_id: str
    organization_id: str
    active: ProtonRoute
    protons: dict[str, ProtonRoute]
    roles: dict[str, str]
    """Roles by the user or organization that holds them, comma-separated."""
    statistics_epoch: int

    def require_invoke(self, caller: Caller) -> None:
        """Let through a caller who may invoke the workload.

        Raises:
            NotFound: The caller may not even see it.
            Forbidden: The caller may see it, but not invoke it.
        """
        roles = ""
        if caller.organization_id == self.organization_id:
            roles = ",".join(self.roles[subject] for subject in caller.subjects if subject in self.roles)
        require(roles, "invoke", "workload", self.workload_id)

    def proton(self, proton_id: str) -> ProtonRoute:
        """One proton of the workload.

        Raises:
            NotFound: It has none of this id that is still to be reached.
        """
        found = self.protons.get(proton_id)
        if found is None:
            raise NotFound(f"The workload {self.workload_id} has no proton {proton_id}.", code="PROTON_NOT_FOUND")
        return found


@dataclass(slots=True)
class _Entry:
    route: Route | None
    """``None``: there is no such workload."""
    order: int
    loaded_at: float = field(default_factory=time.monotonic)


class RouteTable:
    """Routes by workload id, in memory.

    What a transaction of this process changes is loaded anew before the API answers, so that a promote's new epoch
    is known here before its 202 is sent; what others change, within a second.

    Args:
        database: Where routes are loaded from.
        settings: For the draft TTL that the reason of an expired workload names.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._ttl = in_words(settings.draft_ttl)
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._order = 0
        database.changes.subscribe(self.reload)

    def epoch_known(self, workload_id: str) -> int | None:
        """The statistics epoch of a workload as it is known right now, without a look at the database."""
        entry = self._entries.get(workload_id)
        return None if entry is None or entry.route is None else entry.route.statistics_epoch

    async def get(self, workload_id: str) -> Route:
        """The route of a workload, no older than a second.

        Raises:
            NotFound: There is no such workload.
            TryAgain: The database was busy or lost.
        """
        entry = self._entries.get(workload_id)
        while entry is None or time.monotonic() - entry.loaded_at >= FRESH_SECONDS:
            # All who wait for the same route share one load; none of them can cancel it for the others.
            task = self._loading.get(workload_id)
            if task is None:
                task = self._loading[workload_id] = asyncio.create_task(self._load_one(workload_id))
            await asyncio.shield(task)
            entry = self._entries.get(workload_id)
        if entry.route is None:
            raise missing("workload", workload_id)
        return entry.route

    async def reload(self, workload_ids: Collection[str]) -> None:
        """Load anew what is known of these workloads; called after a commit that changed them."""
        known = [each for each in workload_ids if each in self._entries or each in self._loading]
        if not known:
            return
        try:
            await self._load(known)
        except TryAgain:
            # The change itself is done; whoever calls these workloads next will look again.
            log.warning("routes_not_reloaded", workloads=len(known))
            self._order += 1
            for workload_id in known:
                self._entries[workload_id] = _Entry(None, self._order, loaded_at=float("-inf"))

    async def _load_one(self, workload_id: str) -> None:
        try:
            await self._load((workload_id,))
        finally:
            del self._loading[workload_id]

    async def _load(self, workload_ids: Collection[str]) -> None:
        self._order += 1
        order = self._order
        found = await self._read(workload_ids)
        for workload_id in workload_ids:
            entry = self._entries.get(workload_id)
            # A load that began earlier may end later; it must not undo what a later one saw.
            if entry is None or entry.order < order:
                self._entries[workload_id] = _Entry(found.get(workload_id), order)
                self._entries.move_to_end(workload_id)
        while len(self._entries) > _LIMIT:
            self._entries.popitem(last=False)

    async def _read(self, workload_ids: Collection[str]) -> dict[str, Route]:
        roles = (
            select(func.aggregate_strings(SharedRoleRow.subject_id + ":" + SharedRoleRow.role, ","))
            .where(SharedRoleRow.resource_id == WorkloadRow.id, SharedRoleRow.resource_type == "workload")
            .correlate(WorkloadRow)
            .scalar_subquery()
        )
        statement = (
            select(
                WorkloadRow.id,
                WorkloadRow.organization_id,
                WorkloadRow.proton_id,
                WorkloadRow.statistics_epoch,
                WorkloadRow.expired_at,
                roles,
                ProtonRow.id,
                ProtonRow.status,
                ProtonRow.desired_state,
                ProtonRow.replicas,
                ProtonRow.spec,
                ProtonRow.message,
            )
            .join(ProtonRow, ProtonRow.workload_id == WorkloadRow.id)
            .where(
                WorkloadRow.id.in_(workload_ids),
                WorkloadRow.deleted_at.is_(None),
                or_(ProtonRow.id == WorkloadRow.proton_id, ProtonRow.desired_state == "running"),
            )
        )
        async with self._database.read() as session:
            rows = (await session.execute(statement)).all()
        protons: dict[str, dict[str, ProtonRoute]] = {}
        workloads: dict[str, tuple[str, str, int, str | None]] = {}
        for row in rows:
            workload_id, organization_id, active, epoch, expired_at, held, *proton = row
            workloads[workload_id] = (organization_id, active, epoch, held)
            route = self._proton_route(workload_id, expired_at, *proton)
            protons.setdefault(workload_id, {})[route.proton_id] = route
        return {
            workload_id: Route(
                workload_id=workload_id,
                organization_id=organization_id,
                active=protons[workload_id][active],
                protons=protons[workload_id],
                roles=_by_subject((held or "").split(",")),
                statistics_epoch=epoch,
            )
            for workload_id, (organization_id, active, epoch, held) in workloads.items()
            # Without its active proton there is nothing to reach; that is so for no longer than a row takes to go.
            if active in protons[workload_id]
        }

    def _proton_route(
        self,
        workload_id: str,
        expired_at: datetime | None,
        proton_id: str,
        status: str,
        desired_state: str,
        replicas: list[Any] | None,
        spec: dict[str, Any],
        message: str | None,
    ) -> ProtonRoute:
        groups = spec.get("containerGroups") or [{}]
        serves = expired_at is None and desired_state == "running"
        addresses = tuple(ready_addresses(replicas, groups[0].get("name") or "default")) if serves else ()
        return ProtonRoute(
            proton_id, addresses, self._unavailable(workload_id, expired_at is not None, status, desired_state, message)
        )

    def _unavailable(
        self, workload_id: str, expired: bool, status: str, desired_state: str, message: str | None
    ) -> Unavailable:
        subject = f"The workload {workload_id}"
        if expired:
            return Unavailable(
                "WORKLOAD_EXPIRED",
                f"{subject} expired: its draft TTL of {self._ttl} ran out, and it was not promoted before that.",
                _LATER,
            )
        if desired_state != "running":
            return Unavailable("WORKLOAD_STOPPED", f"{subject} is {status}; start it to use its endpoint.", _LATER)
        if status == "errored":
            return Unavailable(
                "WORKLOAD_ERRORED",
                f"{subject} has no ready replica: {message or 'its replicas fail'}".rstrip(".") + ".",
            )
        return Unavailable(
            "WORKLOAD_NOT_READY", f"{subject} has no ready replica yet (status {status}); try again in a moment."
        )


def in_words(duration: timedelta) -> str:
    """A duration for a person: in the largest unit that fits it without a rest."""
    seconds = duration.total_seconds()
    for name, size in _UNITS:
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{seconds:g} seconds"


def _by_subject(held: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in held:
        subject, _, role = entry.partition(":")
        if role:
            found[subject] = f"{found[subject]},{role}" if subject in found else role
    return found
