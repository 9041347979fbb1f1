"""What the controller writes of protons: who looks after them, and what was seen. A word that comes late is dropped."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.clock import utc_now
from workload_api.db.changes import mark_changed
from workload_api.db.locks import locked
from workload_api.db.models import ControllerRow, EventRow, ProtonRow, WorkloadRow
from workload_api.db.types import database_now
from workload_api.domain.planner import steps
from workload_api.domain.transitions import in_role, may_change, shown, status_at_rest
from workload_api.domain.words import DesiredState, EventSeverity, ProtonRole, ProtonStatus
from workload_api.events.service import event_values
from workload_api.protons.observations import restarts_of

_AT_WORK = ~((ProtonRow.desired_state != "running") & ProtonRow.status.in_(("stopped", "terminated")))


@dataclass(frozen=True, slots=True)
class OwnedProton:
    """A proton that this controller looks after, as far as each tick needs to know it."""

    id: str
    workload_id: str
    generation: int
    desired_state: DesiredState
    status: ProtonStatus
    role: ProtonRole | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What was seen of a proton, and what it means."""

    status: ProtonStatus
    replicas: list[dict[str, Any]]
    message: str | None
    log_tail: list[str] | None


async def beat(session: AsyncSession, controller_id: str, lease: timedelta) -> bool:
    """Prolong a controller's lease (or begin it), and clear away controllers whose lease has ended.

    Returns:
        False where the lease had ended and others may have taken over: what was owned is owned no longer.
    """
    held = await session.scalars(
        update(ControllerRow)
        .where(ControllerRow.id == controller_id)
        .values(lease_until=database_now(lease))
        .returning(ControllerRow.id)
        .execution_options(synchronize_session=False)
    )
    alive = held.one_or_none() is not None
    if not alive:
        await session.execute(
            insert(ControllerRow).values(id=controller_id, created_at=utc_now(), lease_until=database_now(lease))
        )
    lapsed = select(ControllerRow.id).where(ControllerRow.lease_until < database_now())
    ids = (await session.scalars(locked(lapsed, skip_locked=True))).all()
    if ids:
        await session.execute(delete(ControllerRow).where(ControllerRow.id.in_(ids)))
    return alive


async def leave(session: AsyncSession, controller_id: str | None = None) -> None:
    """End a controller's lease at once; without an id, all (an embedded database has one server at a time)."""
    statement = delete(ControllerRow)
    await session.execute(statement if controller_id is None else statement.where(ControllerRow.id == controller_id))


async def claim(session: AsyncSession, controller_id: str, limit: int) -> int:
    """Take over protons that nobody looks after.

    Returns:
        How many.
    """
    free = select(ProtonRow.id).where(ProtonRow.controller_id.is_(None), _AT_WORK).order_by(ProtonRow.id).limit(limit)
    ids = (await session.scalars(locked(free, ProtonRow, skip_locked=True))).all()
    if ids:
        await session.execute(
            update(ProtonRow)
            .where(ProtonRow.id.in_(ids), ProtonRow.controller_id.is_(None))
            .values(controller_id=controller_id, updated_at=ProtonRow.updated_at)
            .execution_options(synchronize_session=False)
        )
    return len(ids)


async def has_unclaimed(session: AsyncSession) -> bool:
    """Whether there is a proton that nobody looks after: a look without a lock before taking one."""
    free = select(ProtonRow.id).where(ProtonRow.controller_id.is_(None), _AT_WORK).limit(1)
    return (await session.scalars(free)).first() is not None


async def owned(session: AsyncSession, controller_id: str) -> list[OwnedProton]:
    """The protons that a controller looks after and that are not at rest."""
    statement = select(
        ProtonRow.id,
        ProtonRow.workload_id,
        ProtonRow.generation,
        ProtonRow.desired_state,
        ProtonRow.status,
        ProtonRow.role,
    ).where(ProtonRow.controller_id == controller_id, _AT_WORK)
    return [OwnedProton(*row) for row in (await session.execute(statement)).all()]


async def orphans(session: AsyncSession, controller_id: str, known: Collection[str]) -> list[str]:
    """Which of these protons have no right to compute: they are at rest, or there is no such proton.

    Those at rest are taken over until :func:`let_go`, so that one that is started meanwhile waits for its remains
    to be gone, and no other controller starts it beside them.

    Args:
        session: A write.
        controller_id: Who is going to take their compute down.
        known: The protons that a runtime holds compute for.
    """
    rows = {row.id: row for row in await session.execute(select(ProtonRow.id, _AT_WORK).where(ProtonRow.id.in_(known)))}
    at_rest = [proton_id for proton_id, row in rows.items() if not row[1]]
    taken: set[str] = set()
    if at_rest:
        found = await session.scalars(
            update(ProtonRow)
            .where(ProtonRow.id.in_(at_rest), ProtonRow.controller_id.is_(None), ~_AT_WORK)
            .values(controller_id=controller_id, updated_at=ProtonRow.updated_at)
            .returning(ProtonRow.id)
            .execution_options(synchronize_session=False)
        )
        taken = set(found.all())
    return sorted(taken | (set(known) - rows.keys()))


