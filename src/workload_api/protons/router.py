"""The protons of a workload (§7)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from workload_api.http.context import Authenticated, Context
from workload_api.http.json_route import JsonRoute
from workload_api.http.paging import Paged, public_base_url
from workload_api.http.preconditions import tag
from workload_api.http.responses import refusals
from workload_api.identity.targets import require_workload
from workload_api.protons import queries
from workload_api.protons.answers import proton_answer, snapshot_answer
from workload_api.protons.schemas import ProtonFormatted, ProtonListResponse, ReplicaStatusesSnapshot

router = APIRouter(prefix="/workloads/{workload_id}/protons", tags=["protons"], route_class=JsonRoute)

WorkloadId = Annotated[str, Path(description="Id of the workload.")]
ProtonId = Annotated[str, Path(description="Id of the proton.")]


@router.get("", summary="List a workload's protons", responses=refusals(400, 404))
async def list_protons(
    request: Request, context: Context, caller: Authenticated, workload_id: WorkloadId, paging: Paged
) -> ProtonListResponse:
    """The protons of a workload, the newest first."""
    base_url = public_base_url(request, context.settings.public_url)
    async with context.database.read() as session:
        await require_workload(session, caller, workload_id)
        found, total = await queries.list_protons(session, workload_id, paging)
    return ProtonListResponse(**paging.page([proton_answer(row, user, base_url) for row, user in found], total))


@router.get("/{proton_id}", summary="Read a proton", responses=refusals(400, 404))
async def read_proton(
    request: Request,
    response: Response,
    context: Context,
    caller: Authenticated,
    workload_id: WorkloadId,
    proton_id: ProtonId,
) -> ProtonFormatted:
    """One proton: role, status, runtime, endpoint."""
    async with context.database.read() as session:
        await require_workload(session, caller, workload_id)
        proton, creator = await queries.get_proton(session, workload_id, proton_id)
    tag(response, proton)
    return proton_answer(proton, creator, public_base_url(request, context.settings.public_url))


@router.get(
    "/{proton_id}/statusDetails",
    summary="Read the status of a proton's replicas",
    response_model=ReplicaStatusesSnapshot,
    responses={**refusals(400, 404), 204: {"description": "Nothing has been reported yet.", "model": None}},
)
async def read_status_details(
    context: Context, caller: Authenticated, workload_id: WorkloadId, proton_id: ProtonId
) -> ReplicaStatusesSnapshot | Response:
    """Phase, conditions and containers of each replica as last seen; 204 before the first report."""
    async with context.database.read() as session:
        await require_workload(session, caller, workload_id)
        proton, _ = await queries.get_proton(session, workload_id, proton_id)
    if proton.observed_at is None:
        return Response(status_code=204)
    return snapshot_answer(proton)
