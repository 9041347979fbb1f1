"""The logs of workloads: what containers write, each line once, newest first, with every filter (§7)."""

from __future__ import annotations

import asyncio
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.api.support import IDLE, Json, create, problem, reach, read, running
from tests.support.waiting import until


def talker(script: str, **fields: Any) -> Json:
    """A container that runs a Python script and then stays until it is stopped."""
    # The program stays until it is stopped; it sleeps, the test does not.
    program = f"import json, os, sys, time\n{script}\nsys.stdout.flush()\ntime.sleep(1000)"
    return {**IDLE, "name": "talker", "entrypoint": [sys.executable, "-I", "-S", "-u", "-c", program], **fields}


async def talking(client: httpx.AsyncClient, script: str, *others: Json, name: str = "talker") -> Json:
    """A workload that says what a script prints."""
    spec = {"containerGroups": [{"name": "default", "containers": [talker(script), *others]}]}
    return await create(client, {"name": name, "artifact": {"name": name, "spec": spec}})


def path_of(workload: Json) -> str:
    return f"/otel/workload/{workload['id']}/logs/"


async def logged(client: httpx.AsyncClient, workload: Json, count: int, **query: Any) -> list[Json]:
    """Wait until there are so many entries, and return them, the oldest first."""

    async def there() -> list[Json]:
        answer = await client.get(path_of(workload), params={"limit": 1000, **query})
        assert answer.status_code == 200, answer.text
        data: list[Json] = answer.json()["data"]
        assert len(data) >= count, data
        return data

    return (await until(there, what=f"{count} entries"))[::-1]


async def texts(client: httpx.AsyncClient, workload: Json, query: Any) -> list[str]:
    """The messages that a query finds, the oldest first."""
    answer = await client.get(path_of(workload), params=query)
    assert answer.status_code == 200, answer.text
    return [entry["message"] for entry in answer.json()["data"]][::-1]


async def all_pages(client: httpx.AsyncClient, address: str, key: str = "next") -> list[Json]:
    """Follow ``next`` (or ``previous``) to the end, with nothing but what it says."""
    found: list[Json] = []
    following: str | None = address
    while following is not None:
        page = (await client.get(following)).raise_for_status().json()
        assert page["count"] == len(page["data"])
        found += page["data"] if key == "next" else page["data"][::-1]
        following = page[key]
    return found


async def test_lines_with_level_source_and_time(shared_client: httpx.AsyncClient) -> None:
    began = datetime.now(UTC)
    script = (
        "print('first')\n"
        "print('ERROR:root:second')\n"
        "print(json.dumps({'level': 'warning', 'message': 'third', 'user': {'id': 7}}))\n"
        "print('fourth', file=sys.stderr)\n"
    )
    other = {**talker("print('from the other')"), "name": "other", "primary": False}
    other.pop("port")
    workload = await talking(shared_client, script, other)
    entries = await logged(shared_client, workload, 5)
    assert len(entries) == 5
    times = [entry["timestamp"] for entry in entries]
    assert times == sorted(times)
    assert all(began - timedelta(seconds=1) < datetime.fromisoformat(time) < datetime.now(UTC) for time in times)
    mine = [entry for entry in entries if entry["container"] == "talker"]
    # Standard error has a pipe of its own: its line may come before those of standard output.
    assert sorted((entry["message"], entry["level"]) for entry in mine) == [
        ("ERROR:root:second", "ERROR"),
        ("first", "INFO"),
        ("fourth", "INFO"),
        ("third", "WARN"),
    ]
    assert {entry["protonId"] for entry in entries} == {workload["protonId"]}
    assert {entry["replica"] for entry in entries} == {f"{workload['protonId']}-default-0"}
    (third,) = (entry for entry in mine if entry["message"] == "third")
    assert third["attributes"] == {"user": {"id": 7}}
    (first,) = (entry for entry in mine if entry["message"] == "first")
    assert set(first) == {"timestamp", "level", "message", "protonId", "replica", "container"}
    # Both slashes, and other spellings of nothing.
    without = await read(shared_client, path_of(workload).rstrip("/"))
    assert without["count"] == 5 and without["next"] is None and without["previous"] is None


