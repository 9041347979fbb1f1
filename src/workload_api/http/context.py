"""What the routers need from the server, and how they get it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from workload_api.db.engine import Database
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
    requests_in_flight: Callable[[str], int] = lambda _proton_id: 0
    """How many requests this process is forwarding to a proton right now."""


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
    return await context.authenticator.authenticate(request.headers.get("authorization"))


Authenticated = Annotated[Caller, Depends(_caller)]
"""The caller of a request; a missing or wrong token is answered with 401 before anything else is done."""
