"""The steps of a replacement (§6): each is one transaction, taken by whichever controller comes first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

from workload_api.db.changes import mark_changed
from workload_api.db.locks import locked
from workload_api.db.models import EventRow, ProtonRow, ReplacementRow, RequestsUnderWayRow, WorkloadRow
from workload_api.db.types import database_now
from workload_api.domain.errors import Unprocessable
from workload_api.domain.replacement import ReplacementState, ReplacementStep, ReplacementTimes, next_step
from workload_api.domain.words import UNFINISHED_REPLACEMENT, EventSeverity, ReplacementStatus
from workload_api.events.service import event_values
from workload_api.protons.service import want_gone
from workload_api.replacements.switch import retire_deployed, switch
from workload_api.settings import Settings

PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Due:
    """A replacement for which there is something to do."""

    replacement_id: str
    workload_id: str


async def due_replacements(session: AsyncSession, settings: Settings, after: str = "") -> tuple[list[Due], str | None]:
    """Those for which a step is due, as far as can be seen without a lock; a page at a time.

    Args:
        session: A transaction.
        settings: How long each part may take.
        after: The last workload of the page before.

    Returns:
        What is due; and the last workload looked at, or ``None`` where there is no further page.
    """
    statement = (
        select(ReplacementRow, database_now())
        .join(WorkloadRow, WorkloadRow.id == ReplacementRow.workload_id)
        .where(
            ReplacementRow.status.in_(UNFINISHED_REPLACEMENT),
            ReplacementRow.workload_id > after,
            WorkloadRow.deleted_at.is_(None),
        )
        .order_by(ReplacementRow.workload_id)
        .limit(PAGE)
    )
    found = (await session.execute(statement)).all()
    rows = [row for row, _ in found]
    protons = await _protons(session, rows)
    busy = await _busy(session, protons)
    due = [
        Due(row.id, row.workload_id)
        for row, now in found
        # A workload may go for good between the two looks, and its protons with it.
        if _ids(row) <= protons.keys() and next_step(_state(row, protons, busy), _times(row, settings), now) is not None
    ]
    return due, rows[-1].workload_id if len(rows) == PAGE else None


async def advance(session: AsyncSession, due: Due, settings: Settings) -> ReplacementStep | None:
    """Take the step that is due.

    Args:
        session: A unit of work.
        due: Which replacement.
        settings: How long each part may take.

    Returns:
        The step; ``None`` where there is none any more, or somebody else is just taking it.
    """
    statement = locked(select(WorkloadRow).where(WorkloadRow.id == due.workload_id), WorkloadRow, skip_locked=True)
    workload = (await session.scalars(statement)).one_or_none()
    if workload is None or workload.replacement_id != due.replacement_id or workload.deleted_at is not None:
        return None
    found = select(ReplacementRow, database_now()).where(ReplacementRow.id == due.replacement_id)
    row, now = (await session.execute(locked(found, ReplacementRow))).one()
    protons = await _protons(session, [row], lock=True)
    step = next_step(_state(row, protons, await _busy(session, protons)), _times(row, settings), now)
    if step is None:
        return None
    candidate = protons[row.candidate_proton_ids[0]]
    leaving = protons[_leaving_id(row)]
    match step:
        case "initialize":
            await enter(session, row, "initializing", f"The candidate {candidate.id} is coming up.", now)
        case "await_promotion":
            await enter(session, row, "awaiting_promotion", f"The candidate {candidate.id} is ready.", now)
        case "switch":
            await _switch(session, workload, row, candidate, now)
        case "clean_up":
            await enter(session, row, "cleaning_up", f"The old proton {leaving.id} drains.", now)
        case "retire":
            want_gone(leaving)
        case "complete":
            await _let_go(session, workload)
            await enter(session, row, "completed", f"The workload runs the artifact {row.artifact_id}.", now)
        case "delete":
            await _let_go(session, workload)
            await enter_deleted(session, row, now)
        case "fail":
            why = candidate.message or "its replicas do not come up."
            await _fail(session, workload, row, candidate, f"The candidate {candidate.id} failed: {why}", now)
        case "time_out":
            why = candidate.message or f"it is still {candidate.status}."
            message = f"The candidate {candidate.id} was not ready within {settings.replacement_deadline}: {why}"
            await _fail(session, workload, row, candidate, message, now)
    await session.flush()
    mark_changed(session, workload.id)
    return step


async def end_replacements(session: AsyncSession, workload_ids: Collection[str], message: str) -> None:
    """End what is in progress for workloads that are stopped or whose time has run out; their rows must be locked.

    Before the switch that is an error with this message, after it the replacement is complete. The protons are left
    to the caller.
    """
    statement = select(ReplacementRow, database_now()).where(
        ReplacementRow.workload_id.in_(workload_ids), ReplacementRow.status.in_(UNFINISHED_REPLACEMENT)
    )
    found = (await session.execute(locked(statement, ReplacementRow))).all()
    if not found:
        return
    for row, now in found:
        if row.status == "deleting":
            await enter_deleted(session, row, now)
        elif row.switched_at is None:
            row.message = message
            await enter(session, row, "errored", message, now, severity="Warning")
        else:
            await enter(session, row, "completed", message, now)
    await session.execute(
        update(WorkloadRow)
        .where(WorkloadRow.id.in_({row.workload_id for row, _ in found}))
        .values(replacement_id=None, updated_at=WorkloadRow.updated_at)
    )


async def enter(
    session: AsyncSession,
    row: ReplacementRow,
    status: ReplacementStatus,
    message: str,
    now: datetime,
    *,
    actor_id: str | None = None,
    severity: EventSeverity = "Normal",
    event: str | None = None,
) -> None:
    """Let a replacement have a status from now on, and tell so by an event.

    Args:
        session: A unit of work.
        row: The replacement, locked.
        status: The new status.
        message: What the event says.
        now: The database's clock.
        actor_id: The user who caused it, if it was one.
        severity: Of the event.
        event: What it is called where that is not the status.
    """
    row.status, row.status_since, row.updated_at = status, now, now
    await session.flush()
    name = event or status
    await session.execute(
        insert(EventRow).values(
            event_values(
                row.workload_id,
                f"replacement.{name}",
                "Replacement" + "".join(word.capitalize() for word in name.split("_")),
                message,
                actor_id=actor_id,
                severity=severity,
                details=_details(row),
            )
        )
    )


async def enter_deleted(session: AsyncSession, row: ReplacementRow, now: datetime) -> None:
    """End a replacement that was cancelled: it is undone, and stands in the history alone."""
    row.deleted_at = now
    await enter(session, row, "errored", row.message or "It was cancelled.", now, event="deleted")


def _details(row: ReplacementRow) -> dict[str, Any]:
    return {
        "replacementId": row.id,
        "artifactId": row.artifact_id,
        "candidateProtonIds": row.candidate_proton_ids,
        "previousProtonIds": row.previous_proton_ids,
    }


async def _switch(
    session: AsyncSession, workload: WorkloadRow, row: ReplacementRow, candidate: ProtonRow, now: datetime
) -> None:
    try:
        await switch(session, workload, candidate, now)
    except Unprocessable as error:
        await _fail(session, workload, row, candidate, error.message, now)
        return
    # Again, since locks may have been waited for: from here on gateways have time to hear of it.
    now = (await session.scalars(select(database_now()))).one()
    row.switched_at = row.deployed_at = now
    await retire_deployed(session, row, now)
    await enter(session, row, "switching", f"Traffic moves to the proton {candidate.id}.", now)


async def _let_go(session: AsyncSession, workload: WorkloadRow) -> None:
    """Let nothing be in progress any more. That a replacement ends is no change of the workload's version."""
    await session.execute(
        update(WorkloadRow)
        .where(WorkloadRow.id == workload.id)
        .values(replacement_id=None, updated_at=WorkloadRow.updated_at)
    )