async def test_a_traceback_is_one_entry_even_in_pieces(shared_client: httpx.AsyncClient) -> None:
    # The container's pauses spread the traceback over several collections; the test polls.
    script = (
        "sys.stderr.write('Traceback (most recent call last):\\n')\n"
        "time.sleep(0.7)\n"
        "print('between')\n"
        "sys.stderr.write('  File \"a.py\", line 1, in <module>\\n    f()\\n')\n"
        "time.sleep(0.7)\n"
        "sys.stderr.write('ValueError: first\\n\\nDuring handling of the above exception, another exception "
        'occurred:\\n\\nTraceback (most recent call last):\\n  File "b.py", line 2, in g\\n\')\n'
        "sys.stderr.write('KeyError: \\'second\\'\\n')\n"
        "sys.stderr.write('after\\n')\n"
    )
    workload = await talking(shared_client, script)
    entries = await logged(shared_client, workload, 3)
    (trace,) = (entry for entry in entries if "stacktrace" in entry)
    assert (trace["level"], trace["message"]) == ("ERROR", "KeyError: 'second'")
    assert trace["stacktrace"].startswith("Traceback (most recent call last):\n  File")
    assert trace["stacktrace"].endswith("in g\nKeyError: 'second'")
    assert "ValueError: first" in trace["stacktrace"]
    assert "between" not in trace["stacktrace"]
    assert [entry["message"] for entry in entries if entry is not trace] == ["between", "after"]
    assert await texts(shared_client, workload, {"includes": "VALUEERROR: FIRST"}) == ["KeyError: 'second'"]


async def test_every_filter(shared_client: httpx.AsyncClient) -> None:
    script = (
        "for n in range(10): print(f'DEBUG: line {n}')\n"
        "for n in range(10): print(f'INFO: line {n}')\n"
        "for n in range(10): print(f'WARNING: line {n} ÄPFEL 100%_')\n"
        "for n in range(3): print(f'ERROR: line {n}')\n"
        "print('CRITICAL: the end')\n"
    )
    other = {**talker("for n in range(5): print(f'side {n}')"), "name": "side", "primary": False}
    other.pop("port")
    workload = await talking(shared_client, script, other)
    every = await logged(shared_client, workload, 39)
    assert len(every) == 39

    async def count(**query: Any) -> int:
        return len(await texts(shared_client, workload, {"limit": 1000, **query}))

    for level, expected in (("debug", 39), ("INFO", 29), ("Warning", 14), ("warn", 14), ("error", 4), ("critical", 1)):
        assert await count(level=level) == expected, level
    assert await count(includes="line 3") == 3
    assert await count(includes=["LINE 3", "warning"]) == 1
    assert await count(includes="äpfel 100%_") == 10
    assert await count(includes="100x_") == 0
    assert await count(excludes="line") == 6
    assert await count(excludes=["line", "side"]) == 1
    assert await count(includes="line", excludes="äpfel") == 23
    assert await count(includes="") == 39
    assert await count(searchKeys="container", searchValues="side") == 5
    assert await count(searchKeys=["container", "level"], searchValues=["talker", "error"]) == 3
    assert await count(searchKeys=["level", "level"], searchValues=["ERROR", "debug"]) == 13
    assert await count(searchKeys="replica", searchValues=every[0]["replica"]) == 39
    assert await count(searchKeys="replica", searchValues="nobody") == 0
    assert await count(searchKeys="proton_id", searchValues=workload["protonId"], level="error") == 4
    assert await count(searchKeys="proton_id", searchValues="0" * 24) == 0
    start, end = every[12]["timestamp"], every[25]["timestamp"]
    inside = [entry["message"] for entry in every if start <= entry["timestamp"] <= end]
    window = {"startTime": start, "endTime": end, "limit": 1000}
    assert await texts(shared_client, workload, window) == inside
    assert await count(startTime="2000-01-01T00:00:00Z") == 39
    assert await count(endTime="2000-01-01T00:00:00+05:00") == 0


async def test_a_filter_that_cannot_be_is_refused(shared_client: httpx.AsyncClient) -> None:
    workload = await create(shared_client)
    for query, place, word in (
        ({"searchKeys": ["level", "replica"], "searchValues": ["error"]}, ["query", "searchValues"], "2 searchKeys"),
        ({"searchValues": "error"}, ["query", "searchValues"], "0 searchKeys"),
        ({"searchKeys": "colour", "searchValues": "red"}, ["query", "searchKeys", 0], "'colour'"),
        ({"searchKeys": "level", "searchValues": "loud"}, ["query", "searchValues", 0], "'loud'"),
        ({"level": "loud"}, ["query", "level"], "'loud'"),
        ({"cursor": "nowhere"}, ["query", "cursor"], "no place"),
        ({"includes": "x" * 1001}, ["query", "includes", 0], "1000"),
        ({"excludes": ["x"] * 51}, ["query", "excludes"], "50"),
        ({"limit": 0}, ["query", "limit"], "greater"),
        ({"offset": -1}, ["query", "offset"], "greater"),
        ({"startTime": "yesterday"}, ["query", "startTime"], "a date and a time"),
        ({"startTime": "2026-01-02T00:00:00Z", "endTime": "2026-01-01T00:00:00Z"}, ["query", "endTime"], "before"),
    ):
        body = problem(await shared_client.get(path_of(workload), params=query), 422)
        assert body["detail"][0]["loc"] == place, query
        assert word in body["message"], body
    nobody = {"id": "0" * 24}
    problem(await shared_client.get(path_of(nobody)), 404)
    assert (await read(shared_client, path_of(workload)))["data"] == []


