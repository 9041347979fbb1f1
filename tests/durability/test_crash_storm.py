"""``kill -9`` of the server in the middle of a storm of promotes: each is wholly there, or not at all (§5)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from sqlalchemy import delete, text, update

from tests.durability.checker import check_promotes
from tests.support.many import add_drafts
from tests.support.rows import add_person, opened
from tests.support.server import ServerProcess
from tests.support.waiting import until
from workload_api.db.engine import Database
from workload_api.db.models import ArtifactRow, EventRow, ReplacementRow, WorkloadRow
from workload_api.identity.rights import Caller
from workload_api.workloads.promote import promote

ROUNDS = 20
DRAFTS = 48
CLIENTS = 12


async def _alone(database: Database) -> None:
    """On PostgreSQL the server's backends outlive it by a moment, and may be committing."""
    if database.is_sqlite:
        return
    others = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )

    async def none_left() -> bool:
        async with database.read() as session:
            return not await session.scalar(others)

    await until(none_left, what="the killed server's connections have ended")


async def _storm(server: ServerProcess, token: str, workload_ids: list[str], kill_after: int) -> set[str]:
    """Promote all, killing the server once that many have been answered; returns those answered with 202."""
    answered: set[str] = set()
    queue = list(reversed(workload_ids))

    async def send(client: httpx.AsyncClient) -> None:
        while queue:
            workload_id = queue.pop()
            answer = await client.post(f"/workloads/{workload_id}/promote")
            assert answer.status_code == 202, answer.text
            answered.add(workload_id)
            if len(answered) == kill_after:
                server.process.kill()

    async with server.client(token=token) as client:
        outcomes = await asyncio.gather(*(send(client) for _ in range(CLIENTS)), return_exceptions=True)
    for outcome in outcomes:
        assert outcome is None or isinstance(outcome, httpx.TransportError), outcome
    server.process.wait(10)
    return answered


@pytest.mark.timeout(300)
async def test_a_killed_server_leaves_every_promote_whole(database_url: str, tmp_path: Path) -> None:
    """Twenty rounds, each killed after another number of answers; half of the drafts share a repository."""
    before = after = unanswered = 0
    async with opened(database_url) as database:
        person = await add_person(database)
        # Without a controller: these drafts have no replicas, and nobody is to look for them.
        server = ServerProcess(tmp_path, database_url=database_url, settings={"CONTROLLER": "false"})
        try:
            for number in range(ROUNDS):
                drafts = await add_drafts(database, person, DRAFTS, repositories=4)
                ids = [draft.workload_id for draft in drafts]
                await asyncio.to_thread(server.start)
                answered = await _storm(server, person.token, ids, kill_after=2 + 2 * number)
                await _alone(database)
                found = await check_promotes(database, ids)
                assert found.violations == []
                assert answered <= found.after, "answered with 202, and lost"
                before += len(found.before)
                after += len(found.after)
                unanswered += len(found.after - answered)
        finally:
            server.close()
    assert before and after, "the kill never came in the middle of a storm"
    print(f"{before} before, {after} after, of which {unanswered} without an answer")


async def test_the_checker_sees_each_kind_of_damage(sqlite_url: str) -> None:
    """A checker that finds nothing where something is wrong would prove nothing."""
    damages = {
        "the TTL is gone": update(WorkloadRow).values(
            expires_at=WorkloadRow.created_at, draft_artifact_id=WorkloadRow.artifact_id
        ),
        "the draft's place is free": update(WorkloadRow).values(draft_artifact_id=WorkloadRow.artifact_id),
        "the statistics began anew": update(WorkloadRow).values(statistics_epoch=0),
        "the statistics' beginning moved": update(WorkloadRow).values(statistics_since=WorkloadRow.created_at),
        "the history has one entry": delete(ReplacementRow),
        "the event names the version": delete(EventRow),
        "has the versions [2]": update(ArtifactRow).values(version=2),
        "but not so: the history is not empty": update(ArtifactRow).values(status="draft", version=None),
    }
    async with opened(sqlite_url) as database:
        person = await add_person(database)
        for complaint, damage in damages.items():
            (draft,) = await add_drafts(database, person, 1)
            await _promote(database, person.caller, draft.workload_id)
            assert (await check_promotes(database, [draft.workload_id])).violations == []
            async with database.write() as session:
                await session.execute(damage)
            found = await check_promotes(database, [draft.workload_id])
            assert any(complaint in violation for violation in found.violations), (complaint, found.violations)
            async with database.write() as session:
                for table in (EventRow, ReplacementRow, WorkloadRow, ArtifactRow):
                    await session.execute(delete(table))
                await session.execute(text("DELETE FROM artifact_repositories"))


async def _promote(database: Database, caller: Caller, workload_id: str) -> None:
    async with database.write() as session:
        await promote(session, caller, workload_id)
