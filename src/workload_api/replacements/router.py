"""Replacements, changes of settings, and the history of a workload (§6)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.http.context import Authenticated, Context
from workload_api.http.idempotency import DOCUMENTED, answer_once
from workload_api.http.json_route import JsonRoute
from workload_api.http.paging import Paged
from workload_api.http.preconditions import IfMatch, tag
from workload_api.http.responses import refusals
from workload_api.identity.targets import require_workload
from workload_api.replacements import queries, service
from workload_api.replacements.answers import replacement_answer
from workload_api.replacements.examples import NewReplacement, NewSettings
from workload_api.replacements.schemas import Replacement, ReplacementHistoryListResponse
from workload_api.replacements.service import ReplacementContent

router = APIRouter(prefix="/workloads/{workload_id}", tags=["replacements"], route_class=JsonRoute)

WorkloadId = Annotated[str, Path(description="Id of the workload.")]


@router.post(
    "/replacement",
    status_code=202,
    summary="Replace a workload's artifact",
    response_model=Replacement,
    responses=refusals(400, 404, 409),
    openapi_extra=DOCUMENTED,
)
async def start_replacement(
    request: Request,
    response: Response,
    context: Context,
    caller: Authenticated,
    workload_id: WorkloadId,
    body: NewReplacement,
) -> Response:
    """Move the workload onto another artifact while it serves: a draft onto a draft, a locked one onto a locked one.

    The new proton comes up beside the old one; once it is ready, and has warmed up, traffic moves to it, and the old
    one goes when its last request has ended. Id, endpoint and sharing stay. Poll `GET …/replacement` until the status
    is `completed` or `errored`; if the new proton does not come up, the old one has never stopped serving.
    """
    content = ReplacementContent(
        artifact_id=body.artifact_id,
        config=body.config.model_dump(by_alias=True),
        runtime=body.runtime.as_sent() if body.runtime is not None else None,
    )

    async def act(session: AsyncSession) -> Replacement:
        row = await service.start_replacement(session, caller, workload_id, content, context.settings)
        tag(response, row)
        return replacement_answer(row, caller.tenant_id)

    return await answer_once(request, response, context, caller, act, 202)


@router.get("/replacement", summary="Read the replacement that stands", responses=refusals(400, 404))
async def read_replacement(
    response: Response, context: Context, caller: Authenticated, workload_id: WorkloadId
) -> Replacement:
    """The replacement in progress; one that completed, for half a minute after; one that errored, until the next."""
    async with context.database.read() as session:
        await require_workload(session, caller, workload_id)
        row = await queries.current_replacement(session, workload_id, context.settings)
    tag(response, row)
    return replacement_answer(row, caller.tenant_id)


@router.delete(
    "/replacement", status_code=202, summary="Cancel the replacement in progress", responses=refusals(400, 404, 412)
)
async def cancel_replacement(
    response: Response, context: Context, caller: Authenticated, workload_id: WorkloadId, expected: IfMatch
) -> Replacement:
    """Undo it: before the switch the new proton goes; as long as the old one is kept, traffic goes back to it."""
    async with context.database.write() as session:
        row = await service.cancel_replacement(session, caller, workload_id, expected)
        answer = replacement_answer(row, caller.tenant_id)
    tag(response, row)
    return answer


@router.patch(
    "/settings", status_code=202, summary="Change a workload's runtime settings", responses=refusals(400, 404, 409, 412)
)
async def change_settings(
    response: Response,
    context: Context,
    caller: Authenticated,
    workload_id: WorkloadId,
    body: NewSettings,
    expected: IfMatch,
) -> Replacement:
    """Move the workload onto this runtime, with its own artifact as that is now, while it serves.

    `runtime` takes the place of the present one as a whole. Poll `GET …/replacement` as for any replacement.
    """
    async with context.database.write() as session:
        row = await service.change_settings(
            session, caller, workload_id, body.runtime.as_sent(), context.settings, expected
        )
        answer = replacement_answer(row, caller.tenant_id)
    tag(response, row)
    return answer


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
