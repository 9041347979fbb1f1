"""The moment in which a workload moves from one of its protons to another, and what the history says of it (§6)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.locks import locked
from workload_api.db.models import ArtifactRow, ProtonRow, ReplacementRow, WorkloadRow
from workload_api.domain.errors import Unprocessable
from workload_api.domain.transitions import shown


async def switch(session: AsyncSession, workload: WorkloadRow, proton: ProtonRow, now: datetime) -> None:
    """Let a workload point at another of its protons; the one that it pointed at goes on running.

    Args:
        session: A unit of work that holds the locks of the workload and of its protons.
        workload: Which workload.
        proton: Becomes the active one.
        now: The database's clock.

    Raises:
        Unprocessable: One of the two artifacts has been locked since and the other has not; nothing has changed.
    """
    ids = {workload.artifact_id, proton.artifact_id}
    statement = select(ArtifactRow).where(ArtifactRow.id.in_(ids)).order_by(ArtifactRow.id)
    fresh = locked(statement).execution_options(populate_existing=True)
    artifacts = {artifact.id: artifact for artifact in await session.scalars(fresh)}
    artifact, old_artifact = artifacts[proton.artifact_id], artifacts[workload.artifact_id]
    if artifact.status != old_artifact.status:
        raise Unprocessable(
            f"Artifact status mismatch: the artifact {old_artifact.id} is {old_artifact.status} by now, and the "
            f"artifact {artifact.id} is {artifact.status}.",
            code="ARTIFACT_STATUS_MISMATCH",
        )
    active = select(ProtonRow).where(ProtonRow.workload_id == workload.id, ProtonRow.role == "active")
    old = (await session.scalars(locked(active))).one()
    # One after the other: the schema lets no two protons be active, not even for a moment.
    old.role = None
    if old.status == "running":
        old.status = "draining"
    await session.flush()
    proton.role = "active"
    if proton.status in ("warming", "draining"):
        proton.status = "running"
    workload.proton_id, workload.artifact_id, workload.runtime = proton.id, artifact.id, proton.runtime
    workload.draft_artifact_id = artifact.id if artifact.status == "draft" else None
    workload.type, workload.status, workload.updated_at = artifact.type, shown(proton.status), now
    await session.flush()


async def retire_deployed(session: AsyncSession, row: ReplacementRow, now: datetime) -> None:
    """Let the history say that what was deployed until now is so no longer, since this replacement is."""
    await session.execute(
        update(ReplacementRow)
        .where(
            ReplacementRow.workload_id == row.workload_id,
            ReplacementRow.id != row.id,
            ReplacementRow.deployed_at.is_not(None),
            ReplacementRow.retired_at.is_(None),
        )
        .values(retired_at=now, updated_at=ReplacementRow.updated_at)
        .execution_options(synchronize_session=False)
    )


async def deploy_again(session: AsyncSession, row: ReplacementRow) -> None:
    """Let the history say that what this replacement had retired is deployed again."""
    await session.execute(
        update(ReplacementRow)
        .where(ReplacementRow.workload_id == row.workload_id, ReplacementRow.retired_at == row.deployed_at)
        .values(retired_at=None, updated_at=ReplacementRow.updated_at)
        .execution_options(synchronize_session=False)
    )