async def _fail(
    session: AsyncSession,
    workload: WorkloadRow,
    row: ReplacementRow,
    candidate: ProtonRow,
    message: str,
    now: datetime,
) -> None:
    """End a replacement whose candidate is not to be had: it is torn down, the old proton never stopped serving."""
    want_gone(candidate)
    await _let_go(session, workload)
    row.message = message
    await enter(session, row, "errored", message, now, severity="Warning")


def _leaving_id(row: ReplacementRow) -> str:
    """The proton that goes in the end: the old one, or the candidate of a replacement that is cancelled."""
    proton_id: str = (row.candidate_proton_ids if row.status == "deleting" else row.previous_proton_ids)[0]
    return proton_id


def _state(row: ReplacementRow, protons: Mapping[str, ProtonRow], busy: Collection[str]) -> ReplacementState:
    leaving = protons[_leaving_id(row)]
    return ReplacementState(
        status=row.status,
        created_at=row.created_at,
        status_since=row.status_since,
        switched_at=row.switched_at,
        candidate=protons[row.candidate_proton_ids[0]].status,
        leaving=leaving.status,
        leaving_is_wanted=leaving.desired_state == "running",
        busy=leaving.id in busy,
    )


def _times(row: ReplacementRow, settings: Settings) -> ReplacementTimes:
    return ReplacementTimes(
        deadline=settings.replacement_deadline,
        drain_limit=settings.drain_limit,
        stop_grace=settings.stop_grace,
        warm_up=timedelta(minutes=row.config.get("warmupDurationMinutes", 0)),
        keep=timedelta(minutes=row.config.get("keepOldVersionMinutes", 0)),
    )


def _ids(row: ReplacementRow) -> set[str]:
    return {*row.candidate_proton_ids, *row.previous_proton_ids}


async def _protons(
    session: AsyncSession, rows: Sequence[ReplacementRow], *, lock: bool = False
) -> dict[str, ProtonRow]:
    ids = set().union(*map(_ids, rows))
    if not ids:
        return {}
    statement = select(ProtonRow).where(ProtonRow.id.in_(ids)).order_by(ProtonRow.id)
    # A look without a lock needs no more than this of them, twice a second.
    light = statement.options(load_only(ProtonRow.id, ProtonRow.status, ProtonRow.desired_state))
    found = await session.scalars(locked(statement) if lock else light)
    return {proton.id: proton for proton in found}


async def _busy(session: AsyncSession, proton_ids: Collection[str]) -> frozenset[str]:
    """Which of these protons a gateway says that requests are under way to."""
    if not proton_ids:
        return frozenset()
    statement = select(RequestsUnderWayRow.proton_id).where(
        RequestsUnderWayRow.proton_id.in_(proton_ids), RequestsUnderWayRow.good_until > database_now()
    )
    return frozenset((await session.scalars(statement)).all())
