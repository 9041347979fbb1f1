"""Reads replacements: the one that stands, and the history."""

from __future__ import annotations

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from workload_api.db.models import ReplacementRow
from workload_api.db.types import database_now
from workload_api.domain.errors import NotFound
from workload_api.domain.words import UNFINISHED_REPLACEMENT
from workload_api.http.paging import Paging
from workload_api.settings import Settings


def is_current(settings: Settings) -> ColumnElement[bool]:
    """The condition that a replacement is the one that its workload shows, of which there is one at the most (§6).

    That is the one in progress; one that completed while pollers must get to see its end; one that errored until the
    next attempt. A promote is none, and one that was cancelled is gone.
    """
    later = aliased(ReplacementRow)
    newer = (
        select(later.id)
        .where(later.workload_id == ReplacementRow.workload_id, later.id > ReplacementRow.id, later.reason != "promote")
        .exists()
    )
    settling = ReplacementRow.updated_at > database_now(-settings.replacement_settling)
    return (
        (ReplacementRow.reason != "promote")
        & ReplacementRow.deleted_at.is_(None)
        & or_(
            ReplacementRow.status.in_(UNFINISHED_REPLACEMENT),
            ~newer & (ReplacementRow.status == "errored"),
            ~newer & (ReplacementRow.status == "completed") & settling,
        )
    )


async def current_replacement(session: AsyncSession, workload_id: str, settings: Settings) -> ReplacementRow:
    """The replacement that a workload shows.

    Raises:
        NotFound: There is none.
    """
    statement = select(ReplacementRow).where(ReplacementRow.workload_id == workload_id, is_current(settings))
    found = (await session.scalars(statement.order_by(ReplacementRow.id.desc()))).first()
    if found is None:
        raise no_replacement()
    return found


def no_replacement() -> NotFound:
    """The answer where there is no replacement; clients look for this very sentence (§6)."""
    return NotFound("There is no active replacement for this workload.", code="REPLACEMENT_NOT_FOUND")


async def list_history(session: AsyncSession, workload_id: str, paging: Paging) -> tuple[list[ReplacementRow], int]:
    """A page of a workload's promotes, replacements and settings changes, newest first, and how many there are."""
    mine = ReplacementRow.workload_id == workload_id
    total = await session.scalar(select(func.count()).select_from(ReplacementRow).where(mine))
    statement = (
        select(ReplacementRow).where(mine).order_by(ReplacementRow.id.desc()).offset(paging.offset).limit(paging.limit)
    )
    return list((await session.scalars(statement)).all()), total or 0
