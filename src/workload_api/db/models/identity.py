"""Who: organizations, their users, the users' tokens, and the roles that they hold on resources."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from workload_api.db.models.base import Base, Identified, one_of
from workload_api.db.types import ID
from workload_api.domain.words import ResourceType, SharingRole, SubjectType

_OF_A_WORKLOAD = text("workload_id IS NOT NULL AND revoked_at IS NULL")


class OrganizationRow(Identified, Base):
    """A tenant: organizations never see one another (§10)."""

    __tablename__ = "organizations"

    name: Mapped[str] = mapped_column(String(200), unique=True)
    tenant_id: Mapped[str] = mapped_column(String(36), unique=True, default=lambda: str(uuid4()))
    """The ``tenantId`` that replacements bear: a UUID by contract."""


class UserRow(Identified, Base):
    """A person or a program that calls the API."""

    __tablename__ = "users"

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"), index=True)
    username: Mapped[str] = mapped_column(String(320), unique=True)
    email: Mapped[str | None] = mapped_column(String(320))
    first_name: Mapped[str] = mapped_column(String(200), default="")
    last_name: Mapped[str] = mapped_column(String(200), default="")


class GroupRow(Identified, Base):
    """Users of one organization who are given roles together (§10)."""

    __tablename__ = "groups"
    __table_args__ = (UniqueConstraint("organization_id", "name"),)

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    name: Mapped[str] = mapped_column(String(200))


class GroupMemberRow(Base):
    """A user in a group."""

    __tablename__ = "group_members"

    group_id: Mapped[str] = mapped_column(ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True)


class TokenRow(Identified, Base):
    """An API token, of which only the hash is known; that of a workload is also kept encrypted."""

    __tablename__ = "tokens"
    __table_args__ = (
        Index(
            "uq_tokens_workload_id_user_id",
            "workload_id",
            "user_id",
            unique=True,
            sqlite_where=_OF_A_WORKLOAD,
            postgresql_where=_OF_A_WORKLOAD,
        ),
    )

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(200), default="")
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    workload_id: Mapped[str | None] = mapped_column(ForeignKey("workloads.id", ondelete="CASCADE"))
    """The workload that it was made for (§12); it is revoked with it."""
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The token itself, encrypted, for as long as its workload may need it."""


class SharedRoleRow(Identified, Base):
    """A role that a user, a group or an organization holds on one resource (§10)."""

    __tablename__ = "shared_roles"
    __table_args__ = (
        one_of("resource_type", ResourceType),
        one_of("subject_type", SubjectType),
        one_of("role", SharingRole),
        UniqueConstraint("resource_id", "subject_id"),
        Index("ix_shared_roles_subject", "subject_id", "resource_type", "role", "resource_id"),
    )

    resource_type: Mapped[ResourceType] = mapped_column(String(24))
    resource_id: Mapped[str] = mapped_column(ID)
    subject_type: Mapped[SubjectType] = mapped_column(String(16))
    subject_id: Mapped[str] = mapped_column(ID)
    role: Mapped[SharingRole] = mapped_column(String(16))
