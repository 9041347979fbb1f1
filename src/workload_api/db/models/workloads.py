"""Workloads: the stable identity that points at one active proton."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Computed, ForeignKey, Index, SmallInteger, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from workload_api.clock import utc_now
from workload_api.db.models.base import Base, Listed, list_indexes, one_of
from workload_api.db.types import ID, NAME
from workload_api.domain.words import ArtifactType, Importance, ProtonStatus


class WorkloadRow(Listed, Base):
    """A workload. Everything that promote must decide on is in this row, so that one lock makes it certain."""

    __tablename__ = "workloads"
    __table_args__ = (
        one_of("importance", Importance),
        one_of("status", ProtonStatus),
        one_of("type", ArtifactType),
        CheckConstraint("(expires_at IS NULL) OR (draft_artifact_id IS NOT NULL)", name="only_drafts_expire"),
        *list_indexes(
            "workloads", "name_start", "updated_at", "status", "importance_rank", "artifact_state", "creator_id"
        ),
        Index("ix_workloads_artifact_id", "artifact_id"),
        Index(
            "ix_workloads_expires_at",
            "expires_at",
            sqlite_where=text("expires_at IS NOT NULL"),
            postgresql_where=text("expires_at IS NOT NULL"),
        ),
        Index(
            "ix_workloads_expired_at",
            "expired_at",
            sqlite_where=text("expired_at IS NOT NULL"),
            postgresql_where=text("expired_at IS NOT NULL"),
        ),
        Index(
            "ix_workloads_deleted_at",
            "deleted_at",
            sqlite_where=text("deleted_at IS NOT NULL"),
            postgresql_where=text("deleted_at IS NOT NULL"),
        ),
    )

    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    creator_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(NAME)
    description: Mapped[str | None] = mapped_column(Text)
    importance: Mapped[Importance] = mapped_column(String(16), default="low")
    importance_rank: Mapped[int] = mapped_column(
        SmallInteger,
        Computed(
            "CASE importance WHEN 'critical' THEN 3 WHEN 'high' THEN 2 WHEN 'moderate' THEN 1 ELSE 0 END",
            persisted=True,
        ),
        deferred=True,
    )
    """By which lists are put in order; the database works it out."""
    type: Mapped[ArtifactType] = mapped_column(String(16))
    status: Mapped[ProtonStatus] = mapped_column(String(16), default="submitted")
    """The status of the active proton, seen from outside; changed in the same transaction as the proton's."""
    artifact_id: Mapped[str] = mapped_column(ForeignKey("artifacts.id"))
    draft_artifact_id: Mapped[str | None] = mapped_column(ForeignKey("artifacts.id"), unique=True)
    """The artifact while it is a draft and the workload lives: its uniqueness is the rule of §4."""
    proton_id: Mapped[str] = mapped_column(ID)
    """The active proton. No foreign key, here and below: they would close a circle of tables."""
    replacement_id: Mapped[str | None] = mapped_column(ID)
    """The replacement in progress."""
    runtime: Mapped[dict[str, Any]]
    expires_at: Mapped[datetime | None]
    """When the draft TTL runs out; ``None`` for a locked artifact."""
    expired_at: Mapped[datetime | None]
    """When the reaper ended this workload; it cannot be started again."""
    artifact_state: Mapped[str] = mapped_column(
        String(16),
        Computed(
            "CASE WHEN draft_artifact_id IS NOT NULL THEN 'draft' WHEN expired_at IS NULL THEN 'locked' "
            "ELSE 'expired' END",
            persisted=True,
        ),
        deferred=True,
    )
    """The status of its artifact, by which lists are narrowed; of one that expired, the artifact alone tells. The
    database works it out."""
    statistics_epoch: Mapped[int] = mapped_column(default=0)
    """Grows with each reset; rows of statistics bear it, so a reset takes the same time however many there are."""
    statistics_since: Mapped[datetime] = mapped_column(default=utc_now)
    """When the present epoch began, by the database's clock."""
    last_response_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    """Set at once by DELETE; the row goes when the compute is gone."""
