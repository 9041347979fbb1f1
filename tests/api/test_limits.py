"""The account's limits (§11): told, and enforced with 403."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import httpx

from tests.api.support import Json, create, idle_workload, problem, read, unchanged
from tests.support.server import ServerProcess


async def test_more_than_is_allowed(database_url: str, tmp_path: Path) -> None:
    """Replicas, also those that autoscaling could come to; workloads, also at once; one stopped makes room."""
    limits = {"REPLICA_LIMIT": "3", "WORKLOAD_LIMIT": "2", "CONTROLLER": "false"}
    with ServerProcess(tmp_path, database_url=database_url, settings=limits) as server:
        async with server.client() as client:
            told = (await read(client, "/account/info"))["limits"]
            assert told == {"maxConcurrentWorkloads": 2, "maxWorkloadReplicas": 3}
            scaled = {"enabled": True, "policies": [{"scalingMetric": "cpuAverageUtilization", "target": 50}]}
            groups: list[Json] = [
                {"name": "default", "replicaCount": 4},
                {"name": "default", "autoscaling": {**scaled, "minReplicaCount": 1, "maxReplicaCount": 4}},
            ]
            async with unchanged(client):
                for group in groups:
                    body = idle_workload(runtime={"containerGroups": [group]})
                    answer = problem(await client.post("/workloads", json=body), 403)
                    assert answer["message"] == "Requested replicas (4) exceeds the maximum allowed (3)."

            first = await create(client, idle_workload(runtime={"containerGroups": [{"replicaCount": 3}]}))
            answers = await asyncio.gather(*(client.post("/workloads", json=idle_workload()) for _ in range(6)))
            assert Counter(answer.status_code for answer in answers) == {201: 1, 403: 5}
            assert await workloads_of(client) == 2
            # A workload without a controller stays `stopping`, and takes its place until it has stopped.
            assert (await client.delete(f"/workloads/{first['id']}")).status_code == 204
            await create(client)
            assert problem(await client.post("/workloads", json=idle_workload()), 403)["code"]


async def workloads_of(client: httpx.AsyncClient) -> int:
    """How many there are."""
    total: int = (await read(client, "/workloads"))["totalCount"]
    return total
