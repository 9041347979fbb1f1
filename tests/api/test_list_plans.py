"""Lists stay fast (§2): no filter and no order reads a whole table among 100,000, as the query plans show.

The plans are those of the very statements that the lists send, with their parameters.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request
from sqlalchemy import event, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from tests.support.large import KINDS, Large, fill, settle, share
from tests.support.postgresql import PostgreSQL, run
from tests.support.rows import Person, add_colleague, add_person, opened
from workload_api.artifacts.queries import ArtifactFilter, list_artifacts, list_repositories
from workload_api.db.engine import Database
from workload_api.db.models import RequestCountRow, ResponseTimeRow
from workload_api.db.types import database_now
from workload_api.http.paging import Paging
from workload_api.identity.sight import PLANNING
from workload_api.settings import Settings
from workload_api.workloads.queries import WorkloadFilter, list_workloads

pytestmark = pytest.mark.timeout(400)

COUNT = 100_000
SETTINGS = Settings()
LARGE = {"workloads", "artifacts", "artifact_repositories", "protons", "shared_roles", "tags", "search_texts"}
"""Tables with a row or more for each workload; none may be read whole."""

INDEX_SCANS = {"Index Scan", "Index Only Scan", "Bitmap Index Scan"}
STOPPABLE = {"Nested Loop", "Merge Join", "Hash Join", "Memoize", "Subquery Scan", "Result"}
"""Steps of PostgreSQL's plans that read no more of what comes first than they are asked for."""

AGAIN = {"InitPlan", "SubPlan"}

MOST = {"workloads": 8, "artifacts": 5, "repositories": 6}
"""Statements that a list may take, however long its page: what belongs to its rows is read for all of them at once."""

Statement = tuple[str, Any]


@dataclass(frozen=True)
class Case:
    """A list as somebody asks for it."""

    name: str
    path: str
    wanted: WorkloadFilter | ArtifactFilter
    order_by: str | None = None
    offset: int = 0
    plain: bool = False
    """Narrowed by nothing."""
    texts: bool = False
    """All texts may be looked through."""


@dataclass(frozen=True)
class Data:
    """A database full of workloads, and who sees them."""

    url: str
    large: Large
    owner: Person
    """Owns everything in an organization."""
    colleague: Person
    """Sees all of another organization, by its role."""
    author: Person
    """Shows as the creator of each hundredth of them."""
    guest: Person
    """Sees seven of the first organization's."""


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("sqlite", marks=pytest.mark.xdist_group("plans-sqlite")),
        pytest.param("postgresql", marks=[pytest.mark.postgresql, pytest.mark.xdist_group("plans-postgresql")]),
    ],
)
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Data]:
    """100,000 of everything and some more, on each kind of database."""
    if request.param == "postgresql":
        postgresql: PostgreSQL = request.getfixturevalue("postgresql")
        url = postgresql.create()
        yield run(_filled(url))
        postgresql.drop(url)
    else:
        template: Path = request.getfixturevalue("migrated_sqlite")
        path = tmp_path_factory.mktemp("plans") / "large.sqlite3"
        shutil.copy(template, path)
        yield run(_filled(f"sqlite:///{path}"))
        path.unlink()


