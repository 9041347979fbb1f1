"""The workload whose statistics are read or reset, for a caller who may."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.locks import locked
from workload_api.db.models import ArtifactRow, ProtonRow, WorkloadRow
from workload_api.domain.errors import NotFound
from workload_api.identity.rights import Caller, missing, require, roles_column
from workload_api.settings import Settings


async def read_target(
    session: AsyncSession, caller: Caller, workload_id: str, settings: Settings
) -> tuple[WorkloadRow, timedelta]:
    """A workload that the caller may view, and for how long its statistics are kept (§8).

    Raises:
        NotFound: It is not there, or not for the caller to see.
    """
    statement = (
        select(WorkloadRow, roles_column(caller, WorkloadRow.id), ArtifactRow.status)
        .join(ArtifactRow, ArtifactRow.id == WorkloadRow.artifact_id)
        .where(*_living(caller, workload_id))
    )
    found = (await session.execute(statement)).one_or_none()
    if found is None:
        raise missing("workload", workload_id)
    workload, roles, artifact_status = found
    require(roles, "view", "workload", workload_id)
    is_draft = artifact_status == "draft"
    return workload, settings.draft_statistics_retention if is_draft else settings.locked_statistics_retention


async def lock_target(session: AsyncSession, caller: Caller, workload_id: str) -> WorkloadRow:
    """A workload that the caller may update, with its row locked.

    Raises:
        NotFound: It is not there, or not for the caller to see.
        Forbidden: The caller may see it, but not update it.
    """
    statement = select(WorkloadRow, roles_column(caller, WorkloadRow.id)).where(*_living(caller, workload_id))
    found = (await session.execute(locked(statement, WorkloadRow))).one_or_none()
    if found is None:
        raise missing("workload", workload_id)
    workload, roles = found
    require(roles, "update", "workload", workload_id)
    return workload


async def require_proton(session: AsyncSession, workload_id: str, proton_id: str) -> None:
    """Let through a proton that is the workload's.

    Raises:
        NotFound: The workload has no such proton.
    """
    statement = select(ProtonRow.id).where(ProtonRow.id == proton_id, ProtonRow.workload_id == workload_id)
    if (await session.scalars(statement)).one_or_none() is None:
        raise NotFound(
            f"The workload {workload_id} has no proton with id {proton_id[:100]!r}.", code="PROTON_NOT_FOUND"
        )


def _living(caller: Caller, workload_id: str) -> tuple[ColumnElement[bool], ...]:
    return (
        WorkloadRow.id == workload_id,
        WorkloadRow.organization_id == caller.organization_id,
        WorkloadRow.deleted_at.is_(None),
    )
