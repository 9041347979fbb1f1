"""Plays the promote story against a running server and checks every promise of it (§5)."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from workload_api.domain.errors import Conflict

_APP = Path(__file__).with_name("app.py")
_READY_SECONDS = 60
_STRADDLING_MS = 3000
_KEPT = (
    "id",
    "endpoint",
    "protonId",
    "name",
    "description",
    "importance",
    "runtime",
    "creator",
    "owners",
    "permissions",
    "artifactId",
    "status",
)


@dataclass(slots=True)
class Traffic:
    """What the clients saw."""

    clients: int
    sent: int = 0
    failed: int = 0
    counted: int = 0
    """Requests that began after the promote had been answered."""
    pids: Counter[int] = field(default_factory=Counter)
    promoted: bool = False
    stop: bool = False


@dataclass(slots=True)
class Line:
    """One line of the closing table."""

    what: str
    before: str
    after: str
    as_promised: bool


async def play(endpoint: str, token: str, *, clients: int, keep: bool) -> int:
    """Play the story and print the table.

    Args:
        endpoint: Where the API is, with ``/api/v2``.
        token: An API token.
        clients: How many send requests all the while.
        keep: Leave the workload running at the end.

    Returns:
        0 where every line is as promised, else 1.
    """
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=endpoint.rstrip("/"), headers=headers, timeout=30) as api:
        workload = await _create(api)
        workload_id = workload["id"]
        try:
            lines = await _story(api, workload_id, clients)
        finally:
            if not keep:
                await api.delete(f"/workloads/{workload_id}")
    _print_table(lines)
    good = all(line.as_promised for line in lines)
    print("\nEvery line is as promised." if good else "\nNOT as promised: see the lines marked with ✗.")
    return 0 if good else 1


async def _create(api: httpx.AsyncClient) -> dict[str, Any]:
    container = {
        "name": "app",
        "imageUri": "workload-api/demo:1",
        "port": 8080,
        "entrypoint": [sys.executable, str(_APP)],
    }
    body = {
        "name": f"demo {time.strftime('%H:%M:%S')}",
        "importance": "low",
        "artifact": {"name": "demo", "spec": {"containerGroups": [{"containers": [container]}]}},
    }
    answer = await api.post("/workloads", json=body)
    workload = _checked(answer, 201)
    print(f"1. Created the draft workload {workload['id']}; it lives until {workload['expiresAt']}.")
    return workload


async def _story(api: httpx.AsyncClient, workload_id: str, clients: int) -> list[Line]:
    before = await _until_running(api, workload_id)
    print(f"2. It is running; its endpoint is {before['endpoint']}")
    traffic = Traffic(clients)
    senders = [asyncio.create_task(_send(api, before["endpoint"], traffic)) for _ in range(clients)]
    await asyncio.sleep(2)
    history_before = _checked(await api.get(f"/workloads/{workload_id}/history"), 200)["totalCount"]
    straddling = asyncio.create_task(api.get(before["endpoint"], params={"ms": _STRADDLING_MS}))
    await asyncio.sleep(0.5)
    statistics_before = _checked(await api.get(f"/workloads/{workload_id}/stats"), 200)["metrics"]["totalRequests"]
    began = time.perf_counter()
    promoted = _checked(await api.post(f"/workloads/{workload_id}/promote"), 202)
    took = (time.perf_counter() - began) * 1000
    traffic.promoted = True
    print(f"3. Promoted in {took:.0f} ms, with {clients} clients sending: version {promoted['artifact']['version']}.")
    slow = await straddling
    traffic.sent += 1
    traffic.failed += slow.status_code != 200
    await asyncio.sleep(2)
    traffic.stop = True
    await asyncio.gather(*senders)
    after = _checked(await api.get(f"/workloads/{workload_id}"), 200)
    statistics = _checked(await api.get(f"/workloads/{workload_id}/stats"), 200)["metrics"]["totalRequests"]
    history = _checked(await api.get(f"/workloads/{workload_id}/history"), 200)
    patched = _checked(await api.patch(f"/workloads/{workload_id}", json={"importance": "high"}), 200)
    print(f"4. PATCHed its importance to {patched['importance']}.\n")

    lines = [Line(name, _short(before[name]), _short(after[name]), before[name] == after[name]) for name in _KEPT]
    pids = ", ".join(str(pid) for pid in traffic.pids)
    lines.append(Line("pid of the replica", pids, pids, len(traffic.pids) == 1))
    artifact, was = after["artifact"], before["artifact"]
    lines += [
        Line("artifact status", was["status"], artifact["status"], artifact["status"] == "locked"),
        Line("artifact version", str(was["version"]), str(artifact["version"]), isinstance(artifact["version"], int)),
        Line("draft expires", str(before["expiresAt"]), str(after["expiresAt"]), after["expiresAt"] is None),
        Line(
            "history entries",
            str(history_before),
            str(history["totalCount"]),
            history["totalCount"] == history_before + 1 and history["data"][0]["reason"] == "promote",
        ),
        Line("importance, patched", after["importance"], patched["importance"], patched["importance"] == "high"),
        Line("requests in the statistics", str(statistics_before), str(statistics), _fits(statistics, traffic)),
        Line("requests sent / failed", str(traffic.sent), str(traffic.failed), traffic.sent > 0 and not traffic.failed),
    ]
    return lines


def _fits(statistics: int, traffic: Traffic) -> bool:
    """The clean baseline counts what began after the promote: not the request that straddled it.

    Requests that were being sent while the promote was on its way to us began before or after it: up to one a client
    more than those that began after its answer.
    """
    return traffic.counted <= statistics <= traffic.counted + traffic.clients


async def _until_running(api: httpx.AsyncClient, workload_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        workload = _checked(await api.get(f"/workloads/{workload_id}"), 200)
        if workload["status"] == "running":
            return workload
        if workload["status"] in ("errored", "terminated") or time.monotonic() > deadline:
            tail = "\n".join(workload["statusDetails"]["logTail"])
            raise Conflict(f"the workload {workload_id} is {workload['status']} and not running\n{tail}")
        await asyncio.sleep(0.2)


async def _send(api: httpx.AsyncClient, endpoint: str, traffic: Traffic) -> None:
    while not traffic.stop:
        after_promote = traffic.promoted
        traffic.sent += 1
        traffic.counted += after_promote
        try:
            answer = await api.get(endpoint)
        except httpx.HTTPError:
            traffic.failed += 1
            continue
        if answer.status_code == 200:
            traffic.pids[answer.json()["pid"]] += 1
        else:
            traffic.failed += 1


def _checked(answer: httpx.Response, status: int) -> dict[str, Any]:
    if answer.status_code != status:
        raise Conflict(f"{answer.request.method} {answer.request.url} answered {answer.status_code}: {answer.text}")
    found: dict[str, Any] = answer.json()
    return found


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 40 else f"{text[:18]} … {text[-18:]}"


def _print_table(lines: list[Line]) -> None:
    width = max(len(line.what) for line in lines)
    column = max(len(line.before) for line in lines)
    print(f"   {'':{width}}  {'before':{column}}  after")
    for line in lines:
        mark = "✓" if line.as_promised else "✗"
        print(f" {mark} {line.what:{width}}  {line.before:{column}}  {line.after}")
