"""The limits that ``GET /account/info/`` tells of (§11); 0 is no limit."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.locks import one_at_a_time
from workload_api.db.models import WorkloadRow
from workload_api.domain.errors import Forbidden
from workload_api.identity.rights import Caller

_AT_REST = ("stopped", "terminated")


async def refuse_too_many_workloads(session: AsyncSession, caller: Caller, limit: int) -> None:
    """Let through one more workload that runs in the caller's organization.

    Args:
        session: A unit of work; another one that asks the same waits for its end.
        caller: Whose organization it is.
        limit: The most workloads of an organization that run at once.

    Raises:
        Forbidden: As many as are allowed run already.
    """
    if limit == 0:
        return
    await one_at_a_time(session, f"workloads of {caller.organization_id}")
    running = select(func.count()).where(
        WorkloadRow.organization_id == caller.organization_id,
        WorkloadRow.deleted_at.is_(None),
        WorkloadRow.status.not_in(_AT_REST),
    )
    count = await session.scalar(running) or 0
    if count >= limit:
        raise Forbidden(
            f"Requested workloads ({count + 1}) exceeds the maximum allowed ({limit}); stop or delete one first.",
            code="WORKLOAD_LIMIT_EXCEEDED",
        )
