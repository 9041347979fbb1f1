"""Artifacts and the repositories that number their versions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from workload_api.db.models.base import Base, Listed, list_indexes, one_of
from workload_api.db.types import NAME
from workload_api.domain.words import ArtifactStatus, ArtifactType


class ArtifactRepositoryRow(Listed, Base):
    """A line of versions: hands out 1, 2, 3, … and never one twice (§3)."""

    __tablename__ = "artifact_repositories"
    __table_args__ = (
        one_of("type", ArtifactType),
        CheckConstraint("last_version_number >= 0", name="last_version_number"),
        *list_indexes("artifact_repositories", "name_start", "updated_at", "type", "creator_id"),
    )

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    creator_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(NAME)
    type: Mapped[ArtifactType] = mapped_column(String(16))
    last_version_number: Mapped[int] = mapped_column(default=0)
    deleted_at: Mapped[datetime | None]
    """Set once deleted: the row goes when nothing points at it any more."""


class ArtifactRow(Listed, Base):
    """What to run: a draft without a version, or locked with one."""

    __tablename__ = "artifacts"
    __table_args__ = (
        one_of("status", ArtifactStatus),
        one_of("type", ArtifactType),
        CheckConstraint("(status = 'locked') = (version IS NOT NULL)", name="locked_has_version"),
        UniqueConstraint("repository_id", "version"),
        *list_indexes("artifacts", "name_start", "updated_at", "status", "type", "creator_id"),
        Index("ix_artifacts_repository_id_id", "repository_id", "id"),
    )

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    creator_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    repository_id: Mapped[str] = mapped_column(ForeignKey("artifact_repositories.id"))
    name: Mapped[str] = mapped_column(NAME)
    description: Mapped[str] = mapped_column(Text, default="")
    type: Mapped[ArtifactType] = mapped_column(String(16))
    status: Mapped[ArtifactStatus] = mapped_column(String(16), default="draft")
    version: Mapped[int | None]
    spec: Mapped[dict[str, Any]]
    deleted_at: Mapped[datetime | None]
    """Set once deleted: the row goes when nothing points at it any more."""
