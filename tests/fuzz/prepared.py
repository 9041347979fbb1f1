"""What is there before generated requests come, so that they get past 404."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support import payloads
from tests.support.server import ServerProcess

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Ids by the names of the path parameters that take them.

    Attributes:
        kept: What generated requests may change, but not delete.
        expendable: What they may delete.
        user_id: Somebody who roles can be given to.
        draft_artifact_id: What can be changed again and again.
        locked_artifact_id: What any number of workloads can run on.
        protons: The proton of each workload.
    """

    kept: Mapping[str, list[str]]
    expendable: Mapping[str, list[str]]
    user_id: str
    draft_artifact_id: str
    locked_artifact_id: str
    protons: Mapping[str, str]


def prepare(server: ServerProcess, *, expendable: int = 5) -> Prepared:
    """Make workloads in several states, artifacts, credentials; with traffic, history and events.

    Args:
        server: A running server with a controller.
        expendable: How many of each kind may be deleted.
    """
    added = server.command("user", "add", "somebody@example.test")
    assert added.returncode == 0, added.stderr
    base_url = f"{server.url}/api/v2"
    with httpx.Client(base_url=base_url, headers=server.headers, timeout=30, trust_env=False) as client:
        return _Maker(client).make(expendable, added.stdout.split()[0])


class _Maker:
    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def make(self, expendable: int, user_id: str) -> Prepared:
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
            "workload_id": [workload["id"] for workload in workloads],
            "proton_id": [workload["protonId"] for workload in workloads],
            "artifact_id": [workload["artifactId"] for workload in workloads],
            "artifact_repository_id": [
                *(workload["artifact"]["artifactRepositoryId"] for workload in workloads),
                free["artifactRepositoryId"],
            ],
            "credential_id": [self._credential("kept")],
        }
        spare = [self._done("POST", "/artifacts", payloads.artifact("spare")) for _ in range(2 * expendable)]
        half = spare[expendable:]
        return Prepared(
            kept,
            expendable={
                "workload_id": [self._workload("spare", artifactId=one["id"])["id"] for one in spare[:expendable]],
                "artifact_id": [one["id"] for one in half[::2]],
                "artifact_repository_id": [one["artifactRepositoryId"] for one in half[1::2]],
                "credential_id": [self._credential(f"spare {number}") for number in range(expendable)],
            },
            user_id=user_id,
            draft_artifact_id=free["id"],
            locked_artifact_id=locked["artifactId"],
            protons={workload["id"]: workload["protonId"] for workload in workloads},
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
