"""Reads who holds which role."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.models import GroupRow, OrganizationRow, SharedRoleRow, UserRow
from workload_api.domain.words import ResourceType, SharingRole, SubjectType
from workload_api.http.paging import Paging
from workload_api.identity.rights import Caller
from workload_api.identity.targets import require_resource


@dataclass(frozen=True, slots=True)
class HeldRole:
    """A role with the name of who holds it."""

    subject_id: str
    name: str
    subject_type: SubjectType
    role: SharingRole


async def list_roles(
    session: AsyncSession, caller: Caller, resource_type: ResourceType, resource_id: str, paging: Paging
) -> tuple[list[HeldRole], int]:
    """A page of the roles on one resource, in the order they were given, and how many there are.

    Raises:
        NotFound: It is not there, or not for the caller to see.
    """
    await require_resource(session, caller, resource_type, resource_id, "view")
    these = SharedRoleRow.resource_id == resource_id
    total = await session.scalar(select(func.count()).select_from(SharedRoleRow).where(these))
    name = func.coalesce(UserRow.username, GroupRow.name, OrganizationRow.name, "")
    statement = (
        select(SharedRoleRow.subject_id, name, SharedRoleRow.subject_type, SharedRoleRow.role)
        .join(UserRow, UserRow.id == SharedRoleRow.subject_id, isouter=True)
        .join(GroupRow, GroupRow.id == SharedRoleRow.subject_id, isouter=True)
        .join(OrganizationRow, OrganizationRow.id == SharedRoleRow.subject_id, isouter=True)
        .where(these)
        .order_by(SharedRoleRow.id)
        .offset(paging.offset)
        .limit(paging.limit)
    )
    return [HeldRole(*row) for row in (await session.execute(statement)).all()], total or 0
