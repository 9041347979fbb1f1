"""The workload that a request, also one about its parts (protons, events …), means: its roles reach them."""

from __future__ import annotations

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.locks import locked
from workload_api.db.models import WorkloadRow
from workload_api.identity.rights import Caller, Right, missing, require, roles_column


async def require_workload(
    session: AsyncSession, caller: Caller, workload_id: str, right: Right = "view"
) -> WorkloadRow:
    """A living workload, not locked, for what the caller wants to do with it or a part of it.

    Raises:
        NotFound: It is not there, or not for the caller to see.
        Forbidden: The caller may see it, but not do this.
    """
    return await _allowed(session, _living(caller, workload_id), workload_id, right)


async def lock_workload(session: AsyncSession, caller: Caller, workload_id: str, right: Right) -> WorkloadRow:
    """The same, with its row locked.

    Raises:
        NotFound: It is not there, or not for the caller to see.
        Forbidden: The caller may see it, but not do this.
    """
    return await _allowed(session, locked(_living(caller, workload_id), WorkloadRow), workload_id, right)


def _living(caller: Caller, workload_id: str) -> Select[WorkloadRow, str | None]:
    return select(WorkloadRow, roles_column(caller, WorkloadRow.id)).where(
        WorkloadRow.id == workload_id,
        WorkloadRow.organization_id == caller.organization_id,
        WorkloadRow.deleted_at.is_(None),
    )


async def _allowed(
    session: AsyncSession, statement: Select[WorkloadRow, str | None], workload_id: str, right: Right
) -> WorkloadRow:
    found = (await session.execute(statement)).one_or_none()
    if found is None:
        raise missing("workload", workload_id)
    workload, roles = found
    require(roles, right, "workload", workload_id)
    return workload
