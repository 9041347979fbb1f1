"""Finds the ids of a list's page and how many rows there are in all (§2), each by an index.

What is shown of the page is read by its ids afterwards: passing over rows costs nothing but a walk along an index. The
order is by a column and then by id, so that it is total.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from workload_api.db.models.base import SORTED_CHARACTERS
from workload_api.http.paging import Paging
from workload_api.identity.sight import Sight

DEEP = 10_000
"""From so many rows on it pays to come from the other end, where that is nearer."""

DENSE = 20
"""Where more than one in so many rows meets the filters, a page is full before many are looked at, one by one."""


class Filters(Protocol):
    """The conditions that rows must meet besides being seen."""

    def __call__(self, *, one_by_one: bool) -> Sequence[ColumnElement[bool]]:
        """Written for few rows that are looked at one by one, or for many."""


Keys = Mapping[str, InstrumentedAttribute[Any]]


async def find_page(
    session: AsyncSession,
    sight: Sight,
    filters: Filters,
    keys: Keys,
    order_by: str | None,
    paging: Paging,
) -> tuple[list[str], int]:
    """The ids of a page, in the order that was asked for, and how many rows there are in all.

    Args:
        session: A transaction.
        sight: What the caller sees of the list.
        filters: The conditions that rows must meet besides.
        keys: By the names that ``orderBy`` takes, what to order by before the id; the newest come first by default.
        order_by: The name, with ``-`` before it for descending.
        paging: Which part.
    """
    if not sight.total:
        return [], 0
    narrowed = filters(one_by_one=sight.few)
    conditions = [sight.condition(), *narrowed]
    total = sight.total
    if narrowed:
        total = await session.scalar(select(func.count()).select_from(sight.table).where(*conditions)) or 0
    limit = min(paging.limit, total - paging.offset)
    if limit <= 0:
        return [], total
    if not sight.few and paging.offset < DEEP and total * DENSE > sight.total:
        conditions = [sight.condition(), *filters(one_by_one=True)]
    asked = order_by or "-createdAt"
    descending, name = asked.startswith("-"), asked.removeprefix("-")
    # Near the end of a long list it is quicker to come from there.
    behind = total - paging.offset - limit
    turned = paging.offset > max(DEEP, behind)
    key = keys.get(name, sight.table.id)

    async def ids(*order: InstrumentedAttribute[Any]) -> list[Any]:
        columns = (each.desc() if descending is not turned else each.asc() for each in order)
        statement = select(sight.table.id, key).where(*conditions).order_by(*columns)
        statement = statement.offset(behind if turned else paging.offset).limit(limit)
        found = (await session.execute(statement)).all()
        return list(reversed(found) if turned else found)

    rows = await ids(key, sight.table.id) if name in keys else await ids(sight.table.id)
    if name == "name" and any(len(start) >= SORTED_CHARACTERS for _, start in rows):
        # Names that begin alike; and only those that are longer than what the index bears of them can differ still.
        rows = await ids(key, sight.table.name, sight.table.id)
    return [row_id for row_id, _ in rows], total
