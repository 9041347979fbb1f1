"""What a replacement does next (§6): a pure function of how it stands and of the time.

::

    submitted → initializing ⇄ awaiting_promotion → switching → cleaning_up → completed
        └────────────┴──────────────────┴─ fail ─────────────────────────────→ errored
        └────────────┴──────────────────┴────────────┴─ cancel ─→ deleting ──→ (deleted)

A step is a transaction on the database; compute follows what is wanted there. So a crash loses nothing, and whoever
comes next takes the next step.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from workload_api.domain.words import ProtonStatus, ReplacementStatus

ReplacementStep = Literal[
    "initialize", "await_promotion", "switch", "clean_up", "retire", "complete", "delete", "fail", "time_out"
]

ROUTES_FRESH: Final = timedelta(seconds=1)
"""How long a gateway may go by a route that another process has changed."""

UNDER_WAY_INTERVAL: Final = timedelta(seconds=0.5)
"""How often a gateway notes to which leaving protons it has requests under way."""

SWITCH_SETTLING: Final = ROUTES_FRESH + 2 * UNDER_WAY_INTERVAL + timedelta(seconds=0.5)
"""How long after a switch all gateways send to the new proton, and have noted what is under way to the old one."""

GIVE_UP_WAITING: Final = timedelta(seconds=60)
"""How long beyond the drain limit and the grace period the old proton's compute is waited for before the record ends;
taking it down goes on behind that."""


@dataclass(frozen=True, slots=True)
class ReplacementTimes:
    """How long each part may take."""

    deadline: timedelta
    """From the beginning until the candidate is ready; warming up comes on top."""
    drain_limit: timedelta
    stop_grace: timedelta
    warm_up: timedelta
    keep: timedelta
    """How long after the switch the old proton is kept, so that one can go back."""


@dataclass(frozen=True, slots=True)
class ReplacementState:
    """How a replacement stands."""

    status: ReplacementStatus
    created_at: datetime
    status_since: datetime
    switched_at: datetime | None
    candidate: ProtonStatus
    """Status of the proton that is to become active; ready once it is ``warming`` (or ``running``)."""
    leaving: ProtonStatus
    """Status of the proton that goes: the old one, or the candidate of a replacement that is cancelled."""
    leaving_is_wanted: bool
    """Whether the leaving proton is still to run."""
    busy: bool
    """Whether requests are under way to it."""


def next_step(state: ReplacementState, times: ReplacementTimes, now: datetime) -> ReplacementStep | None:
    """The step that is due, or ``None`` where there is something to wait for.

    Args:
        state: How it stands.
        times: Its own times and those of the settings.
        now: The database's clock.
    """
    since = now - state.status_since
    match state.status:
        case "submitted" | "initializing" | "awaiting_promotion":
            return _before_switch(state, times, now)
        case "switching":
            return "clean_up" if since >= SWITCH_SETTLING else None
        case "cleaning_up":
            return _leave(state, times, since, _kept_for(state, times, now), "complete")
        case "deleting":
            settling = SWITCH_SETTLING if state.switched_at is not None else timedelta(0)
            return _leave(state, times, since - settling, settling - since, "delete")
        case _:
            return None


def _before_switch(state: ReplacementState, times: ReplacementTimes, now: datetime) -> ReplacementStep | None:
    if state.candidate == "errored":
        return "fail"
    if state.status == "submitted" and state.candidate != "submitted":
        return "initialize"  # also where it is ready already: each status is told
    if state.candidate in ("warming", "running"):
        if state.status != "awaiting_promotion":
            return "await_promotion"
        return "switch" if now - state.status_since >= times.warm_up else None
    if now - state.created_at >= times.deadline + times.warm_up:
        return "time_out"
    # It was ready and no longer is: it warms up anew once it is again.
    return "initialize" if state.status == "awaiting_promotion" else None


def _kept_for(state: ReplacementState, times: ReplacementTimes, now: datetime) -> timedelta:
    """How much longer the old proton is kept."""
    switched_at = state.switched_at or state.status_since
    return switched_at + times.keep - now


def _leave(
    state: ReplacementState,
    times: ReplacementTimes,
    since: timedelta,
    left: timedelta,
    at_end: Literal["complete", "delete"],
) -> ReplacementStep | None:
    """Let the leaving proton drain, take it down, then end.

    Args:
        state: How the replacement stands.
        times: Its times.
        since: How long it has been leaving.
        left: How much longer it is to be kept in any case.
        at_end: The last step.
    """
    drained_for = min(since, -left)
    if state.leaving_is_wanted:
        if left > timedelta(0):
            return None
        return "retire" if not state.busy or drained_for >= times.drain_limit else None
    overdue = drained_for >= times.drain_limit + times.stop_grace + GIVE_UP_WAITING
    return at_end if state.leaving == "terminated" or overdue else None
