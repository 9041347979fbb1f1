"""Gives and takes roles (§10): all of a request or nothing, and never without an owner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import ColumnElement, delete, exists, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.changes import mark_changed
from workload_api.db.models import EventRow, GroupMemberRow, GroupRow, OrganizationRow, SharedRoleRow, UserRow
from workload_api.domain.errors import FieldError, Unprocessable
from workload_api.domain.versions import ANY_VERSION, Expected
from workload_api.domain.words import ResourceType, SharingRole, SubjectType
from workload_api.events.service import event_values
from workload_api.identity.rights import Caller
from workload_api.identity.targets import lock_resource

RoleWanted = Literal[SharingRole, "NO_ROLE"]


@dataclass(frozen=True, slots=True)
class Grant:
    """A role for one recipient; ``id`` or ``name`` says who."""

    kind: Literal[SubjectType, "role"]
    role: RoleWanted
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class _Recipient:
    kind: SubjectType
    id: str
    name: str


async def update_roles(
    session: AsyncSession,
    caller: Caller,
    resource_type: ResourceType,
    resource_id: str,
    grants: Sequence[Grant],
    expected: Expected = ANY_VERSION,
) -> None:
    """Give and take roles on one resource.

    Args:
        session: A unit of work.
        caller: Needs the right to share it.
        resource_type: Of which kind it is.
        resource_id: Which.
        grants: For each recipient its role from now on; ``NO_ROLE`` takes it away.
        expected: Which version the caller has seen.

    Raises:
        NotFound: The resource is not there, or not for the caller to see.
        Forbidden: The caller may see it, but not share it.
        FieldError: A recipient is not there, or is named twice.
        Unprocessable: Nobody would be left as its owner.
    """
    row = await lock_resource(session, caller, resource_type, resource_id, "share")
    expected.check(row)
    seen: dict[str, int] = {}
    told = []
    for number, grant in enumerate(grants):
        recipient = await _recipient(session, caller, grant, number)
        if recipient.id in seen:
            raise FieldError(
                f"The {recipient.kind} {recipient.name!r} is named twice; say once which role it is to have.",
                ("body", "roles", number),
            )
        seen[recipient.id] = number
        await _set_role(session, resource_type, resource_id, recipient, grant.role)
        told.append({"type": recipient.kind, "id": recipient.id, "name": recipient.name, "role": grant.role})
    if not await session.scalar(select(_has_owner(resource_id))):
        raise Unprocessable(
            f"The {resource_type.replace('_', ' ')} {resource_id} would be left without an owner; make another user "
            "its owner first.",
            code="LAST_OWNER",
        )
    if resource_type == "workload":
        await session.execute(
            insert(EventRow).values(
                event_values(
                    resource_id,
                    "workload.shared",
                    "Shared",
                    f"Roles were changed for {len(told)} recipient{'s' if len(told) > 1 else ''}.",
                    actor_id=caller.user_id,
                    details={"roles": told},
                )
            )
        )
        mark_changed(session, resource_id)


async def _set_role(
    session: AsyncSession, resource_type: ResourceType, resource_id: str, recipient: _Recipient, role: RoleWanted
) -> None:
    held = (SharedRoleRow.resource_id == resource_id) & (SharedRoleRow.subject_id == recipient.id)
    if role == "NO_ROLE":
        await session.execute(delete(SharedRoleRow).where(held))
        return
    changed = await session.execute(update(SharedRoleRow).where(held).values(role=role).returning(SharedRoleRow.id))
    if changed.first() is None:
        session.add(
            SharedRoleRow(
                resource_type=resource_type,
                resource_id=resource_id,
                subject_type=recipient.kind,
                subject_id=recipient.id,
                role=role,
            )
        )
        await session.flush()


def _has_owner(resource_id: str) -> ColumnElement[bool]:
    """The condition that some user owns the resource: by itself, or through a group or an organization."""
    peopled = or_(
        SharedRoleRow.subject_type == "user",
        exists().where(GroupMemberRow.group_id == SharedRoleRow.subject_id),
        exists().where(UserRow.organization_id == SharedRoleRow.subject_id),
    )
    return exists().where(SharedRoleRow.resource_id == resource_id, SharedRoleRow.role == "OWNER", peopled)


async def _recipient(session: AsyncSession, caller: Caller, grant: Grant, number: int) -> _Recipient:
    """Find who a role is for, in the caller's own organization: others are not there for the caller."""
    mine = caller.organization_id
    if grant.kind == "user":
        statement = select(UserRow.id, UserRow.username).where(UserRow.organization_id == mine)
        wanted = UserRow.id == grant.id if grant.id is not None else func.lower(UserRow.username) == _folded(grant)
    elif grant.kind == "group":
        statement = select(GroupRow.id, GroupRow.name).where(GroupRow.organization_id == mine)
        wanted = GroupRow.id == grant.id if grant.id is not None else GroupRow.name == grant.name
    elif grant.kind == "organization":
        statement = select(OrganizationRow.id, OrganizationRow.name).where(OrganizationRow.id == mine)
        wanted = OrganizationRow.id == grant.id if grant.id is not None else OrganizationRow.name == grant.name
    else:
        raise FieldError(
            "Roles are given to users, groups and organizations; this server knows no recipients of type 'role'.",
            ("body", "roles", number, "shareRecipientType"),
            grant.kind,
        )
    found = (await session.execute(statement.where(wanted))).first()
    if found is None:
        key, value = ("id", grant.id) if grant.id is not None else ("username", grant.name)
        raise FieldError(
            f"There is no {grant.kind} with the {'id' if key == 'id' else 'name'} {str(value)[:100]!r} in your "
            "organization.",
            ("body", "roles", number, key),
            value,
        )
    return _Recipient(grant.kind, found[0], found[1])


def _folded(grant: Grant) -> str:
    return (grant.name or "").lower()
