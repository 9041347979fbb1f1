"""Replacements: the moves of a workload onto another proton, and the promotes. Together: the history."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from workload_api.clock import utc_now
from workload_api.db.models.base import Base, Changed, one_of
from workload_api.db.types import UtcDateTime
from workload_api.domain.words import UNFINISHED_REPLACEMENT, ReplacementReason, ReplacementStatus

_UNFINISHED = text("status IN ({})".format(", ".join(f"'{word}'" for word in sorted(UNFINISHED_REPLACEMENT))))


class ReplacementRow(Changed, Base):
    """One entry of a workload's history (§6)."""

    __tablename__ = "replacements"
    __table_args__ = (
        one_of("status", ReplacementStatus),
        one_of("reason", ReplacementReason),
        Index(
            "uq_replacements_unfinished",
            "workload_id",
            unique=True,
            sqlite_where=_UNFINISHED,
            postgresql_where=_UNFINISHED,
        ),
        Index("ix_replacements_workload_id_id", "workload_id", "id"),
        Index("ix_replacements_artifact_id", "artifact_id"),
    )

    workload_id: Mapped[str] = mapped_column(ForeignKey("workloads.id", ondelete="CASCADE"))
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    artifact_id: Mapped[str] = mapped_column(ForeignKey("artifacts.id"))
    name: Mapped[str] = mapped_column(Text)
    reason: Mapped[ReplacementReason] = mapped_column(String(16))
    status: Mapped[ReplacementStatus] = mapped_column(String(24))
    strategy: Mapped[str] = mapped_column(String(16), default="rolling")
    message: Mapped[str | None] = mapped_column(Text)
    config: Mapped[dict[str, Any]] = mapped_column(default=dict)
    runtime: Mapped[dict[str, Any]] = mapped_column(default=dict)
    previous_proton_ids: Mapped[list[Any]] = mapped_column(default=list)
    candidate_proton_ids: Mapped[list[Any]] = mapped_column(default=list)
    deployed_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
    switched_at: Mapped[datetime | None]
    status_since: Mapped[datetime] = mapped_column(UtcDateTime(), default=utc_now)
    """When its present status began."""
    deleted_at: Mapped[datetime | None]
    """Set once a cancelled one is undone."""
