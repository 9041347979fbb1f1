"""Answers that the gateway itself gives, in the form of every refusal (§2)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.types import Send

from workload_api.domain.errors import DomainError
from workload_api.http.errors import error_body


async def refuse(send: Send, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
    """Answer with ``{"detail", "message", "code"}``.

    Args:
        send: ASGI's.
        status: HTTP status.
        code: Stable upper-case name.
        message: One sentence: what is wrong and what to do.
        headers: More headers.
    """
    content = json.dumps(error_body(message, message, code)).encode()
    pairs = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        *((name.lower().encode(), value.encode()) for name, value in (headers or {}).items()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": content})


async def refuse_for(send: Send, error: DomainError) -> None:
    """Answer with a domain error."""
    await refuse(send, error.status, error.code, error.message, error.headers)
