"""What callers can do about replacements (§6); each function is one unit of work. The steps stand beside this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.artifacts.service import lock_artifact, refuse_draft_in_use
from workload_api.bundles.catalog import catalog, with_bundles
from workload_api.db.changes import mark_changed
from workload_api.db.locks import locked
from workload_api.db.models import ArtifactRow, ProtonRow, ReplacementRow, WorkloadRow
from workload_api.db.types import database_now
from workload_api.domain.errors import BadRequest, Conflict, FieldError, Unprocessable
from workload_api.domain.ids import new_id
from workload_api.domain.transitions import NOT_ACTIVE
from workload_api.domain.versions import ANY_VERSION, Expected
from workload_api.domain.words import ReplacementReason
from workload_api.identity.rights import Caller
from workload_api.identity.targets import lock_workload
from workload_api.protons.runtime_rules import refuse_too_many_replicas, refuse_unknown_names
from workload_api.protons.service import want_gone
from workload_api.replacements.queries import no_replacement
from workload_api.replacements.steps import enter
from workload_api.replacements.switch import deploy_again, switch
from workload_api.settings import Settings

_AT_ONCE = {"warmupDurationMinutes": 0, "keepOldVersionMinutes": 0}


@dataclass(frozen=True, slots=True)
class ReplacementContent:
    """What a client says about a replacement; without ``runtime`` the workload's own counts."""

    artifact_id: str
    config: dict[str, Any]
    runtime: dict[str, Any] | None


async def start_replacement(
    session: AsyncSession, caller: Caller, workload_id: str, content: ReplacementContent, settings: Settings
) -> ReplacementRow:
    """Begin the move of a workload onto another artifact.

    Raises:
        NotFound: There is no such workload or artifact.
        Forbidden: The caller may not change the workload, or more replicas are asked for than are allowed.
        BadRequest: Of the two artifacts one is a draft and the other is locked.
        FieldError: The runtime does not fit the artifact.
        Unprocessable: Something stands in the way.
    """
    workload = await lock_workload(session, caller, workload_id, "update")
    if workload.replacement_id is not None:
        raise Unprocessable(_in_progress(workload_id), code="REPLACEMENT_IN_PROGRESS")
    _refuse_without_proton(workload)
    artifact = await lock_artifact(session, caller, content.artifact_id, "view")
    current = (await session.scalars(select(ArtifactRow).where(ArtifactRow.id == workload.artifact_id))).one()
    if artifact.status != current.status:
        raise BadRequest(
            f"Artifact status mismatch: the workload {workload_id} runs the {current.status} artifact {current.id}, "
            f"and the artifact {artifact.id} is {artifact.status}. "
            + ("Promote the workload first." if current.status == "draft" else "Lock the artifact first."),
            code="ARTIFACT_STATUS_MISMATCH",
        )
    if artifact.status == "draft":
        await refuse_draft_in_use(session, artifact.id, beside=workload_id)
    elif artifact.id == current.id:
        raise Unprocessable(
            f"The workload {workload_id} runs the locked artifact {artifact.id} already; to change how it runs, PATCH "
            "its settings.",
            code="SAME_ARTIFACT",
        )
    return await _begin(
        session, caller, workload, artifact, content.runtime, settings, reason="replace", config=content.config
    )


async def change_settings(
    session: AsyncSession,
    caller: Caller,
    workload_id: str,
    runtime: dict[str, Any],
    settings: Settings,
    expected: Expected = ANY_VERSION,
) -> ReplacementRow:
    """Begin the move of a workload onto its own artifact, as that is now, with another runtime.

    Raises:
        NotFound: There is no such workload.
        Forbidden: The caller may not change it, or more replicas are asked for than are allowed.
        Stale: It has changed since the caller read it.
        Conflict: A replacement is in progress.
        FieldError: The runtime does not fit the artifact.
        Unprocessable: There is no active proton.
    """
    workload = await lock_workload(session, caller, workload_id, "update")
    expected.check(workload)
    if workload.replacement_id is not None:
        raise Conflict(_in_progress(workload_id), code="REPLACEMENT_IN_PROGRESS")
    _refuse_without_proton(workload)
    artifact = (await session.scalars(select(ArtifactRow).where(ArtifactRow.id == workload.artifact_id))).one()
    return await _begin(
        session, caller, workload, artifact, runtime, settings, reason="settings", config=dict(_AT_ONCE)
    )


