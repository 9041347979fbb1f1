"""Builds of images: this server has no builder, so that there are none (§3)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.artifacts.router import ArtifactId
from workload_api.artifacts.schemas import ImageBuildFormatted, ImageBuildFormattedList, ImageBuildTriggerResponse
from workload_api.domain.errors import NotFound, Unprocessable
from workload_api.http.context import Authenticated, Context
from workload_api.http.idempotency import DOCUMENTED, answer_once
from workload_api.http.json_route import JsonRoute, refuse_body
from workload_api.http.paging import Paged
from workload_api.http.responses import refusals
from workload_api.identity.targets import require_resource

router = APIRouter(prefix="/artifacts/{artifact_id}/builds", tags=["artifacts"], route_class=JsonRoute)

BuildId = Annotated[str, Path(description="Id of the build.")]


@router.get("", summary="List an artifact's image builds", responses=refusals(400, 404))
async def list_builds(
    context: Context, caller: Authenticated, artifact_id: ArtifactId, paging: Paged
) -> ImageBuildFormattedList:
    """The builds of the artifact's images. This server builds none."""
    async with context.database.read() as session:
        await require_resource(session, caller, "artifact", artifact_id, "view")
    return ImageBuildFormattedList(**paging.page([], 0))


@router.post(
    "",
    status_code=202,
    summary="Build an artifact's images",
    response_model=ImageBuildTriggerResponse,
    responses=refusals(400, 404, 409),
    openapi_extra=DOCUMENTED,
)
async def trigger_builds(
    request: Request, response: Response, context: Context, caller: Authenticated, artifact_id: ArtifactId
) -> Response:
    """Begin to build what `imageBuildConfig` names. This server has no build service: always 422."""
    await refuse_body(request)

    async def act(session: AsyncSession) -> ImageBuildTriggerResponse:
        await require_resource(session, caller, "artifact", artifact_id, "update")
        raise Unprocessable(
            f"The images of the artifact {artifact_id} cannot be built: no build service is configured; build them "
            "elsewhere and give each container its imageUri.",
            code="NO_BUILD_SERVICE",
        )

    return await answer_once(request, response, context, caller, act, 202)


@router.get("/{build_id}", summary="Read an image build", responses=refusals(400, 404))
async def read_build(
    context: Context, caller: Authenticated, artifact_id: ArtifactId, build_id: BuildId
) -> ImageBuildFormatted:
    """One build of the artifact's images."""
    async with context.database.read() as session:
        await require_resource(session, caller, "artifact", artifact_id, "view")
    raise _no_build(artifact_id, build_id)


@router.get(
    "/{build_id}/logs",
    summary="Read the output of an image build",
    responses={
        **refusals(400, 404),
        200: {"description": "The output.", "content": {"text/plain": {"schema": {"type": "string"}}}},
    },
)
async def read_build_logs(context: Context, caller: Authenticated, artifact_id: ArtifactId, build_id: BuildId) -> str:
    """What a build printed, as text."""
    async with context.database.read() as session:
        await require_resource(session, caller, "artifact", artifact_id, "view")
    raise _no_build(artifact_id, build_id)


def _no_build(artifact_id: str, build_id: str) -> NotFound:
    return NotFound(f"The artifact {artifact_id} has no build {build_id[:100]!r}.", code="BUILD_NOT_FOUND")
