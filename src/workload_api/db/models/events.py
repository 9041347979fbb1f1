"""Events: append-only, who did or saw what and when."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from workload_api.db.models.base import Base, Identified, one_of
from workload_api.db.types import ID
from workload_api.domain.words import EventSeverity

_EXPIRED = text("event_type = 'workload.expired'")


class EventRow(Identified, Base):
    """One event of a workload (§7)."""

    __tablename__ = "events"
    __table_args__ = (
        one_of("severity", EventSeverity),
        Index("ix_events_workload_id_id", "workload_id", "id"),
        Index("uq_events_expired", "workload_id", unique=True, sqlite_where=_EXPIRED, postgresql_where=_EXPIRED),
    )

    workload_id: Mapped[str] = mapped_column(ForeignKey("workloads.id", ondelete="CASCADE"))
    event_type: Mapped[str] = mapped_column(String(64))
    severity: Mapped[EventSeverity] = mapped_column(String(8), default="Normal")
    reason: Mapped[str] = mapped_column(String(64))
    message: Mapped[str] = mapped_column(Text)
    actor_id: Mapped[str | None] = mapped_column(ID)
    """The user who caused it, or ``None`` for what the server saw or did by itself."""
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
