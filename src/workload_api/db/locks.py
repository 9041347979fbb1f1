"""Row locks and writes in one round trip: what PostgreSQL needs and SQLite, with its one writer, does not.

Locks are always taken in the order workload → artifact → repository → replacement.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, TypeVar, cast

from sqlalchemy import Select, Table, func, literal, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import UpdateBase

from workload_api.db.models import Base

S = TypeVar("S", bound=Select[*tuple[Any, ...]])


def locked(statement: S, *tables: type[Base], skip_locked: bool = False) -> S:
    """Lock the rows that a statement selects against changes, not against being pointed at.

    Args:
        statement: The query; on SQLite it is left as it is.
        tables: Lock rows of these tables alone, in this order.
        skip_locked: Leave out rows that somebody else holds.
    """
    return statement.with_for_update(key_share=True, of=tables or None, skip_locked=skip_locked)


async def one_at_a_time(session: AsyncSession, what: str) -> None:
    """Until the end of this unit of work keep every other one waiting that asks for the same by name."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(select(func.pg_advisory_xact_lock(lock_number(what))))


async def beside_others(session: AsyncSession, what: str) -> None:
    """Until the end of this unit of work keep everyone waiting who asks for the same :func:`one_at_a_time`."""
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(select(func.pg_advisory_xact_lock_shared(lock_number(what))))


def lock_number(what: str) -> int:
    """The number of PostgreSQL's advisory lock of a name."""
    return int.from_bytes(sha256(what.encode()).digest()[:8], signed=True)


def table_of(row: type[Base]) -> Table:
    """The table of a row class, for writes that bypass the session's copies of rows."""
    return cast(Table, row.__table__)


async def write_together(session: AsyncSession, writes: Sequence[UpdateBase]) -> None:
    """Carry out several independent writes: on PostgreSQL as one statement, that is, in one round trip.

    The writes must not touch the same row twice nor depend on one another's outcome: PostgreSQL runs them on one
    snapshot (PostgreSQL manual, 7.8.4 "Data-Modifying Statements in WITH").
    """
    if session.get_bind().dialect.name != "postgresql":
        for write in writes:
            await session.execute(write)
        return
    await session.execute(select(literal(1)).add_cte(*(write.cte(f"w{n}") for n, write in enumerate(writes))))