async def let_go(session: AsyncSession, controller_id: str, proton_id: str) -> None:
    """Look after a proton at rest no longer, once its remains are gone."""
    await session.execute(
        update(ProtonRow)
        .where(ProtonRow.id == proton_id, ProtonRow.controller_id == controller_id, ~_AT_WORK)
        .values(controller_id=None, updated_at=ProtonRow.updated_at)
        .execution_options(synchronize_session=False)
    )


async def report(session: AsyncSession, controller_id: str, proton: OwnedProton, seen: Report) -> ProtonStatus | None:
    """Write down what was seen of a proton that should run, with an event for each status on the way and each restart.

    Returns:
        The proton's status now; ``None`` where the word came too late: it is owned by another, or something else is
        wanted of it by now.
    """
    row = await _guarded(session, controller_id, proton)
    if row is None:
        return None
    way = steps(row.status, in_role(row.role, seen.status))
    events = [_status_event(row, status, seen.message if status == "errored" else None) for status in way]
    events += _restart_events(row, seen)
    if seen.status == "running" and row.running_since is None:
        row.running_since = utc_now()
    if way:
        row.status = way[-1]
        await _show(session, row)
    row.replicas, row.observed_at, row.message, row.log_tail = seen.replicas, utc_now(), seen.message, seen.log_tail
    await session.flush()
    if events:
        await session.execute(insert(EventRow), events)
    mark_changed(session, row.workload_id)
    return row.status


async def report_gone(session: AsyncSession, controller_id: str, proton: OwnedProton) -> bool:
    """Write down that a proton's compute is gone.

    Returns:
        False where the word came too late.
    """
    row = await _guarded(session, controller_id, proton)
    if row is None or row.desired_state == "running":
        return False
    status = status_at_rest(row.desired_state)
    if may_change(row.status, status):
        row.status = status
        row.replicas, row.running_since, row.observed_at = [], None, utc_now()
        row.controller_id = None
        await _show(session, row)
        await session.flush()
        await session.execute(insert(EventRow).values(_status_event(row, status, None)))
        mark_changed(session, row.workload_id)
    return True


async def report_stuck(session: AsyncSession, controller_id: str, proton: OwnedProton, message: str) -> None:
    """Write down why a proton's compute could not be taken down yet; once for the same reason."""
    row = await _guarded(session, controller_id, proton)
    if row is None or row.message == message:
        return
    row.message = message
    await session.flush()
    event = event_values(
        row.workload_id, "proton.not_stopped", "StopFailed", message, severity="Warning", details={"protonId": row.id}
    )
    await session.execute(insert(EventRow).values(event))


def want_gone(row: ProtonRow) -> None:
    """Want a proton's compute gone for good; its row must be locked."""
    if row.desired_state == "gone":
        return
    row.desired_state, row.role, row.running_since, row.message = "gone", None, None, None
    row.generation += 1
    row.status = "terminated" if row.status in ("stopped", "terminated") else "stopping"


async def _guarded(session: AsyncSession, controller_id: str, proton: OwnedProton) -> ProtonRow | None:
    """Lock a proton after its workload, if it is still this controller's and still of this generation."""
    await session.execute(locked(select(WorkloadRow.id).where(WorkloadRow.id == proton.workload_id)))
    statement = select(ProtonRow).where(
        ProtonRow.id == proton.id,
        ProtonRow.controller_id == controller_id,
        ProtonRow.generation == proton.generation,
    )
    return (await session.scalars(locked(statement))).one_or_none()


async def _show(session: AsyncSession, row: ProtonRow) -> None:
    """Let the workload show the status of its active proton; one that was ended stays ended."""
    status = shown(row.status)
    allowed = WorkloadRow.expired_at.is_(None) if status not in ("stopping", "terminated") else true()
    await session.execute(
        update(WorkloadRow)
        .where(WorkloadRow.id == row.workload_id, WorkloadRow.proton_id == row.id, allowed)
        .values(status=status, updated_at=WorkloadRow.updated_at)
        .execution_options(synchronize_session=False)
    )


def _status_event(row: ProtonRow, status: ProtonStatus, message: str | None) -> dict[str, Any]:
    severity: EventSeverity = "Warning" if status in ("errored", "unknown") else "Normal"
    return event_values(
        row.workload_id,
        "workload.status_changed" if row.role == "active" else "proton.status_changed",
        status.capitalize(),
        message or f"The proton {row.id} is now {status}.",
        severity=severity,
        details={"status": status, "protonId": row.id},
    )


def _restart_events(row: ProtonRow, seen: Report) -> list[dict[str, Any]]:
    before = restarts_of(row.replicas)
    events = []
    for replica in seen.replicas:
        for container in replica["containers"]:
            count = container["restarts"]
            if count > before.get((replica["name"], container["name"]), 0):
                why = container["message"] or container["reason"] or "it ended"
                events.append(
                    event_values(
                        row.workload_id,
                        "replica.restarted",
                        "Restarted",
                        f"The container {container['name']} of {replica['name']} ended and is restarted "
                        f"(restart {count}): {why}",
                        severity="Warning",
                        details={
                            "protonId": row.id,
                            "replica": replica["name"],
                            "container": container["name"],
                            "restarts": count,
                        },
                    )
                )
    return events
