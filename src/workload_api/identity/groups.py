"""Groups of users: what the command line does with them (§10)."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.locks import locked
from workload_api.db.models import (
    ArtifactRepositoryRow,
    ArtifactRow,
    GroupMemberRow,
    GroupRow,
    OrganizationRow,
    SharedRoleRow,
    UserRow,
    WorkloadRow,
)
from workload_api.domain.errors import Conflict, NotFound, Unprocessable


async def add_group(session: AsyncSession, name: str, organization: str) -> GroupRow:
    """Add an empty group to an organization.

    Raises:
        NotFound: There is no such organization.
        Conflict: It has a group of that name.
    """
    organization_id = await _organization_id(session, organization)
    taken = select(GroupRow.id).where(GroupRow.organization_id == organization_id, GroupRow.name == name)
    if (await session.scalars(taken)).first():
        raise Conflict(f"The organization {organization!r} has a group {name!r} already.")
    group = GroupRow(organization_id=organization_id, name=name)
    session.add(group)
    await session.flush()
    return group


async def list_groups(session: AsyncSession) -> list[tuple[GroupRow, OrganizationRow, list[str]]]:
    """All groups with their organizations and the names of their members, oldest first."""
    groups = await session.execute(
        select(GroupRow, OrganizationRow)
        .join(OrganizationRow, OrganizationRow.id == GroupRow.organization_id)
        .order_by(GroupRow.id)
    )
    members: dict[str, list[str]] = {}
    statement = (
        select(GroupMemberRow.group_id, UserRow.username)
        .join(UserRow, UserRow.id == GroupMemberRow.user_id)
        .order_by(UserRow.username)
    )
    for group_id, username in (await session.execute(statement)).all():
        members.setdefault(group_id, []).append(username)
    return [(group, organization, members.get(group.id, [])) for group, organization in groups.all()]


async def join_group(session: AsyncSession, name: str, organization: str, username: str) -> GroupRow:
    """Put a user into a group of the user's own organization; harmless if it is there already.

    Raises:
        NotFound: There is no such group or user.
        Unprocessable: The user belongs to another organization.
    """
    group = await _group(session, name, organization)
    user = await _user(session, username)
    if user.organization_id != group.organization_id:
        raise Unprocessable(f"The user {username!r} does not belong to the organization {organization!r}.")
    if await session.get(GroupMemberRow, (group.id, user.id)) is None:
        session.add(GroupMemberRow(group_id=group.id, user_id=user.id))
    return group


async def leave_group(session: AsyncSession, name: str, organization: str, username: str) -> GroupRow:
    """Take a user out of a group.

    Raises:
        NotFound: There is no such group or user, or the user is not in it.
    """
    group = await _group(session, name, organization)
    user = await _user(session, username)
    member = await session.get(GroupMemberRow, (group.id, user.id))
    if member is None:
        raise NotFound(f"The user {username!r} is not in the group {name!r}.")
    await session.delete(member)
    return group


async def delete_group(session: AsyncSession, name: str, organization: str) -> GroupRow:
    """Delete a group, and with it the roles that it holds.

    Raises:
        NotFound: There is no such group.
    """
    group = await _group(session, name, organization)
    # The resources before their roles, as everybody does who changes one: else two may wait for each other.
    held = select(SharedRoleRow.resource_id).where(SharedRoleRow.subject_id == group.id)
    for table in (WorkloadRow, ArtifactRow, ArtifactRepositoryRow):
        await session.execute(locked(select(table.id).where(table.id.in_(held)).order_by(table.id)))
    await session.execute(delete(SharedRoleRow).where(SharedRoleRow.subject_id == group.id))
    await session.delete(group)
    return group


async def _organization_id(session: AsyncSession, name: str) -> str:
    found = (await session.scalars(select(OrganizationRow.id).where(OrganizationRow.name == name))).one_or_none()
    if found is None:
        raise NotFound(f"There is no organization {name!r}; `workload-api user list` shows which there are.")
    return found


async def _group(session: AsyncSession, name: str, organization: str) -> GroupRow:
    organization_id = await _organization_id(session, organization)
    statement = select(GroupRow).where(GroupRow.organization_id == organization_id, GroupRow.name == name)
    found = (await session.scalars(statement)).one_or_none()
    if found is None:
        raise NotFound(f"There is no group {name!r} in {organization!r}; `workload-api group list` shows the groups.")
    return found


async def _user(session: AsyncSession, username: str) -> UserRow:
    found = (await session.scalars(select(UserRow).where(UserRow.username == username))).one_or_none()
    if found is None:
        raise NotFound(f"There is no user {username!r}; `workload-api user list` shows who there is.")
    return found