async def _filled(url: str) -> Data:
    async with opened(url) as database:
        owner = await add_person(database, "owner")
        guest, author = await add_colleague(database, owner, "guest"), await add_colleague(database, owner, "author")
        large = await fill(database, owner, COUNT, other=author.caller.user_id)
        await share(database, guest, large, range(0, COUNT, COUNT // 6))
        boss = await add_person(database, "boss")
        colleague = await add_colleague(database, boss, "colleague")
        await fill(database, boss, COUNT // 10, base=300, shared=True)
        async with database.write() as session:
            for number in range(50):
                of = {"proton_id": large.id("proton", number), "epoch": 0, "minute": database_now()}
                await session.execute(insert(RequestCountRow).values(**of, requests=1, user_errors=0, server_errors=0))
                await session.execute(insert(ResponseTimeRow).values(**of, bucket=3, requests=1))
        await settle(database)
    return Data(url, large, owner, colleague, author, guest)


def cases(data: Data) -> list[Case]:
    """Each filter and each order, both ways, of each list, and some together."""
    large = data.large
    a_workload, an_artifact, a_line = (large.id(kind, COUNT // 6) for kind in KINDS)
    a_line = large.id(KINDS[2], COUNT // 60)
    ids = [large.id("workload", number) for number in (0, 5, COUNT // 6)]
    common: dict[str, dict[str, Any]] = {
        "no filter": {},
        "ids": {"ids": [*ids, a_workload, an_artifact, a_line]},
        "createdBy many": {"created_by": data.owner.caller.user_id},
        "createdBy few": {"created_by": data.author.caller.user_id},
        "search rare": {"search": f"rare{COUNT // 2}x"},
        "search common": {"search": "common"},
        "search of two letters": {"search": "ar"},
        "search of two letters nowhere": {"search": "qq"},
        "tagKeys": {"tag_names": ["team"]},
        "tagKeys nowhere": {"tag_names": ["colour"]},
        "tagValues": {"tag_values": ["team 7", "team 8"]},
        "tagKeys and tagValues": {"tag_names": ["team"], "tag_values": ["team 7"]},
    }
    of_workloads: dict[str, dict[str, Any]] = {
        "status": {"status": ["running"]},
        "several statuses": {"status": ["stopped", "errored"]},
        "importance": {"importance": ["high"]},
        "several importances": {"importance": ["high", "low"]},
        "artifactStatus draft": {"artifact_status": ["draft"]},
        "artifactStatus locked": {"artifact_status": ["locked"]},
        "artifactId": {"artifact_id": an_artifact},
        "repositoryId": {"repository_id": a_line},
        "much together": {
            "status": ["running"],
            "importance": ["high"],
            "artifact_status": ["locked"],
            "search": "common",
            "tag_names": ["team"],
        },
    }
    of_artifacts: dict[str, dict[str, Any]] = {
        "status": {"status": "draft"},
        "type": {"artifact_type": "agent"},
        "repositoryId": {"repository_id": a_line},
        "status and search": {"status": "locked", "search": "common"},
    }
    found = []
    for path, make, own, keys in (
        ("workloads", WorkloadFilter, of_workloads, ("createdAt", "updatedAt", "name", "status", "importance")),
        ("artifacts", ArtifactFilter, of_artifacts, ("createdAt", "updatedAt", "name", "status")),
        ("repositories", ArtifactFilter, {"type": {"artifact_type": "agent"}}, ("createdAt", "updatedAt", "name")),
    ):
        orders = [None, *(sign + key for key in keys for sign in ("", "-"))]
        for name, fields in (common | own).items():
            # Each filter by the default order and by one other; without a filter by all.
            for order_by in orders if not fields else (None, "name"):
                texts = name.startswith("search of two letters")
                asked = make(**fields)
                found.append(Case(f"{path}: {name}, {order_by}", path, asked, order_by, plain=not fields, texts=texts))
        found.append(Case(f"{path}: deep", path, make(), "-updatedAt", offset=COUNT * 9 // 10, plain=True))
    return found


async def ask(session: AsyncSession, person: Person, case: Case, limit: int = 100) -> int:
    """Ask for a list as the API does; the number of rows shown."""
    caller, paging = person.caller, Paging(Request({"type": "http"}), case.offset, limit)
    wanted = case.wanted
    if isinstance(wanted, WorkloadFilter):
        return len((await list_workloads(session, caller, wanted, case.order_by, paging, SETTINGS))[0])
    if case.path == "artifacts":
        return len((await list_artifacts(session, caller, wanted, case.order_by, paging))[0])
    return len((await list_repositories(session, caller, wanted, case.order_by, paging))[0])


@contextmanager
def captured(database: Database) -> Iterator[list[Statement]]:
    """The statements that are sent meanwhile, with their parameters."""
    sent: list[Statement] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, parameters))

    event.listen(database.reader.sync_engine, "before_cursor_execute", note)
    yield sent
    event.remove(database.reader.sync_engine, "before_cursor_execute", note)


async def scans(connection: AsyncConnection, statement: Statement, *, ordered: bool) -> list[str]:
    """What a statement's plan reads whole of the tables that grow; or that it sorts, where an index has the order."""
    if connection.dialect.name == "sqlite":
        return await _sqlite_scans(connection, statement, ordered=ordered)
    explained = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON, COSTS OFF) {statement[0]}", statement[1])
    plan = explained.scalar_one()[0]["Plan"]
    found: list[str] = []

    def walk(node: dict[str, Any], stops: bool) -> None:
        kind, table = node["Node Type"], node.get("Relation Name")
        # Without a condition an index is walked from its beginning. That is right for a page alone, which is left as
        # soon as it is full: under a LIMIT with nothing between that must have read all, or begins anew for each row.
        whole = kind == "Seq Scan" or (kind in INDEX_SCANS and "Index Cond" not in node and not stops)
        if (whole and table in LARGE) or (kind in ("Sort", "Incremental Sort") and ordered):
            found.append(f"{kind} {table or ''}")
        for number, child in enumerate(node.get("Plans", ())):
            goes_on = kind == "Limit" or (stops and kind in STOPPABLE)
            again = (kind == "Nested Loop" and number > 0) or child.get("Parent Relationship") in (
                "InitPlan",
                "SubPlan",
            )
            walk(child, goes_on and not again)

    walk(plan, False)
    return [*found, _outline(plan)] if found else []


def _outline(node: dict[str, Any]) -> str:
    """PostgreSQL's plan in a line."""
    names = ("Node Type", "Relation Name", "Index Name", "Index Cond", "Filter")
    children = "".join(_outline(child) for child in node.get("Plans", ()))
    return f"({' '.join(str(node[name]) for name in names if name in node)}{children})"


async def _sqlite_scans(connection: AsyncConnection, statement: Statement, *, ordered: bool) -> list[str]:
    rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement[0]}", statement[1])
    steps = [str(step) for step in rows.scalars(3)]
    for step in steps:
        scan = re.match(r"SCAN (\w+?)(_\d+)?\b(.*)", step)
        whole = scan is not None and scan[1] in LARGE
        # FTS5: "0:M1" looks a term up.
        whole = whole or (scan is not None and scan[1] == "search_index" and ":M" not in scan[3])
        if whole or ("TEMP B-TREE" in step and ordered):
            return [step, " | ".join(steps)]
    return []


@asynccontextmanager
async def connected(database: Database) -> AsyncIterator[AsyncConnection]:
    """A connection whose transaction changes nothing in the end."""
    async with database.writer.connect() as connection:
        if not database.is_sqlite:
            await connection.execute(select(*(func.set_config(*each, True) for each in PLANNING.items())))
        yield connection
        await connection.rollback()


async def problems(database: Database, who: dict[str, Person], asked: Sequence[Case]) -> list[str]:
    """What is wrong with the plans of these lists for these people."""
    found = []
    async with connected(database) as connection:
        for name, person in who.items():
            seen: set[str] = set()
            for case in asked:
                with captured(database) as sent:
                    async with database.read() as session:
                        await ask(session, person, case)
                asks = [each for each in sent if not each[0].startswith("BEGIN")]
                if len(asks) > MOST[case.path]:
                    found.append(f"{name}: {case.name}: {len(asks)} statements")
                for statement in asks:
                    page = "LIMIT" in statement[0]
                    if not page and "count(" not in statement[0]:
                        # What is shown of a page is the same for all pages of a list.
                        if statement[0] in seen:
                            continue
                        seen.add(statement[0])
                    # Few rows are put in order one by one; of many, an index has each order.
                    ordered = page and case.plain and name != "guest"
                    bad = await scans(connection, statement, ordered=ordered)
                    if bad and not (case.texts and "search_texts" in bad[0]):
                        found.append(f"{name}: {case.name}: {bad[0]}\n  {bad[-1]}\n  {statement[0]}")
    return found


async def test_every_filter_and_order_is_served_by_an_index(data: Data) -> None:
    async with opened(data.url) as database:
        who = {"owner": data.owner, "colleague": data.colleague, "guest": data.guest}
        found = await problems(database, who, cases(data))
        assert not found, "\n".join(found)
