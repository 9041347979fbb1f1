"""What a caller sees in lists, and how many that are, at a cost that does not grow with them.

``db/models/audiences.py`` tells how.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Select, Text, and_, case, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.models import (
    ArtifactRepositoryRow,
    ArtifactRow,
    AudienceCountRow,
    AudienceMemberRow,
    AudienceRow,
    WorkloadRow,
)
from workload_api.domain.words import ResourceType
from workload_api.identity.rights import Caller

ListedRow = WorkloadRow | ArtifactRow | ArtifactRepositoryRow

KIND_OF: Final[dict[type[ListedRow], ResourceType]] = {
    WorkloadRow: "workload",
    ArtifactRow: "artifact",
    ArtifactRepositoryRow: "artifact_repository",
}

FEW: Final = 2000
"""Rows that are found by their audience, looked at one by one, and put in order, in a few milliseconds; more are found
by the index of the list's order, or of a filter, of which those that are not seen are passed over."""
_NAMED: Final = 50
"""Audiences that are named in a query, so that the database knows how many rows they see."""


PLANNING: Final = {"plan_cache_mode": "force_custom_plan", "random_page_cost": "1.1", "enable_seqscan": "off"}
"""How PostgreSQL plans what a list asks, until the end of the transaction: for the very values that are asked for, as a
plan for any status or tag reads far too much for a rare one; knowing that indexes lie in memory as much as tables do;
and by an index, even where nearly all rows of a table meet a filter and reading it whole would take as long: which rows
other organizations have, or how many a list is later, does not change the way then."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What a caller sees of one list."""

    caller: Caller
    table: type[ListedRow]
    total: int
    """How many rows, exactly."""
    audience_ids: tuple[int, ...] | None
    """The audiences that the caller is in; ``None`` where there are too many to name."""

    @property
    def few(self) -> bool:
        """The rows are so few that it is best to look at each of them."""
        return self.total <= FEW and self.audience_ids is not None

    def condition(self) -> ColumnElement[bool]:
        """The condition that rows must meet for the caller to see them, with the index that they are found by."""
        there = self.table.deleted_at.is_(None)
        if self.few:
            assert self.audience_ids is not None
            return and_(self.table.audience_id.in_(self.audience_ids), there)
        audiences = self.audience_ids if self.audience_ids is not None else _audiences(self.caller, self.table)
        # "IS TRUE" keeps both databases from looking rows up by audience, to put all of them in order afterwards.
        return and_(
            self.table.organization_id == self.caller.organization_id,
            there,
            self.table.audience_id.in_(audiences).is_(True),
        )


async def sight_of(session: AsyncSession, caller: Caller, table: type[ListedRow]) -> Sight:
    """What the caller sees of a list, by one query that reads a few counts."""
    counts = (
        select(AudienceCountRow.audience_id.label("id"), func.sum(AudienceCountRow.amount).label("total"))
        .where(AudienceCountRow.audience_id.in_(_audiences(caller, table)))
        .group_by(AudienceCountRow.audience_id)
        .having(func.sum(AudienceCountRow.amount) > 0)
        .subquery()
    )
    statement = select(
        func.coalesce(func.sum(counts.c.total), 0),
        case((func.count() <= _NAMED, func.aggregate_strings(cast(counts.c.id, Text), ","))),
        func.count(),
    )
    if session.get_bind().dialect.name == "postgresql":
        statement = statement.add_columns(*(func.set_config(name, value, True) for name, value in PLANNING.items()))
    total, ids, audiences, *_ = (await session.execute(statement)).one()
    named = tuple(int(each) for each in ids.split(",")) if ids else ()
    return Sight(caller, table, int(total), named if audiences <= _NAMED else None)


def _audiences(caller: Caller, table: type[ListedRow]) -> Select[int]:
    """The ids of the audiences of a kind of resource that the caller is in."""
    return (
        select(AudienceRow.id)
        .join(AudienceMemberRow, AudienceMemberRow.audience_id == AudienceRow.id)
        .where(
            AudienceMemberRow.subject_id.in_(caller.subjects),
            AudienceRow.organization_id == caller.organization_id,
            AudienceRow.resource_type == KIND_OF[table],
        )
    )
