"""Changing the encryption key while servers run.

Everything that is sealed is encrypted anew with the first key, in bounded transactions. Then nothing needs the other
keys, and the key file keeps the first alone. A crash at any point leaves all keys that something may still need in the
file; the same command, given again, goes on.

Why nothing is left under an old key: who seals does so inside of a unit of work that holds the lock ``SEALING`` with
others, and looks at the key file then. Taking that lock alone, once the new key is in the file, waits for all who may
have looked before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, and_, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.credentials.sealing import KeyRing, make_key_file, new_key, only_one, read_keys
from workload_api.db.engine import Database
from workload_api.db.locks import locked, one_at_a_time, table_of
from workload_api.db.models import Base, CredentialRow, IdempotencyKeyRow, TokenRow
from workload_api.domain.sealing import SEALING, KeyUnusable
from workload_api.identity.service import keep_secret

BATCH = 100
"""Rows encrypted anew in one transaction."""

SEALED: tuple[type[CredentialRow] | type[TokenRow] | type[IdempotencyKeyRow], ...] = (
    CredentialRow,
    TokenRow,
    IdempotencyKeyRow,
)
"""The tables with a column ``sealed``."""


@dataclass(frozen=True, slots=True)
class Resealed:
    """What a pass over everything sealed did."""

    changed: int
    """Values that were encrypted anew."""
    unreadable: int
    """Values that no key fits; they are left as they are."""


async def _nothing() -> None:
    return None


async def rotate_file(database: Database, file: Path, between: Callable[[], Awaitable[None]] = _nothing) -> Resealed:
    """Put a new key in front of the file, encrypt everything with it, and drop the others.

    Args:
        database: Where everything sealed is.
        file: The key file.
        between: Called after each step.

    Raises:
        SettingsError: The file is missing or holds no usable keys.
    """
    with only_one(file):
        keys = read_keys(file)
        for left_by_a_crash in file.parent.glob(f"{file.name}.*.new"):
            left_by_a_crash.unlink()
        first = new_key()
        keep_secret(file, "\n".join([first, *keys]))
        await between()
        done = await reseal_all(database, KeyRing(None, file), between)
        keep_secret(file, first)
    await between()
    return done


async def reseal_all(database: Database, ring: KeyRing, between: Callable[[], Awaitable[None]] = _nothing) -> Resealed:
    """Encrypt everything sealed with the first key, batch by batch; what is so already is left as it is.

    Args:
        database: Where it is.
        ring: The keys.
        between: Called after each batch.
    """
    async with database.write() as session:
        await one_at_a_time(session, SEALING)
    changed = unreadable = 0
    for table in SEALED:
        last: Sequence[Any] | None = None
        while True:
            async with database.write() as session:
                batch = await _reseal_batch(session, ring, table, last)
            changed += batch.changed
            unreadable += batch.unreadable
            await between()
            if batch.last is None:
                break
            last = batch.last
    return Resealed(changed, unreadable)


@dataclass(frozen=True, slots=True)
class _Batch:
    last: Sequence[Any] | None
    changed: int
    unreadable: int


async def _reseal_batch(session: AsyncSession, ring: KeyRing, model: type[Base], after: Sequence[Any] | None) -> _Batch:
    table = table_of(model)
    keys = list(table.primary_key)
    statement = select(*keys, table.c.sealed).where(table.c.sealed.is_not(None)).order_by(*keys).limit(BATCH)
    if after is not None:
        statement = statement.where(_behind(keys, after))
    rows = (await session.execute(locked(statement))).all()
    changed = unreadable = 0
    for *place, sealed in rows:
        try:
            anew = ring.reseal(sealed)
        except KeyUnusable:
            unreadable += 1
            continue
        if anew is not None:
            here = and_(*(column == value for column, value in zip(keys, place, strict=True)))
            # Not a change of what is sealed: its version stays (``If-Match``).
            kept = {"updated_at": table.c.updated_at} if "updated_at" in table.c else {}
            await session.execute(update(table).where(here).values(sealed=anew, **kept))
            changed += 1
    return _Batch(list(rows[-1][:-1]) if len(rows) == BATCH else None, changed, unreadable)


def _behind(keys: Sequence[ColumnElement[Any]], place: Sequence[Any]) -> ColumnElement[bool]:
    """The condition of standing behind a place in the order of some columns."""
    return or_(
        *(
            and_(*(keys[n] == literal(place[n]) for n in range(depth)), keys[depth] > literal(place[depth]))
            for depth in range(len(keys))
        )
    )


async def is_anything_sealed(session: AsyncSession) -> bool:
    """Whether there is anything that a key is needed for."""
    for table in SEALED:
        if (await session.scalars(select(table.sealed).where(table.sealed.is_not(None)).limit(1))).first():
            return True
    return False


async def prepare_keys(session: AsyncSession, ring: KeyRing) -> str | None:
    """See at a server's start that its keys fit the database; on an empty one a key file is made.

    Args:
        session: A unit of work.
        ring: The keys.

    Returns:
        What is wrong, as a sentence that says what to do; the server can start nevertheless.
    """
    newest = select(CredentialRow.id, CredentialRow.sealed).order_by(CredentialRow.id.desc()).limit(1)
    row = (await session.execute(newest)).one_or_none()
    if ring.file is not None and ring.size == 0 and not await is_anything_sealed(session):
        make_key_file(ring.file)
    try:
        if row is not None:
            ring.unseal(row.sealed, f"credential {row.id}")
        else:
            ring.seal(b"", "a try")
    except KeyUnusable as error:
        return error.message
    return None
