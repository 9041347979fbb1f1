"""What ``search`` looks through: name, description and id of each resource, with letters folded (§3).

A table of its own, so that a status or a promote, which change neither, leave its index alone. The index is one of
trigrams: ``pg_trgm`` on PostgreSQL, FTS5 on SQLite (migration ``lists``).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Integer, String, Text, event, exists, insert, inspect, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute, Mapped, Mapper, mapped_column
from sqlalchemy.sql import ColumnElement, select
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import literal
from sqlalchemy.sql.functions import GenericFunction

from workload_api.db.models.artifacts import ArtifactRepositoryRow, ArtifactRow
from workload_api.db.models.base import Base
from workload_api.db.models.workloads import WorkloadRow
from workload_api.db.types import ID
from workload_api.domain.words import ResourceType

SHORTEST_INDEXED = 3
"""Characters: shorter terms hold no trigram, and all texts are looked through."""

_TYPES: dict[type[Base], ResourceType] = {
    WorkloadRow: "workload",
    ArtifactRow: "artifact",
    ArtifactRepositoryRow: "artifact_repository",
}


class SearchTextRow(Base):
    """The text of one resource."""

    __tablename__ = "search_texts"

    id: Mapped[int] = mapped_column(primary_key=True)
    resource_type: Mapped[ResourceType] = mapped_column(String(24))
    resource_id: Mapped[str] = mapped_column(ID, unique=True)
    text: Mapped[str] = mapped_column(Text)


def search_values(row: Any) -> dict[str, Any]:
    """The columns of the search text of a workload, an artifact or a repository."""
    parts = (row.name, getattr(row, "description", None), row.id)
    text = "\n".join(part for part in parts if part).casefold()
    return {"resource_type": _TYPES[type(row)], "resource_id": row.id, "text": text}


def _inserted(_mapper: Mapper[Any], connection: Connection, row: Any) -> None:
    connection.execute(insert(SearchTextRow).values(search_values(row)))


def _updated(_mapper: Mapper[Any], connection: Connection, row: Any) -> None:
    state = inspect(row)
    if any(name in state.attrs and state.attrs[name].history.has_changes() for name in ("name", "description")):
        values = search_values(row)
        connection.execute(update(SearchTextRow).where(SearchTextRow.resource_id == row.id).values(text=values["text"]))


for _row_class in _TYPES:
    event.listen(_row_class, "after_insert", _inserted)
    event.listen(_row_class, "after_update", _updated)


class _Holds(GenericFunction[Any]):
    """The search text with this number holds a term: arguments number, text, LIKE pattern, FTS5 phrase."""

    # Not a Boolean: of one, SQLAlchemy would write "… = 1" for SQLite, which then uses no index.
    type = Integer()
    inherit_cache = True
    name = "search_text_holds"


@compiles(_Holds, "postgresql")
def _postgresql_holds(element: _Holds, compiler: SQLCompiler, **kw: Any) -> str:
    clauses = list(element.clauses)
    text, pattern = compiler.process(clauses[1], **kw), compiler.process(clauses[2], **kw)
    return f"({text} LIKE {pattern})"


@compiles(_Holds, "sqlite")
def _sqlite_holds(element: _Holds, compiler: SQLCompiler, **kw: Any) -> str:
    clauses = list(element.clauses)
    number, phrase = compiler.process(clauses[0], **kw), compiler.process(clauses[3], **kw)
    return f"({number} IN (SELECT rowid FROM search_index WHERE search_index MATCH {phrase}))"


def holds(
    term: str, resource_type: ResourceType, resource_id: InstrumentedAttribute[str], *, one_by_one: bool = False
) -> ColumnElement[bool]:
    """The condition that a resource's name, description or id holds a term, in any letter case.

    Args:
        term: What is looked for; every character stands for itself.
        resource_type: Of which kind the rows are.
        resource_id: Their ids.
        one_by_one: Look at the text of each row; right where they are few, however many texts hold the term.
    """
    folded = term.casefold()
    pattern = "%" + folded.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    like = SearchTextRow.text.like(pattern, escape="\\")
    if one_by_one:
        return exists().where(SearchTextRow.resource_id == resource_id, like)
    # With nothing added to it, PostgreSQL would read the whole index for a short term, and then all texts as well.
    found: ColumnElement[Any] = (SearchTextRow.text + "").like(pattern, escape="\\")
    if len(folded) >= SHORTEST_INDEXED:
        phrase = '"' + folded.replace('"', '""') + '"'
        found = _Holds(SearchTextRow.id, SearchTextRow.text, literal(pattern), literal(phrase))
    return resource_id.in_(select(SearchTextRow.resource_id).where(SearchTextRow.resource_type == resource_type, found))
