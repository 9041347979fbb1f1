"""Protons: one running backing of a workload each."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from workload_api.db.models.base import Base, Changed, one_of
from workload_api.domain.words import DesiredState, ProtonRole, ProtonStatus

_AT_WORK = text("NOT (desired_state <> 'running' AND status IN ('stopped', 'terminated'))")

_GONE = text("role IS NULL AND status = 'terminated'")
"""What was replaced, and whose compute is gone."""

_LEAVING = text("role IS NULL AND desired_state = 'running'")
"""What was replaced, or goes with a cancelled replacement, and may still have requests under way."""


class ProtonRow(Changed, Base):
    """A proton: what should run (``spec``, ``runtime``, ``desired_state``) and what was last seen (``status`` …)."""

    __tablename__ = "protons"
    __table_args__ = (
        one_of("role", ProtonRole, nullable=True),
        one_of("status", ProtonStatus),
        one_of("desired_state", DesiredState),
        Index(
            "uq_protons_active",
            "workload_id",
            unique=True,
            sqlite_where=text("role = 'active'"),
            postgresql_where=text("role = 'active'"),
        ),
        Index("ix_protons_workload_id_id", "workload_id", "id"),
        Index("ix_protons_artifact_id", "artifact_id"),
        Index(
            "ix_protons_at_work",
            "controller_id",
            "id",
            sqlite_where=_AT_WORK,
            postgresql_where=_AT_WORK,
        ),
        Index("ix_protons_gone", "updated_at", sqlite_where=_GONE, postgresql_where=_GONE),
        Index("ix_protons_leaving", "id", sqlite_where=_LEAVING, postgresql_where=_LEAVING),
    )

    workload_id: Mapped[str] = mapped_column(ForeignKey("workloads.id", ondelete="CASCADE"))
    artifact_id: Mapped[str] = mapped_column(ForeignKey("artifacts.id"))
    creator_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str]
    role: Mapped[ProtonRole | None] = mapped_column(String(16))
    status: Mapped[ProtonStatus] = mapped_column(String(16), default="submitted")
    desired_state: Mapped[DesiredState] = mapped_column(String(16), default="running")
    generation: Mapped[int] = mapped_column(default=1)
    """Grows with every change of what is wanted, so that a late report on the state before is dropped."""
    spec: Mapped[dict[str, Any]]
    """The artifact's spec as it was when the proton was started: later changes to a draft do not reach it (§3)."""
    runtime: Mapped[dict[str, Any]]
    replicas: Mapped[list[Any] | None]
    """The last observation of the replicas; ``None`` before the first."""
    observed_at: Mapped[datetime | None]
    log_tail: Mapped[list[Any] | None]
    message: Mapped[str | None]
    """Why the proton is not healthy, in one sentence."""
    running_since: Mapped[datetime | None]
    controller_id: Mapped[str | None] = mapped_column(ForeignKey("controllers.id", ondelete="SET NULL"))
    """Which controller looks after it, as long as that one's lease holds."""


class ProtonUsageRow(Base):
    """What a proton's replicas use, as last measured: a table of its own, since it changes all the time."""

    __tablename__ = "proton_usages"

    proton_id: Mapped[str] = mapped_column(ForeignKey("protons.id", ondelete="CASCADE"), primary_key=True)
    cpu_nanocores: Mapped[int] = mapped_column(BigInteger)
    memory_bytes: Mapped[int] = mapped_column(BigInteger)
    network_received_bytes: Mapped[int | None] = mapped_column(BigInteger)
    network_sent_bytes: Mapped[int | None] = mapped_column(BigInteger)
    measured_at: Mapped[datetime]
