"""The operations on workloads (§4, §5)."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.artifacts.router import ORDER, CreatedBy, Ids, Search, TagKeys, TagValues, content_of
from workload_api.http.context import Authenticated, Context, ServerContext
from workload_api.http.idempotency import DOCUMENTED, answer_once, sane_key
from workload_api.http.json_route import JsonRoute, refuse_body
from workload_api.http.paging import Paged, client_base_url, public_base_url
from workload_api.http.preconditions import IfMatch, tag
from workload_api.http.responses import refusals
from workload_api.identity.rights import Caller
from workload_api.identity.targets import require_workload
from workload_api.protons.runtime_schemas import runtime_as_answered
from workload_api.workloads import queries, service
from workload_api.workloads.answers import plan_answer, totals_answer, workload_answer
from workload_api.workloads.examples import NewWorkload, WorkloadChanges
from workload_api.workloads.promote import plan_promote, promote
from workload_api.workloads.queries import WorkloadFilter
from workload_api.workloads.related import related
from workload_api.workloads.schemas import (
    ArtifactStatus,
    PromotePlanAnswer,
    ProtonStatusFilter,
    RelatedEntitiesResponse,
    WorkloadFormatted,
    WorkloadImportance,
    WorkloadListResponse,
    WorkloadOperationResponse,
    WorkloadSettingsResponse,
    WorkloadSortQueryParam,
    WorkloadStatsResponse,
)
from workload_api.workloads.service import WorkloadContent
from workload_api.workloads.totals import totals

router = APIRouter(prefix="/workloads", tags=["workloads"], route_class=JsonRoute)

WorkloadId = Annotated[str, Path(description="Id of the workload.", examples=["0193af0e5c1b8f2a4d6e9b3c"])]


async def _shown(
    session: AsyncSession,
    request: Request,
    context: ServerContext,
    caller: Caller,
    workload_id: str,
    response: Response,
) -> WorkloadFormatted:
    view = await queries.get_workload(session, caller, workload_id, context.settings)
    tag(response, view.workload)
    return workload_answer(view, public_base_url(request, context.settings.public_url))


@router.post(
    "",
    status_code=201,
    summary="Create a workload",
    response_model=WorkloadFormatted,
    responses=refusals(400, 404, 409),
    openapi_extra=DOCUMENTED,
)
async def create_workload(
    request: Request, response: Response, context: Context, caller: Authenticated, body: NewWorkload
) -> Response:
    """Create a workload from an inline `artifact` (a draft is made with it) or from an `artifactId`.

    It answers at once with the status `submitted`; poll the workload until it is `running`. On a draft it lives for
    the draft TTL (8 hours) unless it is promoted before.
    """
    content = WorkloadContent(
        name=body.name,
        description=body.description if "description" in body.model_fields_set else "",
        importance=body.importance,
        runtime=body.runtime.as_sent() if body.runtime is not None else {},
        artifact=content_of(body.artifact) if body.artifact is not None else None,
        artifact_status=body.artifact.status if body.artifact is not None else "draft",
        artifact_repository_id=body.artifact.artifact_repository_id if body.artifact is not None else None,
        artifact_id=body.artifact_id,
    )

    async def act(session: AsyncSession) -> WorkloadFormatted:
        workload_id = await service.create_workload(session, caller, content, context.settings)
        return await _shown(session, request, context, caller, workload_id, response)

    return await answer_once(request, response, context, caller, act, 201)


def _wanted(
    search: Search = None,
    ids: Ids = None,
    created_by: CreatedBy = None,
    status: Annotated[list[ProtonStatusFilter] | None, Query(description="In one of these states; may repeat.")] = None,
    importance: Annotated[list[WorkloadImportance] | None, Query(description="One of these; may repeat.")] = None,
    artifact_status: Annotated[
        list[ArtifactStatus] | None,
        Query(alias="artifactStatus", description="Only those on an artifact in one of these states; may repeat."),
    ] = None,
    artifact_id: Annotated[
        str | None, Query(alias="artifactId", description="Only those on this artifact (id).")
    ] = None,
    repository_id: Annotated[
        str | None, Query(alias="repositoryId", description="Only those on an artifact of this repository (id).")
    ] = None,
    tag_keys: TagKeys = None,
    tag_values: TagValues = None,
) -> WorkloadFilter:
    return WorkloadFilter(
        search=search,
        ids=ids,
        created_by=created_by,
        status=status,
        importance=importance,
        artifact_id=artifact_id,
        artifact_status=artifact_status,
        repository_id=repository_id,
        tag_names=tag_keys,
        tag_values=tag_values,
    )


Wanted = Annotated[WorkloadFilter, Depends(_wanted)]
OrderBy = Annotated[WorkloadSortQueryParam | None, Query(alias="orderBy", description=ORDER)]


@router.get("", summary="List workloads", responses=refusals(400))
async def list_workloads(
    request: Request,
    context: Context,
    caller: Authenticated,
    paging: Paged,
    wanted: Wanted,
    service_stats: Annotated[
        bool | None, Query(alias="serviceStats", description="`false` leaves `requestStats` out.")
    ] = None,
    order_by: OrderBy = None,
) -> WorkloadListResponse:
    """The workloads that the caller may see, the newest first by default."""
    base_url = public_base_url(request, context.settings.public_url)
    async with context.database.read() as session:
        found, total = await queries.list_workloads(
            session, caller, wanted, order_by, paging, context.settings, with_requests=service_stats is not False
        )
    return WorkloadListResponse(**paging.page([workload_answer(view, base_url) for view in found], total))


@router.get("/stats", summary="Read figures over several workloads", responses=refusals(400))
async def read_totals(
    context: Context,
    caller: Authenticated,
    wanted: Wanted,
    _order_by: Annotated[
        WorkloadSortQueryParam | None, Query(alias="orderBy", description="Accepted; figures have no order.")
    ] = None,
) -> WorkloadStatsResponse:
    """Requests, errors and response times of the last 24 hours, with trends against the 24 hours before."""
    await context.flush_statistics()
    async with context.database.read() as session:
        found = await totals(session, caller, wanted, context.settings, context.requests_in_flight())
    return totals_answer(found)


@router.get("/{workload_id}", summary="Read a workload", responses=refusals(400, 404))
async def read_workload(
    request: Request, response: Response, context: Context, caller: Authenticated, workload_id: WorkloadId
) -> WorkloadFormatted:
    """One workload: status, artifact, endpoint, runtime, importance, and until when a draft lives."""
    async with context.database.read() as session:
        return await _shown(session, request, context, caller, workload_id, response)


@router.patch("/{workload_id}", summary="Change name, description or importance", responses=refusals(400, 404, 412))
async def update_workload(
    request: Request,
    response: Response,
    context: Context,
    caller: Authenticated,
    workload_id: WorkloadId,
    body: WorkloadChanges,
    expected: IfMatch,
) -> WorkloadFormatted:
    """Change what is given; nothing is restarted."""
    async with context.database.write() as session:
        await service.update_workload(
            session,
            caller,
            workload_id,
            name=body.name,
            description=body.description,
            importance=body.importance,
            expected=expected,
        )
        return await _shown(session, request, context, caller, workload_id, response)


@router.delete(
    "/{workload_id}",
    status_code=204,
    summary="Delete a workload",
    responses={
        **refusals(400, 404, 412),
        200: {
            "model": dict[str, Any],
            "description": "Deleted; `detail` names a proton that could not be stopped yet.",
        },
    },
)
async def delete_workload(
    context: Context, caller: Authenticated, workload_id: WorkloadId, expected: IfMatch
) -> Response:
    """Delete a workload: it is gone at once, its replicas are taken down behind it."""
    async with context.database.write() as session:
        stuck = await service.delete_workload(session, caller, workload_id, expected)
    return JSONResponse({"detail": " ".join(stuck)}) if stuck else Response(status_code=204)


@router.post(
    "/{workload_id}/promote",
    status_code=202,
    summary="Promote a draft to production, in place",
    response_model=WorkloadFormatted,
    responses={
        **refusals(400, 404, 409, 412),
        200: {"model": PromotePlanAnswer, "description": "With `dryRun`: what would change, or what is in the way."},
    },
    openapi_extra=DOCUMENTED,
)
async def promote_workload(
    request: Request,
    response: Response,
    context: Context,
    caller: Authenticated,
    workload_id: WorkloadId,
    expected: IfMatch,
    dry_run: Annotated[bool, Query(alias="dryRun", description="Change nothing; say what would change.")] = False,
) -> Response:
    """Lock and number the artifact, start the statistics anew, enter the history, end the TTL, all in one step.

    The running service is not touched: same proton, endpoint, id, sharing and configuration. `422` says what stands
    in the way; then nothing has changed. Takes no body.
    """
    await refuse_body(request)
    if dry_run:
        sane_key(request)
        async with context.database.read() as session:
            plan = await plan_promote(session, caller, workload_id, expected)
        return JSONResponse(plan_answer(workload_id, plan).model_dump(mode="json"))

    async def act(session: AsyncSession) -> WorkloadFormatted:
        await promote(session, caller, workload_id, expected)
        return await _shown(session, request, context, caller, workload_id, response)

    return await answer_once(request, response, context, caller, act, 202)


@router.post(
    "/{workload_id}/start",
    status_code=202,
    summary="Start a stopped or errored workload",
    response_model=WorkloadOperationResponse,
    responses=refusals(400, 404, 409),
    openapi_extra=DOCUMENTED,
)
async def start_workload(
    request: Request, response: Response, context: Context, caller: Authenticated, workload_id: WorkloadId
) -> Response:
    """Start it; a draft gets its full TTL again. Poll `trackVia`."""
    await refuse_body(request)

    async def act(session: AsyncSession) -> WorkloadOperationResponse:
        await service.start_workload(session, caller, workload_id, context.settings)
        return _operation(request, workload_id, "starting")

    return await answer_once(request, response, context, caller, act, 202)


@router.post(
    "/{workload_id}/stop",
    status_code=202,
    summary="Stop a workload",
    response_model=WorkloadOperationResponse,
    responses=refusals(400, 404, 409),
    openapi_extra=DOCUMENTED,
)
async def stop_workload(
    request: Request, response: Response, context: Context, caller: Authenticated, workload_id: WorkloadId
) -> Response:
    """Stop its replicas gracefully; id, endpoint and history stay. Poll `trackVia`."""
    await refuse_body(request)

    async def act(session: AsyncSession) -> WorkloadOperationResponse:
        await service.stop_workload(session, caller, workload_id)
        return _operation(request, workload_id, "stopping")

    return await answer_once(request, response, context, caller, act, 202)


def _operation(request: Request, workload_id: str, status: str) -> WorkloadOperationResponse:
    track_via = f"{client_base_url(request)}/api/v2/workloads/{workload_id}/"
    return WorkloadOperationResponse(status=status, workload_id=workload_id, track_via=track_via)


@router.get("/{workload_id}/settings", summary="Read a workload's runtime settings", responses=refusals(400, 404))
async def read_settings(
    response: Response, context: Context, caller: Authenticated, workload_id: WorkloadId
) -> WorkloadSettingsResponse:
    """The runtime: replicas, autoscaling and resources by container group."""
    async with context.database.read() as session:
        workload = await require_workload(session, caller, workload_id)
    tag(response, workload)
    return WorkloadSettingsResponse(runtime=runtime_as_answered(workload.runtime))


@router.get("/{workload_id}/related", summary="Read what belongs to a workload", responses=refusals(400, 404))
async def read_related(context: Context, caller: Authenticated, workload_id: WorkloadId) -> RelatedEntitiesResponse:
    """Its artifact, its artifact repository and its protons."""
    async with context.database.read() as session:
        return await related(session, caller, workload_id)
