"""The operations on credentials (§11). No answer holds a secret, also where a request is refused."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.models import Example
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.credentials import queries, service
from workload_api.credentials.answers import credential_answer
from workload_api.credentials.schemas import (
    AnyNewCredential,
    CredentialFormatted,
    CredentialListResponse,
    UpdateCredential,
    values_in,
)
from workload_api.credentials.service import CredentialContent
from workload_api.domain.errors import FieldError
from workload_api.domain.words import CredentialType
from workload_api.http.context import Authenticated, Context
from workload_api.http.idempotency import DOCUMENTED, answer_once
from workload_api.http.json_route import JsonRoute
from workload_api.http.models import MOST_INTEGER
from workload_api.http.paging import Offset, Paging
from workload_api.http.preconditions import IfMatch, tag
from workload_api.http.responses import refusals

MAX_LIMIT = 200


class _SecretRoute(JsonRoute):
    """A route whose refusals never say what stood in the request."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Answer as any route does, and leave out the input of each problem."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except RequestValidationError as error:
                told = [{name: problem[name] for name in ("loc", "msg", "type")} for problem in error.errors()]
                raise RequestValidationError(told) from None
            except FieldError as error:
                error.value = None
                raise

        return handle


router = APIRouter(prefix="/credentials", tags=["credentials"], route_class=_SecretRoute)

CredentialId = Annotated[str, Path(description="Id of the credential.", examples=["0193af0e5c1b8f2a4d6e9b3c"])]

_NEW = {
    "basic": Example(
        summary="A user and a password",
        value={"name": "warehouse", "credentialType": "basic", "user": "reader", "password": "not-a-real-one"},
    ),
    "api_token": Example(
        summary="An API token",
        value={"name": "weather", "credentialType": "api_token", "apiToken": "not-a-real-one"},
    ),
}
_CHANGES = {"description": Example(summary="Change its description", value={"description": "May read only."})}


def _paging(
    request: Request,
    offset: Offset = 0,
    limit: Annotated[
        int,
        Query(
            ge=1,
            le=MOST_INTEGER,
            description=f"How many rows to give; above {MAX_LIMIT} it is taken as {MAX_LIMIT}.",
        ),
    ] = 10,
) -> Paging:
    return Paging(request, offset, limit, MAX_LIMIT)


@router.post(
    "",
    status_code=201,
    summary="Create a credential",
    response_model=CredentialFormatted,
    responses=refusals(400, 409),
    openapi_extra=DOCUMENTED,
)
async def create_credential(
    request: Request,
    response: Response,
    context: Context,
    caller: Authenticated,
    body: Annotated[AnyNewCredential, Body(openapi_examples=_NEW)],
) -> Response:
    """Store a credential, encrypted. Environment variables of source `dr-credential` name it by its id."""
    content = CredentialContent(body.name, body.description, body.credential_type, values_in(body))

    async def act(session: AsyncSession) -> CredentialFormatted:
        row = await service.create_credential(session, caller, content, context.sealer)
        tag(response, row)
        return credential_answer(row)

    return await answer_once(request, response, context, caller, act, 201, context.sealer)


@router.get("", summary="List credentials", responses=refusals(400))
async def list_credentials(
    context: Context,
    caller: Authenticated,
    paging: Annotated[Paging, Depends(_paging)],
    types: Annotated[list[CredentialType] | None, Query(description="Only these types; may repeat.")] = None,
) -> CredentialListResponse:
    """The caller's own credentials, the newest first."""
    async with context.database.read() as session:
        found, total = await queries.list_credentials(session, caller, types, paging)
    return CredentialListResponse(**paging.page([credential_answer(row) for row in found], total))


@router.get("/{credential_id}", summary="Read a credential", responses=refusals(400, 404))
async def read_credential(
    response: Response, context: Context, caller: Authenticated, credential_id: CredentialId
) -> CredentialFormatted:
    """One of the caller's own credentials, without its values."""
    async with context.database.read() as session:
        row = await queries.get_credential(session, caller, credential_id)
    tag(response, row)
    return credential_answer(row)


@router.patch("/{credential_id}", summary="Change a credential", responses=refusals(400, 404, 409, 412))
async def update_credential(
    response: Response,
    context: Context,
    caller: Authenticated,
    credential_id: CredentialId,
    body: Annotated[UpdateCredential, Body(openapi_examples=_CHANGES)],
    expected: IfMatch,
) -> CredentialFormatted:
    """Change name, description or values; a workload gets new values when it is started the next time."""
    own = {"name": body.name, "description": body.description, "credential_type": body.credential_type}
    names = {"credential_type": "credentialType"}
    changes = {names.get(name, name): value for name, value in own.items() if name in body.model_fields_set}
    async with context.database.write() as session:
        row = await service.change_credential(
            session, caller, credential_id, context.sealer, changes, values_in(body), expected
        )
        answer = credential_answer(row)
    tag(response, row)
    return answer


@router.delete("/{credential_id}", status_code=204, summary="Delete a credential", responses=refusals(400, 404, 412))
async def delete_credential(
    context: Context, caller: Authenticated, credential_id: CredentialId, expected: IfMatch
) -> Response:
    """Delete a credential; workloads that run already keep its values until they are started again."""
    async with context.database.write() as session:
        await service.delete_credential(session, caller, credential_id, expected)
    return Response(status_code=204)
