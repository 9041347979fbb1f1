"""The one table of legal status changes of a proton, and how its status is shown from outside (§4).

Every change of status goes through :func:`check`, so that a late or repeated report can never bring a proton that was
terminated back to life.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from workload_api.domain.words import DesiredState, ProtonRole, ProtonStatus

_UP: Final[frozenset[ProtonStatus]] = frozenset(
    {"submitted", "initializing", "provisioning", "launching", "running", "warming", "errored", "unknown"}
)

TRANSITIONS: Final[dict[ProtonStatus, frozenset[ProtonStatus]]] = {
    "submitted": _UP | {"draining", "stopping", "stopped", "terminated"},
    "initializing": _UP | {"draining", "stopping", "stopped", "terminated"},
    "provisioning": _UP | {"draining", "stopping", "stopped", "terminated"},
    "launching": _UP | {"draining", "stopping", "stopped", "terminated"},
    "running": _UP | {"draining", "stopping", "stopped", "terminated"},
    "warming": _UP | {"draining", "stopping", "stopped", "terminated"},
    # One that is kept may restart its replicas meanwhile, and may become active again.
    "draining": (_UP - {"submitted", "initializing", "warming"}) | {"stopping", "stopped", "terminated"},
    "errored": _UP | {"draining", "stopping", "stopped", "terminated"},
    "unknown": _UP | {"draining", "stopping", "stopped", "terminated"},
    "stopping": frozenset({"stopped", "terminated", "unknown"}),
    "stopped": frozenset({"submitted", "terminated"}),
    "terminated": frozenset(),
}

_SHOWN: Final[dict[ProtonStatus, ProtonStatus]] = {
    "initializing": "launching",
    "warming": "running",
    "draining": "running",
}

_WORST_FIRST: Final[tuple[ProtonStatus, ...]] = (
    "errored",
    "unknown",
    "submitted",
    "provisioning",
    "initializing",
    "launching",
    "warming",
    "draining",
    "running",
)

NOT_ACTIVE: Final[frozenset[str]] = frozenset({"stopped", "stopping", "errored", "terminated"})
"""Workload statuses in which there is no active proton to promote or to replace (§5, §6)."""

STARTABLE: Final[frozenset[str]] = frozenset({"stopped", "errored"})
"""Workload statuses from which ``start`` is allowed (§4)."""


def may_change(old: ProtonStatus, new: ProtonStatus) -> bool:
    """Tell whether a proton may go from one status to another; staying as it is counts as allowed."""
    return old == new or new in TRANSITIONS[old]


def shown(status: ProtonStatus) -> ProtonStatus:
    """The status of a workload whose active proton has this status: proton-only states fold (§4)."""
    return _SHOWN.get(status, status)


def in_role(role: ProtonRole | None, status: ProtonStatus) -> ProtonStatus:
    """The status of a proton of which this was seen, in the part that it plays in a replacement (§6).

    Args:
        role: ``None`` for one that was replaced and is still kept.
        status: What its replicas come to.
    """
    if status != "running" or role == "active":
        return status
    return "warming" if role == "candidate" else "draining"


def worst(statuses: Iterable[ProtonStatus]) -> ProtonStatus:
    """The worst of several replicas' states (§4); ``submitted`` where there is none yet."""
    found = set(statuses)
    return next((status for status in _WORST_FIRST if status in found), "submitted")


def status_at_rest(desired: DesiredState) -> ProtonStatus:
    """The status of a proton whose compute is gone, as it was wanted."""
    return "terminated" if desired == "gone" else "stopped"
