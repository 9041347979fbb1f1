"""Column types and the database's own clock, the same for SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Float, Integer, String, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ColumnElement, literal
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import TypeDecorator, TypeEngine

ID = String(24)
"""An id (§2): 24 lower-case hex characters."""


NAME = Text().with_variant(Text(collation="C"), "postgresql")
"""A name: put in order by code points on every database, whatever its locale."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC: ``timestamptz`` on PostgreSQL, sortable ISO 8601 text of fixed width on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column type of the dialect."""
        return dialect.type_descriptor(String(27) if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Bring a moment to UTC; one without a zone is refused."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a zone cannot be stored")
        value = value.astimezone(UTC)
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Give every moment back with its zone."""
        if isinstance(value, str):
            return datetime.fromisoformat(value)
        return None if value is None else value.astimezone(UTC)


NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""A number that the database gives to a row: SQLite counts up a column of this type alone by itself."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Microseconds(TypeDecorator[datetime]):
    """A moment as the number of microseconds since 1970: eight bytes in every index that bears it, on SQLite too."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> int | None:
        """Count from 1970; a moment without a zone is refused."""
        return None if value is None else (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, _dialect: Dialect) -> datetime | None:
        """Give every moment back with its zone."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class _DatabaseNow(GenericFunction[datetime]):
    """The database's clock, some seconds from now."""

    type = UtcDateTime()
    inherit_cache = True
    name = "database_now"


@compiles(_DatabaseNow, "sqlite")
def _sqlite_now(element: _DatabaseNow, compiler: SQLCompiler, **kw: Any) -> str:
    # %f gives milliseconds; the zeros bring it to the width of the stored text, so that texts compare as moments.
    offset = compiler.process(element.clauses, **kw)
    return f"(strftime('%Y-%m-%dT%H:%M:%f', 'now', ({offset}) || ' seconds') || '000Z')"


@compiles(_DatabaseNow, "postgresql")
def _postgresql_now(element: _DatabaseNow, compiler: SQLCompiler, **kw: Any) -> str:
    # clock_timestamp, not now(): a transaction that waited for a lock must see the time after the wait.
    offset = compiler.process(element.clauses, **kw)
    return f"(clock_timestamp() + ({offset}) * interval '1 second')"


def database_now(offset: timedelta = timedelta(0)) -> ColumnElement[datetime]:
    """The database's clock as an SQL expression.

    Args:
        offset: How far from now, into the future where positive.
    """
    return _DatabaseNow(literal(offset.total_seconds(), Float))
