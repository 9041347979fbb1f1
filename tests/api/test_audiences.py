"""What lists count and show by audiences is what the roles say, whatever happened, and in whatever order.

A plain model in Python looks at every resource and every role; the lists, which look at neither, must say the same.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import pytest
from fastapi import Request
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from tests.support.postgresql import run
from tests.support.rows import Person, add_colleague, add_person, opened
from workload_api.artifacts.queries import ArtifactFilter, list_artifacts, list_repositories
from workload_api.artifacts.service import ArtifactContent, create_artifact, delete_artifact, delete_repository
from workload_api.controller.reap import reap
from workload_api.controller.retain import retain
from workload_api.db.audiences import add_up
from workload_api.db.engine import Database
from workload_api.db.models import (
    ArtifactRepositoryRow,
    ArtifactRow,
    AudienceCountRow,
    AudienceRow,
    GroupMemberRow,
    GroupRow,
    OrganizationRow,
    ProtonRow,
    SharedRoleRow,
    WorkloadRow,
)
from workload_api.db.types import database_now
from workload_api.domain.errors import DomainError, TryAgain
from workload_api.domain.ids import new_id
from workload_api.domain.words import ArtifactStatus, ResourceType
from workload_api.http.paging import Paging
from workload_api.identity.groups import delete_group, join_group, leave_group
from workload_api.identity.rights import RIGHTS_OF_ROLE, Caller
from workload_api.settings import Settings
from workload_api.sharing.service import Grant, update_roles
from workload_api.workloads.promote import promote
from workload_api.workloads.queries import WorkloadFilter, list_workloads
from workload_api.workloads.service import WorkloadContent, create_workload, delete_workload

SPEC = {"containerGroups": [{"name": "default", "containers": [{"imageUri": "example.test/idle:1", "port": 8080}]}]}
CONTENT = ArtifactContent("made", "", "service", SPEC)
SETTINGS = Settings.model_validate({"terminated_retention": "1ms"})
ROLES = ("OWNER", "READ_ONLY", "CONSUMER", "USER", "NO_ROLE")
TABLES: dict[ResourceType, type[WorkloadRow] | type[ArtifactRow] | type[ArtifactRepositoryRow]] = {
    "workload": WorkloadRow,
    "artifact": ArtifactRow,
    "artifact_repository": ArtifactRepositoryRow,
}
ALL = Paging(Request({"type": "http"}), 0, 1000)

Numbers = tuple[int, int, int]


@dataclass
class World:
    """An organization with four users and two groups."""

    database: Database
    people: list[Person]
    groups: list[str] = field(default_factory=list)
    """Their names; the first one stands for both name and organization."""

    @property
    def owner(self) -> Caller:
        """Who makes everything."""
        return self.people[0].caller

    async def ids(self, kind: ResourceType) -> list[str]:
        """Everything of a kind that is not deleted."""
        table = TABLES[kind]
        async with self.database.read() as session:
            there = select(table.id).where(
                table.organization_id == self.owner.organization_id, table.deleted_at.is_(None)
            )
            return list((await session.scalars(there.order_by(table.id))).all())

    async def organization(self) -> str:
        """The organization's name."""
        async with self.database.read() as session:
            row = await session.get_one(OrganizationRow, self.owner.organization_id)
            return row.name

    async def caller(self, person: Person) -> Caller:
        """A person as its token tells at this moment."""
        async with self.database.read() as session:
            joined = select(GroupMemberRow.group_id).where(GroupMemberRow.user_id == person.caller.user_id)
            groups = tuple((await session.scalars(joined)).all())
        known = {name: getattr(person.caller, name) for name in Caller.__slots__}
        return Caller(**{**known, "group_ids": groups})


async def new_world(database: Database) -> World:
    """A fresh organization."""
    owner = await add_person(database, f"owner {new_id()}")
    others = [await add_colleague(database, owner, f"other {new_id()}") for _ in range(3)]
    world = World(database, [owner, *others])
    async with database.write() as session:
        for number in range(2):
            group = GroupRow(organization_id=owner.caller.organization_id, name=f"group {number}")
            session.add(group)
            await session.flush()
            world.groups.append(group.name)
            session.add(GroupMemberRow(group_id=group.id, user_id=others[number].caller.user_id))
    return world


