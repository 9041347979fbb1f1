"""Looks after the counts of audiences (``db/models/audiences.py``): adds them up, forgets sets that see nothing."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import delete, exists, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.locks import locked
from workload_api.db.models import AudienceCountRow, AudienceRow

IN_USE = 0x61756469656E6365
"""PostgreSQL's advisory lock ("audience") that the triggers of migration ``audiences`` hold with others."""


async def add_up(session: AsyncSession, limit: int) -> int:
    """Replace the rows of counts by their sums; readers see the same sums before and after.

    Any number of processes may do so at once: each takes rows that no other has.

    Args:
        session: A unit of work.
        limit: How many rows at the most.

    Returns:
        How many rows it took; where they are as many as the limit, there may be more.
    """
    several = select(AudienceCountRow.audience_id).group_by(AudienceCountRow.audience_id).having(func.count() > 1)
    due = (
        select(AudienceCountRow.id)
        .where(AudienceCountRow.audience_id.in_(several))
        # All rows of an audience together, so that each call leaves fewer.
        .order_by(AudienceCountRow.audience_id, AudienceCountRow.id)
        .limit(limit)
    )
    taken = (
        delete(AudienceCountRow)
        .where(AudienceCountRow.id.in_(locked(due, AudienceCountRow, skip_locked=True)))
        .returning(AudienceCountRow.audience_id, AudienceCountRow.amount)
        .execution_options(synchronize_session=False)
    )
    sums: Counter[int] = Counter()
    rows = (await session.execute(taken)).all()
    for audience_id, amount in rows:
        sums[audience_id] += amount
    kept = [{"audience_id": audience_id, "amount": amount} for audience_id, amount in sums.items() if amount]
    if kept:
        await session.execute(insert(AudienceCountRow), kept)
    return len(rows)


async def forget_unused(session: AsyncSession, limit: int) -> None:
    """Remove audiences that see nothing any more; not now, if somebody is just choosing one.

    Args:
        session: A unit of work.
        limit: How many at the most.
    """
    if session.get_bind().dialect.name == "postgresql":
        alone = await session.scalar(select(func.pg_try_advisory_xact_lock(IN_USE)))
        if not alone:
            return
    # Added up, an audience with no count sees nothing.
    unused = select(AudienceRow.id).where(~exists().where(AudienceCountRow.audience_id == AudienceRow.id)).limit(limit)
    await session.execute(
        delete(AudienceRow).where(AudienceRow.id.in_(unused)).execution_options(synchronize_session=False)
    )
