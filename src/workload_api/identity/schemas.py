"""Users, permissions, shared roles and tags as requests and answers bear them (§10)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WrapValidator

from workload_api.http.models import AnswerModel, Page, RequestModel

SharingRole = Literal[
    "NO_ROLE",
    "OWNER",
    "READ_WRITE",
    "EDITOR",
    "USER",
    "DATA_SCIENTIST",
    "ADMIN",
    "READ_ONLY",
    "CONSUMER",
    "OBSERVER",
]
SubjectType = Literal["user", "group", "organization", "role"]
ResourcePermission = Literal[
    "CAN_VIEW",
    "CAN_UPDATE",
    "CAN_DELETE",
    "CAN_SHARE",
    "CAN_MAKE_PREDICTIONS",
    "CAN_SHARE_ROLE_OWNER",
    "CAN_SHARE_ROLE_READ_WRITE",
    "CAN_SHARE_ROLE_READ_ONLY",
]
ResourcePermissions = list[ResourcePermission]


class UserData(AnswerModel):
    """A user, as a creator or owner."""

    id: str
    email: str | None = None
    full_name: str | None = None
    userhash: str | None = None
    username: str | None = None


class TagInfo(AnswerModel):
    """A tag."""

    id: str
    name: str
    value: str


Tags = list[TagInfo]


class SharedRole(AnswerModel):
    """A role that somebody holds."""

    id: str = Field(description="Id of who holds it.")
    name: str
    share_recipient_type: SubjectType
    role: SharingRole


class SharedRoleListResponse(Page[SharedRole]):
    """A page of shared roles."""


AnyCaseRole = Annotated[SharingRole, BeforeValidator(lambda role: role.upper() if isinstance(role, str) else role)]
"""A role in any letter case; read in capitals."""


class GrantAccessControlWithId(RequestModel):
    """A role for the recipient with this id."""

    share_recipient_type: SubjectType
    role: AnyCaseRole = Field(description="In any letter case; `NO_ROLE` takes the role away.")
    id: str


class GrantAccessControlWithUsername(RequestModel):
    """A role for the recipient with this name."""

    share_recipient_type: SubjectType
    role: AnyCaseRole = Field(description="In any letter case; `NO_ROLE` takes the role away.")
    username: str


def _grant(value: Any, _handler: Any) -> GrantAccessControlWithUsername | GrantAccessControlWithId:
    by_id = isinstance(value, dict) and "username" not in value
    model = GrantAccessControlWithId if by_id else GrantAccessControlWithUsername
    return model.model_validate(value)


Grant = Annotated[GrantAccessControlWithUsername | GrantAccessControlWithId, WrapValidator(_grant)]


class SharedRolesUpdateRequest(RequestModel):
    """Gives and takes roles; all or nothing."""

    operation: Literal["updateRoles"]
    roles: list[Grant] = Field(min_length=1, max_length=100)
