"""Who sees what in lists: what makes ``totalCount`` exact and as cheap among a million rows as among a thousand.

Counting what a caller may see takes time for each row, however good the index. So the count is kept. It cannot be kept
by caller: a role of an organization would change the counts of all its users, and who sees a row by two roles must
count it once. It is kept by *audience*: the set of those (users, groups, organizations) who hold a role to view a
resource. Each workload, artifact and repository that is not deleted bears its audience (``audience_id``), equal sets
are one audience, and each resource has exactly one, so

    what a caller sees = the resources of the audiences that the caller, a group of it or its organization is in

counts nothing twice. There are as many audiences as different ways in which things are shared, which are few: most
things are shared by default, that is, with their creator alone. Lists narrow rows by the same column, which their
indexes bear, and so never look at roles row by row.

All this is kept by triggers (migration ``audiences``): whoever writes roles, resources or ``deleted_at``, by whatever
statement, cannot forget it, and nobody else may write here. A change of a status, a lock or a promote touches none of
it. A count is never updated, which would make all who create something wait for one another: each change adds a row
(``AudienceCountRow``) in its own transaction, and the retention loop adds them up (``db/audiences.py``).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from workload_api.db.models.base import Base, one_of
from workload_api.db.types import ID
from workload_api.domain.words import ResourceType


class AudienceRow(Base):
    """A set of users, groups and organizations who may view the same resources of one kind and organization."""

    __tablename__ = "audiences"
    __table_args__ = (one_of("resource_type", ResourceType),)

    id: Mapped[int] = mapped_column(primary_key=True)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    resource_type: Mapped[ResourceType] = mapped_column(String(24))
    signature: Mapped[str] = mapped_column(Text, unique=True)
    """Organization, kind and members, so that equal sets are one row; on PostgreSQL the SHA-256 of that."""


class AudienceMemberRow(Base):
    """A user, a group or an organization in an audience."""

    __tablename__ = "audience_members"

    subject_id: Mapped[str] = mapped_column(ID, primary_key=True)
    audience_id: Mapped[int] = mapped_column(
        ForeignKey("audiences.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class AudienceCountRow(Base):
    """How many resources an audience sees more (or fewer) than before; the sum of its rows is how many it sees."""

    __tablename__ = "audience_counts"
    __table_args__ = (Index("ix_audience_counts_audience_id_amount", "audience_id", "amount"),)

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    audience_id: Mapped[int] = mapped_column(ForeignKey("audiences.id"))
    amount: Mapped[int]
