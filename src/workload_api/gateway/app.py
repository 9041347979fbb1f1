"""The endpoint (§9): a raw ASGI application that finds the workload, checks the right to invoke, forwards, counts."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from starlette.types import Receive, Scope, Send

from workload_api.clock import utc_now
from workload_api.domain.errors import DomainError, NotFound
from workload_api.domain.ids import is_id
from workload_api.gateway.exchange import BrokenOff, Exchange, no_silent_repeat
from workload_api.gateway.headers import first
from workload_api.gateway.in_flight import InFlight
from workload_api.gateway.refusals import refuse, refuse_for
from workload_api.gateway.replicas import Replicas
from workload_api.gateway.routes import ProtonRoute, RouteTable
from workload_api.http.errors import error_body
from workload_api.identity.authentication import Authenticator
from workload_api.settings import Settings
from workload_api.statistics.recorder import Recorder

PREFIX: Final = "/api/v2/endpoints/workloads/"
_KEEPALIVE_SECONDS: Final = 1.5
"""Idle connections to replicas are closed before the app does it: common servers do after 2 to 5 seconds."""
_HEADER_LIMIT: Final = 65_536
_NOT_SENT_BY_US: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_UNSENDABLE: Final = re.compile(r"[^\x21-\x7e]")
_NO_WEBSOCKETS: Final = "WebSockets do not pass this endpoint; use plain HTTP or server-sent events."


class _Target(NamedTuple):
    """What a path names: the workload, one of its protons or ``None``, and what the replica shall see."""

    workload_id: str
    proton_id: str | None
    path: str
    prefix: str


class Gateway:
    """Serves ``/api/v2/endpoints/workloads/{id}/{path}``.

    Args:
        routes: Where requests go.
        authenticator: Who sent them.
        recorder: Counts them.
        settings: For the time-outs.
    """

    def __init__(
        self, routes: RouteTable, authenticator: Authenticator, recorder: Recorder, settings: Settings
    ) -> None:
        self._routes = routes
        self._authenticator = authenticator
        self._recorder = recorder
        self._settings = settings
        self._replicas = Replicas()
        self._in_flight = InFlight()
        self._session: ClientSession | None = None

    @staticmethod
    def serves(scope: Scope) -> bool:
        """Tell whether a request (or WebSocket) is for the gateway; its path must not have been changed before."""
        path: str = scope.get("path", "")
        return path.startswith(PREFIX)

    async def start(self) -> None:
        """Get ready to forward; needs the running event loop."""
        self._session = ClientSession(
            connector=TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_SECONDS),
            timeout=ClientTimeout(
                total=None, sock_connect=self._settings.gateway_connect_timeout.total_seconds(), sock_read=None
            ),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_NOT_SENT_BY_US,
            max_line_size=_HEADER_LIMIT,
            max_field_size=_HEADER_LIMIT,
            middlewares=(no_silent_repeat,),
        )

    async def close(self) -> None:
        """Close the connections to replicas; call it when no request is under way any more."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def in_flight(self) -> Mapping[str, int]:
        """How many requests this process is forwarding right now, by proton."""
        return self._in_flight.counts()

    async def drained(self, proton_id: str) -> None:
        """Return as soon as this process forwards no request to a proton; bound it with ``asyncio.timeout``."""
        await self._in_flight.drained(proton_id)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "websocket":
            await _refuse_websocket(scope, receive, send)
        else:
            await self._handle(scope, receive, send)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        began, started_at = time.perf_counter(), utc_now()
        target = _target(scope)
        # The epoch that counts is the one known now, before anything is waited for.
        epoch_known = self._routes.epoch_known(target.workload_id) if target else None
        try:
            authorization = first(scope["headers"], b"authorization")
            caller = await self._authenticator.authenticate(authorization.decode("latin-1") if authorization else None)
            if target is None:
                raise NotFound("There is no workload at this path.", code="WORKLOAD_NOT_FOUND")
            route = await self._routes.get(target.workload_id)
            route.require_invoke(caller)
            proton = route.active if target.proton_id is None else route.proton(target.proton_id)
        except DomainError as error:
            await refuse_for(send, error)
            return
        if (first(scope["headers"], b"upgrade") or b"").lower() == b"websocket":
            await refuse(send, 501, "WEBSOCKETS_NOT_SUPPORTED", _NO_WEBSOCKETS)
            return
        status = 500
        self._in_flight.begin(proton.proton_id)
        try:
            status = await self._forward(scope, receive, send, target, proton)
        except BrokenOff:
            status = 502
            raise
        except asyncio.CancelledError:  # the server is being stopped
            status = 503
            raise
        finally:
            self._in_flight.end(proton.proton_id)
            milliseconds = (time.perf_counter() - began) * 1000
            self._recorder.record(route.workload_id, proton.proton_id, epoch_known, started_at, status, milliseconds)

    async def _forward(self, scope: Scope, receive: Receive, send: Send, target: _Target, proton: ProtonRoute) -> int:
        if not proton.addresses:
            reason = proton.unavailable
            await refuse(send, 503, reason.code, reason.message, {"Retry-After": str(reason.retry_after)})
            return 503
        assert self._session is not None, "the gateway was not started"
        query: bytes = scope["query_string"]
        path = f"{target.path}?{_sendable(query.decode('latin-1'))}" if query else target.path
        exchange = Exchange(
            self._session, self._replicas, self._settings.gateway_response_timeout, scope, receive, send
        )
        return await exchange.run(proton.addresses, path, target.prefix)


def _target(scope: Scope) -> _Target | None:
    """Read the path as the client sent it: what follows the id goes to the replica just as it stands."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    path = raw.partition(b"?")[0].decode("latin-1")
    if not path.startswith(PREFIX):
        return None
    workload_id, _, rest = path[len(PREFIX) :].partition("/")
    if not is_id(workload_id):
        return None
    proton_id: str | None = None
    prefix = PREFIX + workload_id
    if rest.startswith("protons/"):
        named, _, behind = rest.removeprefix("protons/").partition("/")
        if is_id(named):
            proton_id, rest = named, behind
            prefix = f"{prefix}/protons/{named}"
    return _Target(workload_id, proton_id, "/" + _sendable(rest), prefix)


def _sendable(part: str) -> str:
    """A part of a URL with the bytes percent-encoded that must not stand in one (RFC 3986 §2); most have none."""
    return part if part.isascii() else _UNSENDABLE.sub(lambda found: f"%{ord(found[0]):02X}", part)


async def _refuse_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1011, "reason": _NO_WEBSOCKETS})
        return
    content = json.dumps(error_body(_NO_WEBSOCKETS, _NO_WEBSOCKETS, "WEBSOCKETS_NOT_SUPPORTED")).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "websocket.http.response.start", "status": 501, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": content})
