"""Request statistics, measured at the endpoint: per proton, epoch and minute."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from workload_api.db.models.base import Base


class RequestCountRow(Base):
    """Exact counts of the requests to one proton that began in one minute of one epoch."""

    __tablename__ = "request_counts"
    __table_args__ = (Index("ix_request_counts_minute", "minute"),)

    proton_id: Mapped[str] = mapped_column(ForeignKey("protons.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True)
    minute: Mapped[datetime] = mapped_column(primary_key=True)
    requests: Mapped[int] = mapped_column(BigInteger)
    user_errors: Mapped[int] = mapped_column(BigInteger)
    server_errors: Mapped[int] = mapped_column(BigInteger)


class ResponseTimeRow(Base):
    """One bucket of the response-time histogram of the same; buckets grow geometrically (statistics.histogram)."""

    __tablename__ = "response_times"
    __table_args__ = (Index("ix_response_times_minute", "minute"),)

    proton_id: Mapped[str] = mapped_column(ForeignKey("protons.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True)
    minute: Mapped[datetime] = mapped_column(primary_key=True)
    bucket: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    requests: Mapped[int] = mapped_column(BigInteger)
