"""How Alembic reaches the database: by a connection that the caller hands in, or by the server's settings."""

import asyncio

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from workload_api.db.models import Base
from workload_api.settings import load_settings


def is_ours(_thing: object, name: str | None, _kind: str, _reflected: bool, _other: object) -> bool:
    """Leave out the index of search, which each database has in its own way: a GIN index, FTS5's tables."""
    return not (name or "").startswith("search_index")


def run(connection: Connection) -> None:
    """Bring the database behind a connection to the revision that was asked for, one transaction each."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,
        transaction_per_migration=True,
        compare_type=True,
        include_object=is_ours,
        user_module_prefix="workload_api.db.types.",
    )
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_run() -> None:
    """Open the database that the settings name."""
    settings = load_settings()
    if settings.sqlite_path is not None:
        settings.sqlite_path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(settings.sqlalchemy_url)
    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()
    await engine.dispose()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    asyncio.run(connect_and_run())
