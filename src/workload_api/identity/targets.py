"""The resource that a request means, for what its caller wants to do with it.

A workload's roles reach its parts: protons, events, history, statistics, logs (§10).
"""

from __future__ import annotations

from typing import TypeVar

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.locks import locked
from workload_api.db.models import ArtifactRepositoryRow, ArtifactRow, WorkloadRow
from workload_api.domain.words import ResourceType
from workload_api.identity.rights import Caller, Right, missing, require, roles_column

Row = WorkloadRow | ArtifactRow | ArtifactRepositoryRow
R = TypeVar("R", bound=WorkloadRow | ArtifactRow | ArtifactRepositoryRow)

TABLES: dict[ResourceType, type[Row]] = {
    "workload": WorkloadRow,
    "artifact": ArtifactRow,
    "artifact_repository": ArtifactRepositoryRow,
}


async def require_workload(
    session: AsyncSession, caller: Caller, workload_id: str, right: Right = "view"
) -> WorkloadRow:
    """A living workload, not locked, for what the caller wants to do with it or a part of it.

    Raises:
        NotFound: It is not there, or not for the caller to see.
        Forbidden: The caller may see it, but not do this.
    """
    return await _allowed(session, _there(caller, WorkloadRow, workload_id), "workload", workload_id, right)


async def lock_workload(session: AsyncSession, caller: Caller, workload_id: str, right: Right) -> WorkloadRow:
    """The same, with its row locked.

    Raises:
        NotFound: It is not there, or not for the caller to see.
        Forbidden: The caller may see it, but not do this.
    """
    statement = locked(_there(caller, WorkloadRow, workload_id), WorkloadRow)
    return await _allowed(session, statement, "workload", workload_id, right)


async def require_resource(
    session: AsyncSession, caller: Caller, resource_type: ResourceType, resource_id: str, right: Right
) -> Row:
    """A workload, an artifact or a repository, not locked.

    Raises:
        NotFound: It is not there, or not for the caller to see.
        Forbidden: The caller may see it, but not do this.
    """
    statement = _there(caller, TABLES[resource_type], resource_id)
    return await _allowed(session, statement, resource_type, resource_id, right)


async def lock_resource(
    session: AsyncSession, caller: Caller, resource_type: ResourceType, resource_id: str, right: Right
) -> Row:
    """The same, with its row locked.

    Raises:
        NotFound: It is not there, or not for the caller to see.
        Forbidden: The caller may see it, but not do this.
    """
    table = TABLES[resource_type]
    return await _allowed(session, locked(_there(caller, table, resource_id), table), resource_type, resource_id, right)


def _there(caller: Caller, table: type[R], resource_id: str) -> Select[R, str | None]:
    return select(table, roles_column(caller, table.id)).where(
        table.id == resource_id,
        table.organization_id == caller.organization_id,
        table.deleted_at.is_(None),
    )


async def _allowed(
    session: AsyncSession, statement: Select[R, str | None], resource_type: ResourceType, resource_id: str, right: Right
) -> R:
    found = (await session.execute(statement)).one_or_none()
    if found is None:
        raise missing(resource_type, resource_id)
    row, roles = found
    require(roles, right, resource_type, resource_id)
    return row
