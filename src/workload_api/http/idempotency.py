"""``Idempotency-Key``: a client that retries gets the first answer again (§5).

The answer is stored in the same transaction as what it reports, so a crash leaves both or neither. While the first
request with a key is still running, another with that key is answered with 409 and ``Retry-After``: within a process
by a set in memory, between processes (PostgreSQL) by the key's lock.

The first answer may also be a refusal; one that the client's schema or token is to blame for comes before all this and
is not kept, nor is one that a retry would mend (5xx).

By its fingerprint a request is told from another one: method, path, query and body, the body byte for byte. A client
that retries sends the same bytes; one that makes its body anew, with other white space or its keys in another order,
sends another request (the order of keys shows in answers, §12). A slash at the end of the path makes none. Where a body
holds a secret, a plain hash would let whoever reads the database guess a short one; there the fingerprint is stored
encrypted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.locks import beside_others, lock_number
from workload_api.db.models import IdempotencyKeyRow
from workload_api.db.types import database_now
from workload_api.domain.errors import BadRequest, DomainError, StillRunning, Unprocessable
from workload_api.domain.sealing import SEALING, Sealer
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


def sane_key(request: Request) -> str | None:
    """The ``Idempotency-Key`` of a request, if it has one.

    Raises:
        BadRequest: The key is empty or over 255 characters.
    """
    key = request.headers.get(HEADER)
    if key is not None and not 0 < len(key) <= _MAX_LENGTH:
        raise BadRequest(f"Idempotency-Key must have 1 to {_MAX_LENGTH} characters.", code="BAD_IDEMPOTENCY_KEY")
    return key


async def answer_once(
    request: Request,
    response: Response,
    context: ServerContext,
    caller: Caller,
    act: Callable[[AsyncSession], Awaitable[BaseModel]],
    status_code: int,
    sealer: Sealer | None = None,
) -> Response:
    """Carry out a change as one unit of work; with an ``Idempotency-Key``, at most once for each key of the user.

    Args:
        request: The request, whose header, method, path, query and body count.
        response: Its headers go with the answer.
        context: Where the change is made.
        caller: Whose key it is.
        act: Makes the change and returns the answer.
        status_code: The code of an answer that is no error.
        sealer: Encrypts the request's fingerprint; for requests that hold a secret.

    Raises:
        BadRequest: The key is empty or over 255 characters.
        Unprocessable: The key stands for another request.
        StillRunning: The first request with this key has not ended yet.
    """
    database = context.database
    key = sane_key(request)
    if key is None:
        async with database.write() as session:
            answer = await act(session)
        return _json(answer.model_dump_json(by_alias=True).encode(), status_code, response.headers.get("etag"))
    target = f"{request.url.path}?{request.url.query}"
    fingerprint = hashlib.sha256(
        b"\0".join((request.method.encode(), target.encode(), await request.body()))
    ).hexdigest()
    first = _First(caller, key, fingerprint, sealer)
    with first.alone(context):
        try:
            async with database.write() as session:
                if stored := await first.answer(session):
                    return stored
                answer = await act(session)
                body, etag = answer.model_dump_json(by_alias=True).encode(), response.headers.get("etag")
                await first.store(session, status_code, body, etag)
            return _json(body, status_code, etag)
        except DomainError as error:
            if error.status >= 500 or isinstance(error, StillRunning) or error.code == "IDEMPOTENCY_KEY_REUSED":
                raise
            refusal = JSONResponse(error_body(error.detail, error.message, error.code)).body
            async with database.write() as session:
                # What was refused has been undone, and with it the key's lock was given up: meanwhile another process
                # may have carried out the same request, and then that one was the first.
                if stored := await first.answer(session):
                    return stored
                await first.store(session, error.status, bytes(refusal), None)
            raise


def _still_running() -> StillRunning:
    return StillRunning("The first request with this Idempotency-Key is still running; try again in a moment.")


@dataclass(frozen=True, slots=True)
class _First:
    """The first request with a key."""

    caller: Caller
    key: str
    fingerprint: str
    sealer: Sealer | None

    @contextmanager
    def alone(self, context: ServerContext) -> Iterator[None]:
        """Let this process carry out no other request with the key meanwhile."""
        mine = (self.caller.user_id, self.key)
        if mine in context.answering:
            raise _still_running()
        context.answering.add(mine)
        try:
            yield
        finally:
            context.answering.discard(mine)

    async def answer(self, session: AsyncSession) -> Response | None:
        """What it was answered, if there was one."""
        if session.get_bind().dialect.name == "postgresql":
            lock = lock_number(f"{self.caller.user_id} {self.key}")
            if not await session.scalar(select(func.pg_try_advisory_xact_lock(lock))):
                raise _still_running()
        row = await session.get(IdempotencyKeyRow, (self.caller.user_id, self.key))
        if row is None:
            return None
        if not self._is_of(row):
            raise Unprocessable(
                "This Idempotency-Key was used for another request; take a new key.", code="IDEMPOTENCY_KEY_REUSED"
            )
        return _json(row.body, row.status_code, row.etag, replayed=True)

    async def store(self, session: AsyncSession, status_code: int, body: bytes, etag: str | None) -> None:
        """Keep what it is answered; where another one was first, that counts."""
        fingerprint, sealed = self.fingerprint, None
        if self.sealer is not None:
            await beside_others(session, SEALING)
            fingerprint, sealed = "", self.sealer.seal(self.fingerprint.encode(), self._purpose)
        insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        await session.execute(
            insert(IdempotencyKeyRow)
            .values(
                user_id=self.caller.user_id,
                key=self.key,
                fingerprint=fingerprint,
                sealed=sealed,
                status_code=status_code,
                body=body,
                etag=etag,
                created_at=database_now(),  # by which it is cleared away
            )
            .on_conflict_do_nothing()
        )

    def _is_of(self, row: IdempotencyKeyRow) -> bool:
        if self.sealer is None or row.sealed is None:
            return row.fingerprint == self.fingerprint
        return self.sealer.unseal(row.sealed, self._purpose) == self.fingerprint.encode()

    @property
    def _purpose(self) -> str:
        return f"fingerprint {self.caller.user_id} {self.key}"


def _json(body: bytes, status_code: int, etag: str | None, *, replayed: bool = False) -> Response:
    headers = {"ETag": etag} if etag else {}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(body, status_code, headers, media_type="application/json")