async def test_pages_while_lines_are_written(shared_client: httpx.AsyncClient) -> None:
    """To the end through ``next`` without a gap or a double, though the log grows; back through ``previous``."""
    # The container writes on slowly behind its first lines, so that the log grows under the pages.
    script = "for n in range(100000):\n    print(f'line {n}')\n    time.sleep(0.005 if n > 300 else 0)"
    workload = await talking(shared_client, script)
    await logged(shared_client, workload, 300)
    address = f"{path_of(workload)}?limit=7&includes=line"
    first = await read(shared_client, address)
    found = await all_pages(shared_client, address)
    numbers = [int(entry["message"].split()[1]) for entry in found]
    assert numbers == list(range(numbers[0], -1, -1))
    newest = int((await texts(shared_client, workload, {"limit": 1}))[0].split()[1])
    assert newest > numbers[0]
    # What next says is absolute, of this server, and keeps the other parameters.
    following = urlsplit(first["next"])
    assert first["next"].startswith(str(shared_client.base_url))
    assert parse_qs(following.query)["includes"] == ["line"]
    assert parse_qs(following.query)["limit"] == ["7"]
    second = await read(shared_client, first["next"])
    assert (await read(shared_client, second["previous"]))["data"] == first["data"]
    # By offset too, which counts from the newest entry of the moment.
    back = await read(shared_client, f"{path_of(workload)}?offset=250&limit=100")
    up = await all_pages(shared_client, back["previous"], "previous")
    seen = [int(entry["message"].split()[1]) for entry in up]
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert seen[0] == int(back["data"][0]["message"].split()[1]) + 1
    assert seen[-1] >= newest
    assert (await shared_client.post(f"/workloads/{workload['id']}/stop")).status_code == 202


async def test_a_thousand_at_most(shared_client: httpx.AsyncClient) -> None:
    workload = await talking(shared_client, "for n in range(2500): print(n)")
    await logged(shared_client, workload, 1000)

    async def complete() -> bool:
        return await texts(shared_client, workload, {"limit": 1, "offset": 2499}) == ["0"]

    await until(complete)
    page = await read(shared_client, f"{path_of(workload)}?limit=5000")
    assert page["count"] == len(page["data"]) == 1000
    found = await all_pages(shared_client, f"{path_of(workload)}?limit=5000")
    assert [entry["message"] for entry in found] == [str(n) for n in range(2499, -1, -1)]
    assert (await read(shared_client, path_of(workload)))["count"] == 10
    beyond = await read(shared_client, f"{path_of(workload)}?offset=2500&limit=1000")
    assert (beyond["data"], beyond["next"]) == ([], None)
    assert (await read(shared_client, beyond["previous"]))["data"][0]["message"] == "999"
    one = f"searchKeys=proton_id&searchValues={workload['protonId']}"
    assert (await read(shared_client, f"{path_of(workload)}?offset={2**63 - 1}&{one}"))["data"] == []


async def test_the_last_words_of_what_is_stopped(shared_client: httpx.AsyncClient) -> None:
    """What is said while it is stopped is in the log, once, before it counts as stopped; a new start goes on."""
    script = (
        "import signal\n"
        "def goodbye(*_):\n"
        "    for n in range(3000): print(f'goodbye {n}')\n"
        "    os._exit(0)\n"
        "signal.signal(signal.SIGTERM, goodbye)\n"
        "print('hello')\n"
    )
    workload = await talking(shared_client, script)
    await logged(shared_client, workload, 1)
    assert (await shared_client.post(f"/workloads/{workload['id']}/stop")).status_code == 202

    async def stopped() -> bool:
        return bool((await read(shared_client, f"/workloads/{workload['id']}"))["status"] == "stopped")

    await until(stopped)
    entries = await all_pages(shared_client, f"{path_of(workload)}?limit=1000")
    assert [entry["message"] for entry in entries[::-1]] == ["hello", *(f"goodbye {n}" for n in range(3000))]
    assert (await shared_client.post(f"/workloads/{workload['id']}/start")).status_code == 202

    async def again() -> bool:
        return (await texts(shared_client, workload, {"limit": 1})) == ["hello"]

    await until(again)
    found = await all_pages(shared_client, f"{path_of(workload)}?limit=1000")
    assert len(found) == 3002


