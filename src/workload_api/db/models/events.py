"""Events: append-only, who did or saw what and when.

Ids are made by the clocks of several machines, before the commit. What orders the events of a workload is their
position: it is taken while the workload's row is locked, so that of two events the one that can be seen first has the
smaller one, and whoever has read up to a position misses nothing before it. On PostgreSQL a trigger takes the lock
(most writers hold it already) and then the number; on SQLite there is one writer at a time.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction

from workload_api.db.models.base import Base, Identified, one_of
from workload_api.db.types import ID
from workload_api.domain.words import EventSeverity

_EXPIRED = text("event_type = 'workload.expired'")


class _NextPosition(GenericFunction[int]):
    """The position of an event that is being written."""

    type = BigInteger()
    inherit_cache = True
    name = "next_event_position"


@compiles(_NextPosition, "sqlite")
def _sqlite_position(_element: _NextPosition, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "(SELECT coalesce(max(position), 0) + 1 FROM events)"


@compiles(_NextPosition, "postgresql")
def _postgresql_position(_element: _NextPosition, _compiler: SQLCompiler, **_kw: Any) -> str:
    return "CAST(NULL AS bigint)"  # the trigger gives it


class EventRow(Identified, Base):
    """One event of a workload (§7)."""

    __tablename__ = "events"
    __table_args__ = (
        one_of("severity", EventSeverity),
        Index("ix_events_workload_id_position", "workload_id", "position"),
        Index("uq_events_position", "position", unique=True),
        Index("uq_events_expired", "workload_id", unique=True, sqlite_where=_EXPIRED, postgresql_where=_EXPIRED),
    )

    position: Mapped[int] = mapped_column(BigInteger, default=_NextPosition())
    """Grows in the order in which the events of a workload can be seen; has gaps."""
    workload_id: Mapped[str] = mapped_column(ForeignKey("workloads.id", ondelete="CASCADE"))
    event_type: Mapped[str] = mapped_column(String(64))
    severity: Mapped[EventSeverity] = mapped_column(String(8), default="Normal")
    reason: Mapped[str] = mapped_column(String(64))
    message: Mapped[str] = mapped_column(Text)
    actor_id: Mapped[str | None] = mapped_column(ID)
    """The user who caused it, or ``None`` for what the server saw or did by itself."""
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
