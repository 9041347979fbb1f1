"""What gateways tell controllers: to which protons that are to go they still have requests under way."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from workload_api.db.models.base import Base
from workload_api.db.types import ID


class RequestsUnderWayRow(Base):
    """One gateway process has requests under way to one leaving proton, as of a moment ago."""

    __tablename__ = "requests_under_way"

    proton_id: Mapped[str] = mapped_column(ForeignKey("protons.id", ondelete="CASCADE"), primary_key=True)
    gateway_id: Mapped[str] = mapped_column(ID, primary_key=True)
    """One run of a gateway process."""
    good_until: Mapped[datetime] = mapped_column(index=True)
    """When the word of a gateway that says no more counts for nothing."""
