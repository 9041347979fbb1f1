"""Lists against a simple model of them (§2): what each filter and each order finds, alone and together, on every page.

What is in the database is chosen at random from few values, so that there are ties, things shared in several ways at
once, deleted and expired ones. The queries run in each of the forms that they take for few rows, many rows, and many
ways of sharing.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi import Request
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from tests.support.rows import Person, add_colleague, add_person, opened
from workload_api.artifacts.queries import ArtifactFilter, list_artifacts, list_repositories
from workload_api.clock import utc_now
from workload_api.db.engine import Database
from workload_api.db.models import (
    ArtifactRepositoryRow,
    ArtifactRow,
    GroupRow,
    ProtonRow,
    SharedRoleRow,
    TagRow,
    WorkloadRow,
)
from workload_api.db.models.search import holds
from workload_api.domain.ids import new_id
from workload_api.domain.words import SharingRole, values_of
from workload_api.http import listing
from workload_api.http.paging import Paging
from workload_api.identity import sight
from workload_api.identity.rights import RIGHTS_OF_ROLE, Caller
from workload_api.identity.sight import ListedRow
from workload_api.settings import Settings
from workload_api.workloads.queries import WorkloadFilter, list_workloads

SETTINGS = Settings()
ROLES = values_of(SharingRole)
VIEWING = {role for role, rights in RIGHTS_OF_ROLE.items() if "view" in rights}
LONG = "n" * 100
NAMES = ("a", "B", "b", "ä", "Zebra 100%", "z_z", LONG, LONG + "b", LONG + "a", LONG + "aa")
RANKS = {"low": 0, "moderate": 1, "high": 2, "critical": 3}
TABLES: dict[str, type[ListedRow]] = {
    "workloads": WorkloadRow,
    "artifacts": ArtifactRow,
    "repositories": ArtifactRepositoryRow,
}


@dataclass
class Thing:
    """A workload, an artifact or a repository as the model knows it."""

    id: str
    organization: str
    creator: str
    name: str
    type: str
    updated: datetime
    description: str = ""
    status: str = ""
    importance: str = "low"
    artifact: Thing | None = None
    repository: Thing | None = None
    deleted: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    """By who holds them."""

    def seen_by(self, caller: Caller) -> bool:
        """The caller may view it."""
        roles = {self.roles.get(subject) for subject in caller.subjects}
        return self.organization == caller.organization_id and not self.deleted and bool(roles & VIEWING)


@dataclass
class World:
    """What is in the database."""

    callers: list[Caller]
    workloads: list[Thing] = field(default_factory=list)
    artifacts: list[Thing] = field(default_factory=list)
    repositories: list[Thing] = field(default_factory=list)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A fresh database of each kind."""
    async with opened(database_url) as made:
        yield made


