"""Reads replacements: the one that stands, and the history."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.models import ReplacementRow
from workload_api.http.paging import Paging


async def list_history(session: AsyncSession, workload_id: str, paging: Paging) -> tuple[list[ReplacementRow], int]:
    """A page of a workload's promotes, replacements and settings changes, newest first, and how many there are."""
    mine = ReplacementRow.workload_id == workload_id
    total = await session.scalar(select(func.count()).select_from(ReplacementRow).where(mine))
    statement = (
        select(ReplacementRow).where(mine).order_by(ReplacementRow.id.desc()).offset(paging.offset).limit(paging.limit)
    )
    return list((await session.scalars(statement)).all()), total or 0
