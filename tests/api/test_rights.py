"""Every operation, with every role, in the own and in another organization (§10)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import insert

from tests.api.support import Json, idle_artifact, read
from tests.support.many import add_drafts
from tests.support.rows import Ids, Person, add_colleague, add_person, opened
from tests.support.server import ServerProcess
from workload_api.db.engine import Database
from workload_api.db.models import SharedRoleRow
from workload_api.domain.words import SharingRole
from workload_api.identity.operations import OPERATIONS
from workload_api.identity.rights import RIGHTS_OF_ROLE

ROLES: tuple[SharingRole, ...] = get_args(SharingRole)
SHARE = {"operation": "updateRoles", "roles": [{"shareRecipientType": "organization", "id": "", "role": "USER"}]}


@dataclass(frozen=True)
class Case:
    """A request and how it is answered to those who may make it."""

    code: int
    body: Json | None = None
    query: str = ""
    before: tuple[str, Json] | None = None
    """A POST that the owner sends before."""


# With no replicas, a draft in use and no builder, some of what is allowed is refused for another reason.
SAME_DRAFT: Json = {"artifactId": "{artifact_id}", "strategy": "rolling"}
REPLACED = ("/workloads/{workload_id}/replacement", SAME_DRAFT)

CASES: dict[str, Case] = {
    "POST /workloads": Case(422, {"name": "second", "artifactId": "{artifact_id}"}),
    "GET /workloads/{workload_id}": Case(200),
    "PATCH /workloads/{workload_id}": Case(200, {"importance": "high"}),
    "DELETE /workloads/{workload_id}": Case(204),
    "POST /workloads/{workload_id}/promote": Case(202),
    "POST /workloads/{workload_id}/start": Case(409),
    "POST /workloads/{workload_id}/stop": Case(202),
    "GET /workloads/{workload_id}/settings": Case(200),
    "PATCH /workloads/{workload_id}/settings": Case(202, {"runtime": {}}),
    "POST /workloads/{workload_id}/replacement": Case(202, SAME_DRAFT),
    "GET /workloads/{workload_id}/replacement": Case(200, before=REPLACED),
    "DELETE /workloads/{workload_id}/replacement": Case(202, before=REPLACED),
    "GET /workloads/{workload_id}/related": Case(200),
    "GET /workloads/{workload_id}/protons": Case(200),
    "GET /workloads/{workload_id}/protons/{proton_id}": Case(200),
    "GET /workloads/{workload_id}/protons/{proton_id}/statusDetails": Case(204),
    "GET /workloads/{workload_id}/events": Case(200),
    "GET /workloads/{workload_id}/history": Case(200),
    "GET /workloads/{workload_id}/stats": Case(200),
    "GET /workloads/{workload_id}/stats/{metric_name}": Case(200),
    "DELETE /workloads/{workload_id}/stats": Case(204),
    "GET /workloads/{workload_id}/sharedRoles": Case(200),
    "PATCH /workloads/{workload_id}/sharedRoles": Case(204, SHARE),
    "PUT /workloads/{workload_id}/tags": Case(200, {"tags": []}),
    "GET /otel/workload/{workload_id}/logs": Case(200),
    "GET /otel/workload/{workload_id}/metrics/autocollectedValues": Case(200),
    "GET /otel/workload/{workload_id}/traces": Case(200),
    "GET /otel/workload/{workload_id}/traces/{trace_id}": Case(404),
    "POST /artifacts": Case(201, idle_artifact(artifactRepositoryId="{artifact_repository_id}")),
    "GET /artifacts/{artifact_id}": Case(200),
    "PATCH /artifacts/{artifact_id}": Case(200, {"name": "renamed"}),
    "PUT /artifacts/{artifact_id}": Case(200, idle_artifact()),
    "DELETE /artifacts/{artifact_id}": Case(409),
    "POST /artifacts/{artifact_id}/clone": Case(200, {"name": "clone"}),
    "GET /artifacts/{artifact_id}/builds": Case(200),
    "POST /artifacts/{artifact_id}/builds": Case(422),
    "GET /artifacts/{artifact_id}/builds/{build_id}": Case(404),
    "GET /artifacts/{artifact_id}/builds/{build_id}/logs": Case(404),
    "GET /artifacts/{artifact_id}/sharedRoles": Case(200),
    "PATCH /artifacts/{artifact_id}/sharedRoles": Case(204, SHARE),
    "PUT /artifacts/{artifact_id}/tags": Case(200, {"tags": []}),
    "GET /artifactRepositories/{artifact_repository_id}": Case(200),
    "DELETE /artifactRepositories/{artifact_repository_id}": Case(409),
    "GET /artifactRepositories/{artifact_repository_id}/sharedRoles": Case(200),
    "PATCH /artifactRepositories/{artifact_repository_id}/sharedRoles": Case(204, SHARE),
    "PUT /artifactRepositories/{artifact_repository_id}/tags": Case(200, {"tags": []}),
}


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server without a controller: nothing runs, and statuses stay."""
    with ServerProcess(tmp_path, database_url=database_url, settings={"CONTROLLER": "false"}) as made:
        yield made


