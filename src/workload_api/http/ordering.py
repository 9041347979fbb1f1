"""The order of lists: by a column and then by id, so that it is total (§2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, func, literal_column
from sqlalchemy.orm import InstrumentedAttribute

from workload_api.db.models.base import SORTED_CHARACTERS
from workload_api.http.paging import Paging

S = TypeVar("S", bound=Select[*tuple[Any, ...]])

Key = ColumnElement[Any] | InstrumentedAttribute[Any]


def by_name(name: InstrumentedAttribute[str]) -> tuple[Key, ...]:
    """The keys of the order by name: first what the index bears of it (written out, as the index has it)."""
    start = func.substr(name, literal_column("1"), literal_column(str(SORTED_CHARACTERS)))
    return start, name


def page_of(statement: S, keys: Mapping[str, tuple[Key, ...]], row_id: Key, order_by: str | None, paging: Paging) -> S:
    """A page of a list, in the order that was asked for; the newest first by default.

    Args:
        statement: All rows.
        keys: By the names that ``orderBy`` takes, what to order by before the id.
        row_id: The id, which grows with time.
        order_by: The name, with ``-`` before it for descending.
        paging: Which part.
    """
    asked = order_by or "-createdAt"
    columns = (*keys.get(asked.removeprefix("-"), ()), row_id)
    ordered = statement.order_by(*(key.desc() if asked.startswith("-") else key.asc() for key in columns))
    return ordered.offset(paging.offset).limit(paging.limit)
