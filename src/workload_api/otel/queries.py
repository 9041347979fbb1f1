"""Reads a workload's log, the newest first: a page costs the same wherever it is and however long the log.

Pages are found by indexes that hold all that filters look at but the texts; from an index of the entries of one source
where a filter leaves a few sources, else from that of the whole log or of its worse entries. ``includes`` and
``excludes`` look through the texts themselves, at most all that is kept of one log: an index of their parts would cost
more at each line written than the search costs now and then.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, Self

from sqlalchemy import ColumnElement, Select, func, literal, literal_column, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import Boolean

from workload_api.db.models import LogLineRow, LogSourceRow, WorkloadLogRow
from workload_api.db.types import Microseconds
from workload_api.domain.severity import LEVELS, WARN

MOST_MERGED: Final = 20
"""Sources whose indexes are read side by side; where a filter leaves more, the index of the whole log is read."""

_MOST_ROWS: Final = 2**63 - 1
"""The greatest LIMIT that a database takes."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place between two entries: after one of them in the direction of reading."""

    direction: Literal["older", "newer"]
    at: datetime
    id: int

    def __str__(self) -> str:
        """The cursor as it stands in the URL of a page."""
        return f"{self.direction}.{(self.at - _EPOCH) // timedelta(microseconds=1)}.{self.id}"

    @classmethod
    def read(cls, text: str) -> Self:
        """Read a cursor from a URL.

        Raises:
            ValueError: It is none.
        """
        found = re.fullmatch(r"(older|newer)\.(\d{1,17})\.(\d{1,18})", text, re.ASCII)
        if found is None:
            raise ValueError("not a cursor")
        direction: Literal["older", "newer"] = "older" if found[1] == "older" else "newer"
        return cls(direction, _EPOCH + timedelta(microseconds=int(found[2])), int(found[3]))


@dataclass(frozen=True, slots=True)
class LogFilter:
    """What a log is narrowed to."""

    least_severity: int | None = None
    severities: Collection[int] | None = None
    proton_ids: Collection[str] | None = None
    replicas: Collection[str] | None = None
    containers: Collection[str] | None = None
    start: datetime | None = None
    end: datetime | None = None
    includes: Sequence[str] = ()
    excludes: Sequence[str] = ()

    def conditions(self) -> list[ColumnElement[bool]]:
        """The conditions on entries of a source or a log."""
        found: list[ColumnElement[bool]] = []
        least = max(self.least_severity or 0, min(self.severities or (0,)))
        if least > min(LEVELS):
            found.append(LogLineRow.severity >= _written_out(least))
        if self.severities is not None:
            # A range where it is one level: both databases know better how many entries are in it.
            found.append(LogLineRow.severity <= _written_out(max(self.severities)))
            if len(set(self.severities)) > 1:
                found.append(LogLineRow.severity.in_(self.severities))
        if self.start is not None:
            found.append(LogLineRow.at >= self.start)
        if self.end is not None:
            found.append(LogLineRow.at <= self.end)
        found += [_contains(text) for text in self.includes]
        found += [~_contains(text) for text in self.excludes]
        return found

    @property
    def is_by_source(self) -> bool:
        """Whether it leaves a part of the sources only."""
        return any(values is not None for values in (self.proton_ids, self.replicas, self.containers))

    @property
    def is_of_few(self) -> bool:
        """Whether an index of worse entries serves it better than those of sources."""
        return max(self.least_severity or 0, min(self.severities or (0,))) >= WARN


def _written_out(severity: int) -> ColumnElement[int]:
    """A severity that is no parameter: of one, no database would see that a partial index holds all that is wanted."""
    return literal_column(str(int(severity)))


@dataclass(frozen=True, slots=True)
class LogEntryView:
    """One entry with what belongs into its answer."""

    id: int
    at: datetime
    severity: int
    message: str
    stacktrace: str | None
    attributes: dict[str, Any] | None
    proton_id: str
    replica: str
    container: str


@dataclass(frozen=True, slots=True)
class LogPart:
    """A page of a log, the newest entry first."""

    entries: Sequence[LogEntryView]
    has_older: bool = False
    has_newer: bool = False


async def log_part(
    session: AsyncSession, workload_id: str, wanted: LogFilter, cursor: Cursor | None, offset: int, limit: int
) -> LogPart:
    """A page of a workload's log.

    Args:
        session: A read.
        workload_id: Whose log.
        wanted: What it is narrowed to.
        cursor: From where to read on; by default from the newest entry to older ones.
        offset: How many entries are passed over.
        limit: How many are given at the most.
    """
    log_id = await session.scalar(select(WorkloadLogRow.id).where(WorkloadLogRow.workload_id == workload_id))
    sources = None if log_id is None or not wanted.is_by_source else await _sources(session, log_id, wanted)
    if log_id is None or sources == []:
        return LogPart([])
    statement = _page(log_id, sources, wanted, cursor, offset, limit + 1)
    found = [LogEntryView(*row) for row in (await session.execute(statement)).all()]
    more = len(found) > limit
    found = found[:limit]
    if cursor is not None and cursor.direction == "newer":
        return LogPart(found[::-1], has_older=True, has_newer=more)
    return LogPart(found, has_older=more, has_newer=cursor is not None or offset > 0)


