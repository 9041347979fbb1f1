"""The operations on artifacts and their repositories (§3)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.artifacts import queries, service
from workload_api.artifacts.answers import artifact_answer, repository_answer
from workload_api.artifacts.examples import ArtifactChanges, CloneName, NewArtifact, WholeArtifact
from workload_api.artifacts.queries import ArtifactFilter
from workload_api.artifacts.schemas import (
    ArtifactFormatted,
    ArtifactListResponse,
    ArtifactRepositoryFormatted,
    ArtifactRepositoryListResponse,
    ArtifactSortQueryParams,
    ArtifactStatus,
    ArtifactType,
    CommonSortQueryParams,
    InputArtifact,
)
from workload_api.artifacts.service import ArtifactContent
from workload_api.http.context import Authenticated, Context
from workload_api.http.idempotency import DOCUMENTED, answer_once
from workload_api.http.json_route import JsonRoute
from workload_api.http.paging import Paged
from workload_api.http.preconditions import IfMatch, tag
from workload_api.http.responses import refusals
from workload_api.identity.rights import Caller

artifacts = APIRouter(prefix="/artifacts", tags=["artifacts"], route_class=JsonRoute)
repositories = APIRouter(prefix="/artifactRepositories", tags=["artifact repositories"], route_class=JsonRoute)

ArtifactId = Annotated[str, Path(description="Id of the artifact.", examples=["0193af0e5c1b8f2a4d6e9b3c"])]
RepositoryId = Annotated[str, Path(description="Id of the artifact repository.")]
Search = Annotated[
    str | None, Query(max_length=100, description="Part of the name, description or id, in any letter case.")
]
Ids = Annotated[list[str] | None, Query(description="Only these ids; may repeat.")]
TagKeys = Annotated[
    list[str] | None,
    Query(
        alias="tagKeys",
        description="Only with a tag of one of these names; may repeat. With `tagValues`: one tag must meet both.",
    ),
]
TagValues = Annotated[
    list[str] | None, Query(alias="tagValues", description="Only with a tag of one of these values; may repeat.")
]
OfType = Annotated[ArtifactType | None, Query(alias="type", description="Only those of this type.")]
ORDER = "By what the list is put in order; `-` in front turns it round."
CreatedBy = Annotated[str | None, Query(alias="createdBy", description="Only those made by this user (id).")]


def content_of(body: InputArtifact) -> ArtifactContent:
    """What a client said about an artifact, as the service takes it."""
    return ArtifactContent(body.name, body.description, body.type, body.spec.as_sent())


async def _shown(session: AsyncSession, caller: Caller, artifact_id: str, response: Response) -> ArtifactFormatted:
    view = await queries.get_artifact(session, caller, artifact_id)
    tag(response, view.artifact)
    return artifact_answer(view)


@artifacts.post(
    "",
    status_code=201,
    summary="Create an artifact",
    response_model=ArtifactFormatted,
    responses=refusals(400, 404, 409),
    openapi_extra=DOCUMENTED,
)
async def create_artifact(
    request: Request, response: Response, context: Context, caller: Authenticated, body: NewArtifact
) -> Response:
    """Make a draft, in a new repository of the same name or in the one named; `status: locked` locks it at once."""

    async def act(session: AsyncSession) -> ArtifactFormatted:
        artifact = await service.create_artifact(
            session, caller, content_of(body), status=body.status, repository_id=body.artifact_repository_id
        )
        return await _shown(session, caller, artifact.id, response)

    return await answer_once(request, response, context, caller, act, 201)


@artifacts.get("", summary="List artifacts", responses=refusals(400))
async def list_artifacts(
    context: Context,
    caller: Authenticated,
    paging: Paged,
    search: Search = None,
    ids: Ids = None,
    created_by: CreatedBy = None,
    artifact_type: OfType = None,
    status: Annotated[ArtifactStatus | None, Query(description="Only drafts, or only locked ones.")] = None,
    repository_id: Annotated[
        str | None, Query(alias="repositoryId", description="Only those of this repository (id).")
    ] = None,
    tag_keys: TagKeys = None,
    tag_values: TagValues = None,
    order_by: Annotated[ArtifactSortQueryParams | None, Query(alias="orderBy", description=ORDER)] = None,
) -> ArtifactListResponse:
    """The artifacts that the caller may see, the newest first by default."""
    wanted = ArtifactFilter(
        search, ids, created_by, artifact_type, status, repository_id, tag_names=tag_keys, tag_values=tag_values
    )
    async with context.database.read() as session:
        found, total = await queries.list_artifacts(session, caller, wanted, order_by, paging)
    return ArtifactListResponse(**paging.page([artifact_answer(view) for view in found], total))


@artifacts.get("/{artifact_id}", summary="Read an artifact", responses=refusals(400, 404))
async def read_artifact(
    response: Response, context: Context, caller: Authenticated, artifact_id: ArtifactId
) -> ArtifactFormatted:
    """One artifact, draft or locked."""
    async with context.database.read() as session:
        return await _shown(session, caller, artifact_id, response)


@artifacts.patch("/{artifact_id}", summary="Change or lock a draft", responses=refusals(400, 404, 412))
async def update_artifact(
    response: Response,
    context: Context,
    caller: Authenticated,
    artifact_id: ArtifactId,
    body: ArtifactChanges,
    expected: IfMatch,
) -> ArtifactFormatted:
    """Change the fields given (`spec` is replaced whole); `{"status": "locked"}` locks as the next version."""
    async with context.database.write() as session:
        await service.change_artifact(
            session,
            caller,
            artifact_id,
            name=body.name,
            description=body.description,
            spec=body.spec.as_sent() if body.spec is not None else None,
            status=body.status,
            expected=expected,
        )
        return await _shown(session, caller, artifact_id, response)


@artifacts.put("/{artifact_id}", summary="Replace a draft's content", responses=refusals(400, 404, 412))
async def replace_artifact(
    response: Response,
    context: Context,
    caller: Authenticated,
    artifact_id: ArtifactId,
    body: WholeArtifact,
    expected: IfMatch,
) -> ArtifactFormatted:
    """Replace name, description and spec of a draft; `status: locked` locks it as well."""
    async with context.database.write() as session:
        await service.change_artifact(
            session,
            caller,
            artifact_id,
            name=body.name,
            description=body.description,
            artifact_type=body.type if "type" in body.model_fields_set else None,
            spec=body.spec.as_sent(),
            status=body.status,
            expected=expected,
        )
        return await _shown(session, caller, artifact_id, response)


@artifacts.post(
    "/{artifact_id}/clone",
    summary="Clone an artifact",
    response_model=ArtifactFormatted,
    responses=refusals(400, 404, 409),
    openapi_extra=DOCUMENTED,
)
async def clone_artifact(
    request: Request,
    response: Response,
    context: Context,
    caller: Authenticated,
    artifact_id: ArtifactId,
    body: CloneName,
) -> Response:
    """Make a new draft in the same repository with the same spec."""

    async def act(session: AsyncSession) -> ArtifactFormatted:
        artifact = await service.clone_artifact(session, caller, artifact_id, body.name)
        return await _shown(session, caller, artifact.id, response)

    return await answer_once(request, response, context, caller, act, 200)


@artifacts.delete("/{artifact_id}", status_code=204, summary="Delete a draft", responses=refusals(400, 404, 409, 412))
async def delete_artifact(
    context: Context, caller: Authenticated, artifact_id: ArtifactId, expected: IfMatch
) -> Response:
    """Delete a draft that no workload uses."""
    async with context.database.write() as session:
        await service.delete_artifact(session, caller, artifact_id, expected)
    return Response(status_code=204)


@repositories.get("", summary="List artifact repositories", responses=refusals())
async def list_repositories(
    context: Context,
    caller: Authenticated,
    paging: Paged,
    search: Search = None,
    ids: Ids = None,
    created_by: CreatedBy = None,
    artifact_type: OfType = None,
    tag_keys: TagKeys = None,
    tag_values: TagValues = None,
    order_by: Annotated[CommonSortQueryParams | None, Query(alias="orderBy", description=ORDER)] = None,
) -> ArtifactRepositoryListResponse:
    """The repositories that the caller may see, the newest first by default."""
    wanted = ArtifactFilter(search, ids, created_by, artifact_type, tag_names=tag_keys, tag_values=tag_values)
    async with context.database.read() as session:
        found, total = await queries.list_repositories(session, caller, wanted, order_by, paging)
    return ArtifactRepositoryListResponse(**paging.page([repository_answer(view) for view in found], total))


@repositories.get("/{artifact_repository_id}", summary="Read an artifact repository", responses=refusals(404))
async def read_repository(
    response: Response, context: Context, caller: Authenticated, artifact_repository_id: RepositoryId
) -> ArtifactRepositoryFormatted:
    """One repository with its last version number and how many artifacts it holds."""
    async with context.database.read() as session:
        view = await queries.get_repository(session, caller, artifact_repository_id)
    tag(response, view.repository)
    return repository_answer(view)


@repositories.delete(
    "/{artifact_repository_id}",
    status_code=204,
    summary="Delete an artifact repository",
    responses=refusals(404, 409, 412),
)
async def delete_repository(
    context: Context, caller: Authenticated, artifact_repository_id: RepositoryId, expected: IfMatch
) -> Response:
    """Delete a repository with all its artifacts, unless a workload uses one."""
    async with context.database.write() as session:
        await service.delete_repository(session, caller, artifact_repository_id, expected)
    return Response(status_code=204)
