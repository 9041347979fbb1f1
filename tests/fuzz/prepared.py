"""What is there before generated requests come, so that they get past 404: their ids, by the parameters that take them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from tests.support import payloads
from tests.support.server import ServerProcess

UNKNOWN: Final = "0123456789abcdef01234567"

Json = dict[str, Any]


@dataclass(slots=True)
class Prepared:
    """Ids by the names of parameters; some stay, some may be deleted."""

    kept: dict[str, list[str]] = field(default_factory=dict)
    """What generated requests may change, but not delete."""
    expendable: dict[str, list[str]] = field(default_factory=dict)
    """What they may delete."""


def prepare(server: ServerProcess, *, expendable: int = 5) -> Prepared:
    """Make workloads in several states, artifacts, credentials; with traffic, history and events.

    Args:
        server: A running server with a controller.
        expendable: How many of each kind may be deleted.
    """
    base_url = f"{server.url}/api/v2"
    with httpx.Client(base_url=base_url, headers=server.headers, timeout=30, trust_env=False) as client:
        return _Maker(client).make(expendable)


class _Maker:
    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def make(self, expendable: int) -> Prepared:
        draft, locked, stopped = (self._workload(name) for name in ("draft", "locked", "stopped"))
        for workload in (draft, locked, stopped):
            self._reach(workload["id"], "running")
        self._done("POST", f"/workloads/{locked['id']}/promote")
        self._done("POST", f"/workloads/{stopped['id']}/stop")
        self._reach(stopped["id"], "stopped")
        for path in ("", "status/404", "status/500"):
            for workload in (draft, locked):
                self._client.get(f"/endpoints/workloads/{workload['id']}/{path}")
        free = self._done("POST", "/artifacts", payloads.artifact("free"))
        workloads = [draft, locked, stopped]
        kept = {
            "workload_id": [workload["id"] for workload in workloads] + [UNKNOWN],
            "proton_id": [workload["protonId"] for workload in workloads] + [UNKNOWN],
            "artifact_id": [workload["artifactId"] for workload in workloads] + [free["id"], UNKNOWN],
            "artifact_repository_id": [
                *(workload["artifact"]["artifactRepositoryId"] for workload in workloads),
                free["artifactRepositoryId"],
                UNKNOWN,
            ],
            "credential_id": [self._credential("kept"), UNKNOWN],
        }
        spare = [self._done("POST", "/artifacts", payloads.artifact("spare")) for _ in range(2 * expendable)]
        half = spare[expendable:]
        return Prepared(
            kept,
            {
                "workload_id": [self._workload("spare", artifactId=one["id"])["id"] for one in spare[:expendable]],
                "artifact_id": [one["id"] for one in half[::2]],
                "artifact_repository_id": [one["artifactRepositoryId"] for one in half[1::2]],
                "credential_id": [self._credential(f"spare {number}") for number in range(expendable)],
            },
        )

    def _workload(self, name: str, **fields: Any) -> Json:
        return self._done("POST", "/workloads", payloads.workload(name, **fields))

    def _credential(self, name: str) -> str:
        body = {"name": name, "credentialType": "basic", "user": "u", "password": "p"}
        return str(self._done("POST", "/credentials", body)["credentialId"])

    def _reach(self, workload_id: str, status: str) -> None:
        deadline = time.monotonic() + 60
        while (found := self._done("GET", f"/workloads/{workload_id}"))["status"] != status:
            assert time.monotonic() < deadline, (found["status"], found["statusDetails"])
            time.sleep(0.1)

    def _done(self, method: str, path: str, body: Json | None = None) -> Json:
        answer = self._client.request(method, path, json=body)
        assert answer.is_success, (method, path, answer.text)
        made: Json = answer.json()
        return made