async def _sources(session: AsyncSession, log_id: int, wanted: LogFilter) -> list[int]:
    statement = select(LogSourceRow.id).where(LogSourceRow.log_id == log_id)
    for column, values in (
        (LogSourceRow.proton_id, wanted.proton_ids),
        (LogSourceRow.replica, wanted.replicas),
        (LogSourceRow.container, wanted.containers),
    ):
        if values is not None:
            statement = statement.where(column.in_(values))
    return list(await session.scalars(statement))


def _page(
    log_id: int, sources: list[int] | None, wanted: LogFilter, cursor: Cursor | None, offset: int, limit: int
) -> Select[*tuple[Any, ...]]:
    backwards = cursor is None or cursor.direction == "older"
    conditions = wanted.conditions()
    if cursor is not None:
        here = tuple_(LogLineRow.at, LogLineRow.id)
        there = tuple_(literal(cursor.at, Microseconds()), literal(cursor.id))
        conditions.append(here < there if backwards else here > there)

    def in_order(statement: Select[int, datetime], at: Any, number: Any) -> Select[int, datetime]:
        return statement.order_by(*((at.desc(), number.desc()) if backwards else (at, number)))

    def of(*where: ColumnElement[bool]) -> Select[int, datetime]:
        statement = select(LogLineRow.id, LogLineRow.at).where(*where, *conditions)
        return in_order(statement, LogLineRow.at, LogLineRow.id)

    # First the page's ids alone, by an index, then what is shown of them: passing over entries costs nothing but that.
    if sources is None:
        ids = of(LogLineRow.log_id == log_id).offset(offset).limit(limit).subquery()
    elif len(sources) > MOST_MERGED or (wanted.is_of_few and len(sources) > 1):
        narrowed = of(LogLineRow.log_id == log_id, LogLineRow.source_id.in_(sources))
        ids = narrowed.offset(offset).limit(limit).subquery()
    else:
        parts = [
            of(LogLineRow.source_id == source).limit(min(offset + limit, _MOST_ROWS)).subquery() for source in sources
        ]
        merged = union_all(*(select(part.c.id, part.c.at) for part in parts)).subquery()
        ids = (
            in_order(select(merged.c.id, merged.c.at), merged.c.at, merged.c.id).offset(offset).limit(limit).subquery()
        )
    shown = (
        select(
            LogLineRow.id,
            LogLineRow.at,
            LogLineRow.severity,
            LogLineRow.message,
            LogLineRow.stacktrace,
            LogLineRow.attributes,
            LogSourceRow.proton_id,
            LogSourceRow.replica,
            LogSourceRow.container,
        )
        .select_from(ids)
        .join(LogLineRow, LogLineRow.id == ids.c.id)
        .join(LogSourceRow, LogSourceRow.id == LogLineRow.source_id)
    )
    order = (ids.c.at.desc(), ids.c.id.desc()) if backwards else (ids.c.at, ids.c.id)
    return shown.order_by(*order)


class _Contains(GenericFunction[bool]):
    """An entry's text holds another, letters folded: arguments text, folded text, LIKE pattern."""

    type = Boolean()
    inherit_cache = True
    name = "log_contains"


@compiles(_Contains, "postgresql")
def _postgresql_contains(element: _Contains, compiler: SQLCompiler, **kw: Any) -> str:
    clauses = list(element.clauses)
    text, part = compiler.process(clauses[0], **kw), compiler.process(clauses[1], **kw)
    # Only letters of ASCII are left to be folded: by the collation "C" that costs least. No LIKE: by the look of its
    # pattern the planner would take all for rare, and sort all that is found instead of stopping at a full page.
    return f'(strpos(lower({text} COLLATE "C"), {part}) > 0)'


@compiles(_Contains, "sqlite")
def _sqlite_contains(element: _Contains, compiler: SQLCompiler, **kw: Any) -> str:
    clauses = list(element.clauses)
    text, pattern = compiler.process(clauses[0], **kw), compiler.process(clauses[2], **kw)
    # LIKE folds the letters of ASCII by itself.
    return f"({text} LIKE {pattern} ESCAPE '\\')"


def _contains(text: str) -> ColumnElement[bool]:
    folded = text.casefold()
    pattern = "%" + folded.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    texts = func.coalesce(LogLineRow.searched, LogLineRow.message)
    return _Contains(texts, literal(folded), literal(pattern))