async def world(database: Database, chance: random.Random, count: int = 60) -> World:
    """Some organizations, users, groups, and things shared with them."""
    people = [await add_person(database, "ann"), await add_person(database, "eve")]
    people += [await add_colleague(database, people[0], name) for name in ("ben", "cem", "dan")]
    groups = [new_id() for _ in range(3)]
    mine = people[0].caller.organization_id
    made = World(
        [with_groups(person, groups, chance) if person is not people[1] else person.caller for person in people]
    )
    moments = [utc_now() - timedelta(minutes=number) for number in range(4)]

    async with database.write() as session:
        await session.execute(
            insert(GroupRow), [{"id": group, "organization_id": mine, "name": f"g{group}"} for group in groups]
        )

    def thing(**fields: Any) -> Thing:
        caller = chance.choice(made.callers)
        subjects = [each.user_id for each in made.callers] + groups + [mine]
        return Thing(
            id=new_id(),
            organization=caller.organization_id,
            creator=caller.user_id,
            name=chance.choice(NAMES),
            type=chance.choice(("service", "agent")),
            updated=chance.choice(moments),
            deleted=chance.random() < 0.1,
            tags={name: chance.choice("xy") for name in "kl" if chance.random() < 0.4},
            roles={chance.choice(subjects): chance.choice(ROLES) for _ in range(chance.randrange(4))},
            **fields,
        )

    made.repositories = [thing() for _ in range(count // 3)]
    for number in range(count):
        line = chance.choice(made.repositories)
        one = thing(repository=line, status=chance.choice(("draft", "locked")), description=f"says {number % 7} Things")
        one.organization, one.creator, one.type = line.organization, line.creator, line.type
        made.artifacts.append(one)
    for _ in range(count):
        artifact = chance.choice(made.artifacts)
        one = thing(artifact=artifact, status=chance.choice(("running", "stopped", "errored")), description="ab")
        one.organization, one.creator = artifact.organization, artifact.creator
        one.importance = chance.choice(list(RANKS))
        made.workloads.append(one)
    async with database.write() as session:
        await _store(session, made)
    return made


def with_groups(person: Person, groups: list[str], chance: random.Random) -> Caller:
    """A person who is in some of the groups."""
    caller, its = person.caller, tuple(group for group in groups if chance.random() < 0.5)
    return Caller(caller.user_id, caller.organization_id, caller.tenant_id, caller.username, None, "", "", "", its)


async def _store(session: AsyncSession, made: World) -> None:
    def common(one: Thing) -> dict[str, Any]:
        return {
            "id": one.id,
            "organization_id": one.organization,
            "creator_id": one.creator,
            "name": one.name,
            "type": one.type,
            "updated_at": one.updated,
            "deleted_at": utc_now() if one.deleted else None,
        }

    session.add_all(ArtifactRepositoryRow(**common(one)) for one in made.repositories)
    await session.flush()
    for version, one in enumerate(made.artifacts, 1):
        assert one.repository is not None
        locked = one.status == "locked"
        session.add(
            ArtifactRow(
                **common(one),
                repository_id=one.repository.id,
                description=one.description,
                status=one.status,
                version=version if locked else None,
                spec={},
            )
        )
    await session.flush()
    lived_on: set[str] = set()
    for one in made.workloads:
        artifact = one.artifact
        assert artifact is not None
        # A draft backs one living workload: the others on it have expired.
        alive = artifact.status == "draft" and artifact.id not in lived_on and not one.deleted
        lived_on |= {artifact.id} if alive else set()
        session.add(
            WorkloadRow(
                **common(one),
                description=one.description,
                importance=one.importance,
                status=one.status,
                artifact_id=artifact.id,
                draft_artifact_id=artifact.id if alive else None,
                expired_at=utc_now() if artifact.status == "draft" and not alive else None,
                proton_id=one.id,
                runtime={},
            )
        )
    await session.flush()
    for one in made.workloads:
        assert one.artifact is not None
        values = {"workload_id": one.id, "artifact_id": one.artifact.id, "creator_id": one.creator, "name": "p"}
        session.add(ProtonRow(id=one.id, **values, role="active", status="stopped", spec={}, runtime={}))
    for kind, things in (
        ("workload", made.workloads),
        ("artifact", made.artifacts),
        ("artifact_repository", made.repositories),
    ):
        for one in things:
            of = {"resource_type": kind, "resource_id": one.id}
            session.add_all(TagRow(**of, name=name, value=value) for name, value in one.tags.items())
            session.add_all(
                SharedRoleRow(**of, subject_type="user", subject_id=who, role=role) for who, role in one.roles.items()
            )


Asked = dict[str, Any]


def meets(one: Thing, asked: Asked) -> bool:
    """The thing meets the filters."""
    text = "\n".join((one.name, one.description, one.id)).casefold()
    artifact = one.artifact
    tested: dict[str, Callable[[Any], bool]] = {
        "search": lambda value: value.casefold() in text,
        "ids": lambda values: one.id in values,
        "created_by": lambda value: one.creator == value,
        "status": lambda values: one.status in ([values] if isinstance(values, str) else values),
        "importance": lambda values: one.importance in values,
        "artifact_id": lambda value: artifact is not None and artifact.id == value,
        "artifact_status": lambda values: artifact is not None and artifact.status in values,
        "repository_id": lambda value: ((artifact or one).repository or one).id == value,
        "artifact_type": lambda value: one.type == value,
    }
    names, values = asked.get("tag_names"), asked.get("tag_values")
    tagged = any((not names or name in names) and (not values or value in values) for name, value in one.tags.items())
    return all(tested[name](value) for name, value in asked.items() if name in tested) and (
        tagged or not (names or values)
    )


def put_in_order(things: list[Thing], order_by: str | None) -> list[str]:
    """The ids of the things in order."""
    asked = order_by or "-createdAt"
    keys: dict[str, Callable[[Thing], Any]] = {
        "createdAt": lambda one: "",
        "name": lambda one: one.name,
        "updatedAt": lambda one: one.updated,
        "status": lambda one: one.status,
        "importance": lambda one: RANKS[one.importance],
    }
    key = keys[asked.removeprefix("-")]
    ordered = sorted(things, key=lambda one: (key(one), one.id), reverse=asked.startswith("-"))
    return [one.id for one in ordered]


def choices(made: World, path: str, chance: random.Random) -> dict[str, Asked]:
    """A value for each filter of a list."""
    things: list[Thing] = getattr(made, path)

    def some(values: Any, most: int = 2) -> list[Any]:
        return chance.sample(list(values), chance.randint(1, most))

    found: dict[str, Asked] = {
        "search": {"search": chance.choice(("a", "AB", "zebra", "100%", "z_", "things", "3 T", "Ä", LONG + "A", "zz"))},
        "search id": {"search": chance.choice(things).id[-5:]},
        "ids": {"ids": [one.id for one in some(things, 5)]},
        "createdBy": {"created_by": chance.choice(made.callers).user_id},
        "tagKeys": {"tag_names": some("klm")},
        "tagValues": {"tag_values": some("xyz")},
        "tags": {"tag_names": some("kl"), "tag_values": some("xy")},
    }
    if path == "workloads":
        found |= {
            "status": {"status": some(("running", "stopped", "errored", "suspended"))},
            "importance": {"importance": some(RANKS)},
            "artifactId": {"artifact_id": chance.choice(made.workloads[:9]).artifact.id},  # type: ignore[union-attr]
            "artifactStatus": {"artifact_status": some(("draft", "locked"))},
            "repositoryId": {"repository_id": chance.choice(made.repositories).id},
        }
    else:
        found["type"] = {"artifact_type": chance.choice(("service", "agent"))}
    if path == "artifacts":
        found["status"] = {"status": chance.choice(("draft", "locked"))}
        found["repositoryId"] = {"repository_id": chance.choice(made.repositories).id}
    return found


ORDERS = {
    "workloads": ("createdAt", "updatedAt", "name", "status", "importance"),
    "artifacts": ("createdAt", "updatedAt", "name", "status"),
    "repositories": ("createdAt", "updatedAt", "name"),
}


async def ask(
    session: AsyncSession, caller: Caller, path: str, asked: Asked, order_by: str | None, offset: int, limit: int
) -> tuple[list[str], int]:
    """The ids of a page and how many there are in all, as the API finds them."""
    paging = Paging(Request({"type": "http"}), offset, limit)
    if path == "workloads":
        workloads, total = await list_workloads(session, caller, WorkloadFilter(**asked), order_by, paging, SETTINGS)
        return [view.workload.id for view in workloads], total
    wanted = ArtifactFilter(**asked)
    if path == "artifacts":
        artifacts, total = await list_artifacts(session, caller, wanted, order_by, paging)
        return [view.artifact.id for view in artifacts], total
    repositories, total = await list_repositories(session, caller, wanted, order_by, paging)
    return [view.repository.id for view in repositories], total


async def compare(
    session: AsyncSession, made: World, caller: Caller, path: str, asked: Asked, order: str | None
) -> int:
    """Walk through all pages, and hold them against the model; how many rows there are."""
    things = [one for one in getattr(made, path) if one.seen_by(caller) and meets(one, asked)]
    wanted, limit, found = put_in_order(things, order), 11, []
    for offset in range(0, len(wanted) + 1, limit):
        page, total = await ask(session, caller, path, asked, order, offset, limit)
        assert total == len(wanted), (path, asked, order)
        found += page
    assert found == wanted, (path, asked, order)
    return len(wanted)


@pytest.mark.parametrize("form", ["few", "many", "unnamed"])
async def test_each_filter_and_order_finds_what_the_model_does(
    database: Database, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each alone, and many combinations; for users who see by several roles at once."""
    if form != "few":
        monkeypatch.setattr(sight, "FEW", -1)
        monkeypatch.setattr(listing, "DEEP", 5)
    if form == "many":
        monkeypatch.setattr(listing, "DENSE", 0)
    if form == "unnamed":
        monkeypatch.setattr(sight, "_NAMED", 0)
    chance = random.Random("lists")
    made = await world(database, chance)
    found: Counter[str] = Counter()
    async with database.read() as session:
        for path, orders in ORDERS.items():
            for caller in made.callers:
                await compare(session, made, caller, path, {}, None)
                for key in orders:
                    for sign in ("", "-"):
                        found[f"{path} {key}"] += await compare(session, made, caller, path, {}, sign + key)
                for name, alone in [*choices(made, path, chance).items(), *choices(made, path, chance).items()]:
                    found[f"{path} {name}"] += await compare(session, made, caller, path, alone, None)
        for _ in range(150):
            path = chance.choice(list(ORDERS))
            filters, orders = choices(made, path, chance), ORDERS[path]
            asked: Asked = {}
            for name in chance.sample(list(filters), chance.randint(1, 3)):
                asked |= filters[name]
            order: str | None = chance.choice((None, *orders, *(f"-{each}" for each in orders)))
            await compare(session, made, chance.choice(made.callers), path, asked, order)
    assert all(found.values()), found


async def test_short_terms_leave_the_index_of_trigrams_alone(postgresql_url: str) -> None:
    """It has no entry for one or two letters: all of it would be read, and then all texts as well."""
    async with opened(postgresql_url) as database, database.read() as session:
        connection = await session.connection()
        # Leave PostgreSQL no other way that is cheap, so that it takes this index wherever it can.
        for way in ("seqscan", "indexscan", "indexonlyscan"):
            await session.execute(select(func.set_config(f"enable_{way}", "off", True)))
        for term, indexed in (("qqq", True), ("qq", False), ("q", False)):
            statement = select(WorkloadRow.id).where(holds(term, "workload", WorkloadRow.id))
            written = statement.compile(connection.sync_connection, compile_kwargs={"literal_binds": True})
            plan = (await connection.exec_driver_sql(f"EXPLAIN {written}")).scalars().all()
            assert any("search_index" in step for step in plan) is indexed, (term, plan)