async def cancel_replacement(
    session: AsyncSession, caller: Caller, workload_id: str, expected: Expected = ANY_VERSION
) -> ReplacementRow:
    """Undo the replacement in progress: before the switch the candidate goes, after it traffic goes back.

    Harmless when it is being undone already.

    Raises:
        NotFound: There is no such workload, or no replacement in progress.
        Forbidden: The caller may not change the workload.
        Stale: The replacement has gone on since the caller read it.
        Unprocessable: There is no way back: the old proton is gone, or one of the two artifacts has been locked since.
    """
    workload = await lock_workload(session, caller, workload_id, "update")
    if workload.replacement_id is None:
        raise no_replacement()
    statement = select(ReplacementRow, database_now()).where(ReplacementRow.id == workload.replacement_id)
    row, now = (await session.execute(locked(statement, ReplacementRow))).one()
    expected.check(row)
    if row.status == "deleting":
        return row
    message = f"Cancelled by {caller.username}."
    if row.switched_at is None:
        want_gone(await _locked_proton(session, row.candidate_proton_ids[0]))
    else:
        old = await _locked_proton(session, row.previous_proton_ids[0])
        if old.desired_state != "running":
            raise Unprocessable(
                f"There is no way back: the old proton {old.id} of the workload {workload_id} is {old.status} already. "
                f"Replace the workload by its artifact {old.artifact_id} instead.",
                code="OLD_PROTON_GONE",
            )
        await switch(session, workload, old, now)
        # Again, since locks may have been waited for: from here on gateways have time to hear of it.
        now = (await session.scalars(select(database_now()))).one()
        row.retired_at = now
        await session.flush()
        await deploy_again(session, row)
        message = f"Cancelled by {caller.username}; traffic goes back to the proton {old.id}."
    row.message = message
    await enter(session, row, "deleting", message, now, actor_id=caller.user_id)
    mark_changed(session, workload_id)
    return row


async def _begin(
    session: AsyncSession,
    caller: Caller,
    workload: WorkloadRow,
    artifact: ArtifactRow,
    runtime: dict[str, Any] | None,
    settings: Settings,
    *,
    reason: ReplacementReason,
    config: dict[str, Any],
) -> ReplacementRow:
    active = (await session.scalars(select(ProtonRow).where(ProtonRow.id == workload.proton_id))).one()
    if runtime is None:
        runtime = workload.runtime
        try:
            refuse_unknown_names(runtime, artifact.spec)
        except FieldError as error:
            raise FieldError(
                f"The workload's own runtime does not fit: {error.message} Give a runtime that does.",
                ("body", "runtime"),
            ) from None
    else:
        refuse_unknown_names(runtime, artifact.spec)
    refuse_too_many_replicas(runtime, settings.replica_limit)
    runtime = with_bundles(runtime, catalog(settings.bundles_file))
    now = await session.scalar(select(database_now()))
    assert now is not None
    row = ReplacementRow(
        workload_id=workload.id,
        organization_id=caller.organization_id,
        user_id=caller.user_id,
        artifact_id=artifact.id,
        name=workload.name,
        reason=reason,
        status="submitted",
        strategy="rolling",
        config=config,
        runtime=runtime,
        previous_proton_ids=[active.id],
        candidate_proton_ids=[new_id()],
        created_at=now,
        updated_at=now,
        status_since=now,
    )
    session.add(row)
    await session.flush()
    session.add(
        ProtonRow(
            id=row.candidate_proton_ids[0],
            workload_id=workload.id,
            artifact_id=artifact.id,
            # Whose credentials its variables are filled from: who chose the artifact decides, and nobody has the
            # secrets of somebody else read by an artifact of his own.
            creator_id=active.creator_id if reason == "settings" else caller.user_id,
            name=workload.name,
            role="candidate",
            spec=artifact.spec,
            runtime=runtime,
        )
    )
    workload.replacement_id = row.id
    what = "other settings" if reason == "settings" else f"the artifact {artifact.id}"
    message = f"A replacement by {what} was asked for."
    await enter(session, row, "submitted", message, now, actor_id=caller.user_id)
    mark_changed(session, workload.id)
    return row


def _refuse_without_proton(workload: WorkloadRow) -> None:
    if workload.expired_at is not None or workload.status in NOT_ACTIVE:
        state = "expired" if workload.expired_at is not None else workload.status
        raise Unprocessable(
            f"The workload {workload.id} has no active proton: it is {state}; start it first.", code="NO_ACTIVE_PROTON"
        )


async def _locked_proton(session: AsyncSession, proton_id: str) -> ProtonRow:
    return (await session.scalars(locked(select(ProtonRow).where(ProtonRow.id == proton_id)))).one()


def _in_progress(workload_id: str) -> str:
    return f"A replacement of the workload {workload_id} is in progress; wait for it to end or cancel it."
