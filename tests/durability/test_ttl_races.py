"""Any number of reapers, and reapers against everybody else: each expiry happens once, or not at all (§4)."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select

from tests.durability.test_promote_races import Act, delete, lock_artifact, patch_workload, stop
from tests.support.many import add_drafts
from tests.support.rows import Ids, add_person, opened
from tests.support.server import ServerProcess
from tests.support.waiting import until
from workload_api.db.engine import Database
from workload_api.db.models import ArtifactRow, EventRow, ReplacementRow, WorkloadRow
from workload_api.db.types import database_now

REAPING = {"REAP_INTERVAL": "0.02s", "RECONCILE_INTERVAL": "1h"}
"""The reaper ticks, and nothing looks for the replicas that these drafts do not have."""


@dataclass(frozen=True)
class Standing:
    """What became of a draft."""

    status: str
    expired: bool
    """Its time ran out."""
    due: bool
    """It still can."""
    deleted: bool
    locked: bool
    events: int
    """How often it was said that its time ran out."""
    promotes: int


async def standing(database: Database, drafts: Collection[Ids]) -> dict[str, Standing]:
    """What became of these drafts, by the workload's id."""
    events = (
        select(func.count())
        .where(EventRow.workload_id == WorkloadRow.id, EventRow.event_type == "workload.expired")
        .scalar_subquery()
    )
    promotes = select(func.count()).where(ReplacementRow.workload_id == WorkloadRow.id).scalar_subquery()
    statement = (
        select(WorkloadRow, ArtifactRow.status, events, promotes)
        .join(ArtifactRow, ArtifactRow.id == WorkloadRow.artifact_id)
        .where(WorkloadRow.id.in_([draft.workload_id for draft in drafts]))
    )
    async with database.read() as session:
        rows = (await session.execute(statement)).all()
    return {
        workload.id: Standing(
            workload.status,
            workload.expired_at is not None,
            workload.expires_at is not None,
            workload.deleted_at is not None,
            artifact_status == "locked",
            told,
            promoted,
        )
        for workload, artifact_status, told, promoted in rows
    }


async def none_due(database: Database, drafts: Collection[Ids]) -> None:
    """Wait until each of these drafts has ended or got rid of its time."""
    ids = [draft.workload_id for draft in drafts]
    due = select(func.count()).where(WorkloadRow.id.in_(ids), WorkloadRow.expires_at < database_now())

    async def none() -> bool:
        async with database.read() as session:
            return not await session.scalar(due)

    await until(none, timeout=60, what="no draft is due")


def reapers(stack: ExitStack, directory: Path, database_url: str, count: int) -> list[ServerProcess]:
    """Server processes that reap all the time."""
    servers = [
        ServerProcess(
            directory,
            database_url=database_url,
            settings=REAPING,
            token="the-same-token-for-all",
            data_dir=directory / f"data-{number}",
            name=f"reaper-{number}",
        )
        for number in range(count)
    ]
    for server in servers:
        stack.callback(server.close)
        server.launch()
    for server in servers:
        server.wait_until_answering()
    return servers


@pytest.mark.timeout(240)
async def test_four_processes_end_ten_thousand_drafts_once_each(postgresql_url: str, tmp_path: Path) -> None:
    """Each gets exactly one event, whichever of the processes came to it; no tick fails."""
    count = 10_000
    with ExitStack() as stack:
        servers = reapers(stack, tmp_path, postgresql_url, 4)
        async with opened(postgresql_url) as database:
            person = await add_person(database)
            began = time.monotonic()
            await add_drafts(database, person, count, repositories=100, expires_at=database_now(timedelta(seconds=-1)))
            added = time.monotonic()
            due = select(func.count()).where(WorkloadRow.expires_at.is_not(None))

            async def none() -> bool:
                async with database.read() as session:
                    return not await session.scalar(due)

            await until(none, timeout=120)
            took = time.monotonic() - added
            async with database.read() as session:
                ended = await session.scalar(select(func.count()).where(WorkloadRow.expired_at.is_not(None)))
                expired = EventRow.event_type == "workload.expired"
                events = await session.scalar(select(func.count()).where(expired))
                told = await session.scalar(select(func.count(EventRow.workload_id.distinct())).where(expired))
        assert (ended, events, told) == (count, count, count)
        shares = [server.log.count("workload_expired") for server in servers]
        assert sum(shares) == count
        assert not any("tick_failed" in server.log for server in servers)
    print(f"added in {added - began:.1f} s, ended in {took:.1f} s by processes in shares of {shares}")


