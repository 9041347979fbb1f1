"""What is cleared away, and what is not (§4, §6)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from tests.api.support import read
from tests.support.rows import add_person, add_workload, opened
from tests.support.server import ServerProcess
from workload_api.controller.retain import retain
from workload_api.db.models import ProtonRow
from workload_api.db.types import database_now
from workload_api.domain.ids import new_id
from workload_api.settings import Settings


@pytest.mark.parametrize(
    ("changed", "days", "goes"),
    [
        ({}, 31, True),
        ({}, 29, False),
        ({"status": "stopping"}, 31, False),
        ({"role": "candidate"}, 31, False),
    ],
)
async def test_a_replaced_proton_goes_with_its_statistics(
    database_url: str, changed: dict[str, str], days: int, goes: bool
) -> None:
    """Once it is gone for longer than statistics are kept; never one that is still there."""
    async with opened(database_url) as database:
        ids = await add_workload(database, await add_person(database))
        columns = {"role": None, "status": "terminated", "desired_state": "gone", **changed}
        old_id = new_id()
        async with database.write() as session:
            session.add(
                ProtonRow(
                    id=old_id,
                    workload_id=ids.workload_id,
                    artifact_id=ids.artifact_id,
                    creator_id=await session.scalar(select(ProtonRow.creator_id)),
                    name="old",
                    spec={},
                    runtime={},
                    **columns,
                )
            )
            await session.flush()
            await session.execute(
                update(ProtonRow).where(ProtonRow.id == old_id).values(updated_at=database_now(-timedelta(days=days)))
            )
        assert await retain(database, Settings.model_validate({})) == ([old_id] if goes else [])
        async with database.read() as session:
            left = set(await session.scalars(select(ProtonRow.id)))
        assert left == ({ids.proton_id} if goes else {ids.proton_id, old_id})


async def test_a_delete_names_what_could_not_be_stopped(database_url: str, tmp_path: Path) -> None:
    """200 with the reason; it is gone all the same (§4). Without a controller nothing else says so meanwhile."""
    with ServerProcess(tmp_path, database_url=database_url, settings={"CONTROLLER": "false"}) as server:
        async with opened(database_url) as database, server.client() as admin:
            person = await add_person(database)
            ids = await add_workload(database, person, status="stopping")
            async with database.write() as session:
                await session.execute(
                    update(ProtonRow).where(ProtonRow.id == ids.proton_id).values(message="pid 17 does not end")
                )
            answer = await admin.delete(f"/workloads/{ids.workload_id}", headers=person.headers)
            assert answer.status_code == 200
            assert ids.proton_id in answer.json()["detail"]
            assert "pid 17 does not end" in answer.json()["detail"]
            gone = await admin.get(f"/workloads/{ids.workload_id}", headers=person.headers)
            assert gone.status_code == 404
            assert await read(admin, "/version/")


async def test_nothing_changes_before_it_is_created(database_url: str, tmp_path: Path) -> None:
    async with opened(database_url) as database:
        ids = await add_workload(database, await add_person(database))
        async with database.read() as session:
            row = (await session.scalars(select(ProtonRow).where(ProtonRow.id == ids.proton_id))).one()
    assert row.created_at == row.updated_at
