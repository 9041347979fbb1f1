"""Any sequence of what can be done to artifacts and workloads, against a model of the rules (§3 to §6).

The server is real and answers over HTTP; its controller is left out, and played here by the real reconciler on a
runtime that is ready at once, and by the real reaper on a clock that is turned in the database. So each step is over
when it returns, and every state in between can be met.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, or_, select, update

from tests.support.instant import InstantRuntime
from tests.support.rows import add_person
from tests.support.server import ServerProcess
from workload_api.controller.reap import reap
from workload_api.controller.reconcile import Reconciler
from workload_api.controller.replace import replace
from workload_api.db.engine import Database
from workload_api.db.models import ProtonRow, ReplacementRow, WorkloadRow
from workload_api.db.types import database_now
from workload_api.settings import Settings

Json = dict[str, Any]
NOT_ACTIVE = {"stopping", "stopped", "errored", "terminated"}
pick = st.integers(0, 10_000)
"""Chooses among what is there, by its remainder."""


@dataclass
class Repository:
    """What the model knows of a repository."""

    last_version: int = 0


@dataclass
class Artifact:
    """What the model knows of an artifact."""

    repository: str
    name: str
    version: int | None = None

    @property
    def is_draft(self) -> bool:
        """Whether it has no version yet."""
        return self.version is None


@dataclass
class Workload:
    """What the model knows of a workload."""

    artifact: str
    proton: str
    endpoint: str
    due: bool
    status: str = "submitted"
    expired: bool = False
    importance: str = "low"
    replacing: tuple[str, str] | None = None
    """Artifact and candidate of the replacement in progress."""
    cancelled: bool = False
    """Whether it is being undone."""
    history: list[str] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    """The artifacts that stand in its history."""
    events: list[str] = field(default_factory=lambda: ["workload.created"])


class World:
    """One server with its database, and the hands of its controller.

    Args:
        server: Runs without a controller.
        database_url: Its database.
    """

    def __init__(self, server: ServerProcess, database_url: str) -> None:
        self.server = server
        self.runtime = InstantRuntime()
        self._runner = asyncio.Runner()
        options = Settings.model_validate({"database_url": database_url, "lease": "1h"})
        self.database = Database(options.sqlalchemy_url, 4)
        self._options = options
        self._reconciler = Reconciler(self.database, self.runtime, options)

    def close(self) -> None:
        """Give the database back."""
        self._runner.run(self.database.close())
        self._runner.close()

    def person(self) -> str:
        """The token of a user alone in an organization: each example sees its own things alone."""
        return self._runner.run(add_person(self.database, f"user {uuid4()}")).token

    def settle(self) -> None:
        """Let the controller tick until nothing is left to do."""
        self._runner.run(self._settle())

    async def _settle(self) -> None:
        await self._settle_protons()
        while await replace(self.database, self._options):
            async with self.database.write() as session:
                long_ago = {"status_since": database_now(-LONG), "switched_at": database_now(-LONG)}
                await session.execute(
                    update(ReplacementRow)
                    .where(ReplacementRow.status.in_(("switching", "cleaning_up")))
                    .values(long_ago)
                    .execution_options(synchronize_session=False)
                )
            await self._settle_protons()

    async def _settle_protons(self) -> None:
        moving = or_(
            ProtonRow.status.in_(("submitted", "provisioning", "launching", "stopping")),
            (ProtonRow.desired_state == "gone") & (ProtonRow.status != "terminated"),
        )
        for _ in range(100):
            await self._reconciler.tick()
            await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name().startswith("remove ")))
            async with self.database.read() as session:
                left = await session.scalar(select(func.count()).select_from(ProtonRow).where(moving))
            if not left:
                # Once more: a fault of what ran already shows at the next look.
                await self._reconciler.tick()
                return
        raise AssertionError(f"{left} protons do not settle")

    def expire(self, workload_id: str) -> None:
        """Turn the clock to the end of a draft's time, and let the reaper look."""
        self._runner.run(self._expire(workload_id))

    async def _expire(self, workload_id: str) -> None:
        async with self.database.write() as session:
            await session.execute(
                update(WorkloadRow)
                .where(WorkloadRow.id == workload_id, WorkloadRow.expires_at.is_not(None))
                .values(expires_at=database_now())
                .execution_options(synchronize_session=False)
            )
        await reap(self.database)


