"""Resource bundles (§11): the list, what a runtime makes of them, and the settings file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.api.support import Json, create, idle_workload, problem, reach, read
from tests.support import payloads
from tests.support.server import ServerProcess
from workload_api.bundles.catalog import catalog, with_bundles
from workload_api.domain.errors import FieldError
from workload_api.protons.specification import proton_spec
from workload_api.settings import SettingsError

FIELDS = {"id", "name", "description", "cpuCount", "memoryBytes", "gpuCount", "gpuMaker", "gpuTypeLabel"}

OWN_FILE = """
bundles:
  - {id: tiny, name: Tiny, cpuCount: 0.25, memoryBytes: 512MB}
  - id: two
    name: Two
    description: Two of everything.
    cpuCount: 2
    memoryBytes: 2GiB
    gpuCount: 2
    gpuMaker: nvidia
    gpuTypeLabel: L40S
  - {id: bytes, name: Bytes, cpuCount: 1, memoryBytes: 1000000}
"""


def runtime(*names: str, **fields: Any) -> Json:
    return {"containerGroups": [{"name": "default", "resourceBundles": list(names), **fields}]}


async def test_the_list(shared_client: httpx.AsyncClient) -> None:
    whole = await read(shared_client, "/mlops/compute/bundles/?limit=100")
    ids = [bundle["id"] for bundle in whole["data"]]
    assert {"cpu.nano", "cpu.small", "cpu.medium", "cpu.large"} <= set(ids)
    assert whole["count"] == whole["totalCount"] == len(set(ids))
    for bundle in whole["data"]:
        assert set(bundle) == FIELDS
        assert bundle["cpuCount"] > 0 and bundle["memoryBytes"] > 0
        assert (bundle["gpuCount"] > 0) == (bundle["gpuMaker"] is not None) == (bundle["gpuTypeLabel"] is not None)
    assert any(bundle["gpuCount"] for bundle in whole["data"])
    parts, path = [], "/mlops/compute/bundles?limit=3"
    while path:
        page = await read(shared_client, path)
        parts += [bundle["id"] for bundle in page["data"]]
        path = page["next"]
    assert parts == ids
    problem(await shared_client.get("/mlops/compute/bundles?limit=0"), 422)


async def test_a_bundle_shows_wherever_the_runtime_does(shared_client: httpx.AsyncClient) -> None:
    """`resolvedBundle` in the workload, its settings, its proton; for groups that named bundles and no others."""
    bundles = {each["id"]: each for each in (await read(shared_client, "/mlops/compute/bundles?limit=100"))["data"]}
    sent = runtime("cpu.small", "gpu.small", resolvedBundle={"id": "mine", "cpuCount": 64, "memoryBytes": 1})
    made = await create(shared_client, idle_workload(runtime=sent))
    expected = {name: value for name, value in bundles["cpu.small"].items() if name not in ("name", "description")}
    path = f"/workloads/{made['id']}"
    for found in (
        made,
        await read(shared_client, path),
        await read(shared_client, f"{path}/settings"),
        await read(shared_client, f"{path}/protons/{made['protonId']}"),
    ):
        [group] = found["runtime"]["containerGroups"]
        assert group["resolvedBundle"] == expected
        assert group["resourceBundles"] == ["cpu.small", "gpu.small"]
    unnamed: list[Json] = [{}, {"containerGroups": []}, runtime(), {"containerGroups": [{"name": "default"}]}]
    for without in unnamed:
        made = await create(shared_client, idle_workload(runtime=without))
        assert "resolvedBundle" not in str(made["runtime"])


async def test_an_unknown_bundle(shared_client: httpx.AsyncClient, nothing_changes: None) -> None:
    answer = await shared_client.post("/workloads", json=idle_workload(runtime=runtime("cpu.small", "no.such")))
    [detail] = problem(answer, 422)["detail"]
    assert detail["loc"] == ["body", "runtime", "containerGroups", 0, "resourceBundles", 1]
    assert detail["input"] == "no.such"
    assert "cpu.small" in detail["msg"]


def specified(chosen: Json, *containers: Json) -> dict[str, tuple[float | None, int | None]]:
    """CPU and memory of each container of a proton."""
    spec = {"containerGroups": [{"name": "default", "containers": list(containers)}]}
    groups = proton_spec("p", "w", 1, spec, with_bundles(chosen, catalog(None)), 1.0).groups
    return {each.name: (each.cpu, each.memory_bytes) for each in groups[0].containers}


def test_a_bundle_sets_cpu_and_memory_of_the_primary_container() -> None:
    primary, other = {"name": "a", "primary": True, "port": 8080}, {"name": "b"}
    small = (1.0, 4 * 1024**3)
    assert specified(runtime("cpu.small"), other) == {"b": small}
    assert specified(runtime("cpu.small", "cpu.large"), other, primary) == {"a": small, "b": (None, None)}
    assert specified(runtime(), primary) == {"a": (None, None)}
    for allocation, expected in (
        ({"cpu": 3.0}, (3.0, None)),
        ({"memory": 5}, (None, 5)),
        ({"cpu": 3.0, "memory": 5}, (3.0, 5)),
        (None, small),
    ):
        chosen = runtime("cpu.small", containers=[{"name": "a", "resourceAllocation": allocation}])
        assert specified(chosen, primary) == {"a": expected}
    own_of_another = runtime("cpu.small", containers=[{"name": "b", "resourceAllocation": {"cpu": 9.0}}])
    assert specified(own_of_another, primary, other) == {"a": small, "b": (9.0, None)}


def test_an_unknown_bundle_is_named_with_its_place() -> None:
    with pytest.raises(FieldError) as refused:
        with_bundles(runtime("nope"), catalog(None), ("body", "config", "runtime"))
    assert refused.value.location == ("body", "config", "runtime", "containerGroups", 0, "resourceBundles", 0)


async def test_a_settings_file(sqlite_url: str, tmp_path: Path) -> None:
    """Its bundles are the list, and the limit of memory reaches the replica: it is ended over it."""
    file = tmp_path / "bundles.yaml"
    file.write_text(OWN_FILE.replace("512MB", "30MB"))
    settings = {"BUNDLES_FILE": str(file)}
    with ServerProcess(tmp_path, database_url=sqlite_url, settings=settings) as server:
        async with server.client() as client:
            listed = await read(client, "/mlops/compute/bundles/")
            assert [each["id"] for each in listed["data"]] == ["tiny", "two", "bytes"]
            assert listed["data"][1] == {
                "id": "two",
                "name": "Two",
                "description": "Two of everything.",
                "cpuCount": 2.0,
                "memoryBytes": 2 * 1024**3,
                "gpuCount": 2,
                "gpuMaker": "nvidia",
                "gpuTypeLabel": "L40S",
            }
            assert [each["memoryBytes"] for each in listed["data"]] == [30_000_000, 2 * 1024**3, 1_000_000]
            problem(await client.post("/workloads", json=idle_workload(runtime=runtime("cpu.small"))), 422)
            roomy = await create(client, payloads.workload(runtime=runtime("two")))
            tight = await create(client, payloads.workload(runtime=runtime("bytes")))
            await reach(client, roomy["id"], "running")
            pid = (await client.get(roomy["endpoint"])).json()["pid"]
            assert psutil.Process(pid).memory_info().rss > 1_000_000
            await reach(client, tight["id"], "errored", timeout=60)
            events = await read(client, f"/workloads/{tight['id']}/events?limit=100")
            assert "memory" in str(events["data"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the file"),
        ("bundles: []", "bundles"),
        ("bundles: [", "not YAML"),
        ("bundles: [{id: a, name: A, cpuCount: 1}]", "bundles.0.memoryBytes"),
        ("bundles: [{id: a, name: A, cpuCount: 0, memoryBytes: 1GB}]", "bundles.0.cpuCount"),
        ("bundles: [{id: a, name: A, cpuCount: 1, memoryBytes: 1 parsec}]", "'parsec' is not a unit"),
        ("bundles: [{id: a, name: A, cpuCount: 1, memoryBytes: true}]", "bundles.0.memoryBytes"),
        ("bundles: [{id: a, name: A, cpuCount: 1, memoryBytes: 1GB, gpu: 1}]", "bundles.0.gpu"),
        (OWN_FILE.replace("two", "tiny"), "'tiny' stands twice"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, text: str | None, says: str) -> None:
    file = tmp_path / "bundles.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        catalog(file)
    sentence = str(refused.value)
    assert sentence.startswith("setting WORKLOAD_API_BUNDLES_FILE: ")
    assert says in sentence
    assert "\n" not in sentence


def test_a_bad_file_stops_the_start_with_one_sentence(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, settings={"BUNDLES_FILE": str(tmp_path / "nowhere.yaml")})
    done = server.command("serve")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "WORKLOAD_API_BUNDLES_FILE" in done.stderr