@pytest.fixture
async def database(server: ServerProcess) -> AsyncIterator[Database]:
    """The server's database."""
    async with opened(server.database_url or "") as made:
        yield made


async def give(database: Database, to: Person, ids: Ids, role: SharingRole) -> None:
    """Let somebody have a role on a workload, its artifact and its repository."""
    async with database.write() as session:
        await session.execute(
            insert(SharedRoleRow),
            [
                {
                    "resource_type": kind,
                    "resource_id": resource_id,
                    "subject_type": "user",
                    "subject_id": to.caller.user_id,
                    "role": role,
                }
                for kind, resource_id in (
                    ("workload", ids.workload_id),
                    ("artifact", ids.artifact_id),
                    ("artifact_repository", ids.repository_id),
                )
            ],
        )


def filled(value: Any, ids: Ids, organization_id: str) -> Any:
    """A path or a body with the ids of the things that it names."""
    if isinstance(value, dict):
        found = {key: filled(inner, ids, organization_id) for key, inner in value.items()}
        return {**found, "id": organization_id} if value.get("shareRecipientType") else found
    if isinstance(value, list):
        return [filled(inner, ids, organization_id) for inner in value]
    if not isinstance(value, str):
        return value
    for name, found_id in {
        "workload_id": ids.workload_id,
        "artifact_id": ids.artifact_id,
        "artifact_repository_id": ids.repository_id,
        "proton_id": ids.proton_id,
        "metric_name": "totalRequests",
        "build_id": "0123456789abcdef01234567",
        "trace_id": "0123456789abcdef0123456789abcdef",
    }.items():
        value = value.replace(f"{{{name}}}", found_id)
    return value


def expected(operation: str, role: SharingRole | None) -> int:
    """The code that a caller with this role on all three resources gets."""
    rights = RIGHTS_OF_ROLE[role] if role else frozenset()
    for need in OPERATIONS[operation]:
        if need.right not in rights:
            return 403 if "view" in rights else 404
    return CASES[operation].code


