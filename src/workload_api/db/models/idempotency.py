"""First answers to requests that bore an ``Idempotency-Key``."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from workload_api.clock import utc_now
from workload_api.db.models.base import Base
from workload_api.db.types import UtcDateTime


class IdempotencyKeyRow(Base):
    """The answer that a user's key stands for (§5)."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    """Hash of method, path and body: the same key with another request is refused."""
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The same, encrypted, where the body holds a secret that could be guessed from its hash; the other is empty."""
    status_code: Mapped[int]
    etag: Mapped[str | None] = mapped_column(String(64))
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime(), default=utc_now)
