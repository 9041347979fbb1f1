"""Tags: names with values that people put on workloads, artifacts and repositories."""

from __future__ import annotations

from sqlalchemy import Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from workload_api.db.models.base import Base, Identified, one_of
from workload_api.db.types import ID
from workload_api.domain.words import ResourceType

LONGEST_TAG_NAME = 100
LONGEST_TAG_VALUE = 500


class TagRow(Identified, Base):
    """One tag of one resource."""

    __tablename__ = "tags"
    __table_args__ = (
        one_of("resource_type", ResourceType),
        UniqueConstraint("resource_id", "name"),
        Index("ix_tags_name_value", "resource_type", "name", "value", "resource_id"),
        Index("ix_tags_value", "resource_type", "value", "resource_id"),
    )

    resource_type: Mapped[ResourceType] = mapped_column(String(24))
    resource_id: Mapped[str] = mapped_column(ID)
    name: Mapped[str] = mapped_column(String(LONGEST_TAG_NAME))
    value: Mapped[str] = mapped_column(String(LONGEST_TAG_VALUE))
