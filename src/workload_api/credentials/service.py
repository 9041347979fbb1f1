"""What can be done to credentials; each function is one unit of work (§11). Values are stored encrypted."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.clock import utc_now
from workload_api.credentials import queries
from workload_api.credentials.schemas import keys_of
from workload_api.db.locks import beside_others, locked
from workload_api.db.models import CredentialRow
from workload_api.domain.errors import Conflict, FieldError
from workload_api.domain.ids import new_id
from workload_api.domain.sealing import SEALING, Sealer
from workload_api.domain.versions import ANY_VERSION, Expected
from workload_api.domain.words import CredentialType
from workload_api.identity.rights import Caller


@dataclass(frozen=True, slots=True)
class CredentialContent:
    """What a client says about a new credential."""

    name: str
    description: str | None
    type: CredentialType
    values: Mapping[str, str | None] = field(repr=False)


async def create_credential(
    session: AsyncSession, caller: Caller, content: CredentialContent, sealer: Sealer
) -> CredentialRow:
    """Store a credential.

    Raises:
        Conflict: The caller has one of that name.
        KeyUnusable: There is no key to encrypt it with.
    """
    credential_id = new_id()
    values = {key: value for key, value in content.values.items() if value is not None}
    row = CredentialRow(
        id=credential_id,
        organization_id=caller.organization_id,
        creator_id=caller.user_id,
        name=content.name,
        description=content.description,
        credential_type=content.type,
        sealed=await _seal(session, sealer, credential_id, values),
    )
    await _refuse_second(session, caller, content.name)
    session.add(row)
    await _flush(session, content.name)
    return row


async def change_credential(
    session: AsyncSession,
    caller: Caller,
    credential_id: str,
    sealer: Sealer,
    changes: Mapping[str, str | None],
    values: Mapping[str, str | None],
    expected: Expected = ANY_VERSION,
) -> CredentialRow:
    """Change what is given. What runs already keeps the values that it was started with.

    Args:
        session: A unit of work.
        caller: Whose credential it must be.
        credential_id: Which.
        sealer: Encrypts the values.
        changes: ``name``, ``description`` and ``credentialType``, as far as they are given.
        values: Secret values by their keys; ``None`` takes away one that need not be there.
        expected: Which version of it the caller has seen.

    Raises:
        NotFound: There is no such credential.
        Stale: It has changed since the caller read it.
        FieldError: A key is not one of its type, or must be there; or the type is another one.
        Conflict: The caller has another one of that name.
        KeyUnusable: It cannot be decrypted or encrypted.
    """
    row = (await session.scalars(locked(queries.one(caller, credential_id)))).one_or_none()
    if row is None:
        raise queries.missing(credential_id)
    expected.check(row)
    wanted_type = changes.get("credentialType")
    if wanted_type not in (None, row.credential_type):
        raise FieldError(
            f"The credential is of type {row.credential_type}, which cannot be changed; create another one.",
            ("body", "credentialType"),
        )
    _refuse_foreign_keys(row.credential_type, values)
    if values:
        # Where all are given anew, those that were there need not be readable.
        before = {} if keys_of(row.credential_type).keys() <= values.keys() else opened(row, sealer)
        kept = {**before, **values}
        merged = {key: value for key, value in kept.items() if value is not None}
        row.sealed = await _seal(session, sealer, row.id, merged)
    if "description" in changes:
        row.description = changes["description"]
    name = changes.get("name")
    if name is not None and name != row.name:
        await _refuse_second(session, caller, name)
        row.name = name
    row.updated_at = utc_now()
    await _flush(session, row.name)
    return row


async def delete_credential(
    session: AsyncSession, caller: Caller, credential_id: str, expected: Expected = ANY_VERSION
) -> None:
    """Delete a credential. What runs already keeps its values; what is started from now on lacks them.

    Raises:
        NotFound: There is no such credential.
        Stale: It has changed since the caller read it.
    """
    row = (await session.scalars(locked(queries.one(caller, credential_id)))).one_or_none()
    if row is None:
        raise queries.missing(credential_id)
    expected.check(row)
    await session.execute(delete(CredentialRow).where(CredentialRow.id == row.id))


def opened(row: CredentialRow, sealer: Sealer) -> dict[str, str]:
    """The values of a credential by their keys; they are to stay in memory.

    Raises:
        KeyUnusable: It cannot be decrypted.
    """
    values: dict[str, str] = json.loads(sealer.unseal(row.sealed, _purpose(row.id)))
    return values


async def _seal(session: AsyncSession, sealer: Sealer, credential_id: str, values: Mapping[str, str]) -> bytes:
    await beside_others(session, SEALING)
    return sealer.seal(json.dumps(values).encode(), _purpose(credential_id))


def _purpose(credential_id: str) -> str:
    return f"credential {credential_id}"


def _refuse_foreign_keys(credential_type: CredentialType, values: Mapping[str, str | None]) -> None:
    keys = keys_of(credential_type)
    for key, value in values.items():
        if key not in keys:
            raise FieldError(
                f"A credential of type {credential_type} has no {key}; it has: {', '.join(keys)}.", ("body", key)
            )
        if value is None and keys[key]:
            raise FieldError(f"A credential of type {credential_type} needs {key}; it cannot be null.", ("body", key))


async def _refuse_second(session: AsyncSession, caller: Caller, name: str) -> None:
    taken = select(CredentialRow.id).where(CredentialRow.creator_id == caller.user_id, CredentialRow.name == name)
    if (await session.scalars(taken)).first():
        raise _second(name)


async def _flush(session: AsyncSession, name: str) -> None:
    try:
        await session.flush()
    except IntegrityError as error:
        # The schema's last guard; only reached if the look before raced with another request.
        if "name" in str(error.orig):
            raise _second(name) from error
        raise


def _second(name: str) -> Conflict:
    return Conflict(
        f"You have a credential named {name[:100]!r} already; take another name, or change that one.",
        code="CREDENTIAL_NAME_TAKEN",
    )


async def credentials_of(session: AsyncSession, ids: Collection[str]) -> dict[str, CredentialRow]:
    """The credentials of these ids, whoever's they are, by id."""
    rows = (await session.scalars(select(CredentialRow).where(CredentialRow.id.in_(ids)))).all()
    return {row.id: row for row in rows}
