"""Organizations, users and tokens: what the command line and the first start do."""

from __future__ import annotations

import os
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.clock import utc_now
from workload_api.db.locks import one_at_a_time
from workload_api.db.models import OrganizationRow, SharedRoleRow, TokenRow, UserRow
from workload_api.domain.errors import Conflict, NotFound
from workload_api.domain.words import ResourceType
from workload_api.identity.rights import Caller
from workload_api.identity.tokens import digest, new_token

DEFAULT_ORGANIZATION = "default"
ADMINISTRATOR = "admin"
TOKEN_FILE = "admin-token"


async def ensure_administrator(session: AsyncSession, data_dir: Path, given_token: str | None) -> str:
    """See that there is an organization, an administrator and a token that works; keep the token in a 0600 file.

    Args:
        session: A unit of work.
        data_dir: Where the token file is.
        given_token: The token that the settings ask for; made at random where none is.

    Returns:
        The administrator's token.
    """
    # Several servers may start on an empty database at once.
    await one_at_a_time(session, "administrator")
    user = (await session.scalars(select(UserRow).where(UserRow.username == ADMINISTRATOR))).one_or_none()
    if user is None:
        user = await add_user(session, ADMINISTRATOR, DEFAULT_ORGANIZATION, email=None)
    file = data_dir / TOKEN_FILE
    token = given_token or (file.read_text().strip() if file.exists() else None) or new_token()
    row = (await session.scalars(select(TokenRow).where(TokenRow.digest == digest(token)))).one_or_none()
    if row is not None and row.revoked_at is not None and given_token is None:
        token, row = new_token(), None
    if row is None:
        session.add(TokenRow(user_id=user.id, name="administrator", digest=digest(token)))
    elif row.revoked_at is not None:
        row.revoked_at = None
    await session.flush()
    keep_secret(file, token)
    return token


def keep_secret(file: Path, secret: str) -> None:
    """Write a secret to a file that only its owner can read, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f"{file.name}.{os.getpid()}.new")
    scratch.unlink(missing_ok=True)
    handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as stream:
        stream.write(secret + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    scratch.replace(file)
    # The new name must outlive a loss of power as well.
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def add_user(
    session: AsyncSession,
    username: str,
    organization: str,
    *,
    email: str | None,
    first_name: str = "",
    last_name: str = "",
) -> UserRow:
    """Add a user; the organization is made where it does not exist yet.

    Raises:
        Conflict: The name is taken.
    """
    if (await session.scalars(select(UserRow.id).where(UserRow.username == username))).first():
        raise Conflict(f"There is a user {username!r} already.")
    found = (await session.scalars(select(OrganizationRow).where(OrganizationRow.name == organization))).one_or_none()
    if found is None:
        found = OrganizationRow(name=organization)
        session.add(found)
        await session.flush()
    user = UserRow(organization_id=found.id, username=username, email=email, first_name=first_name, last_name=last_name)
    session.add(user)
    await session.flush()
    return user


async def list_users(session: AsyncSession) -> list[tuple[UserRow, OrganizationRow]]:
    """All users with their organizations, oldest first."""
    statement = (
        select(UserRow, OrganizationRow)
        .join(OrganizationRow, OrganizationRow.id == UserRow.organization_id)
        .order_by(UserRow.id)
    )
    return [(user, organization) for user, organization in (await session.execute(statement)).all()]


async def create_token(session: AsyncSession, username: str, name: str) -> tuple[TokenRow, str]:
    """Make a token for a user.

    Returns:
        Its row, and the token itself, which cannot be found again.

    Raises:
        NotFound: There is no such user.
    """
    user = (await session.scalars(select(UserRow).where(UserRow.username == username))).one_or_none()
    if user is None:
        raise NotFound(f"There is no user {username!r}; `workload-api user list` shows who there is.")
    token = new_token()
    row = TokenRow(user_id=user.id, name=name, digest=digest(token))
    session.add(row)
    await session.flush()
    return row, token


async def list_tokens(session: AsyncSession) -> list[tuple[TokenRow, UserRow]]:
    """All tokens with their users, oldest first."""
    statement = select(TokenRow, UserRow).join(UserRow, UserRow.id == TokenRow.user_id).order_by(TokenRow.id)
    return [(token, user) for token, user in (await session.execute(statement)).all()]


async def revoke_token(session: AsyncSession, id_or_token: str, now: datetime | None = None) -> TokenRow:
    """Revoke a token by its id, or by itself. Revoking twice changes nothing.

    Raises:
        NotFound: There is no such token.
    """
    condition = or_(TokenRow.id == id_or_token, TokenRow.digest == digest(id_or_token))
    row = (await session.scalars(select(TokenRow).where(condition))).one_or_none()
    if row is None:
        raise NotFound("There is no such token; `workload-api token list` shows the ids.")
    row.revoked_at, row.sealed = row.revoked_at or now or utc_now(), None
    return row


async def revoke_tokens_of(session: AsyncSession, workload_ids: Collection[str]) -> None:
    """Revoke the tokens that were made for these workloads (§12), for good: they cannot be had again."""
    await session.execute(
        update(TokenRow)
        .where(TokenRow.workload_id.in_(workload_ids), TokenRow.revoked_at.is_(None))
        .values(revoked_at=utc_now(), sealed=None)
        .execution_options(synchronize_session=False)
    )


def grant_ownership(session: AsyncSession, caller: Caller, resource_type: ResourceType, resource_id: str) -> None:
    """Make the caller the owner of what it has just created (§10)."""
    session.add(
        SharedRoleRow(
            resource_type=resource_type,
            resource_id=resource_id,
            subject_type="user",
            subject_id=caller.user_id,
            role="OWNER",
        )
    )
