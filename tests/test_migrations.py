"""The migrations on both databases, by the commands that developers use."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import insert, select

from tests.conftest import DATABASES
from tests.support.rows import add_person, add_workload, opened
from workload_api.db.models import EventRow
from workload_api.events.service import event_values

ROOT = Path(__file__).parents[1]


def alembic(url: str, *arguments: str) -> None:
    """Run ``alembic`` on a database."""
    done = subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=ROOT,
        env={**os.environ, "WORKLOAD_API_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"alembic {' '.join(arguments)}:\n{done.stdout}{done.stderr}"


async def objects(url: str) -> dict[str, str]:
    """Every table, index, constraint and type of a database by name, but for Alembic's own, with what it is."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            # Tables made anew by a batch migration have their name in quotes and their constraints in any order; that
            # is no difference.
            found = file.execute(
                "SELECT name, coalesce(sql, '') FROM sqlite_master WHERE tbl_name != 'alembic_version'"
            )
            return {
                name: "\n".join(sorted(line.strip(" \t,") for line in sql.replace('"', "").splitlines()))
                for name, sql in found
            }
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            """
            SELECT 'column ' || c.relname || '.' || a.attname AS name,
                   format_type(a.atttypid, a.atttypmod) || a.attnotnull
                   || coalesce(pg_get_expr(d.adbin, d.adrelid), '') AS what
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v', 'S')
            UNION ALL SELECT 'index ' || indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
            UNION ALL SELECT 'constraint ' || conname, pg_get_constraintdef(oid)
            FROM pg_constraint WHERE connamespace = 'public'::regnamespace
            UNION ALL SELECT 'type ' || typname, typtype::text
            FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')
            """
        )
        return {row["name"]: row["what"] for row in rows if "alembic_version" not in row["name"]}
    finally:
        await connection.close()


@pytest.fixture(params=DATABASES)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    url: str = request.getfixturevalue("empty_postgresql_url")
    return url


async def test_up_check_down_and_up_again(empty_database_url: str) -> None:
    alembic(empty_database_url, "upgrade", "head")
    alembic(empty_database_url, "check")
    first = await objects(empty_database_url)
    assert first
    alembic(empty_database_url, "downgrade", "base")
    assert await objects(empty_database_url) == {}
    alembic(empty_database_url, "upgrade", "head")
    assert await objects(empty_database_url) == first


async def test_events_that_are_there_already_get_positions(database_url: str) -> None:
    async with opened(database_url) as database:
        ids = await add_workload(database, await add_person(database))

        async def happen(number: int) -> None:
            async with database.write() as session:
                values = event_values(ids.workload_id, "test.happened", "Happened", f"{number}")
                await session.execute(insert(EventRow).values(values))

        for number in range(3):
            await happen(number)
    alembic(database_url, "downgrade", "3a7d52c9e1f4")
    alembic(database_url, "upgrade", "head")
    async with opened(database_url) as database:
        await happen(3)
        async with database.read() as session:
            rows = (await session.scalars(select(EventRow).order_by(EventRow.position))).all()
    assert [(row.position, row.message) for row in rows] == [(1, "0"), (2, "1"), (3, "2"), (4, "3")]
