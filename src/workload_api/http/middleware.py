"""What happens to every API request before routing: its id, its log line, its slash, the bounds of its body."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from email.utils import formatdate

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workload_api.http.errors import error_body

log = structlog.get_logger("workload_api.access")

_MOST_HEADERS = 65_536
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of that (lower-case) name."""
    return next((value for key, value in scope["headers"] if key == name), None)


class RequestIds:
    """Gives each request an id (the client's ``X-Request-Id`` where it sent a sane one), a ``Date`` and a log line.

    The server does not add the ``Date``: an app behind an endpoint has often set its own already.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection event."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = header(scope, b"x-request-id")
        request_id = given.decode() if given and _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        scope["request_id"] = request_id
        began, status = time.perf_counter(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"x-request-id"]
                if not any(name.lower() == b"date" for name, _ in headers):
                    headers.append((b"date", formatdate(usegmt=True).encode()))
                message["headers"] = [*headers, (b"x-request-id", request_id.encode())]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                log.debug(
                    "request",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    ms=round((time.perf_counter() - began) * 1000, 1),
                )


def _encodings(scope: Scope) -> set[bytes]:
    """What the body went through, as ``Content-Encoding`` and ``Transfer-Encoding`` say."""
    said = [value for name, value in scope["headers"] if name in (b"content-encoding", b"transfer-encoding")]
    return {coding.strip().lower() for value in said for coding in value.split(b",")}


async def _refuse(
    send: Send,
    status: int,
    message: str,
    code: str,
    *,
    more_body: bool = False,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    content = json.dumps(error_body(message, message, code)).encode()
    all_headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        (b"connection", b"close"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": content, "more_body": more_body})


class SaneHeads:
    """Refuses by its head alone a request that no operation takes.

    That is: headers over 64 KiB, a body that is compressed, and a slash that is written as ``%2F``: were it read as
    one, a part of an id would choose the operation.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on."""
        if scope["type"] == "http":
            if sum(len(name) + len(value) for name, value in scope["headers"]) > _MOST_HEADERS:
                text = f"The headers are over the limit of {_MOST_HEADERS} bytes."
                await _refuse(send, 431, text, "HEADERS_TOO_LARGE")
                return
            if not _encodings(scope) <= {b"", b"identity", b"chunked"}:
                text = "Bodies are taken uncompressed only; leave out Content-Encoding and Transfer-Encoding."
                only = [(b"accept-encoding", b"identity")]
                await _refuse(send, 415, text, "UNSUPPORTED_CONTENT_ENCODING", headers=only)
                return
            if b"%2f" in scope.get("raw_path", b"").lower():
                text = "There is nothing at this path: it holds a slash that is written as %2F."
                await _refuse(send, 404, text, "NOT_FOUND")
                return
        await self._app(scope, receive, send)


class OneSlash:
    """Lets every path answer the same with and without a trailing slash, directly (§2)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route without the slash; lists remember the path as the client sent it."""
        if scope["type"] == "http":
            path: str = scope["path"]
            scope = {**scope, "client_path": scope.get("raw_path", path.encode()).decode("latin-1").split("?")[0]}
            if path.startswith("/api/") and path.endswith("/") and not path.endswith("//"):
                scope["path"] = path[:-1]
                scope["raw_path"] = scope.get("raw_path", path.encode()).removesuffix(b"/")
        await self._app(scope, receive, send)


class BodyBounds:
    """Reads the body of an API request whole before routing, within a limit and a time.

    A body that is too large, too slow or cut off is refused before anything has been done.

    Args:
        app: What answers then.
        limit: Bytes.
        seconds: How long the client may take to send it.
    """

    def __init__(self, app: ASGIApp, limit: int, seconds: float) -> None:
        self._app = app
        self._limit = limit
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, then hand on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = header(scope, b"content-length")
        if length is not None and length.isdigit() and int(length) > self._limit:
            await self._refuse_large(receive, send)
            return
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return
                    chunk = message.get("body", b"")
                    size += len(chunk)
                    if size > self._limit:
                        break
                    chunks.append(chunk)
                    if not message.get("more_body"):
                        break
        except TimeoutError:
            text = f"The body did not arrive whole within {self._seconds:g} seconds; nothing was done."
            await _refuse(send, 408, text, "BODY_TOO_SLOW")
            return
        if size > self._limit:
            await self._refuse_large(receive, send)
            return
        body: bytes | None = b"".join(chunks)

        async def replay() -> Message:
            nonlocal body
            if body is not None:
                whole, body = body, None
                return {"type": "http.request", "body": whole, "more_body": False}
            return await receive()

        await self._app(scope, replay, send)

    async def _refuse_large(self, receive: Receive, send: Send) -> None:
        """Answer at once, then let the rest of the body come in for a while, unread.

        Many clients look for an answer only when they have sent everything; were the connection closed before that,
        they would find it reset instead of the answer.
        """
        text = f"The body is over the limit of {self._limit} bytes."
        await _refuse(send, 413, text, "BODY_TOO_LARGE", more_body=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                while (await receive()).get("more_body"):
                    pass
        await send({"type": "http.response.body", "body": b""})
