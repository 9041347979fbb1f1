"""The secrets that protons' environments are filled with, at the moment they are started. They stay in memory."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.credentials.service import credentials_of, opened
from workload_api.db.engine import Database
from workload_api.db.locks import beside_others, locked
from workload_api.db.models import ProtonRow, TokenRow, WorkloadRow
from workload_api.domain.ids import new_id
from workload_api.domain.sealing import SEALING, KeyUnusable, Sealer
from workload_api.identity.tokens import digest, new_token
from workload_api.protons.specification import Secrets, variables


async def secrets_of(database: Database, sealer: Sealer, protons: Collection[ProtonRow]) -> dict[str, Secrets]:
    """What the variables of these protons refer to, by the proton's id.

    A credential counts if it belongs to the proton's creator. An API token is made where there is none yet.

    Args:
        database: Where credentials and tokens are.
        sealer: Decrypts them.
        protons: Those that are about to be started.
    """
    wanted = {
        proton.id: {each["drCredentialId"] for each in variables(proton.spec, "dr-credential")} for proton in protons
    }
    ids = set().union(*wanted.values())
    found = {}
    if ids:
        async with database.read() as session:
            found = await credentials_of(session, ids)
    secrets: dict[str, Secrets] = {}
    for proton in protons:
        values: dict[str, dict[str, str]] = {}
        faults: dict[str | None, str] = {}
        for credential_id in wanted[proton.id]:
            row = found.get(credential_id)
            if row is not None and row.creator_id == proton.creator_id:
                try:
                    values[credential_id] = opened(row, sealer)
                except KeyUnusable as error:
                    faults[credential_id] = error.message
        token = None
        if any(variables(proton.spec, "api-key")):
            try:
                token = await _api_token(database, sealer, proton.workload_id, proton.creator_id)
            except KeyUnusable as error:
                faults[None] = error.message
        secrets[proton.id] = Secrets(values, token, faults)
    return secrets


async def _api_token(database: Database, sealer: Sealer, workload_id: str, user_id: str) -> str | None:
    """The token made for a workload, able to do what the user may; ``None`` where the workload has ended."""
    async with database.read() as session:
        row = await _token_row(session, workload_id, user_id)
    if row is None:
        async with database.write() as session:
            row = await _make_token(session, sealer, workload_id, user_id)
    if row is None or row.sealed is None:
        return None
    return sealer.unseal(row.sealed, _purpose(row.id)).decode()


async def _make_token(session: AsyncSession, sealer: Sealer, workload_id: str, user_id: str) -> TokenRow | None:
    # Its lock keeps out every other controller, and the end of the workload, which revokes its tokens.
    living = select(WorkloadRow.id).where(
        WorkloadRow.id == workload_id, WorkloadRow.deleted_at.is_(None), WorkloadRow.expired_at.is_(None)
    )
    if (await session.scalars(locked(living, WorkloadRow))).first() is None:
        return None
    if (row := await _token_row(session, workload_id, user_id)) is not None:
        return row
    await beside_others(session, SEALING)
    token, token_id = new_token(), new_id()
    row = TokenRow(
        id=token_id,
        user_id=user_id,
        name=f"made for workload {workload_id}",
        digest=digest(token),
        workload_id=workload_id,
        sealed=sealer.seal(token.encode(), _purpose(token_id)),
    )
    session.add(row)
    await session.flush()
    return row


async def _token_row(session: AsyncSession, workload_id: str, user_id: str) -> TokenRow | None:
    statement = select(TokenRow).where(
        TokenRow.workload_id == workload_id, TokenRow.user_id == user_id, TokenRow.revoked_at.is_(None)
    )
    return (await session.scalars(statement)).one_or_none()


def _purpose(token_id: str) -> str:
    return f"token {token_id}"