async def test_the_lines_of_one_are_not_anothers(shared_client: httpx.AsyncClient) -> None:
    """Several workloads that talk at once, each in its own log."""
    names = [f"w{n}" for n in range(4)]
    made = await asyncio.gather(
        *(talking(shared_client, f"for n in range(50): print('{name}', n)", name=name) for name in names)
    )
    for name, workload in zip(names, made, strict=True):
        entries = await logged(shared_client, workload, 50)
        assert [entry["message"] for entry in entries] == [f"{name} {n}" for n in range(50)]


@pytest.mark.parametrize("slash", ["", "/"])
async def test_traces_are_well_formed_and_empty(shared_client: httpx.AsyncClient, slash: str) -> None:
    workload = await create(shared_client)
    found = await read(shared_client, f"/otel/workload/{workload['id']}/traces{slash}")
    assert found == {"count": 0, "totalCount": 0, "data": [], "next": None, "previous": None}
    answer = await shared_client.get(f"/otel/workload/{workload['id']}/traces/{'0' * 32}{slash}")
    assert problem(answer, 404)["code"] == "TRACE_NOT_FOUND"


async def values(client: httpx.AsyncClient, workload: Json) -> dict[str, Json]:
    """The metrics of a workload by name."""
    data = (await read(client, f"/otel/workload/{workload['id']}/metrics/autocollectedValues/"))["data"]
    for value in data:
        assert set(value) == {"otelName", "displayName", "currentValue", "unit", "level"}
        assert isinstance(value["currentValue"], int | float)
    found = {value["otelName"]: value for value in data}
    assert len(found) == len(data)
    return found


async def test_what_a_workload_uses(shared_client: httpx.AsyncClient) -> None:
    idle = await create(shared_client)
    shown = await values(shared_client, idle)
    assert shown["workload.replicas.desired"]["currentValue"] == 1
    assert shown["workload.replicas.ready"]["currentValue"] == 0
    busy = await running(shared_client, runtime={"containerGroups": [{"name": "default", "replicaCount": 2}]})

    async def measured() -> dict[str, Json]:
        found = await values(shared_client, busy)
        assert found["container.memory.usage"]["currentValue"] > 1_000_000
        return found

    found = await until(measured)
    assert found["container.memory.usage"]["unit"] == "bytes"
    assert found["container.memory.usage"]["currentValue"] < 500_000_000
    assert (found["container.cpu.usage"]["unit"], found["container.restarts"]["currentValue"]) == ("nanocores", 0)
    assert found["workload.replicas.desired"]["currentValue"] == 2
    assert found["workload.replicas.ready"]["currentValue"] == 2

    spinning = await talking(shared_client, "while True: pass")

    async def spins() -> bool:
        found = await values(shared_client, spinning)
        return bool(50_000_000 < found["container.cpu.usage"]["currentValue"] < 2_000_000_000)

    await until(spins)
    for workload in (spinning, busy):
        assert (await shared_client.post(f"/workloads/{workload['id']}/stop")).status_code == 202

        async def nothing(stopped: Json = workload) -> bool:
            return {value["currentValue"] for value in (await values(shared_client, stopped)).values()} == {0}

        await until(nothing)


async def test_lines_that_no_database_takes_hold_up_no_others(shared_client: httpx.AsyncClient) -> None:
    """Structured lines too deep, or with numbers too large, are kept as text; what comes after them is there."""
    script = """
        for value in ("[" * 300 + "]" * 300, "[" * 900 + "]" * 900, "1e999", "9" * 400):
            print('{"level": "error", "msg": "x", "more": ' + value + "}")
        print("after")
    """
    workload = await talking(shared_client, textwrap.dedent(script))
    await logged(shared_client, workload, 5)
    entries = (await read(shared_client, path_of(workload)))["data"]
    assert [entry["message"] == "x" for entry in entries] == [False, True, False, False, False]
    assert entries[0]["message"] == "after"
    assert (await shared_client.post(f"/workloads/{workload['id']}/stop")).status_code == 202
    await reach(shared_client, workload["id"], "stopped")
