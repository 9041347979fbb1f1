"""Metrics over time and figures over several workloads (§8); what a server without a builder says of builds (§3)."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import insert, update

from tests.api.support import Json, create, idle_workload, problem, read
from tests.conftest import DATABASES
from tests.support.many import add_drafts
from tests.support.postgresql import PostgreSQL
from tests.support.rows import Ids, Person, add_person, opened
from tests.support.server import ServerProcess
from workload_api.clock import utc_now
from workload_api.db.engine import Database
from workload_api.db.models import RequestCountRow, ResponseTimeRow, WorkloadRow
from workload_api.statistics.histogram import bucket_of
from workload_api.statistics.series import bucket_start


@pytest.fixture(scope="module", params=DATABASES)
def shared_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server without a controller, which would find that what is put into the database as running does not run."""
    directory = tmp_path_factory.mktemp("figures")
    if request.param == "postgresql":
        postgresql: PostgreSQL = request.getfixturevalue("postgresql")
        url = postgresql.create()
    else:
        url = f"sqlite:///{shutil.copy(request.getfixturevalue('migrated_sqlite'), directory / 'figures.sqlite3')}"
    with ServerProcess(directory, database_url=url, settings={"CONTROLLER": "false"}) as running:
        yield running
    if request.param == "postgresql":
        postgresql.drop(url)


@pytest.fixture
async def database(shared_server: ServerProcess) -> AsyncIterator[Database]:
    """The server's database."""
    async with opened(shared_server.database_url or "") as made:
        yield made


@pytest.fixture
async def person(database: Database) -> Person:
    """Somebody alone in an organization."""
    return await add_person(database, f"person {uuid4()}")


@pytest.fixture
async def client(shared_server: ServerProcess, person: Person) -> AsyncIterator[httpx.AsyncClient]:
    """The person's client."""
    async with shared_server.client(token=person.token) as made:
        yield made


async def count(
    database: Database, ids: Ids, minute: datetime, requests: int, errors: int, milliseconds: float
) -> None:
    """Note requests of a minute, all equally long, and let the statistics reach back to it."""
    minute = minute.replace(second=0, microsecond=0)
    place = {"proton_id": ids.proton_id, "epoch": 0, "minute": minute}
    async with database.write() as session:
        await session.execute(
            insert(RequestCountRow).values(**place, requests=requests, user_errors=errors, server_errors=0)
        )
        await session.execute(
            insert(ResponseTimeRow).values(**place, bucket=bucket_of(milliseconds), requests=requests)
        )
        await session.execute(
            update(WorkloadRow)
            .where(WorkloadRow.id == ids.workload_id)
            .values(statistics_since=utc_now() - timedelta(days=40))
        )


def values(series: Json) -> list[float]:
    """The values of a series that are not 0."""
    return [bucket["value"] for bucket in series["buckets"] if bucket["value"]]


async def test_every_metric_at_every_resolution(database: Database, person: Person, client: httpx.AsyncClient) -> None:
    """The buckets join without a gap, are cut where the calendar does, and add up to the whole."""
    (ids,) = await add_drafts(database, person, 1)
    now = utc_now()
    await count(database, ids, now - timedelta(hours=3), 10, 5, 100.0)
    await count(database, ids, now - timedelta(hours=2), 30, 0, 3000.0)
    path = f"/workloads/{ids.workload_id}/stats"
    for resolution in ("PT1M", "PT5M", "PT1H", "P1D", "P7D", "P1M"):
        series = await read(client, f"{path}/totalRequests?resolution={resolution}")
        assert series["metric"] == "totalRequests"
        assert series["summary"]["protonId"] == ids.proton_id
        assert sum(values(series)) == 40
        periods = [bucket["period"] for bucket in series["buckets"]]
        assert all(left["end"] == right["start"] for left, right in itertools.pairwise(periods))
        assert periods[0]["start"] <= series["summary"]["period"]["start"] < periods[0]["end"]
        assert periods[-1]["start"] < series["summary"]["period"]["end"] <= periods[-1]["end"]
        starts = [datetime.fromisoformat(period["start"]) for period in periods]
        assert starts == [bucket_start(start, resolution) for start in starts]
    hourly = "resolution=PT1H"
    assert values(await read(client, f"{path}/totalErrorRate?{hourly}")) == [0.5]
    assert values(await read(client, f"{path}/requestsOverN?{hourly}")) == [30]
    assert values(await read(client, f"{path}/requestsOverN?{hourly}&slowRequestsThreshold=50")) == [10, 30]
    assert values(await read(client, f"{path}/responseTime?{hourly}")) == pytest.approx([100, 3000], rel=0.02)
    assert values(await read(client, f"{path}/requestsPerMinute?{hourly}")) == pytest.approx([10 / 60, 0.5])
    assert values(await read(client, f"{path}/concurrentRequests?{hourly}")) == []
    default = await read(client, f"{path}/totalRequests")
    assert all(bucket["period"]["start"].endswith("T00:00:00.000000Z") for bucket in default["buckets"])