LONG = timedelta(seconds=5)
"""How far the clock is turned for a switch to be over."""

WORLD: list[World] = []
"""The one that the examples run in: a state machine is made without arguments."""


class Rules(RuleBasedStateMachine):
    """Every rule does one thing to the server and to the model, and compares the two answers."""

    @initialize()
    def begin(self) -> None:
        self.world = WORLD[0]
        self.client = httpx.Client(
            base_url=f"{self.world.server.url}/api/v2",
            headers={"Authorization": f"Bearer {self.world.person()}"},
            timeout=30,
            trust_env=False,
        )
        self.repositories: dict[str, Repository] = {}
        self.artifacts: dict[str, Artifact] = {}
        self.workloads: dict[str, Workload] = {}
        self.gone: set[str] = set()
        self.leaving: set[str] = set()
        """Artifacts of deleted workloads whose compute is still there."""
        self.locked: dict[str, Json] = {}
        """Locked artifacts as they were shown first."""

    def teardown(self) -> None:
        if not hasattr(self, "client"):
            return
        for workload_id in self.workloads:
            assert self.client.delete(f"/workloads/{workload_id}").status_code == 204
        self.world.settle()
        self.client.close()

    # What is there to choose from.

    def an_artifact(self, number: int) -> str:
        return sorted(self.artifacts)[number % len(self.artifacts)]

    def a_repository(self, number: int) -> str:
        return sorted(self.repositories)[number % len(self.repositories)]

    def a_workload(self, number: int) -> str:
        return sorted(self.workloads)[number % len(self.workloads)]

    def call(self, method: str, path: str, body: Json | None = None) -> httpx.Response:
        answer = self.client.request(method, path, json=body)
        note(f"{method} {path} {body or ''} -> {answer.status_code} {answer.text[:200]}")
        assert answer.status_code < 500, answer.text
        return answer

    @staticmethod
    def expect(answer: httpx.Response, status: int, code: str | None = None) -> None:
        found = answer.json().get("code") if answer.status_code >= 400 else None
        assert (answer.status_code, found) == (status, code), answer.text

    # Artifacts and repositories (§3).

    @rule(number=pick, join=st.booleans(), lock=st.booleans(), name=st.sampled_from(["a", "ß", "名"]))
    def create_artifact(self, number: int, join: bool, lock: bool, name: str) -> None:
        repository = self.a_repository(number) if join and self.repositories else None
        body: Json = {"name": name, "spec": spec(name), "status": "locked" if lock else "draft"}
        if repository:
            body["artifactRepositoryId"] = repository
        answer = self.call("POST", "/artifacts", body)
        self.expect(answer, 201)
        self.note_artifact(answer.json()["id"], answer.json()["artifactRepositoryId"], name, lock)

    def note_artifact(self, artifact_id: str, repository_id: str, name: str, lock: bool) -> None:
        self.repositories.setdefault(repository_id, Repository())
        self.artifacts[artifact_id] = Artifact(repository_id, name)
        if lock:
            self.note_lock(artifact_id)

    def note_lock(self, artifact_id: str) -> int:
        artifact = self.artifacts[artifact_id]
        repository = self.repositories[artifact.repository]
        repository.last_version += 1
        artifact.version = repository.last_version
        return artifact.version

    @precondition(lambda self: self.artifacts)
    @rule(number=pick)
    def clone_artifact(self, number: int) -> None:
        source = self.an_artifact(number)
        answer = self.call("POST", f"/artifacts/{source}/clone", {"name": "copy"})
        self.expect(answer, 200)
        assert answer.json()["status"] == "draft"
        self.note_artifact(answer.json()["id"], self.artifacts[source].repository, "copy", False)

    @precondition(lambda self: self.artifacts)
    @rule(number=pick, replace=st.booleans())
    def change_artifact(self, number: int, replace: bool) -> None:
        artifact_id = self.an_artifact(number)
        artifact = self.artifacts[artifact_id]
        if replace:
            answer = self.call("PUT", f"/artifacts/{artifact_id}", {"name": "replaced", "spec": spec("replaced")})
        else:
            answer = self.call("PATCH", f"/artifacts/{artifact_id}", {"name": "renamed"})
        if artifact.is_draft:
            self.expect(answer, 200)
            artifact.name = "replaced" if replace else "renamed"
        else:
            self.expect(answer, 422, "ARTIFACT_LOCKED")

    @precondition(lambda self: self.artifacts)
    @rule(number=pick)
    def lock_artifact(self, number: int) -> None:
        artifact_id = self.an_artifact(number)
        answer = self.call("PATCH", f"/artifacts/{artifact_id}", {"status": "locked"})
        if not self.artifacts[artifact_id].is_draft:
            self.expect(answer, 422, "ARTIFACT_LOCKED")
            return
        self.expect(answer, 200)
        assert answer.json()["version"] == self.note_lock(artifact_id)
        for workload in self.workloads.values():
            if workload.artifact == artifact_id:
                workload.due = False

    def in_use(self, artifact_id: str) -> bool:
        """Whether a workload points at it, or compute that is not gone runs it."""
        return artifact_id in self.leaving or any(
            (workload.artifact == artifact_id and (not workload.expired or workload.status == "stopping"))
            or (workload.replacing is not None and workload.replacing[0] == artifact_id)
            for workload in self.workloads.values()
        )

    def is_taken(self, artifact_id: str, beside: str | None = None) -> bool:
        """Whether a workload lives on it, or is about to."""
        return any(
            (workload.artifact == artifact_id and not workload.expired)
            or (workload.replacing is not None and workload.replacing[0] == artifact_id and not workload.cancelled)
            for workload_id, workload in self.workloads.items()
            if workload_id != beside
        )

    def end_replacement(self, workload: Workload) -> None:
        """Note that what is in progress ends with the workload's compute."""
        if workload.replacing is not None:
            self.leaving.add(workload.replacing[0])
            workload.events.append("replacement.deleted" if workload.cancelled else "replacement.errored")
            workload.replacing, workload.cancelled = None, False

    @precondition(lambda self: self.artifacts)
    @rule(number=pick)
    def delete_artifact(self, number: int) -> None:
        artifact_id = self.an_artifact(number)
        answer = self.call("DELETE", f"/artifacts/{artifact_id}")
        if not self.artifacts[artifact_id].is_draft:
            self.expect(answer, 409, "ARTIFACT_LOCKED")
        elif self.in_use(artifact_id):
            self.expect(answer, 409, "ARTIFACT_IN_USE")
        else:
            self.expect(answer, 204)
            del self.artifacts[artifact_id]
            self.expect(self.call("GET", f"/artifacts/{artifact_id}"), 404, "ARTIFACT_NOT_FOUND")

    @precondition(lambda self: self.repositories)
    @rule(number=pick)
    def delete_repository(self, number: int) -> None:
        repository_id = self.a_repository(number)
        mine = [each for each, artifact in self.artifacts.items() if artifact.repository == repository_id]
        answer = self.call("DELETE", f"/artifactRepositories/{repository_id}")
        told = set().union(*(each.told for each in self.workloads.values() if not each.expired))
        if any(self.in_use(each) or each in told for each in mine):
            self.expect(answer, 409, "REPOSITORY_IN_USE")
            return
        self.expect(answer, 204)
        del self.repositories[repository_id]
        for each in mine:
            del self.artifacts[each]
            self.locked.pop(each, None)

    # Workloads (§4).

    @rule()
    def create_workload(self) -> None:
        answer = self.call("POST", "/workloads", {"name": "w", "artifact": {"name": "inline", "spec": spec("inline")}})
        self.expect(answer, 201)
        made = answer.json()
        self.note_artifact(made["artifactId"], made["artifact"]["artifactRepositoryId"], "inline", False)
        self.note_workload(made, due=True)

    @precondition(lambda self: self.artifacts)
    @rule(number=pick)
    def create_workload_on_an_artifact(self, number: int) -> None:
        artifact_id = self.an_artifact(number)
        is_draft = self.artifacts[artifact_id].is_draft
        taken = self.is_taken(artifact_id)
        answer = self.call("POST", "/workloads", {"name": "w", "artifactId": artifact_id})
        if is_draft and taken:
            self.expect(answer, 422, "DRAFT_IN_USE")
            return
        self.expect(answer, 201)
        self.note_workload(answer.json(), due=is_draft)

    def note_workload(self, made: Json, *, due: bool) -> None:
        self.workloads[made["id"]] = Workload(made["artifactId"], made["protonId"], made["endpoint"], due)

    @precondition(lambda self: self.workloads)
    @rule(number=pick, importance=st.sampled_from(["critical", "high", "moderate", "low"]))
    def patch_workload(self, number: int, importance: str) -> None:
        workload_id = self.a_workload(number)
        workload = self.workloads[workload_id]
        self.expect(self.call("PATCH", f"/workloads/{workload_id}", {"importance": importance}), 200)
        if workload.importance != importance:
            workload.importance = importance
            workload.events.append("workload.updated")

    @precondition(lambda self: self.workloads)
    @rule(number=pick)
    def stop_workload(self, number: int) -> None:
        workload_id = self.a_workload(number)
        workload = self.workloads[workload_id]
        self.expect(self.call("POST", f"/workloads/{workload_id}/stop"), 202)
        if workload.status not in ("stopping", "stopped", "terminated"):
            self.end_replacement(workload)
            workload.status = "stopping"
            workload.events.append("workload.stopped")

    @precondition(lambda self: self.workloads)
    @rule(number=pick)
    def start_workload(self, number: int) -> None:
        workload_id = self.a_workload(number)
        workload = self.workloads[workload_id]
        answer = self.call("POST", f"/workloads/{workload_id}/start")
        if workload.expired:
            self.expect(answer, 409, "WORKLOAD_EXPIRED")
        elif workload.status not in ("stopped", "errored"):
            self.expect(answer, 409, "NOT_STARTABLE")
        else:
            self.expect(answer, 202)
            self.world.runtime.faulty.discard(workload.proton)
            workload.status = "submitted"
            workload.events.append("workload.started")

    @precondition(lambda self: self.workloads)
    @rule(number=pick)
    def delete_workload(self, number: int) -> None:
        workload_id = self.a_workload(number)
        self.expect(self.call("DELETE", f"/workloads/{workload_id}"), 204)
        workload = self.workloads.pop(workload_id)
        if workload.status not in ("stopped", "terminated"):
            self.leaving.add(workload.artifact)
        self.end_replacement(workload)
        self.gone.add(workload_id)
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/promote"), ("POST", "/start"), ("POST", "/stop")):
            self.expect(self.call(method, f"/workloads/{workload_id}{path}"), 404, "WORKLOAD_NOT_FOUND")

    @precondition(lambda self: self.workloads)
    @rule(number=pick)
    def reset_statistics(self, number: int) -> None:
        workload_id = self.a_workload(number)
        self.expect(self.call("DELETE", f"/workloads/{workload_id}/stats"), 204)
        self.workloads[workload_id].events.append("statistics.reset")

    # Promote (§5), twice as often as the others: it is what this is about.

    @precondition(lambda self: self.workloads)
    @rule(number=pick)
    def promote(self, number: int) -> None:
        workload_id = self.a_workload(number)
        workload = self.workloads[workload_id]
        answer = self.call("POST", f"/workloads/{workload_id}/promote")
        if workload.expired or workload.status in NOT_ACTIVE:
            self.expect(answer, 422, "NO_ACTIVE_PROTON")
        elif not self.artifacts[workload.artifact].is_draft:
            self.expect(answer, 422, "ARTIFACT_NOT_DRAFT")
        elif workload.replacing is not None:
            self.expect(answer, 422, "REPLACEMENT_IN_PROGRESS")
        else:
            self.expect(answer, 202)
            version = self.note_lock(workload.artifact)
            assert answer.json()["artifact"]["version"] == version
            workload.due = False
            workload.history.append("promote")
            workload.told.add(workload.artifact)
            workload.events.append("workload.promoted")

    @precondition(lambda self: self.workloads)
    @rule(number=pick)
    def promote_another(self, number: int) -> None:
        self.promote(number)

    # Replacements (§6).

    @precondition(lambda self: self.workloads)
    @rule(number=pick, onto=pick)
    def replace_artifact(self, number: int, onto: int) -> None:
        workload_id, artifact_id = self.a_workload(number), self.an_artifact(onto)
        workload, artifact = self.workloads[workload_id], self.artifacts[artifact_id]
        body = {"artifactId": artifact_id, "strategy": "rolling"}
        answer = self.call("POST", f"/workloads/{workload_id}/replacement", body)
        if workload.replacing is not None:
            self.expect(answer, 422, "REPLACEMENT_IN_PROGRESS")
        elif workload.expired or workload.status in NOT_ACTIVE:
            self.expect(answer, 422, "NO_ACTIVE_PROTON")
        elif artifact.is_draft != self.artifacts[workload.artifact].is_draft:
            self.expect(answer, 400, "ARTIFACT_STATUS_MISMATCH")
        elif artifact.is_draft and self.is_taken(artifact_id, beside=workload_id):
            self.expect(answer, 422, "DRAFT_IN_USE")
        elif not artifact.is_draft and artifact_id == workload.artifact:
            self.expect(answer, 422, "SAME_ARTIFACT")
        else:
            self.note_replacement(workload, answer, "replace", artifact_id)

    @precondition(lambda self: self.workloads)
    @rule(number=pick)
    def change_settings(self, number: int) -> None:
        workload_id = self.a_workload(number)
        workload = self.workloads[workload_id]
        answer = self.call("PATCH", f"/workloads/{workload_id}/settings", {"runtime": {}})
        if workload.replacing is not None:
            self.expect(answer, 409, "REPLACEMENT_IN_PROGRESS")
        elif workload.expired or workload.status in NOT_ACTIVE:
            self.expect(answer, 422, "NO_ACTIVE_PROTON")
        else:
            self.note_replacement(workload, answer, "settings", workload.artifact)

    def note_replacement(self, workload: Workload, answer: httpx.Response, reason: str, artifact_id: str) -> None:
        self.expect(answer, 202)
        workload.replacing = (artifact_id, answer.json()["candidateProtonIds"][0])
        workload.history.append(reason)
        workload.told.add(artifact_id)
        workload.events.append("replacement.submitted")

    @precondition(lambda self: any(each.replacing for each in self.workloads.values()))
    @rule(number=pick)
    def cancel_replacement(self, number: int) -> None:
        workload_id = self.a_workload(number)
        workload = self.workloads[workload_id]
        answer = self.call("DELETE", f"/workloads/{workload_id}/replacement")
        if workload.replacing is None:
            self.expect(answer, 404, "REPLACEMENT_NOT_FOUND")
            return
        self.expect(answer, 202)
        if not workload.cancelled:
            workload.cancelled = True
            workload.events.append("replacement.deleting")

    def finish_replacement(self, workload: Workload) -> None:
        """What comes of the replacement in progress."""
        assert workload.replacing is not None
        artifact_id, proton_id = workload.replacing
        if workload.cancelled:
            workload.events.append("replacement.deleted")
        elif self.artifacts[artifact_id].is_draft != self.artifacts[workload.artifact].is_draft:
            workload.events += [f"replacement.{step}" for step in ("initializing", "awaiting_promotion", "errored")]
        else:
            steps = ("initializing", "awaiting_promotion", "switching", "cleaning_up", "completed")
            workload.events += [f"replacement.{step}" for step in steps]
            workload.artifact, workload.proton = artifact_id, proton_id
        workload.replacing, workload.cancelled = None, False

    # The controller and the reaper.

    @rule()
    def settle(self) -> None:
        self.world.settle()
        self.leaving.clear()
        for workload in self.workloads.values():
            if workload.replacing is not None:
                self.finish_replacement(workload)
            if workload.status == "stopping":
                workload.status = "terminated" if workload.expired else "stopped"
            elif workload.status not in ("stopped", "terminated"):
                workload.status = "errored" if workload.proton in self.world.runtime.faulty else "running"

    @precondition(lambda self: self.workloads)
    @rule(number=pick)
    def break_workload(self, number: int) -> None:
        workload = self.workloads[self.a_workload(number)]
        self.world.runtime.faulty.add(workload.proton)
        self.settle()

    @precondition(lambda self: self.workloads)
    @rule(number=pick)
    def expire(self, number: int) -> None:
        workload_id = self.a_workload(number)
        workload = self.workloads[workload_id]
        self.world.expire(workload_id)
        if workload.due:
            self.end_replacement(workload)
            workload.due, workload.expired = False, True
            workload.status = "terminated" if workload.status == "stopped" else "stopping"
            workload.events.append("workload.expired")

    # What must hold after each step.

    def listed(self, path: str) -> dict[str, Json]:
        found = self.client.get(path, params={"limit": 100}).raise_for_status().json()
        assert found["totalCount"] == found["count"] == len(found["data"])
        return {each["id"]: each for each in found["data"]}

    @invariant()
    def repositories_are_as_in_the_model(self) -> None:
        if not hasattr(self, "client"):
            return
        shown = self.listed("/artifactRepositories")
        assert {each: (found["lastVersionNumber"], found["numArtifacts"]) for each, found in shown.items()} == {
            each: (repository.last_version, sum(a.repository == each for a in self.artifacts.values()))
            for each, repository in self.repositories.items()
        }

    @invariant()
    def artifacts_are_as_in_the_model(self) -> None:
        if not hasattr(self, "client"):
            return
        shown = self.listed("/artifacts")
        assert {
            each: (a["artifactRepositoryId"], a["name"], a["version"], a["status"]) for each, a in shown.items()
        } == {
            each: (artifact.repository, artifact.name, artifact.version, "draft" if artifact.is_draft else "locked")
            for each, artifact in self.artifacts.items()
        }
        for artifact_id, artifact in shown.items():
            if artifact["status"] == "locked":
                assert artifact == self.locked.setdefault(artifact_id, artifact), "a locked artifact changed"

    @invariant()
    def workloads_are_as_in_the_model(self) -> None:
        if not hasattr(self, "client"):
            return
        shown = self.listed("/workloads")
        assert {
            each: (
                w["status"],
                w["artifactId"],
                w["protonId"],
                w["endpoint"],
                w["importance"],
                w["expiresAt"] is not None,
            )
            for each, w in shown.items()
        } == {
            each: (w.status, w.artifact, w.proton, w.endpoint, w.importance, w.due)
            for each, w in self.workloads.items()
        }
        for workload_id, workload in self.workloads.items():
            if artifact := self.artifacts.get(workload.artifact):
                assert shown[workload_id]["artifact"]["version"] == artifact.version
                assert (shown[workload_id]["expiresAt"] is not None) <= artifact.is_draft

    @invariant()
    def events_and_history_are_as_in_the_model(self) -> None:
        if not hasattr(self, "client"):
            return
        for workload_id, workload in self.workloads.items():
            history = self.listed(f"/workloads/{workload_id}/history").values()
            assert [entry["reason"] for entry in history] == workload.history[::-1]
            assert sum(entry["deployedAt"] is not None and entry["retiredAt"] is None for entry in history) <= 1
            events = self.listed(f"/workloads/{workload_id}/events").values()
            told = [event["eventType"] for event in events if "status_changed" not in event["eventType"]]
            assert told == workload.events[::-1]


def spec(name: str) -> Json:
    """A spec that nobody runs here."""
    container = {"name": "c", "imageUri": f"example.test/{len(name)}:1", "port": 8080, "entrypoint": ["true"]}
    return {"containerGroups": [{"containers": [container]}]}


@contextmanager
def world(directory: Path, database_url: str) -> Iterator[None]:
    """A server without a controller, and its world."""
    with ServerProcess(directory, database_url=database_url, settings={"CONTROLLER": "false"}) as server:
        made = World(server, database_url)
        WORLD.append(made)
        try:
            yield
        finally:
            WORLD.clear()
            made.close()


@pytest.mark.timeout(300)
def test_the_server_and_the_model_agree(database_url: str, tmp_path: Path) -> None:
    """The same sequences each time, on both databases."""
    with world(tmp_path, database_url):
        run_state_machine_as_test(
            Rules,
            settings=settings(
                max_examples=12,
                stateful_step_count=40,
                deadline=None,
                derandomize=True,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            ),
        )
