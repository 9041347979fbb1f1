"""The workload that a request about one of its parts (protons, events, statistics …) means: its roles reach them."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.models import WorkloadRow
from workload_api.identity.rights import Caller, Right, missing, require, roles_column


async def require_workload(
    session: AsyncSession, caller: Caller, workload_id: str, right: Right = "view"
) -> WorkloadRow:
    """A living workload, not locked, for what the caller wants to do with a part of it.

    Raises:
        NotFound: It is not there, or not for the caller to see.
        Forbidden: The caller may see it, but not do this.
    """
    statement = select(WorkloadRow, roles_column(caller, WorkloadRow.id)).where(
        WorkloadRow.id == workload_id,
        WorkloadRow.organization_id == caller.organization_id,
        WorkloadRow.deleted_at.is_(None),
    )
    found = (await session.execute(statement)).one_or_none()
    if found is None:
        raise missing("workload", workload_id)
    workload, roles = found
    require(roles, right, "workload", workload_id)
    return workload
