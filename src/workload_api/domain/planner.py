"""Planners: pure functions from what is seen to what should be said or done. No clock, no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from workload_api.domain.transitions import may_change, worst
from workload_api.domain.words import ProtonStatus

ERRORED_AFTER_RESTARTS = 3
"""From this many restarts on, a replica that waits to be restarted counts as errored; it is still tried again."""

_WAY_UP: tuple[ProtonStatus, ...] = ("submitted", "provisioning", "launching", "running")


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """What the planner needs to know of a replica."""

    started: bool
    ready: bool
    backing_off: bool
    restarts: int


def replica_status(replica: ReplicaState) -> ProtonStatus:
    """The status that a proton would have if this were its only replica (§4)."""
    if replica.ready:
        return "running"
    if replica.backing_off and replica.restarts >= ERRORED_AFTER_RESTARTS:
        return "errored"
    return "launching" if replica.started or replica.backing_off else "provisioning"


def proton_status(replicas: Iterable[ReplicaState], wanted: int, fault: str | None) -> ProtonStatus:
    """The status of a proton that should run.

    Args:
        replicas: All that the runtime sees.
        wanted: How many there should be.
        fault: Why it can never run as it is, if so.
    """
    if fault is not None:
        return "errored"
    statuses = [replica_status(replica) for replica in replicas]
    if len(statuses) < wanted:
        statuses.append("provisioning")
    return worst(statuses)


def steps(old: ProtonStatus, new: ProtonStatus) -> list[ProtonStatus]:
    """The statuses to go through from one to another, the last one included; empty where nothing changes.

    Going up, none is left out, so that ``submitted → provisioning → launching → running`` is always told in full.
    A change that is not allowed is no change.
    """
    if old == new or not may_change(old, new):
        return []
    way = (*_WAY_UP[:-1], new) if new == "warming" else _WAY_UP
    if old in way and new in way and way.index(old) < way.index(new):
        return list(way[way.index(old) + 1 : way.index(new) + 1])
    return [new]
