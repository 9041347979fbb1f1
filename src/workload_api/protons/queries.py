"""Reads protons of a workload."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.models import ProtonRow, UserRow
from workload_api.domain.errors import NotFound
from workload_api.http.paging import Paging


async def list_protons(
    session: AsyncSession, workload_id: str, paging: Paging
) -> tuple[list[tuple[ProtonRow, UserRow]], int]:
    """A page of a workload's protons, the newest first, and how many there are."""
    mine = ProtonRow.workload_id == workload_id
    total = await session.scalar(select(func.count()).select_from(ProtonRow).where(mine))
    statement = (
        select(ProtonRow, UserRow)
        .join(UserRow, UserRow.id == ProtonRow.creator_id)
        .where(mine)
        .order_by(ProtonRow.id.desc())
        .offset(paging.offset)
        .limit(paging.limit)
    )
    return [(proton, user) for proton, user in (await session.execute(statement)).all()], total or 0


async def get_proton(session: AsyncSession, workload_id: str, proton_id: str) -> tuple[ProtonRow, UserRow]:
    """One proton of a workload.

    Raises:
        NotFound: The workload has no such proton.
    """
    statement = (
        select(ProtonRow, UserRow)
        .join(UserRow, UserRow.id == ProtonRow.creator_id)
        .where(ProtonRow.workload_id == workload_id, ProtonRow.id == proton_id)
    )
    found = (await session.execute(statement)).one_or_none()
    if found is None:
        raise NotFound(f"The workload {workload_id} has no proton {proton_id[:100]!r}.", code="PROTON_NOT_FOUND")
    return found[0], found[1]
