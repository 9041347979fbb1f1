"""Controllers: server processes that look after protons, each for as long as its lease holds."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from workload_api.db.models.base import Base, Identified


class ControllerRow(Identified, Base):
    """One run of a controller process. When its lease ends, others delete the row and take over its protons."""

    __tablename__ = "controllers"

    lease_until: Mapped[datetime] = mapped_column(index=True)
