"""A hundred thousand and more of everything that has a list, put into a database by a few statements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.support.rows import Person
from workload_api.db.audiences import add_up
from workload_api.db.engine import Database
from workload_api.db.models import SharedRoleRow

KINDS: Final = ("workload", "artifact", "artifact_repository")

_SPEC = '{"containerGroups": [{"name": "default", "containers": [{"imageUri": "example.test/idle:1", "port": 8080}]}]}'

_WORDS = {
    "postgresql": {
        "numbers": "generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS numbers(n)",
        "id": "lpad(to_hex(CAST({base} AS bigint) * 1000000000000 + {n}), 24, '0')",
        "moment": "to_timestamp(1700000000 + {n})",
        "json": "CAST('{}' AS json)",
    },
    "sqlite": {
        "numbers": "(WITH RECURSIVE series(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM series "
        "WHERE n < :last) SELECT n FROM series)",
        "id": "printf('%024x', {base} * 1000000000000 + {n})",
        "moment": "strftime('%Y-%m-%dT%H:%M:%S', 1700000000 + {n}, 'unixepoch') || '.000000Z'",
        "json": "'{}'",
    },
}

_STATEMENTS = (
    """INSERT INTO artifact_repositories
    (id, organization_id, creator_id, name, type, last_version_number, created_at, updated_at,
    audience_id)
    SELECT {artifact_repository_id}, '{organization}', {creator}, {name}, {type}, 0, {created}, {updated},
    {audience_of_artifact_repository} FROM {numbers}""",
    """INSERT INTO artifacts
    (id, organization_id, creator_id, repository_id, name, description, type, status, version, spec, created_at,
    updated_at, audience_id)
    SELECT {artifact_id}, '{organization}', {creator}, {line_id}, {name}, 'd', {type}, {artifact_status},
    CASE WHEN n % 3 > 0 THEN n + 1 END, {spec}, {created}, {updated}, {audience_of_artifact}
    FROM {numbers}""",
    """INSERT INTO workloads
    (id, organization_id, creator_id, name, description, importance, type, status, artifact_id, draft_artifact_id,
    proton_id, runtime, statistics_epoch, statistics_since, created_at, updated_at, audience_id)
    SELECT {workload_id}, '{organization}', {creator}, {name}, 'd', {importance}, {type}, {status}, {artifact_id},
    CASE WHEN n % 3 = 0 THEN {artifact_id} END, {proton_id}, {runtime}, 0, {created}, {created}, {updated},
    {audience_of_workload} FROM {numbers}""",
    """INSERT INTO protons
    (id, workload_id, artifact_id, creator_id, name, role, status, desired_state, generation, spec, runtime,
    created_at, updated_at)
    SELECT {proton_id}, {workload_id}, {artifact_id}, '{owner}', 'p', 'active', 'stopped', 'stopped', 1, {spec},
    {runtime}, {created}, {updated} FROM {numbers}""",
)
_OF_EACH = (
    """INSERT INTO tags (id, resource_type, resource_id, name, value, created_at)
    SELECT {row_id}, '{kind}', {kind_id}, 'team', 'team ' || (n % 50), {created} FROM {numbers}""",
    """INSERT INTO search_texts (resource_type, resource_id, text)
    SELECT '{kind}', {kind_id}, {name} || ' common rare' || n || 'x ' || {kind_id} FROM {numbers}""",
    """INSERT INTO shared_roles (id, resource_type, resource_id, subject_type, subject_id, role, created_at)
    SELECT {row_id}, '{kind}', {kind_id}, 'user', '{owner}', 'OWNER', {created} FROM {numbers}""",
    """INSERT INTO shared_roles (id, resource_type, resource_id, subject_type, subject_id, role, created_at)
    SELECT {row_id}, '{kind}', {kind_id}, 'organization', '{organization}', 'OBSERVER', {created} FROM {numbers}
    WHERE :shared""",
)


@dataclass(frozen=True)
class Large:
    """What :func:`fill` made."""

    base: int
    count: int

    def id(self, kind: str, number: int) -> str:
        """The id of a workload, an artifact, a repository or a proton; all of one number belong together."""
        return f"{(self.base + ('proton', *KINDS).index(kind)) * 10**12 + number:024x}"


async def fill(
    database: Database, owner: Person, count: int, *, base: int = 100, other: str | None = None, shared: bool = False
) -> Large:
    """So many workloads, artifacts and repositories, all owned by one person; names, moments and all else with ties.

    Args:
        database: Where.
        owner: Whose.
        count: How many of each.
        base: Keeps the ids of several calls apart, if it differs by a hundred.
        other: A user who shows as the creator of each hundredth.
        shared: The organization may view everything, too.
    """
    caller = owner.caller
    async with database.write() as session:
        connection = await session.connection()
        words = _WORDS[connection.dialect.name]

        def ids(slot: int, number: str = "n") -> str:
            return words["id"].format(base=base + slot, n=number)

        kind_ids = {kind: ids(1 + slot) for slot, kind in enumerate(KINDS)}
        parts = {
            **{f"{kind}_id": kind_id for kind, kind_id in kind_ids.items()},
            "organization": caller.organization_id,
            "owner": caller.user_id,
            "proton_id": ids(0),
            "line_id": ids(3, "n / 10"),
            **{
                f"audience_of_{kind}": "(SELECT max(id) FROM audiences "
                f"WHERE organization_id = '{caller.organization_id}' AND resource_type = '{kind}')"
                for kind in KINDS
            },
            "numbers": words["numbers"],
            "creator": "CASE WHEN n % 100 = 0 THEN '" + (other or caller.user_id) + f"' ELSE '{caller.user_id}' END",
            "name": "'name ' || (n * 7919 % :count / 3)",
            "type": "CASE WHEN n % 20 = 0 THEN 'agent' ELSE 'service' END",
            "importance": "CASE n % 4 WHEN 0 THEN 'critical' WHEN 1 THEN 'high' WHEN 2 THEN 'moderate' ELSE 'low' END",
            "status": "CASE WHEN n % 10 < 8 THEN 'running' WHEN n % 10 = 8 THEN 'stopped' ELSE 'errored' END",
            "artifact_status": "CASE WHEN n % 3 = 0 THEN 'draft' ELSE 'locked' END",
            "created": words["moment"].format(n="n"),
            "updated": words["moment"].format(n="n * 7919 % :count / 2"),
            "spec": words["json"].replace("{}", _SPEC.replace(":", "\\:")),
            "runtime": words["json"],
        }
        values: dict[str, object] = {"count": count, "shared": shared}
        # The first makes the audience that the others are given at once: the triggers find nothing to put right.
        for values["first"], values["last"] in ((0, 0), (1, count - 1)):
            for slot, kind in enumerate(KINDS):
                own = {"kind": kind, "kind_id": kind_ids[kind]}
                for number, statement in enumerate(_OF_EACH):
                    own["row_id"] = ids(10 + 10 * slot + number)
                    await _run(connection, statement.format(**parts, **own), values)
            for statement in _STATEMENTS:
                await _run(connection, statement.format(**parts), values)
    await count_up(database)
    return Large(base, count)


async def share(database: Database, person: Person, large: Large, numbers: range) -> None:
    """Let somebody view some of everything."""
    async with database.write() as session:
        await session.execute(
            insert(SharedRoleRow),
            [
                {
                    "resource_type": kind,
                    "resource_id": large.id(kind, number),
                    "subject_type": "user",
                    "subject_id": person.caller.user_id,
                    "role": "READ_ONLY",
                }
                for kind in KINDS
                for number in numbers
            ],
        )
    await count_up(database)


async def count_up(database: Database) -> None:
    """What the retention loop does with counts."""
    full = True
    while full:
        async with database.write() as session:
            full = await add_up(session, 100_000) == 100_000


async def settle(database: Database) -> None:
    """What the database does by itself in time: clear up, and gather statistics."""
    engine = database.writer.execution_options(isolation_level="AUTOCOMMIT")
    if database.is_sqlite:
        async with database.write() as session:
            await session.execute(text("ANALYZE"))
        return
    async with engine.connect() as connection:
        await connection.execute(text("VACUUM ANALYZE"))


async def _run(connection: AsyncConnection, statement: str, values: dict[str, object]) -> None:
    clause = text(statement)
    await connection.execute(clause, {name: values[name] for name in clause.compile().params})