async def start(client: httpx.AsyncClient, draft: Ids) -> httpx.Response:
    return await client.post(f"/workloads/{draft.workload_id}/start")


async def change_settings(client: httpx.AsyncClient, draft: Ids) -> httpx.Response:
    return await client.patch(f"/workloads/{draft.workload_id}/settings", json={"runtime": {}})


async def promote(client: httpx.AsyncClient, draft: Ids) -> httpx.Response:
    return await client.post(f"/workloads/{draft.workload_id}/promote")


async def race(
    database: Database, servers: list[ServerProcess], act: Act, rounds: int, *, status: str = "running"
) -> Counter[tuple[int, Standing]]:
    """An act against the reaper, on drafts whose time runs out about when the act arrives.

    Returns:
        How often each answer came together with each state afterwards.
    """
    batch = 50
    person = await add_person(database, f"racer {uuid4()}")
    clients = itertools.cycle([server.client(token=person.token, timeout=60) for server in servers])
    outcomes: Counter[tuple[int, Standing]] = Counter()
    # A batch takes the servers some time: the moment is chosen so that it falls into that, early and late by turns.
    length = timedelta(milliseconds=100)
    for number in range(rounds // batch):
        share = (0.1, 0.3, 0.5, 0.7)[number % 4]
        drafts = await add_drafts(
            database, person, batch, repositories=5, status=status, expires_at=database_now(length * share)
        )
        began = time.monotonic()
        answers = await asyncio.gather(*(act(next(clients), draft) for draft in drafts))
        length = timedelta(seconds=time.monotonic() - began)
        await none_due(database, drafts)
        found = await standing(database, drafts)
        for draft, answer in zip(drafts, answers, strict=True):
            assert answer.status_code < 500, answer.text
            outcomes[answer.status_code, found[draft.workload_id]] += 1
    assert not any("tick_failed" in server.log for server in servers)
    for (_, state), times in outcomes.items():
        assert state.events == int(state.expired), (state, times)
    return outcomes


@pytest.mark.timeout(240)
async def test_promote_against_the_reaper(database_url: str, tmp_path: Path) -> None:
    """A thousand races: locked by promote, or ended; never both, never neither."""
    with ExitStack() as stack:
        servers = reapers(stack, tmp_path, database_url, 1 if database_url.startswith("sqlite") else 2)
        async with opened(database_url) as database:
            outcomes = await race(database, servers, promote, 1000)
    promoted = sum(times for (code, _), times in outcomes.items() if code == 202)
    for code, state in outcomes:
        if code == 202:
            assert state == Standing("running", False, False, False, locked=True, events=0, promotes=1)
        else:
            assert code == 422
            assert state == Standing("stopping", True, False, False, locked=False, events=1, promotes=0)
    print(f"{promoted} promoted, {outcomes.total() - promoted} ended")
    assert 0 < promoted < outcomes.total(), "one side always won: nothing was raced"


async def test_others_against_the_reaper(database_url: str, tmp_path: Path) -> None:
    """Whatever meets the end of a draft's time ends as if one had come wholly before the other."""
    with ExitStack() as stack:
        servers = reapers(stack, tmp_path, database_url, 1 if database_url.startswith("sqlite") else 2)
        async with opened(database_url) as database:
            for code, state in await race(database, servers, patch_workload, 100):
                assert (code, state.expired) == (200, True)
            for code, state in await race(database, servers, lock_artifact, 100):
                # Ended and locked is lawful: the artifact outlives the workload that lived on it.
                assert (code, state.locked, state.promotes, state.due) == (200, True, 0, False)
                assert state.status == ("stopping" if state.expired else "running")
            for code, state in await race(database, servers, stop, 100):
                assert (code, state.expired, state.status) == (202, True, "stopping")
            for code, state in await race(database, servers, delete, 100):
                assert (code, state.deleted, state.due) == (204, True, False)
            for code, state in await race(database, servers, change_settings, 100):
                # An ended workload has no active proton; one that is being replaced ends all the same.
                assert (code in (202, 422), state.expired, state.status, state.due) == (True, True, "stopping", False)
            for code, state in await race(database, servers, start, 100, status="stopped"):
                if code == 202:
                    assert (state.expired, state.due, state.status) == (False, True, "submitted")
                else:
                    assert (code, state.expired, state.status) == (409, True, "terminated")
