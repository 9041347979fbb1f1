"""``PUT …/tags`` of workloads, artifacts and artifact repositories: beyond the published API."""

from typing import Annotated

from fastapi import APIRouter, Body, Path
from fastapi.openapi.models import Example

from workload_api.domain.words import ResourceType
from workload_api.http.context import Authenticated, Context
from workload_api.http.json_route import JsonRoute
from workload_api.http.preconditions import IfMatch
from workload_api.http.responses import refusals
from workload_api.tags.queries import tags_of
from workload_api.tags.schemas import SetTagsRequest, TagsAnswer
from workload_api.tags.service import set_tags

_EXAMPLES = {
    "tags": Example(
        summary="Two tags",
        value={"tags": [{"name": "team", "value": "search"}, {"name": "stage", "value": "trial"}]},
    )
}


def _router(prefix: str, tag: str, resource_type: ResourceType, path_name: str) -> APIRouter:
    router = APIRouter(prefix=prefix, tags=[tag], route_class=JsonRoute)
    noun = resource_type.replace("_", " ")
    article = "an" if noun[0] in "aeiou" else "a"

    async def put_tags(
        context: Context,
        caller: Authenticated,
        resource_id: Annotated[str, Path(alias=path_name, description=f"Id of the {noun}.")],
        body: Annotated[SetTagsRequest, Body(openapi_examples=_EXAMPLES)],
        expected: IfMatch,
    ) -> TagsAnswer:
        tags = {each.name: each.value for each in body.tags}
        async with context.database.write() as session:
            await set_tags(session, caller, resource_type, resource_id, tags, expected)
            found = await tags_of(session, [resource_id])
        return TagsAnswer(tags=found.get(resource_id, []))

    router.add_api_route(
        f"/{{{path_name}}}/tags",
        put_tags,
        methods=["PUT"],
        name=f"put_{resource_type}_tags",
        summary=f"Set the tags of {article} {noun}",
        description="Replaces all tags; lists can be narrowed by them (`tagKeys`, `tagValues`).",
        responses=refusals(400, 404, 412),
    )
    return router


routers = (
    _router("/workloads", "workloads", "workload", "workload_id"),
    _router("/artifacts", "artifacts", "artifact", "artifact_id"),
    _router("/artifactRepositories", "artifact repositories", "artifact_repository", "artifact_repository_id"),
)