# What may happen; each takes numbers that choose among what is there.


async def make_workload(world: World, numbers: Numbers) -> None:
    drafts: list[str] = []
    if numbers[0] % 3 == 0:  # often in use, and refused
        drafts = await world.ids("artifact")
    async with world.database.write() as session:
        artifact_id = drafts[numbers[1] % len(drafts)] if drafts else None
        content = WorkloadContent("made", None, "low", {}, None if artifact_id else CONTENT, artifact_id=artifact_id)
        await create_workload(session, world.owner, content, SETTINGS)


async def make_artifact(world: World, numbers: Numbers) -> None:
    lines = await world.ids("artifact_repository") if numbers[0] % 2 else []
    async with world.database.write() as session:
        line = lines[numbers[1] % len(lines)] if lines else None
        status: ArtifactStatus = "locked" if numbers[2] % 3 == 0 else "draft"
        await create_artifact(session, world.owner, CONTENT, status=status, repository_id=line)


async def share(world: World, numbers: Numbers) -> None:
    kind = tuple(TABLES)[numbers[0] % 3]
    ids = await world.ids(kind)
    if not ids:
        return
    role = ROLES[numbers[1] % len(ROLES)]
    async with world.database.read() as session:
        groups = select(GroupRow.id).where(GroupRow.organization_id == world.owner.organization_id)
        group_ids = (await session.scalars(groups.order_by(GroupRow.id))).all()
    recipients = [
        *(("user", person.caller.user_id) for person in world.people[1:]),
        *(("group", each) for each in group_ids),
        ("organization", world.owner.organization_id),
    ]
    to, subject_id = recipients[numbers[2] % len(recipients)]
    async with world.database.write() as session:
        grant = Grant(to, role, id=subject_id)  # type: ignore[arg-type]  # of the words above
        await update_roles(session, world.owner, kind, ids[numbers[2] // 7 % len(ids)], [grant])


async def join_or_leave(world: World, numbers: Numbers) -> None:
    name, person = world.groups[numbers[0] % 2], world.people[1 + numbers[1] % 3].caller.username
    async with world.database.write() as session:
        change = join_group if numbers[2] % 2 else leave_group
        await change(session, name, await world.organization(), person)


async def remove_group(world: World, numbers: Numbers) -> None:
    async with world.database.write() as session:
        await delete_group(session, world.groups[numbers[0] % 2], await world.organization())


async def remove(world: World, numbers: Numbers) -> None:
    kind = tuple(TABLES)[numbers[0] % 3]
    ids = await world.ids(kind)
    if not ids:
        return
    chosen = ids[numbers[1] % len(ids)]
    async with world.database.write() as session:
        if kind == "workload":
            await delete_workload(session, world.owner, chosen)
        elif kind == "artifact":
            await delete_artifact(session, world.owner, chosen)
        else:
            await delete_repository(session, world.owner, chosen)


async def promote_one(world: World, numbers: Numbers) -> None:
    ids = await world.ids("workload")
    if ids:
        chosen = ids[numbers[0] % len(ids)]
        async with world.database.write() as session:
            await session.execute(update(WorkloadRow).where(WorkloadRow.id == chosen).values(status="running"))
            await promote(session, world.owner, chosen)


async def switch_one(world: World, numbers: Numbers) -> None:
    """Put a workload on a locked artifact, as the switch of a replacement does."""
    ids = await world.ids("workload")
    locked = select(ArtifactRow.id).where(
        ArtifactRow.organization_id == world.owner.organization_id, ArtifactRow.status == "locked"
    )
    async with world.database.write() as session:
        artifacts = (await session.scalars(locked.order_by(ArtifactRow.id))).all()
        if ids and artifacts:
            values = {"artifact_id": artifacts[numbers[1] % len(artifacts)], "draft_artifact_id": None}
            change = update(WorkloadRow).where(WorkloadRow.id == ids[numbers[0] % len(ids)])
            await session.execute(change.values(**values, expires_at=None))


async def expire_one(world: World, numbers: Numbers) -> None:
    ids = await world.ids("workload")
    if ids:
        async with world.database.write() as session:
            due = update(WorkloadRow).where(
                WorkloadRow.id == ids[numbers[0] % len(ids)], WorkloadRow.draft_artifact_id.is_not(None)
            )
            await session.execute(due.values(expires_at=database_now()))
    await reap(world.database)


async def clear_away(world: World, _numbers: Numbers) -> None:
    async with world.database.write() as session:
        over = select(WorkloadRow.id).where(WorkloadRow.deleted_at.is_not(None) | WorkloadRow.expired_at.is_not(None))
        ended = update(ProtonRow).where(ProtonRow.workload_id.in_(over)).values(status="terminated")
        await session.execute(ended.execution_options(synchronize_session=False))
    await retain(world.database, SETTINGS)


Act = Callable[[World, Numbers], Awaitable[None]]
ACTS: tuple[Act, ...] = (
    *(make_workload, make_workload, make_artifact, share, share, share, share),
    *(join_or_leave, remove, promote_one, switch_one, expire_one, clear_away, remove_group),
)


async def act(world: World, number: int, numbers: Numbers) -> str:
    """Let something happen, if the rules allow it; what came of it."""
    chosen = ACTS[number % len(ACTS)]
    try:
        await chosen(world, numbers)
    except TryAgain:
        raise  # A deadlock, say: not a rule.
    except DomainError as error:
        return f"{chosen.__name__}: {error.code}"
    return chosen.__name__


async def compare(world: World) -> None:
    """See that every list of everybody is what the roles say."""
    async with world.database.read() as session:
        for person in world.people:
            caller = await world.caller(person)
            for kind in TABLES:
                expected = await seen_by(session, caller, kind)
                shown, total = await listed(session, caller, kind)
                assert sorted(shown) == sorted(expected), (kind, person.caller.username)
                assert total == len(expected), (kind, person.caller.username)
            await compare_filters(session, caller)


async def seen_by(session: AsyncSession, caller: Caller, kind: ResourceType) -> set[str]:
    """The model: look at each resource and each role."""
    table = TABLES[kind]
    there = (
        await session.scalars(
            select(table.id).where(table.organization_id == caller.organization_id, table.deleted_at.is_(None))
        )
    ).all()
    roles = (
        await session.execute(select(SharedRoleRow.resource_id, SharedRoleRow.subject_id, SharedRoleRow.role))
    ).all()
    viewed = {each for each, subject, role in roles if subject in caller.subjects and "view" in RIGHTS_OF_ROLE[role]}
    return viewed & set(there)


async def listed(session: AsyncSession, caller: Caller, kind: ResourceType) -> tuple[list[str], int]:
    """What a list shows, and how many it says there are."""
    if kind == "workload":
        views, total = await list_workloads(session, caller, WorkloadFilter(), None, ALL, SETTINGS)
        return [view.workload.id for view in views], total
    if kind == "artifact":
        artifacts, total = await list_artifacts(session, caller, ArtifactFilter(), None, ALL)
        return [view.artifact.id for view in artifacts], total
    repositories, total = await list_repositories(session, caller, ArtifactFilter(), None, ALL)
    return [view.repository.id for view in repositories], total


async def compare_filters(session: AsyncSession, caller: Caller) -> None:
    """See that filters by a workload's artifact follow what became of it."""
    seen = await seen_by(session, caller, "workload")
    columns = select(WorkloadRow.id, ArtifactRow.id, ArtifactRow.status, ArtifactRow.repository_id)
    rows = (await session.execute(columns.join(ArtifactRow, ArtifactRow.id == WorkloadRow.artifact_id))).all()
    mine = [row for row in rows if row[0] in seen]

    async def check(wanted: WorkloadFilter, expected: Iterable[str]) -> None:
        views, total = await list_workloads(session, caller, wanted, "name", ALL, SETTINGS)
        assert sorted(view.workload.id for view in views) == sorted(expected), wanted
        assert total == len(views), wanted

    for status in ("draft", "locked"):
        await check(WorkloadFilter(artifact_status=[status]), [row[0] for row in mine if row[2] == status])
    for _, artifact_id, _, repository_id in mine[:2]:
        await check(WorkloadFilter(artifact_id=artifact_id), [row[0] for row in mine if row[1] == artifact_id])
        await check(WorkloadFilter(repository_id=repository_id), [row[0] for row in mine if row[3] == repository_id])


number = st.integers(0, 1000)


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(steps=st.lists(st.tuples(number, st.tuples(number, number, number)), min_size=15, max_size=30))
def test_lists_are_what_the_roles_say(database_url: str, steps: list[tuple[int, Numbers]]) -> None:
    async def all_steps() -> None:
        async with opened(database_url) as database:
            world = await new_world(database)
            for chosen, numbers in steps:
                await act(world, chosen, numbers)
                await compare(world)

    run(all_steps())


async def test_who_sees_what(database_url: str) -> None:
    async with opened(database_url) as database:
        world = await new_world(database)
        owner, friend, member, stranger = world.people
        async with database.write() as session:
            content = WorkloadContent("made", None, "low", {}, CONTENT)
            workload_id = await create_workload(session, owner.caller, content, SETTINGS)
        async with database.read() as session:
            group_id = await session.scalar(
                select(GroupMemberRow.group_id).where(GroupMemberRow.user_id == member.caller.user_id)
            )
        assert group_id is not None

        async def give(**roles: str) -> dict[str, int]:
            """Give roles; how many workloads each of the four counts then."""
            subjects = {
                "friend": ("user", friend.caller.user_id),
                "group": ("group", group_id),
                "organization": ("organization", owner.caller.organization_id),
                "member": ("user", member.caller.user_id),
            }
            grants = [Grant(subjects[name][0], role, id=subjects[name][1]) for name, role in roles.items()]  # type: ignore[arg-type]
            async with database.write() as session:
                await update_roles(session, owner.caller, "workload", workload_id, grants)
            return await counts()

        async def counts() -> dict[str, int]:
            found = {}
            for name, person in zip("ofms", world.people, strict=True):
                async with database.read() as session:
                    found[name] = (await listed(session, await world.caller(person), "workload"))[1]
            return found

        assert await counts() == {"o": 1, "f": 0, "m": 0, "s": 0}
        assert await give(friend="READ_ONLY") == {"o": 1, "f": 1, "m": 0, "s": 0}
        assert await give(group="OBSERVER", member="USER") == {"o": 1, "f": 1, "m": 1, "s": 0}  # by two roles, once
        assert await give(member="NO_ROLE") == {"o": 1, "f": 1, "m": 1, "s": 0}
        assert await give(friend="CONSUMER") == {"o": 1, "f": 0, "m": 1, "s": 0}  # may invoke, not view
        async with database.write() as session:
            await leave_group(session, "group 1", await world.organization(), member.caller.username)
        assert await counts() == {"o": 1, "f": 0, "m": 0, "s": 0}
        async with database.write() as session:
            await join_group(session, "group 1", await world.organization(), stranger.caller.username)
        assert await counts() == {"o": 1, "f": 0, "m": 0, "s": 1}
        async with database.write() as session:
            await delete_group(session, "group 1", await world.organization())
        assert await counts() == {"o": 1, "f": 0, "m": 0, "s": 0}
        assert await give(organization="READ_ONLY") == {"o": 1, "f": 1, "m": 1, "s": 1}
        async with database.write() as session:
            await delete_workload(session, owner.caller, workload_id)
        assert await counts() == {"o": 0, "f": 0, "m": 0, "s": 0}


async def test_counts_are_added_up_and_unused_audiences_forgotten(database_url: str) -> None:
    async with opened(database_url) as database:
        world = await new_world(database)
        for turn in range(12):
            await make_workload(world, (1, turn, turn))
            await share(world, (0, 1, 2 + 7 * turn))
        await compare(world)
        async with database.write() as session:
            assert await add_up(session, 5) == 5  # a part; readers see the same
        await compare(world)
        # As many audiences as one call takes rows, each of which comes once in that many: it ends all the same.
        async with database.write() as session:
            ids = (await session.scalars(select(AudienceRow.id))).all()
            for amount in (2, 3, -5):
                await session.execute(insert(AudienceCountRow), [{"audience_id": id_, "amount": amount} for id_ in ids])
        rounds = 0
        full = True
        while full:
            rounds += 1
            assert rounds < 20
            async with database.write() as session:
                full = await add_up(session, len(ids)) == len(ids)
        await compare(world)
        await retain(database, SETTINGS)
        await compare(world)
        async with database.read() as session:
            several = select(AudienceCountRow.audience_id).group_by(AudienceCountRow.audience_id)
            assert not (await session.scalars(several.having(func.count() > 1))).all()
            seen = select(WorkloadRow.audience_id).where(WorkloadRow.audience_id.is_not(None))
            used = set((await session.scalars(seen)).all())
            kept = set(
                (await session.scalars(select(AudienceRow.id).where(AudienceRow.resource_type == "workload"))).all()
            )
        assert kept == used


async def test_many_at_once(database_url: str) -> None:
    """Creations, changes of roles on the same few resources, deletions, and the clearing away, over two pools."""
    chance = random.Random(7)
    async with opened(database_url) as database, opened(database_url) as another:
        world = await new_world(database)
        twin = World(another, world.people, world.groups)
        for turn in range(4):
            await make_workload(world, (1, turn, turn))

        async def one(of: World) -> list[str]:
            # Mostly roles of the first few: rivals for the same rows.
            acts = (share, share, share, make_workload, make_artifact, remove, promote_one, clear_away, join_or_leave)
            told = []
            for _ in range(15):
                numbers = (chance.randrange(1000), chance.randrange(1000), chance.randrange(40))
                told.append(await act(of, ACTS.index(chance.choice(acts)), numbers))
            return told

        told = await asyncio.gather(*(one(of) for of in (world, twin) * 3))
        happened = Counter(each for several in told for each in several)
        assert happened["share"] > 10 and happened["make_workload"] > 5, happened
        await compare(world)


async def test_first_of_their_kind_at_once(database_url: str) -> None:
    """Many create for the first time together: all need an audience that is not there yet."""
    async with opened(database_url) as database, opened(database_url) as another:
        world = await new_world(database)
        worlds = (world, World(another, world.people, world.groups))
        told = await asyncio.gather(
            *(act(worlds[n % 2], ACTS.index((make_workload, make_artifact)[n % 2]), (2, 0, n)) for n in range(16))
        )
        assert set(told) == {"make_workload", "make_artifact"}
        await compare(world)
        async with database.read() as session:
            signatures = select(func.count(), func.count(AudienceRow.signature.distinct())).where(
                AudienceRow.organization_id == world.owner.organization_id
            )
            assert (await session.execute(signatures)).one() == (3, 3)


async def test_a_group_is_deleted_while_its_roles_change(database_url: str) -> None:
    async with opened(database_url) as database, opened(database_url) as another:
        world = await new_world(database)
        for turn in range(5):
            await make_workload(world, (1, turn, turn))
        ids = await world.ids("workload")
        organization = await world.organization()
        for name in world.groups:
            async with database.write() as session:
                group_id = await session.scalar(
                    select(GroupRow.id).where(
                        GroupRow.name == name, GroupRow.organization_id == world.owner.organization_id
                    )
                )
                for each in ids:
                    await update_roles(session, world.owner, "workload", each, [Grant("group", "USER", id=group_id)])

            async def change(workload_id: str, group_id: str | None = group_id) -> str:
                try:
                    async with another.write() as session:
                        grants = [Grant("group", "READ_ONLY", id=group_id)]
                        await update_roles(session, world.owner, "workload", workload_id, grants)
                except TryAgain:
                    raise
                except DomainError as error:
                    return str(error.code)
                return "changed"

            async def leave(name: str = name) -> str:
                async with database.write() as session:
                    await delete_group(session, name, organization)
                return "deleted"

            told = await asyncio.gather(
                *(change(each) for each in ids[:3]), leave(), *(change(each) for each in ids[3:])
            )
            assert told.count("deleted") == 1
            await compare(world)


async def test_the_model_notices_what_triggers_miss(database_url: str) -> None:
    """The comparison is worth something: without a trigger it fails."""
    async with opened(database_url) as database:
        world = await new_world(database)
        await make_workload(world, (1, 0, 0))
        await compare(world)
        async with database.write() as session:
            on = "" if database.is_sqlite else " ON shared_roles"
            names = ("workloads_shared", "workloads_reshared") if database.is_sqlite else ("shared_roles_insert",)
            for name in names:
                await session.execute(text(f"DROP TRIGGER {name}{on}"))
        await share(world, (0, 1, 0))
        with pytest.raises(AssertionError):
            await compare(world)
