"""Logs of workloads: what their containers wrote, entry by entry, and how far each output has been read."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, SmallInteger, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from workload_api.db.models.base import Base
from workload_api.db.types import ID, NUMBER, Microseconds
from workload_api.domain.severity import CRITICAL, ERROR, WARN


class WorkloadLogRow(Base):
    """The log of one workload. It outlives the workload until its lines have been cleared away, batch by batch."""

    __tablename__ = "workload_logs"

    id: Mapped[int] = mapped_column(NUMBER, primary_key=True)
    workload_id: Mapped[str | None] = mapped_column(ForeignKey("workloads.id", ondelete="SET NULL"), unique=True)
    lines: Mapped[int] = mapped_column(BigInteger, default=0)
    size: Mapped[int] = mapped_column(BigInteger, default=0)
    """How many characters the texts of its lines have, about."""


class LogSourceRow(Base):
    """One output that is collected, and how far it has been."""

    __tablename__ = "log_sources"
    __table_args__ = (
        UniqueConstraint("proton_id", "name", name="uq_log_sources_proton_id_name"),
        Index("ix_log_sources_log_id", "log_id"),
    )

    id: Mapped[int] = mapped_column(NUMBER, primary_key=True)
    log_id: Mapped[int] = mapped_column(ForeignKey("workload_logs.id"))
    proton_id: Mapped[str] = mapped_column(ID)
    """No foreign key: lines may outlive the proton."""
    name: Mapped[str] = mapped_column(Text)
    """The runtime's name for it, unique within the proton."""
    replica: Mapped[str] = mapped_column(Text)
    container: Mapped[str] = mapped_column(Text)
    position: Mapped[str] = mapped_column(Text, default="")
    """Where the runtime is to go on reading; written together with the lines that come before it."""


_NEWEST = ("log_id", "at", "id", "severity", "source_id")
"""All that filters look at but the texts, so that passing over entries does not touch the table."""


def _at_least(name: str, severity: int) -> Index:
    """The entries of a severity or worse: few, so that the index costs next to nothing to write."""
    those = text(f"severity >= {severity}")
    return Index(f"ix_log_lines_{name}", *_NEWEST, sqlite_where=those, postgresql_where=those)


class LogLineRow(Base):
    """One entry of a log: a line, or a traceback with all its lines."""

    __tablename__ = "log_lines"
    __table_args__ = (
        Index("ix_log_lines_newest", *_NEWEST),
        Index("ix_log_lines_source", "source_id", "at", "id", "severity"),
        _at_least("warn", WARN),
        _at_least("error", ERROR),
        _at_least("critical", CRITICAL),
    )

    id: Mapped[int] = mapped_column(NUMBER, primary_key=True)
    """Grows within a source: entries of the same moment keep the order in which they were written."""
    log_id: Mapped[int] = mapped_column(BigInteger)
    """Its source's, here too for the indexes."""
    source_id: Mapped[int] = mapped_column(ForeignKey("log_sources.id"))
    at: Mapped[datetime] = mapped_column(Microseconds())
    severity: Mapped[int] = mapped_column(SmallInteger)
    message: Mapped[str] = mapped_column(Text)
    stacktrace: Mapped[str | None] = mapped_column(Text)
    attributes: Mapped[dict[str, Any] | None]
    """What a structured line bore beside its message."""
    searched: Mapped[str | None] = mapped_column(Text)
    """What is looked through where that is not just the message: all of the entry, with letters folded."""
    size: Mapped[int] = mapped_column()
