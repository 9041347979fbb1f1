"""Credentials: secrets that users store, to be filled into the environment of what they run."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from workload_api.db.models.base import Base, Changed, one_of
from workload_api.domain.words import CredentialType


class CredentialRow(Changed, Base):
    """A credential of one user (§11). Its values are encrypted; nothing else of it is secret."""

    __tablename__ = "credentials"
    __table_args__ = (
        one_of("credential_type", CredentialType),
        UniqueConstraint("creator_id", "name"),
        Index("ix_credentials_creator_id_id", "creator_id", "id"),
    )

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    creator_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(Text)
    credential_type: Mapped[CredentialType] = mapped_column(String(40))
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    """The values by their keys, as JSON, encrypted."""
