"""Reads JSON strictly: what Python's reader lets through and JSON forbids, or nobody can mean, is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from workload_api.domain.errors import Unprocessable
from workload_api.http.context import server_context


def read_json(text: bytes) -> Any:
    """Read a JSON text (RFC 8259) in UTF-8.

    Raises:
        json.JSONDecodeError: It is none, names a key twice, or holds ``NaN`` or an infinity.
    """
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise json.JSONDecodeError("not UTF-8", "", error.start) from None

    def refuse(constant: str) -> Any:
        raise json.JSONDecodeError(f"{constant} is not JSON", "", 0)

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise json.JSONDecodeError(f"the key {key[:100]!r} stands twice", "", 0)
            found[key] = value
        return found

    try:
        return json.loads(decoded, parse_constant=refuse, object_pairs_hook=once)
    except RecursionError:
        raise json.JSONDecodeError("nested too deeply", "", 0) from None
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError):
            raise
        raise json.JSONDecodeError("a number has too many digits", "", 0) from None


class _StrictRequest(Request):
    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = read_json(await self.body())
        return self._json


class JsonRoute(APIRoute):
    """A route of the API: for callers with a token, its JSON body is read by :func:`read_json`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Hand the route a request that reads strictly."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(_StrictRequest(request.scope, request.receive))
            except RequestValidationError:
                # The body is read before the token is looked at; who has none hears that first.
                await server_context(request).authenticator.authenticate(request.headers.get("authorization"))
                raise

        return handle


async def refuse_body(request: Request) -> None:
    """Let through a request of an operation without a body: it has none, an empty one, ``{}`` or ``null`` (§2).

    Raises:
        Unprocessable: There is one.
    """
    body = (await request.body()).strip()
    if body in (b"", b"{}", b"null"):
        return
    try:
        content = read_json(body)
    except ValueError:
        raise Unprocessable("The body is not JSON, and this operation takes none.", code="VALIDATION_ERROR") from None
    if content not in ({}, None):
        raise Unprocessable("This operation takes no body.", code="VALIDATION_ERROR")
