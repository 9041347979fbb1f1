"""Server-sent events: an answer that goes on (WHATWG HTML, "Server-sent events")."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

Write = Callable[[bytes], Awaitable[None]]
"""Sends a piece of the stream, and waits while the client takes in no more."""

HEARTBEAT: Final = b": still here\n\n"
"""A comment: clients pass over it, and whoever is between them sees that the connection is alive."""


def comment(text: str) -> bytes:
    """A line for people, that clients pass over."""
    return f": {text}\n\n".encode()


def sent_event(data: str, *, event: str, event_id: str | None = None) -> bytes:
    """One event.

    Args:
        data: Text of one line.
        event: What kind.
        event_id: What a client sends as ``Last-Event-ID`` to go on behind it; without one it stays as it was.
    """
    lead = "" if event_id is None else f"id: {event_id}\n"
    return f"{lead}event: {event}\ndata: {data}\n\n".encode()


def place(event_id: str) -> bytes:
    """An id without an event: a client whose connection breaks before the first event goes on from there."""
    return f"id: {event_id}\n\n".encode()


class EventStream(Response):
    """A stream that ends when its producer does, or when the client hangs up.

    Args:
        produce: Writes the stream; cancelled when the client hangs up.
    """

    media_type = "text/event-stream"
    charset = "utf-8"

    def __init__(self, produce: Callable[[Write], Awaitable[None]]) -> None:
        # Neither kept by caches nor held back by proxies (`X-Accel-Buffering` is nginx's word for that).
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._produce = produce

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the head, then what comes."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})

        async def write(piece: bytes) -> None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})

        async def hung_up() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        producing = asyncio.ensure_future(self._produce(write))
        hanging_up = asyncio.ensure_future(hung_up())
        try:
            await asyncio.wait((producing, hanging_up), return_when=asyncio.FIRST_COMPLETED)
            ended = producing.done()
        finally:
            producing.cancel()
            hanging_up.cancel()
            await asyncio.gather(producing, hanging_up, return_exceptions=True)
        if ended:
            producing.result()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
