"""The engine and the units of work.

A unit of work is one transaction: ``async with database.write() as session`` commits when the block ends without an
error, before any answer is sent. On SQLite writers queue for the one connection that writes (``BEGIN IMMEDIATE``),
readers never wait for them (WAL).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from workload_api.db.changes import Changes
from workload_api.domain.errors import TryAgain

POOL_TIMEOUT_SECONDS = 20
LOCK_TIMEOUT_SECONDS = 15
IDLE_TIMEOUT_SECONDS = 10
"""How long a transaction may be idle on PostgreSQL: a process frozen in one must not hold its locks for ever."""
_PASSING_SQLSTATES = frozenset({"40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300", "25P03"})
"""Serialization failure, deadlock, lock not available, shutdown, start-up, too many connections, idle for too long."""


class Database:
    """One database, by its engine (PostgreSQL) or two (SQLite: one connection that writes, several that read).

    Args:
        url: SQLAlchemy address with an asynchronous driver.
        pool_size: Connections that this process may hold.
    """

    def __init__(self, url: str, pool_size: int = 10) -> None:
        self.changes = Changes()
        self.is_sqlite = url.startswith("sqlite")
        if self.is_sqlite:
            self.writer = _sqlite_engine(url, 1, "IMMEDIATE")
            self.reader = _sqlite_engine(url, pool_size, "DEFERRED")
        else:
            self.writer = self.reader = create_async_engine(
                url,
                hide_parameters=True,
                pool_size=pool_size,
                max_overflow=0,
                pool_timeout=POOL_TIMEOUT_SECONDS,
                pool_pre_ping=False,
                connect_args={
                    "server_settings": {
                        "application_name": "workload-api",
                        "lock_timeout": f"{LOCK_TIMEOUT_SECONDS}s",
                        "idle_in_transaction_session_timeout": f"{IDLE_TIMEOUT_SECONDS}s",
                        "jit": "off",
                    }
                },
            )
        self._write = async_sessionmaker(self.writer, expire_on_commit=False, autoflush=False)
        self._read = async_sessionmaker(self.reader, expire_on_commit=False, autoflush=False)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """One transaction that may write; committed at the end of the block, rolled back on any error.

        Raises:
            TryAgain: The database was busy or lost; the same request will go through in a moment.
        """
        async with _passing_faults(), self._write() as session:
            async with session.begin():
                yield session
            await self.changes.publish(session)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """One transaction that only reads.

        Raises:
            TryAgain: The database was busy or lost.
        """
        async with _passing_faults(), self._read() as session:
            yield session

    async def close(self) -> None:
        """Give all connections back (aiosqlite's threads would keep the process alive)."""
        await self.writer.dispose()
        if self.reader is not self.writer:
            await self.reader.dispose()


@asynccontextmanager
async def _passing_faults() -> AsyncIterator[None]:
    """Turn the database errors that a retry would mend into :class:`TryAgain`; let all others through."""
    try:
        yield
    except PoolTimeout:
        raise TryAgain("the server is busy: no database connection came free in time; try again") from None
    except DBAPIError as error:
        if is_passing(error):
            raise TryAgain("the database is busy or was lost for a moment; try again") from error
        raise
    except OSError as error:  # asyncpg reports a refused connection as it comes
        raise TryAgain("the database cannot be reached; try again") from error


def is_passing(error: DBAPIError) -> bool:
    """Tell whether a database error is one that the same request, sent again, would not meet."""
    if error.connection_invalidated:
        return True
    sqlstate = getattr(error.orig, "sqlstate", None)
    if sqlstate is not None:
        return sqlstate in _PASSING_SQLSTATES or str(sqlstate).startswith("08")
    return isinstance(error, OperationalError) and "locked" in str(error.orig)


def _sqlite_engine(url: str, size: int, begin: str) -> AsyncEngine:
    engine = create_async_engine(
        url,
        hide_parameters=True,  # they hold what users sent, also their secrets, and would stand in tracebacks
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        connect_args={"isolation_level": None, "timeout": LOCK_TIMEOUT_SECONDS},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
            f"busy_timeout={LOCK_TIMEOUT_SECONDS * 1000}",
            "cache_size=-65536",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def start(connection: Any) -> None:
        connection.exec_driver_sql(f"BEGIN {begin}")

    return engine
