"""The one place where "may this user do this to that?" is answered (§10).

A role on a resource gives rights; a caller holds the roles given to the user itself, to its groups and to its
organization. What may not be viewed is not there (404); what may be viewed but not done is forbidden (403).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import ScalarSelect, func, select
from sqlalchemy.orm import InstrumentedAttribute

from workload_api.db.models import SharedRoleRow
from workload_api.domain.errors import Forbidden, NotFound
from workload_api.domain.words import ResourceType

Right = Literal["view", "update", "delete", "share", "invoke"]

_ALL: Final[frozenset[Right]] = frozenset({"view", "update", "delete", "share", "invoke"})
_CHANGE: Final[frozenset[Right]] = frozenset({"view", "update", "invoke"})
_VIEW: Final[frozenset[Right]] = frozenset({"view"})

RIGHTS_OF_ROLE: Final[dict[str, frozenset[Right]]] = {
    "OWNER": _ALL,
    "EDITOR": _CHANGE,
    "READ_WRITE": _CHANGE,
    "ADMIN": _CHANGE,
    "DATA_SCIENTIST": _CHANGE,
    "USER": frozenset({"view", "invoke"}),
    "READ_ONLY": _VIEW,
    "OBSERVER": _VIEW,
    "CONSUMER": frozenset({"invoke"}),
}

VIEWING_ROLES: Final = tuple(role for role, rights in RIGHTS_OF_ROLE.items() if "view" in rights)
"""The triggers that keep audiences (migration ``audiences``) hold these too: another one needs a migration."""

_PERMISSIONS: Final[tuple[tuple[Right, tuple[str, ...]], ...]] = (
    ("view", ("CAN_VIEW",)),
    ("update", ("CAN_UPDATE",)),
    ("delete", ("CAN_DELETE",)),
    (
        "share",
        ("CAN_SHARE", "CAN_SHARE_ROLE_OWNER", "CAN_SHARE_ROLE_READ_WRITE", "CAN_SHARE_ROLE_READ_ONLY"),
    ),
    ("invoke", ("CAN_MAKE_PREDICTIONS",)),
)

_NOUN: Final[dict[ResourceType, str]] = {
    "workload": "workload",
    "artifact": "artifact",
    "artifact_repository": "artifact repository",
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent the request, as its token tells."""

    user_id: str
    organization_id: str
    tenant_id: str
    username: str
    email: str | None
    first_name: str
    last_name: str
    token_id: str
    group_ids: tuple[str, ...] = ()

    @property
    def subjects(self) -> tuple[str, ...]:
        """The ids under which roles may have been given to this caller."""
        return (self.user_id, self.organization_id, *self.group_ids)


def rights_of(roles: str | None) -> frozenset[Right]:
    """The rights that a comma-separated list of roles (as :func:`roles_column` selects it) gives."""
    found: frozenset[Right] = frozenset()
    for role in (roles or "").split(","):
        found |= RIGHTS_OF_ROLE.get(role, frozenset())
    return found


def permissions_of(roles: str | None) -> list[str]:
    """The ``permissions`` of an answer: what the caller may do (§10)."""
    rights = rights_of(roles)
    return [name for right, names in _PERMISSIONS if right in rights for name in names]


def roles_column(caller: Caller, resource_id: InstrumentedAttribute[str]) -> ScalarSelect[str | None]:
    """The caller's roles on the row, comma-separated, as a column of a query."""
    return (
        select(func.aggregate_strings(SharedRoleRow.role, ","))
        .where(SharedRoleRow.resource_id == resource_id, SharedRoleRow.subject_id.in_(caller.subjects))
        .correlate(resource_id.class_)
        .scalar_subquery()
    )


def missing(resource_type: ResourceType, resource_id: str) -> NotFound:
    """The answer for what is not there, or not for this caller to see."""
    noun = _NOUN[resource_type]
    return NotFound(f"There is no {noun} with id {resource_id[:100]!r}.", code=f"{resource_type.upper()}_NOT_FOUND")


def require(roles: str | None, right: Right, resource_type: ResourceType, resource_id: str) -> None:
    """Let through a caller whose roles give the right.

    Raises:
        NotFound: The caller may not even view it (for ``invoke``: neither view nor invoke).
        Forbidden: The caller may view it, but not do this.
    """
    rights = rights_of(roles)
    if right in rights:
        return
    if "view" not in rights:
        raise missing(resource_type, resource_id)
    raise Forbidden(
        f"You may view the {_NOUN[resource_type]} {resource_id} but not {right} it; ask its owner for a role."
    )
