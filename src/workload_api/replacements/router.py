"""The history of a workload, and the replacement that stands (§6)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from workload_api.http.context import Authenticated, Context
from workload_api.http.json_route import JsonRoute
from workload_api.http.paging import Paged
from workload_api.http.responses import refusals
from workload_api.identity.targets import require_workload
from workload_api.replacements import queries
from workload_api.replacements.answers import replacement_answer
from workload_api.replacements.schemas import ReplacementHistoryListResponse

router = APIRouter(prefix="/workloads/{workload_id}", tags=["replacements"], route_class=JsonRoute)

WorkloadId = Annotated[str, Path(description="Id of the workload.")]


@router.get("/history", summary="Read a workload's history", responses=refusals(400, 404))
async def read_history(
    context: Context, caller: Authenticated, workload_id: WorkloadId, paging: Paged
) -> ReplacementHistoryListResponse:
    """Promotes, replacements and settings changes, the newest first."""
    async with context.database.read() as session:
        await require_workload(session, caller, workload_id)
        found, total = await queries.list_history(session, workload_id, paging)
    data = [replacement_answer(row, caller.tenant_id) for row in found]
    return ReplacementHistoryListResponse(**paging.page(data, total))
