"""What the routers need from the server, and how they get it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from workload_api.db.engine import Database
from workload_api.domain.errors import FieldError, NotFound
from workload_api.domain.sealing import Sealer
from workload_api.identity.authentication import Authenticator
from workload_api.identity.rights import Caller
from workload_api.settings import Settings


async def _nothing() -> None:
    return None


@dataclass(slots=True)
class ServerContext:
    """One server process: its settings, its database, and how it knows callers."""

    settings: Settings
    database: Database
    authenticator: Authenticator
    flush_statistics: Callable[[], Awaitable[None]] = _nothing
    """Write down what this process has counted and not yet flushed."""
    answering: set[tuple[str, str]] = field(default_factory=set)
    """Users' idempotency keys whose first request this process is carrying out right now."""
    sealer: Sealer = field(kw_only=True)
    """Encrypts what is stored of secrets."""
    requests_in_flight: Callable[[], Mapping[str, int]] = dict
    """How many requests this process is forwarding right now, by proton."""


def server_context(request: Request) -> ServerContext:
    """The context of the server that answers a request."""
    context: ServerContext = request.app.state.context
    return context


Context = Annotated[ServerContext, Depends(server_context)]

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="Token",
    description="An API token: `Authorization: Bearer TOKEN` (also `Token TOKEN`).",
)


async def _caller(request: Request, context: Context, _shown: Annotated[Any, Security(_bearer)]) -> Caller:
    caller = await context.authenticator.authenticate(request.headers.get("authorization"))
    _refuse_nul(request)
    return caller


def _refuse_nul(request: Request) -> None:
    """Refuse a NUL character in path and query: nothing stored can hold one, and PostgreSQL takes none even to look."""
    if any("\0" in value for value in request.path_params.values()):
        raise NotFound("There is nothing with such an id: it holds a NUL character.")
    for name, value in request.query_params.multi_items():
        if "\0" in name or "\0" in value:
            raise FieldError("This holds a NUL character (%00); leave it out.", ("query", name), value)


Authenticated = Annotated[Caller, Depends(_caller)]
"""The caller of a request; a missing or wrong token is answered with 401 before anything else is done."""