async def test_every_operation_with_every_role(server: ServerProcess, database: Database) -> None:
    """Own organization with each role and with none, and the owner of nothing here in another organization."""
    owner = await add_person(database, f"owner {uuid4()}")
    people: dict[SharingRole | None, Person] = {
        role: await add_colleague(database, owner, f"{role} {uuid4()}") for role in (*ROLES, None)
    }
    foreigner = await add_person(database, f"foreigner {uuid4()}")
    wrong: list[tuple[object, ...]] = []
    cells = 0
    async with server.client(timeout=60) as client:
        for operation, case in CASES.items():
            method, _, path = operation.partition(" ")
            drafts = await add_drafts(database, owner, len(people) + 1, repositories=len(people) + 1)
            callers: list[tuple[SharingRole | None, Person]] = [*people.items(), (None, foreigner)]
            for (role, person), ids in zip(callers, drafts, strict=True):
                if role is not None:
                    await give(database, person, ids, role)
                if case.before is not None:
                    made = await client.post(
                        filled(case.before[0], ids, ""), json=filled(case.before[1], ids, ""), headers=owner.headers
                    )
                    assert made.status_code == 202, made.text
                answer = await client.request(
                    method,
                    filled(path, ids, "") + case.query,
                    json=filled(case.body, ids, owner.caller.organization_id),
                    headers=person.headers,
                )
                cells += 1
                if answer.status_code != expected(operation, role):
                    wrong.append((operation, role, answer.status_code, expected(operation, role), answer.text[:200]))
                if person is foreigner and answer.status_code != 404:
                    wrong.append((operation, "foreigner", answer.status_code, 404, answer.text[:200]))
    assert not wrong, wrong
    assert cells == len(CASES) * (len(ROLES) + 2)


async def test_the_table_names_every_operation(server: ServerProcess) -> None:
    """None of the operations on a thing is without a line in the table, and each line has its case."""
    async with server.client() as client:
        document = await read(client, "/openapi.json")
    there = {
        f"{method.upper()} {path.removeprefix('/api/v2')}"
        for path, operations in document["paths"].items()
        for method in operations
        if path.startswith("/api/v2/") and "{" in path and "/credentials/" not in path
    }
    assert set(OPERATIONS) == set(CASES)
    assert there ^ set(OPERATIONS) == {"POST /workloads", "POST /artifacts"}
    operation = document["paths"]["/api/v2/workloads/{workload_id}/promote"]["post"]
    assert "`update` on the workload and `update` on the artifact" in operation["description"]


async def test_invoking(server: ServerProcess, database: Database) -> None:
    """The endpoint: for those with the right to invoke, whatever else they may."""
    owner = await add_person(database, f"owner {uuid4()}")
    (ids,) = await add_drafts(database, owner, 1)
    async with server.client() as client:
        path = f"/endpoints/workloads/{ids.workload_id}/"
        people = {role: await add_colleague(database, owner, f"{role} {uuid4()}") for role in ROLES}
        for role, person in people.items():
            await give(database, person, ids, role)
        for role, person in people.items():
            answer = await client.get(path, headers=person.headers)
            assert answer.status_code == (503 if "invoke" in RIGHTS_OF_ROLE[role] else 403), (role, answer.text)
        stranger = await add_colleague(database, owner, f"stranger {uuid4()}")
        foreigner = await add_person(database, f"foreigner {uuid4()}")
        for person in (stranger, foreigner):
            assert (await client.get(path, headers=person.headers)).status_code == 404


async def test_promote_needs_the_right_to_update_the_artifact_too(server: ServerProcess, database: Database) -> None:
    owner = await add_person(database, f"owner {uuid4()}")
    person = await add_colleague(database, owner, f"editor {uuid4()}")
    (ids,) = await add_drafts(database, owner, 1)
    grant: Json = {"shareRecipientType": "user", "username": person.caller.username, "role": "editor"}
    async with server.client(token=owner.token) as mine, server.client(token=person.token) as theirs:
        body = {"operation": "updateRoles", "roles": [grant]}
        assert (await mine.patch(f"/workloads/{ids.workload_id}/sharedRoles", json=body)).status_code == 204
        answers: list[httpx.Response] = [
            await theirs.post(f"/workloads/{ids.workload_id}/promote{query}") for query in ("", "?dryRun=true")
        ]
        assert [answer.status_code for answer in answers] == [403, 403]
        assert ids.artifact_id in answers[0].json()["message"]
        assert (await mine.patch(f"/artifacts/{ids.artifact_id}/sharedRoles", json=body)).status_code == 204
        assert (await theirs.post(f"/workloads/{ids.workload_id}/promote")).status_code == 202
