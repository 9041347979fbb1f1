"""The events of a workload (§7)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from workload_api.db.models import EventRow
from workload_api.events import queries
from workload_api.events.schemas import WorkloadEvent, WorkloadEventsResponse
from workload_api.http.context import Authenticated, Context
from workload_api.http.json_route import JsonRoute
from workload_api.http.paging import Paged
from workload_api.http.responses import refusals
from workload_api.identity.targets import require_workload

router = APIRouter(prefix="/workloads/{workload_id}", tags=["events"], route_class=JsonRoute)


def _answer(row: EventRow) -> WorkloadEvent:
    return WorkloadEvent(
        id=row.id,
        workload_id=row.workload_id,
        timestamp=row.created_at,
        event_type=row.event_type,
        actor_id=row.actor_id,
        details=row.details,
        type=row.severity,
        reason=row.reason,
        message=row.message,
    )


@router.get("/events", summary="Read a workload's events", responses=refusals(400, 404))
async def read_events(
    context: Context,
    caller: Authenticated,
    workload_id: Annotated[str, Path(description="Id of the workload.")],
    paging: Paged,
) -> WorkloadEventsResponse:
    """What happened to the workload, who did it and why; the newest first."""
    async with context.database.read() as session:
        await require_workload(session, caller, workload_id)
        found, total = await queries.list_events(session, workload_id, paging)
    return WorkloadEventsResponse(**paging.page([_answer(row) for row in found], total))
