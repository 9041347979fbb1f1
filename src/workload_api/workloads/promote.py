"""Promote: the in-place step of a workload from its draft artifact to that same artifact, locked (§5).

It touches the database alone. The proton keeps running, the route stays, requests under way see nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, Select, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.artifacts.service import refuse_unbuilt
from workload_api.clock import utc_now
from workload_api.db.changes import mark_changed
from workload_api.db.locks import locked, table_of, write_together
from workload_api.db.models import ArtifactRepositoryRow, ArtifactRow, EventRow, ReplacementRow, WorkloadRow
from workload_api.domain.errors import Forbidden, Unprocessable
from workload_api.domain.ids import new_id
from workload_api.domain.transitions import NOT_ACTIVE
from workload_api.domain.versions import ANY_VERSION, Expected
from workload_api.events.service import event_values
from workload_api.identity.rights import Caller, missing, require, rights_of, roles_column

_Standing = Row[WorkloadRow, ArtifactRow, ArtifactRepositoryRow, str | None, str | None]


@dataclass(frozen=True, slots=True)
class PromotePlan:
    """What a promote would do."""

    artifact_id: str
    version: int
    """The one that it would get."""
    proton_id: str
    expires_at: datetime | None
    """The end of the draft TTL, which would go."""
    obstacles: list[Unprocessable]
    """What stands in the way; with none of these the promote would go through."""


async def promote(session: AsyncSession, caller: Caller, workload_id: str, expected: Expected = ANY_VERSION) -> int:
    """Promote a workload in one transaction: all five effects of §5, or none.

    Args:
        session: A unit of work.
        caller: Needs the right to update both the workload and its artifact.
        workload_id: Which.
        expected: Which version of the workload the caller has seen.

    Returns:
        The artifact's version.

    Raises:
        NotFound: There is no such workload for this caller.
        Forbidden: The caller may see it, but not update it or its artifact.
        Stale: The workload has changed since the caller read it.
        Unprocessable: Something stands in the way; nothing has changed.
    """
    standing = await _lock(session, caller, workload_id)
    workload, artifact, repository, _, _ = standing
    _require(standing)
    expected.check(workload)
    for obstacle in obstacles(workload, artifact):
        raise obstacle

    now, version = utc_now(), repository.last_version_number + 1
    details = {"artifactId": artifact.id, "version": version, "protonId": workload.proton_id}
    message = f"Promoted: the artifact {artifact.id} is locked as version {version}."
    await write_together(
        session,
        [
            update(table_of(ArtifactRow))
            .where(ArtifactRow.id == artifact.id)
            .values(status="locked", version=version, updated_at=now),
            update(table_of(ArtifactRepositoryRow))
            .where(ArtifactRepositoryRow.id == repository.id)
            .values(last_version_number=version, updated_at=now),
            update(table_of(WorkloadRow))
            .where(WorkloadRow.id == workload_id)
            .values(
                statistics_epoch=workload.statistics_epoch + 1,
                statistics_since=now,
                draft_artifact_id=None,
                expires_at=None,
                updated_at=now,
            ),
            # What was deployed until now is so no longer; before the insert, since SQLite takes one after the other.
            update(table_of(ReplacementRow))
            .where(
                ReplacementRow.workload_id == workload_id,
                ReplacementRow.deployed_at.is_not(None),
                ReplacementRow.retired_at.is_(None),
            )
            .values(retired_at=now, updated_at=ReplacementRow.updated_at),
            insert(table_of(ReplacementRow)).values(
                id=new_id(),
                workload_id=workload_id,
                organization_id=caller.organization_id,
                user_id=caller.user_id,
                artifact_id=artifact.id,
                name=workload.name,
                reason="promote",
                status="completed",
                strategy="rolling",
                message=message,
                config={"warmupDurationMinutes": 0, "keepOldVersionMinutes": 0},
                runtime=workload.runtime,
                previous_proton_ids=[workload.proton_id],
                candidate_proton_ids=[workload.proton_id],
                created_at=now,
                updated_at=now,
                deployed_at=now,
                switched_at=now,
                status_since=now,
            ),
            insert(table_of(EventRow)).values(
                **event_values(
                    workload_id, "workload.promoted", "Promoted", message, actor_id=caller.user_id, details=details
                )
            ),
        ],
    )
    mark_changed(session, workload_id)
    return version


async def plan_promote(
    session: AsyncSession, caller: Caller, workload_id: str, expected: Expected = ANY_VERSION
) -> PromotePlan:
    """What a promote would do right now; nothing is written.

    Args:
        session: A transaction.
        caller: Needs the same rights as for the promote itself.
        workload_id: Which.
        expected: Which version of the workload the caller has seen.

    Raises:
        NotFound: There is no such workload for this caller.
        Forbidden: The caller may see it, but not update it or its artifact.
        Stale: The workload has changed since the caller read it.
    """
    standing = (await session.execute(_standing(caller, workload_id))).one_or_none()
    if standing is None:
        raise missing("workload", workload_id)
    _require(standing)
    workload, artifact, repository, _, _ = standing
    expected.check(workload)
    return PromotePlan(
        artifact_id=artifact.id,
        version=repository.last_version_number + 1,
        proton_id=workload.proton_id,
        expires_at=workload.expires_at,
        obstacles=list(obstacles(workload, artifact)),
    )


def _require(standing: _Standing) -> None:
    """Let through a caller who may update both the workload and its artifact."""
    workload, artifact, _, workload_roles, artifact_roles = standing
    require(workload_roles, "update", "workload", workload.id)
    if "update" not in rights_of(artifact_roles):
        # Not 404: it is the workload that was asked for, and that the caller sees.
        raise Forbidden(
            f"You may update the workload {workload.id} but not its artifact {artifact.id}, which a promote locks; "
            "ask the artifact's owner for a role."
        )


def obstacles(workload: WorkloadRow, artifact: ArtifactRow) -> Iterator[Unprocessable]:
    """What keeps a workload from being promoted, the gravest first; nothing where it can be."""
    if workload.expired_at is not None or workload.status in NOT_ACTIVE:
        state = "expired" if workload.expired_at is not None else workload.status
        yield Unprocessable(
            f"The workload {workload.id} has no active proton: it is {state}; start it first.", code="NO_ACTIVE_PROTON"
        )
    if artifact.status != "draft":
        yield Unprocessable(
            f"The artifact {artifact.id} of the workload {workload.id} is not a draft: it is locked as version "
            f"{artifact.version} already.",
            code="ARTIFACT_NOT_DRAFT",
        )
    if workload.replacement_id is not None:
        yield Unprocessable(
            f"A replacement of the workload {workload.id} is in progress; wait for it to end or cancel it.",
            code="REPLACEMENT_IN_PROGRESS",
        )
    try:
        refuse_unbuilt(artifact.id, artifact.spec)
    except Unprocessable as error:
        yield error


async def _lock(session: AsyncSession, caller: Caller, workload_id: str) -> _Standing:
    """Lock workload, artifact and repository and read all that promote decides on, in one round trip as a rule."""
    statement = locked(_standing(caller, workload_id), WorkloadRow, ArtifactRow, ArtifactRepositoryRow)
    found = (await session.execute(statement)).one_or_none()
    if found is None:
        # Not there; or moved to another artifact or proton while we waited for its lock, so that the join of the
        # old state fell apart. Under the lock of the workload alone it cannot move again.
        alone = select(WorkloadRow.id).where(WorkloadRow.id == workload_id)
        await session.execute(locked(alone))
        found = (await session.execute(statement)).one_or_none()
    if found is None:
        raise missing("workload", workload_id)
    return found


def _standing(
    caller: Caller, workload_id: str
) -> Select[WorkloadRow, ArtifactRow, ArtifactRepositoryRow, str | None, str | None]:
    return (
        select(
            WorkloadRow,
            ArtifactRow,
            ArtifactRepositoryRow,
            roles_column(caller, WorkloadRow.id),
            roles_column(caller, ArtifactRow.id),
        )
        .join(ArtifactRow, ArtifactRow.id == WorkloadRow.artifact_id)
        .join(ArtifactRepositoryRow, ArtifactRepositoryRow.id == ArtifactRow.repository_id)
        .where(
            WorkloadRow.id == workload_id,
            WorkloadRow.organization_id == caller.organization_id,
            WorkloadRow.deleted_at.is_(None),
        )
    )
