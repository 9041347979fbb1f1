"""``…/sharedRoles`` of workloads, artifacts and artifact repositories (§10)."""

from typing import Annotated

from fastapi import APIRouter, Body, Path, Response
from fastapi.openapi.models import Example

from workload_api.domain.words import ResourceType
from workload_api.http.context import Authenticated, Context
from workload_api.http.json_route import JsonRoute
from workload_api.http.paging import Paged
from workload_api.http.preconditions import IfMatch
from workload_api.http.responses import refusals
from workload_api.identity.schemas import (
    GrantAccessControlWithId,
    GrantAccessControlWithUsername,
    SharedRole,
    SharedRoleListResponse,
    SharedRolesUpdateRequest,
)
from workload_api.sharing.queries import list_roles
from workload_api.sharing.service import Grant, update_roles

_EXAMPLES = {
    "organization": Example(
        summary="Everybody in the organization may view and invoke",
        value={
            "operation": "updateRoles",
            "roles": [{"shareRecipientType": "organization", "username": "default", "role": "USER"}],
        },
    ),
    "taken": Example(
        summary="Take that away again",
        value={
            "operation": "updateRoles",
            "roles": [{"shareRecipientType": "organization", "username": "default", "role": "NO_ROLE"}],
        },
    ),
}


def _router(prefix: str, tag: str, resource_type: ResourceType, path_name: str) -> APIRouter:
    router = APIRouter(prefix=prefix, tags=[tag], route_class=JsonRoute)
    noun = resource_type.replace("_", " ")
    article = "an" if noun[0] in "aeiou" else "a"

    async def read_shared_roles(
        context: Context,
        caller: Authenticated,
        resource_id: Annotated[str, Path(alias=path_name, description=f"Id of the {noun}.")],
        paging: Paged,
    ) -> SharedRoleListResponse:
        async with context.database.read() as session:
            found, total = await list_roles(session, caller, resource_type, resource_id, paging)
        data = [
            SharedRole(id=each.subject_id, name=each.name, share_recipient_type=each.subject_type, role=each.role)
            for each in found
        ]
        return SharedRoleListResponse(**paging.page(data, total))

    async def update_shared_roles(
        context: Context,
        caller: Authenticated,
        resource_id: Annotated[str, Path(alias=path_name, description=f"Id of the {noun}.")],
        body: Annotated[SharedRolesUpdateRequest, Body(openapi_examples=_EXAMPLES)],
        expected: IfMatch,
    ) -> Response:
        grants = [_grant(each) for each in body.roles]
        async with context.database.write() as session:
            await update_roles(session, caller, resource_type, resource_id, grants, expected)
        return Response(status_code=204)

    path = f"/{{{path_name}}}/sharedRoles"
    router.add_api_route(
        path,
        read_shared_roles,
        name=f"read_{resource_type}_shared_roles",
        summary=f"Read who holds which role on {article} {noun}",
        description="The roles of users, groups and organizations, in the order they were given.",
        responses=refusals(400, 404),
    )
    router.add_api_route(
        path,
        update_shared_roles,
        methods=["PATCH"],
        status_code=204,
        response_class=Response,
        name=f"update_{resource_type}_shared_roles",
        summary=f"Share {article} {noun}",
        description="Give and take roles, all of them or none; `NO_ROLE` takes one away. The last owner stays.",
        responses=refusals(400, 404, 412),
    )
    return router


def _grant(body: GrantAccessControlWithId | GrantAccessControlWithUsername) -> Grant:
    if isinstance(body, GrantAccessControlWithId):
        return Grant(body.share_recipient_type, body.role, id=body.id)
    return Grant(body.share_recipient_type, body.role, name=body.username)


routers = (
    _router("/workloads", "workloads", "workload", "workload_id"),
    _router("/artifacts", "artifacts", "artifact", "artifact_id"),
    _router("/artifactRepositories", "artifact repositories", "artifact_repository", "artifact_repository_id"),
)