async def test_what_a_series_refuses(database: Database, person: Person, client: httpx.AsyncClient) -> None:
    (ids,) = await add_drafts(database, person, 1)
    path = f"/workloads/{ids.workload_id}/stats"
    for query in (
        "nothing",
        "totalRequests?resolution=PT2M",
        "totalRequests?responseTimeQuantile=1.1",
        "totalRequests?startTime=2026-01-02T00:00:00Z&endTime=2026-01-01T00:00:00Z",
        "totalRequests?startTime=yesterday",
    ):
        problem(await client.get(f"{path}/{query}"), 422)
    assert problem(await client.get(f"{path}/totalRequests?protonId={'0' * 24}"), 404)["code"] == "PROTON_NOT_FOUND"
    problem(await client.get(f"/workloads/{'0' * 24}/stats/totalRequests"), 404)
    for extreme in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"):
        await read(client, f"{path}/totalRequests?startTime={extreme}")


def test_months_and_weeks() -> None:
    moment = datetime(2024, 2, 29, 23, 59, tzinfo=UTC)
    assert bucket_start(moment, "P1M") == datetime(2024, 2, 1, tzinfo=UTC)
    assert bucket_start(moment, "P7D") == datetime(2024, 2, 26, tzinfo=UTC)
    assert bucket_start(moment, "PT5M") == datetime(2024, 2, 29, 23, 55, tzinfo=UTC)
    elsewhere = datetime.fromisoformat("2024-03-01T01:00:00+05:00")
    assert bucket_start(elsewhere, "P1D") == datetime(2024, 2, 29, tzinfo=UTC)


async def test_figures_over_several_workloads(database: Database, person: Person, client: httpx.AsyncClient) -> None:
    """Added up over what the list would show, with the trend against the day before."""
    empty = await read(client, "/workloads/stats")
    assert empty["workloads"] == {"total": 0, "active": 0}
    assert empty["requests"] == {"total": 0, "succeeded": 0, "failed": 0, "trend": 0}
    assert (empty["total"], empty["byStatus"], empty["byImportance"]) == (0, {}, {})
    running = await add_drafts(database, person, 2)
    await add_drafts(database, person, 1, status="stopped")
    now = utc_now()
    for ids in running:
        await count(database, ids, now - timedelta(hours=1), 30, 10, 100.0)
        await count(database, ids, now - timedelta(hours=30), 20, 5, 200.0)
    found = await read(client, "/workloads/stats/")
    assert found["workloads"] == {"total": 3, "active": 2}
    assert found["requests"] == {"total": 60, "succeeded": 40, "failed": 20, "trend": 0.5}
    assert found["errorRate"] == pytest.approx({"rate": 1 / 3, "trend": 1 / 3})
    assert found["responseTime"]["millis"] == pytest.approx(100, rel=0.02)
    assert found["responseTime"]["trend"] == pytest.approx(-0.5, abs=0.02)
    assert (found["total"], found["byStatus"]) == (3, {"running": 2, "stopped": 1})
    assert found["byImportance"] == {"low": 3}
    one: Any = (await client.get("/workloads/stats", params={"ids": running[0].workload_id})).json()
    assert (one["total"], one["requests"]["total"]) == (1, 30)
    assert (await read(client, "/workloads/stats?status=stopped"))["requests"]["total"] == 0
    problem(await client.get("/workloads/stats?status=flying"), 422)
    # A reset ends what is counted, as in the statistics of the workload itself.
    assert (await client.delete(f"/workloads/{running[0].workload_id}/stats")).status_code == 204
    assert (await read(client, "/workloads/stats"))["requests"]["total"] == 30


async def test_a_list_can_leave_the_statistics_out(shared_client: httpx.AsyncClient) -> None:
    made = await create(shared_client, idle_workload())
    for query, shown in (("", True), ("&serviceStats=true", True), ("&serviceStats=false", False)):
        (one,) = (await read(shared_client, f"/workloads?ids={made['id']}{query}"))["data"]
        assert (one["requestStats"] is not None) == shown


async def test_there_is_no_build_service(shared_client: httpx.AsyncClient) -> None:
    """Lists are empty and well-formed, a build cannot be begun, and none is there to be read."""
    made = await create(shared_client)
    path = f"/artifacts/{made['artifactId']}/builds"
    empty = {"count": 0, "totalCount": 0, "data": [], "next": None, "previous": None}
    assert await read(shared_client, path) == empty
    refusal = problem(await shared_client.post(path), 422)
    assert refusal["code"] == "NO_BUILD_SERVICE"
    assert "no build service is configured" in refusal["message"]
    for suffix in ("", "/logs"):
        assert problem(await shared_client.get(f"{path}/{'0' * 24}{suffix}"), 404)["code"] == "BUILD_NOT_FOUND"
    problem(await shared_client.get(f"/artifacts/{'0' * 24}/builds"), 404)
