"""``Idempotency-Key``: a client that retries gets the first answer again (§5).

The answer is stored in the same transaction as what it reports, so a crash leaves both or neither. While the first
request with a key is still running, another with that key is answered with 409 and ``Retry-After``: within a process
by a set in memory, between processes (PostgreSQL) by the key's lock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.locks import lock_number
from workload_api.db.models import IdempotencyKeyRow
from workload_api.domain.errors import BadRequest, DomainError, StillRunning, Unprocessable
from workload_api.http.context import ServerContext
from workload_api.http.errors import error_body
from workload_api.identity.rights import Caller

HEADER: Final = "idempotency-key"
_MAX_LENGTH = 255

DOCUMENTED: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": HEADER.title(),
            "in": "header",
            "required": False,
            "description": "A retry with the same key within 24 hours gets the first answer again; 409 while the first "
            "is still running, 422 for another request with the same key.",
            "schema": {"type": "string", "minLength": 1, "maxLength": _MAX_LENGTH},
        }
    ]
}
"""``openapi_extra`` of the operations that take the header."""


async def answer_once(
    request: Request,
    response: Response,
    context: ServerContext,
    caller: Caller,
    act: Callable[[AsyncSession], Awaitable[BaseModel]],
    status_code: int,
) -> Response:
    """Carry out a change as one unit of work; with an ``Idempotency-Key``, at most once for each key of the user.

    Args:
        request: The request, whose header, method, path, query and body count.
        response: Its headers go with the answer.
        context: Where the change is made.
        caller: Whose key it is.
        act: Makes the change and returns the answer.
        status_code: The code of an answer that is no error.

    Raises:
        BadRequest: The key is empty or over 255 characters.
        Unprocessable: The key stands for another request.
        StillRunning: The first request with this key has not ended yet.
    """
    database = context.database
    key = request.headers.get(HEADER)
    if key is None:
        async with database.write() as session:
            answer = await act(session)
        return _json(answer.model_dump_json(by_alias=True).encode(), status_code, response.headers.get("etag"))
    if not 0 < len(key) <= _MAX_LENGTH:
        raise BadRequest(f"Idempotency-Key must have 1 to {_MAX_LENGTH} characters.", code="BAD_IDEMPOTENCY_KEY")
    target = f"{request.url.path}?{request.url.query}"
    fingerprint = hashlib.sha256(
        b"\0".join((request.method.encode(), target.encode(), await request.body()))
    ).hexdigest()
    with _first(context, caller, key):
        try:
            async with database.write() as session:
                if stored := await _first_answer(session, caller, key, fingerprint):
                    return stored
                answer = await act(session)
                body, etag = answer.model_dump_json(by_alias=True).encode(), response.headers.get("etag")
                await _store(session, caller, key, fingerprint, status_code, body, etag)
            return _json(body, status_code, etag)
        except DomainError as error:
            if error.status >= 500 or isinstance(error, StillRunning) or error.code == "IDEMPOTENCY_KEY_REUSED":
                raise
            refusal = JSONResponse(error_body(error.detail, error.message, error.code)).body
            async with database.write() as session:
                await _store(session, caller, key, fingerprint, error.status, bytes(refusal), None)
            raise


@contextmanager
def _first(context: ServerContext, caller: Caller, key: str) -> Iterator[None]:
    mine = (caller.user_id, key)
    if mine in context.answering:
        raise _still_running()
    context.answering.add(mine)
    try:
        yield
    finally:
        context.answering.discard(mine)


def _still_running() -> StillRunning:
    return StillRunning("The first request with this Idempotency-Key is still running; try again in a moment.")


async def _first_answer(session: AsyncSession, caller: Caller, key: str, fingerprint: str) -> Response | None:
    if session.get_bind().dialect.name == "postgresql":
        lock = lock_number(f"{caller.user_id} {key}")
        if not await session.scalar(select(func.pg_try_advisory_xact_lock(lock))):
            raise _still_running()
    row = await session.get(IdempotencyKeyRow, (caller.user_id, key))
    if row is None:
        return None
    if row.fingerprint != fingerprint:
        raise Unprocessable(
            "This Idempotency-Key was used for another request; take a new key.", code="IDEMPOTENCY_KEY_REUSED"
        )
    return _json(row.body, row.status_code, row.etag, replayed=True)


async def _store(
    session: AsyncSession,
    caller: Caller,
    key: str,
    fingerprint: str,
    status_code: int,
    body: bytes,
    etag: str | None,
) -> None:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    await session.execute(
        insert(IdempotencyKeyRow)
        .values(user_id=caller.user_id, key=key, fingerprint=fingerprint, status_code=status_code, body=body, etag=etag)
        .on_conflict_do_nothing()
    )


def _json(body: bytes, status_code: int, etag: str | None, *, replayed: bool = False) -> Response:
    headers = {"ETag": etag} if etag else {}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(body, status_code, headers, media_type="application/json")
