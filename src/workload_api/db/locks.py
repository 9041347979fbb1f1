"""Row locks and writes in one round trip: what PostgreSQL needs and SQLite, with its one writer, does not.

Locks are always taken in the order workload → artifact → repository → replacement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import Select, literal, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import UpdateBase


T = TypeVar("T", bound=tuple[Any, ...])


def locked(statement: Select[T], *tables: Any, skip_locked: bool = False) -> Select[T]:
    """Lock the rows that a statement selects against changes, not against being pointed at.

    Args:
        statement: The query; on SQLite it is left as it is.
        tables: Lock rows of these tables alone, in this order.
        skip_locked: Leave out rows that somebody else holds.
    """
    return statement.with_for_update(key_share=True, of=tables or None, skip_locked=skip_locked)


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
