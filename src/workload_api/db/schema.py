"""The schema's version: bringing a database up to date, and refusing one that does not fit this program."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

_MIGRATION_LOCK = 0x776B6C64  # "wkld": one migration at a time on one PostgreSQL database
_LOCK_TIMEOUT = "10s"


class SchemaError(RuntimeError):
    """The database, or its schema, does not fit this program; the message says what to do."""


def migrations_folder() -> Path:
    """Where the migrations are: inside the installed package, or at the top of a checkout."""
    packaged = Path(__file__).parent / "migrations"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    return config


def head_revision() -> str:
    """The revision that this program needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None, "the migrations folder is empty"
    return head


async def current_revision(url: str) -> str | None:
    """The revision that a database is at, or ``None`` where it is empty.

    Raises:
        SchemaError: The database cannot be reached, or is none.
    """
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    except (OSError, DBAPIError) as error:
        cause = str(error.orig if isinstance(error, DBAPIError) else error).partition("\n")[0]
        where = engine.url.render_as_string(hide_password=True)
        raise SchemaError(f"the database {where} cannot be used ({cause}); see to it, or to DATABASE_URL") from error
    finally:
        await engine.dispose()


async def migrate(url: str, revision: str = "head") -> tuple[str | None, str | None]:
    """Bring a database to a revision; nothing is locked where it is there already.

    Args:
        url: SQLAlchemy address with an asynchronous driver.
        revision: Where to go; ``base`` takes everything down.

    Returns:
        The revision before and the one after.
    """
    before = await current_revision(url)
    if revision == "head" and before == head_revision():
        return before, before
    engine = create_async_engine(url)
    try:
        async with engine.connect() as guard, engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                # Held by a transaction of its own until the migrations are through; gone with the connection.
                await guard.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
                await connection.execute(text(f"SET lock_timeout = '{_LOCK_TIMEOUT}'"))
                await connection.commit()
            await connection.run_sync(_move, revision)
            await connection.commit()
    finally:
        await engine.dispose()
    return before, await current_revision(url)


def _move(connection: Connection, revision: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    (command.downgrade if revision == "base" else command.upgrade)(config, revision)


async def check_schema(url: str) -> None:
    """See that a database is at the revision that this program needs.

    Raises:
        SchemaError: It is empty, older or newer; the message says what to do.
    """
    current, head = await current_revision(url), head_revision()
    if current == head:
        return
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if current is None:
        raise SchemaError("the database is empty; run `workload-api migrate` first")
    if current in known:
        raise SchemaError(
            f"the database's schema ({current}) is older than this program's ({head}); run `workload-api migrate` first"
        )
    raise SchemaError(
        f"the database's schema ({current}) is newer than this program knows ({head}); "
        "run the newer workload-api, or restore a backup that fits this one"
    )
