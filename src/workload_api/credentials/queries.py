"""Looking for credentials. A caller sees its own and no others: they are not shared."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.models import CredentialRow
from workload_api.domain.errors import NotFound
from workload_api.domain.words import CredentialType
from workload_api.http.paging import Paging
from workload_api.identity.rights import Caller


def _own(caller: Caller) -> list[ColumnElement[bool]]:
    return [CredentialRow.creator_id == caller.user_id, CredentialRow.organization_id == caller.organization_id]


def one(caller: Caller, credential_id: str) -> Select[CredentialRow]:
    """The query for one credential of the caller."""
    return select(CredentialRow).where(CredentialRow.id == credential_id, *_own(caller))


def missing(credential_id: str) -> NotFound:
    """The answer for what is not there, or not for this caller to see."""
    return NotFound(f"There is no credential with id {credential_id[:100]!r}.", code="CREDENTIAL_NOT_FOUND")


async def get_credential(session: AsyncSession, caller: Caller, credential_id: str) -> CredentialRow:
    """One credential.

    Raises:
        NotFound: It is not there, or another user's.
    """
    row = (await session.scalars(one(caller, credential_id))).one_or_none()
    if row is None:
        raise missing(credential_id)
    return row


async def list_credentials(
    session: AsyncSession, caller: Caller, types: Collection[CredentialType] | None, paging: Paging
) -> tuple[list[CredentialRow], int]:
    """A page of the caller's credentials, the newest first, and how many there are in all.

    Args:
        session: A read.
        caller: Whose.
        types: Of these types alone.
        paging: Which part.
    """
    conditions = _own(caller)
    if types:
        conditions.append(CredentialRow.credential_type.in_(types))
    total = await session.scalar(select(func.count()).select_from(CredentialRow).where(*conditions))
    statement = (
        select(CredentialRow)
        .where(*conditions)
        .order_by(CredentialRow.id.desc())
        .offset(paging.offset)
        .limit(paging.limit)
    )
    return list((await session.scalars(statement)).all()), total or 0
