"""The planner of replacements: a pure function, so its rules are tried on every state that there can be (§6)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workload_api.domain.replacement import (
    GIVE_UP_WAITING,
    SWITCH_SETTLING,
    ReplacementState,
    ReplacementStep,
    ReplacementTimes,
    next_step,
)
from workload_api.domain.words import UNFINISHED_REPLACEMENT, ProtonStatus, ReplacementStatus

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TIMES = ReplacementTimes(
    deadline=timedelta(minutes=10),
    drain_limit=timedelta(seconds=30),
    stop_grace=timedelta(seconds=10),
    warm_up=timedelta(0),
    keep=timedelta(0),
)
MOMENT = timedelta(milliseconds=1)
BEFORE_SWITCH = ("submitted", "initializing", "awaiting_promotion")
READY = ("warming", "running")


def state(
    status: ReplacementStatus,
    candidate: ProtonStatus = "launching",
    leaving: ProtonStatus = "draining",
    *,
    since: timedelta = timedelta(0),
    switched: timedelta | None = None,
    wanted: bool = True,
    busy: bool = False,
    age: timedelta = timedelta(0),
) -> ReplacementState:
    """A state, its times as how long ago they are."""
    return ReplacementState(
        status=status,
        created_at=NOW - max(age, since),
        status_since=NOW - since,
        switched_at=None if switched is None else NOW - switched,
        candidate=candidate,
        leaving=leaving,
        leaving_is_wanted=wanted,
        busy=busy,
    )


durations = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=400))
states = st.builds(
    state,
    st.sampled_from(get_args(ReplacementStatus)),
    st.sampled_from(get_args(ProtonStatus)),
    st.sampled_from(get_args(ProtonStatus)),
    since=durations,
    switched=st.none() | durations,
    wanted=st.booleans(),
    busy=st.booleans(),
    age=durations,
)
times = st.builds(ReplacementTimes, durations, durations, durations, durations, durations)


@given(states, times)
def test_nothing_is_switched_to_that_is_not_ready(before: ReplacementState, limits: ReplacementTimes) -> None:
    """… nor is anything torn down before the switch, unless the candidate is lost."""
    step = next_step(before, limits, NOW)
    if step == "switch":
        assert before.status == "awaiting_promotion"
        assert before.candidate in READY
        assert NOW - before.status_since >= limits.warm_up
    if step in ("fail", "time_out"):
        assert before.status in BEFORE_SWITCH
        assert before.candidate not in READY
    if step == "retire":
        assert before.status in ("cleaning_up", "deleting")
        assert before.leaving_is_wanted
    if before.status not in UNFINISHED_REPLACEMENT:
        assert step is None


@given(states, times)
def test_busy_protons_go_only_after_the_drain_limit(before: ReplacementState, limits: ReplacementTimes) -> None:
    step = next_step(before, limits, NOW)
    if step == "retire" and before.busy:
        assert NOW - before.status_since >= limits.drain_limit
    if step == "retire" and before.status == "cleaning_up":
        assert NOW - (before.switched_at or before.status_since) >= limits.keep


@given(states, times)
def test_every_replacement_ends(before: ReplacementState, limits: ReplacementTimes) -> None:
    """Whatever the protons do, if only time goes on: no state is one to be stuck in."""
    now, taken = NOW, 0
    while before.status in UNFINISHED_REPLACEMENT and before.status != "unknown":
        step = next_step(before, limits, now)
        if step is None:
            later = now + timedelta(days=500)
            assert now < NOW + timedelta(days=6000), (before, "is stuck")
            now = later
            continue
        taken += 1
        assert taken < 20
        before = after(before, step, now)


def after(before: ReplacementState, step: ReplacementStep, now: datetime) -> ReplacementState:
    """What a step makes of a state."""
    if step == "retire":
        return replace(before, leaving_is_wanted=False, leaving="stopping")
    status: dict[ReplacementStep, ReplacementStatus] = {
        "initialize": "initializing",
        "await_promotion": "awaiting_promotion",
        "switch": "switching",
        "clean_up": "cleaning_up",
        "complete": "completed",
        "delete": "errored",
        "fail": "errored",
        "time_out": "errored",
    }
    switched_at = now if step == "switch" else before.switched_at
    return replace(before, status=status[step], status_since=now, switched_at=switched_at)


LIMIT = TIMES.drain_limit + TIMES.stop_grace + GIVE_UP_WAITING
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("before", "limits", "step"),
    [
        (state("submitted", "submitted"), TIMES, None),
        (state("submitted", "provisioning"), TIMES, "initialize"),
        (state("submitted", "warming"), TIMES, "initialize"),
        (state("submitted", "errored"), TIMES, "fail"),
        (state("initializing", "launching"), TIMES, None),
        (state("initializing", "launching", age=TIMES.deadline - MOMENT), TIMES, None),
        (state("initializing", "launching", age=TIMES.deadline), TIMES, "time_out"),
        (state("initializing", "unknown", age=TIMES.deadline), TIMES, "time_out"),
        (state("initializing", "launching", age=TIMES.deadline), replace(TIMES, warm_up=MINUTE), None),
        (state("initializing", "warming", age=TIMES.deadline), TIMES, "await_promotion"),
        (state("awaiting_promotion", "warming"), TIMES, "switch"),
        (state("awaiting_promotion", "warming", since=MINUTE - MOMENT), replace(TIMES, warm_up=MINUTE), None),
        (state("awaiting_promotion", "warming", since=MINUTE), replace(TIMES, warm_up=MINUTE), "switch"),
        (state("awaiting_promotion", "launching"), TIMES, "initialize"),
        (state("awaiting_promotion", "errored"), TIMES, "fail"),
        (state("switching", "running", since=SWITCH_SETTLING - MOMENT), TIMES, None),
        (state("switching", "running", since=SWITCH_SETTLING), TIMES, "clean_up"),
        (state("switching", "errored", since=SWITCH_SETTLING), TIMES, "clean_up"),
        (state("cleaning_up", switched=SWITCH_SETTLING), TIMES, "retire"),
        (state("cleaning_up", switched=SWITCH_SETTLING, busy=True), TIMES, None),
        (state("cleaning_up", since=TIMES.drain_limit, switched=MINUTE, busy=True), TIMES, "retire"),
        (state("cleaning_up", switched=MINUTE - MOMENT), replace(TIMES, keep=MINUTE), None),
        (state("cleaning_up", switched=MINUTE), replace(TIMES, keep=MINUTE), "retire"),
        (
            state("cleaning_up", since=MINUTE, switched=MINUTE + TIMES.drain_limit - MOMENT, busy=True),
            replace(TIMES, keep=MINUTE),
            None,
        ),
        (state("cleaning_up", leaving="stopping", wanted=False, switched=MOMENT), TIMES, None),
        (state("cleaning_up", leaving="terminated", wanted=False, switched=MOMENT), TIMES, "complete"),
        (state("cleaning_up", leaving="stopping", wanted=False, since=LIMIT, switched=LIMIT), TIMES, "complete"),
        (state("deleting", leaving="stopping", wanted=False), TIMES, None),
        (state("deleting", leaving="terminated", wanted=False), TIMES, "delete"),
        (state("deleting", leaving="stopping", wanted=False, since=LIMIT), TIMES, "delete"),
        (state("deleting", since=SWITCH_SETTLING - MOMENT, switched=MINUTE), TIMES, None),
        (state("deleting", since=SWITCH_SETTLING, switched=MINUTE), TIMES, "retire"),
        (state("deleting", since=SWITCH_SETTLING, switched=MINUTE, busy=True), TIMES, None),
        (state("completed", "errored"), TIMES, None),
        (state("errored", "warming"), TIMES, None),
    ],
)
def test_each_step_at_its_time(
    before: ReplacementState, limits: ReplacementTimes, step: ReplacementStep | None
) -> None:
    assert next_step(before, limits, NOW) == step
