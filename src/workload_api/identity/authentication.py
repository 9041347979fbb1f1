"""From the ``Authorization`` header to the caller."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Set
from typing import Any

from sqlalchemy import ColumnElement, func, select, update

from workload_api.clock import utc_now
from workload_api.db.engine import Database
from workload_api.db.models import GroupMemberRow, OrganizationRow, TokenRow, UserRow
from workload_api.domain.errors import Unauthenticated
from workload_api.identity.rights import Caller
from workload_api.identity.tokens import digest

CACHE_SECONDS = 1.0
"""How long a token is taken as good without a look at the database: a revoked one works no longer than this, and so
long may a change of the user's groups take."""
_CACHE_SIZE = 4096


class Authenticator:
    """Knows callers by their tokens.

    Args:
        database: Where tokens are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()
        self._used: set[str] = set()

    async def authenticate(self, authorization: str | None) -> Caller:
        """The caller that an ``Authorization`` header (``Bearer …`` or ``Token …``) names.

        Raises:
            Unauthenticated: There is no such header, or no such token, or it has been revoked.
        """
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() not in ("bearer", "token") or not token:
            raise Unauthenticated("No API token: send the header `Authorization: Bearer TOKEN`.")
        key = digest(token)
        now = time.monotonic()
        cached = self._known.get(key)
        if cached is not None and now - cached[0] < CACHE_SECONDS:
            return cached[1]
        caller = await self._look_up(key)
        self._known[key] = (now, caller)
        self._known.move_to_end(key)
        if len(self._known) > _CACHE_SIZE:
            self._known.popitem(last=False)
        self._used.add(caller.token_id)
        return caller

    async def still_known(self, token_ids: Set[str]) -> dict[str, Caller]:
        """The callers of those of these tokens that have not been revoked, by token id, as they are right now."""
        found = {caller.token_id: caller for caller in await self._read(TokenRow.id.in_(token_ids))}
        if len(found) < len(token_ids):
            # What is known to be revoked is not taken as good any longer, not even for the rest of the second.
            for key, (_, caller) in list(self._known.items()):
                if caller.token_id in token_ids and caller.token_id not in found:
                    del self._known[key]
        return found

    async def _look_up(self, key: bytes) -> Caller:
        found = await self._read(TokenRow.digest == key)
        if not found:
            self._known.pop(key, None)
            raise Unauthenticated("This API token is not known or has been revoked.")
        return found[0]

    async def _read(self, which: ColumnElement[bool]) -> list[Caller]:
        groups = (
            select(func.aggregate_strings(GroupMemberRow.group_id, ","))
            .where(GroupMemberRow.user_id == UserRow.id)
            .correlate(UserRow)
            .scalar_subquery()
        )
        statement = (
            select(
                UserRow.id,
                UserRow.organization_id,
                OrganizationRow.tenant_id,
                UserRow.username,
                UserRow.email,
                UserRow.first_name,
                UserRow.last_name,
                TokenRow.id,
                groups,
            )
            .join(UserRow, UserRow.id == TokenRow.user_id)
            .join(OrganizationRow, OrganizationRow.id == UserRow.organization_id)
            .where(which, TokenRow.revoked_at.is_(None))
        )
        async with self._database.read() as session:
            rows = (await session.execute(statement)).all()
        return [_caller(list(row)) for row in rows]

    async def flush_last_use(self) -> None:
        """Write down which tokens were used since the last call."""
        used, self._used = self._used, set()
        if used:
            async with self._database.write() as session:
                await session.execute(update(TokenRow).where(TokenRow.id.in_(used)).values(last_used_at=utc_now()))


def _caller(values: list[Any]) -> Caller:
    values[-1] = tuple(values[-1].split(",")) if values[-1] else ()
    return Caller(*values)
