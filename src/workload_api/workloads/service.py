"""What can be done to workloads; each function is one unit of work (§4). Promote and the TTL stand beside this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.artifacts.service import (
    ArtifactContent,
    create_artifact,
    draft_in_use,
    lock_artifact,
    refuse_draft_in_use,
)
from workload_api.bundles.catalog import catalog, with_bundles
from workload_api.clock import utc_now
from workload_api.db.changes import mark_changed
from workload_api.db.locks import locked
from workload_api.db.models import ArtifactRow, EventRow, ProtonRow, SharedRoleRow, WorkloadRow
from workload_api.db.types import database_now
from workload_api.domain.errors import Conflict
from workload_api.domain.ids import new_id
from workload_api.domain.transitions import STARTABLE
from workload_api.domain.versions import ANY_VERSION, Expected
from workload_api.domain.words import Importance
from workload_api.events.service import event_values
from workload_api.identity.rights import Caller
from workload_api.identity.service import grant_ownership, revoke_tokens_of
from workload_api.identity.targets import lock_workload
from workload_api.protons.runtime_rules import refuse_too_many_replicas, refuse_unknown_names
from workload_api.replacements.steps import end_replacements
from workload_api.settings import Settings
from workload_api.workloads.lifetime import end_protons
from workload_api.workloads.limits import refuse_too_many_workloads


@dataclass(frozen=True, slots=True)
class WorkloadContent:
    """What a client says about a new workload: either ``artifact`` (made with it) or ``artifact_id``."""

    name: str
    description: str | None
    importance: Importance
    runtime: dict[str, Any]
    artifact: ArtifactContent | None
    artifact_status: str = "draft"
    artifact_repository_id: str | None = None
    artifact_id: str | None = None


async def create_workload(session: AsyncSession, caller: Caller, content: WorkloadContent, settings: Settings) -> str:
    """Create a workload with its proton; what should run is in the database, the controller makes it run.

    Returns:
        The workload's id.

    Raises:
        NotFound: There is no such artifact or repository.
        Forbidden: It would be one more workload, or have more replicas, than are allowed.
        FieldError: The runtime names a group or container that the artifact does not have.
        Unprocessable: The artifact is a draft on which another workload lives.
    """
    if content.artifact is not None:
        artifact = await create_artifact(
            session,
            caller,
            content.artifact,
            status="locked" if content.artifact_status == "locked" else "draft",
            repository_id=content.artifact_repository_id,
        )
    else:
        assert content.artifact_id is not None
        artifact = await lock_artifact(session, caller, content.artifact_id, "view")
    refuse_unknown_names(content.runtime, artifact.spec)
    refuse_too_many_replicas(content.runtime, settings.replica_limit)
    await refuse_too_many_workloads(session, caller, settings.workload_limit)
    runtime = with_bundles(content.runtime, catalog(settings.bundles_file))
    is_draft = artifact.status == "draft"
    if is_draft:
        await refuse_draft_in_use(session, artifact.id)
    workload_id, proton_id = new_id(), new_id()
    session.add(
        WorkloadRow(
            id=workload_id,
            organization_id=caller.organization_id,
            creator_id=caller.user_id,
            name=content.name,
            description=content.description,
            importance=content.importance,
            type=artifact.type,
            artifact_id=artifact.id,
            draft_artifact_id=artifact.id if is_draft else None,
            proton_id=proton_id,
            runtime=runtime,
            expires_at=database_now(settings.draft_ttl) if is_draft else None,
        )
    )
    try:
        await session.flush()
    except IntegrityError as error:
        # The schema's last guard; only reached if the look above raced with another creation.
        if "draft_artifact_id" in str(error.orig):
            raise draft_in_use(artifact.id) from error
        raise
    session.add(
        ProtonRow(
            id=proton_id,
            workload_id=workload_id,
            artifact_id=artifact.id,
            creator_id=caller.user_id,
            name=content.name,
            role="active",
            spec=artifact.spec,
            runtime=runtime,
        )
    )
    grant_ownership(session, caller, "workload", workload_id)
    message = f"Created on the {artifact.status} artifact {artifact.id}."
    await session.flush()
    await session.execute(
        insert(EventRow).values(
            event_values(
                workload_id,
                "workload.created",
                "Created",
                message,
                actor_id=caller.user_id,
                details={"artifactId": artifact.id, "protonId": proton_id},
            )
        )
    )
    mark_changed(session, workload_id)
    return workload_id


async def update_workload(
    session: AsyncSession,
    caller: Caller,
    workload_id: str,
    *,
    name: str | None = None,
    description: str | None = None,
    importance: Importance | None = None,
    expected: Expected = ANY_VERSION,
) -> None:
    """Change what is given; no restart, no other effect (§4).

    Raises:
        NotFound: There is no such workload.
        Forbidden: The caller may not change it.
        Stale: It has changed since the caller read it.
    """
    workload = await lock_workload(session, caller, workload_id, "update")
    expected.check(workload)
    wanted = {"name": name, "description": description, "importance": importance}
    changed = {
        field: value for field, value in wanted.items() if value is not None and value != getattr(workload, field)
    }
    for field, value in changed.items():
        setattr(workload, field, value)
    workload.updated_at = utc_now()
    await session.flush()
    if changed:
        fields = ", ".join(changed)
        await session.execute(
            insert(EventRow).values(
                event_values(
                    workload_id,
                    "workload.updated",
                    "Updated",
                    f"Changed: {fields}.",
                    actor_id=caller.user_id,
                    details={"changed": sorted(changed)},
                )
            )
        )
        mark_changed(session, workload_id)


async def start_workload(session: AsyncSession, caller: Caller, workload_id: str, settings: Settings) -> None:
    """Want a stopped or errored workload running again; a draft gets its full TTL and its present spec.

    Raises:
        NotFound: There is no such workload.
        Forbidden: The caller may not start it, or as many workloads as are allowed run already.
        Conflict: It is neither stopped nor errored, or its time ran out.
    """
    workload = await lock_workload(session, caller, workload_id, "update")
    if workload.expired_at is not None:
        raise Conflict(
            f"The workload {workload_id} expired and cannot be started again; create a new one on its artifact "
            f"{workload.artifact_id}.",
            code="WORKLOAD_EXPIRED",
        )
    if workload.status not in STARTABLE:
        raise Conflict(
            f"The workload {workload_id} is {workload.status}; only a stopped or errored one can be started.",
            code="NOT_STARTABLE",
        )
    if workload.status == "stopped":
        await refuse_too_many_workloads(session, caller, settings.workload_limit)
    artifact = (await session.scalars(select(ArtifactRow).where(ArtifactRow.id == workload.artifact_id))).one()
    proton = await _active_proton(session, workload_id)
    proton.desired_state, proton.status = "running", "submitted"
    proton.generation += 1
    proton.spec, proton.runtime = artifact.spec, workload.runtime
    proton.replicas, proton.log_tail, proton.message, proton.running_since = None, None, None, None
    workload.status = "submitted"
    if workload.draft_artifact_id is not None:
        workload.expires_at = database_now(settings.draft_ttl)
    await session.flush()
    await _note(session, caller, workload_id, "workload.started", "Started", "Start was asked for.")


async def stop_workload(session: AsyncSession, caller: Caller, workload_id: str) -> None:
    """Want a workload's compute gone, its identity kept; harmless when it is stopped already.

    A replacement in progress ends with it.

    Raises:
        NotFound: There is no such workload.
        Forbidden: The caller may not stop it.
    """
    workload = await lock_workload(session, caller, workload_id, "update")
    if workload.status in ("stopping", "stopped", "terminated"):
        return
    if workload.replacement_id is not None:
        await end_replacements(session, [workload_id], "The workload was stopped.")
        await end_protons(session, [workload_id], but_active=True)
    proton = await _active_proton(session, workload_id)
    proton.desired_state, proton.status, proton.running_since, proton.message = "stopped", "stopping", None, None
    proton.generation += 1
    workload.status = "stopping"
    await session.flush()
    await _note(session, caller, workload_id, "workload.stopped", "Stopped", "Stop was asked for.")


async def delete_workload(
    session: AsyncSession, caller: Caller, workload_id: str, expected: Expected = ANY_VERSION
) -> list[str]:
    """Delete a workload: from now on it is not there; the controller takes its compute down behind it.

    Returns:
        Why protons of it could not be stopped so far, a sentence for each; the controller goes on trying.

    Raises:
        NotFound: There is no such workload.
        Forbidden: The caller may not delete it.
        Stale: It has changed since the caller read it.
    """
    workload = await lock_workload(session, caller, workload_id, "delete")
    expected.check(workload)
    if workload.replacement_id is not None:
        await end_replacements(session, [workload_id], "The workload was deleted.")
    workload.deleted_at = utc_now()
    workload.draft_artifact_id = workload.expires_at = None
    await session.flush()
    await end_protons(session, [workload_id])
    await revoke_tokens_of(session, [workload_id])
    await session.execute(delete(SharedRoleRow).where(SharedRoleRow.resource_id == workload_id))
    mark_changed(session, workload_id)
    stuck = select(ProtonRow.id, ProtonRow.message).where(
        ProtonRow.workload_id == workload_id, ProtonRow.status == "stopping", ProtonRow.message.is_not(None)
    )
    return [
        f"The proton {proton_id} could not be stopped yet, and is still being tried: {message}"
        for proton_id, message in await session.execute(stuck)
    ]


async def _active_proton(session: AsyncSession, workload_id: str) -> ProtonRow:
    statement = select(ProtonRow).where(ProtonRow.workload_id == workload_id, ProtonRow.role == "active")
    return (await session.scalars(locked(statement))).one()


async def _note(
    session: AsyncSession, caller: Caller, workload_id: str, event_type: str, reason: str, message: str
) -> None:
    await session.execute(
        insert(EventRow).values(event_values(workload_id, event_type, reason, message, actor_id=caller.user_id))
    )
    mark_changed(session, workload_id)
