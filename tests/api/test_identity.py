"""Users, tokens and tenants (§2, §10): who is let in, and what one organization sees of another's."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.api.support import create, idle_artifact, problem, read
from tests.support.server import ServerProcess
from tests.support.waiting import until


def new_user(server: ServerProcess, organization: str) -> tuple[str, str]:
    """Add a user with a token by the command line; returns both."""
    name = f"user-{uuid4().hex}@example.test"
    added = server.command("user", "add", name, "--organization", organization)
    assert added.returncode == 0, added.stderr
    made = server.command("token", "create", name, "--name", "for tests")
    assert made.returncode == 0, made.stderr
    return name, made.stdout.strip()


@pytest.fixture(scope="module")
def stranger(shared_server: ServerProcess) -> Iterator[tuple[str, str]]:
    """A user of another organization, with a token."""
    yield new_user(shared_server, "other")


@pytest.fixture
async def foreign(shared_server: ServerProcess, stranger: tuple[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """The stranger's client."""
    async with shared_server.client(token=stranger[1]) as made:
        yield made


async def test_without_a_token_or_with_a_wrong_one_nothing_is_done(
    shared_server: ServerProcess, shared_client: httpx.AsyncClient
) -> None:
    made = await create(shared_client)
    async with httpx.AsyncClient(base_url=f"{shared_server.url}/api/v2", trust_env=False) as nobody:
        for header in (None, "", "Bearer", "Bearer wrong", "Basic YTpi", shared_server.token, "Bearer \xff"):
            headers = [] if header is None else [(b"authorization", header.encode("latin-1"))]
            for method, path in (
                ("GET", "/version/"),
                ("GET", "/account/info/"),
                ("GET", "/workloads"),
                ("GET", f"/workloads/{made['id']}"),
                ("POST", f"/workloads/{made['id']}/promote"),
                ("DELETE", f"/workloads/{made['id']}"),
                ("POST", "/artifacts"),
                ("GET", f"/endpoints/workloads/{made['id']}/"),
            ):
                answer = await nobody.request(method, path, headers=headers)
                assert problem(answer, 401)["code"] == "UNAUTHENTICATED"
                assert answer.headers["www-authenticate"] == "Bearer"
        for header in (
            f"bearer {shared_server.token}",
            f"Token {shared_server.token}",
            f"Bearer  {shared_server.token}",
        ):
            answer = await nobody.get("/version/", headers={"authorization": header})
            assert answer.status_code == 200, header
    assert (await read(shared_client, f"/workloads/{made['id']}"))["artifact"]["status"] == "draft"


async def test_without_a_token_nobody_learns_what_is_wrong_with_a_body(shared_server: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=f"{shared_server.url}/api/v2", trust_env=False) as nobody:
        for content in (b"{", b"{}", b'{"name": 7}'):
            answer = await nobody.post("/workloads", content=content, headers={"content-type": "application/json"})
            problem(answer, 401)
        problem(await nobody.get("/workloads?limit=0"), 401)


async def test_version_and_account(
    shared_client: httpx.AsyncClient, foreign: httpx.AsyncClient, stranger: tuple[str, str]
) -> None:
    version = await read(shared_client, "/version/")
    assert (type(version["major"]), type(version["minor"])) == (int, int)
    own, other = await read(shared_client, "/account/info/"), await read(foreign, "/account/info/")
    assert own["limits"] == {"maxConcurrentWorkloads": 0, "maxWorkloadReplicas": 100}
    assert own["username"] == "admin"
    assert other["username"] == stranger[0]
    for name in ("uid", "orgId", "tenantId"):
        assert own[name]
        assert own[name] != other[name]
    assert {own["firstName"], own["lastName"], type(own["email"])} == {"", str}


async def test_another_tenants_things_are_not_there(
    shared_client: httpx.AsyncClient, foreign: httpx.AsyncClient
) -> None:
    """404 on every operation, by its id or as a part of something new, and nothing in the lists (§10)."""
    made = await create(shared_client)
    workload, artifact = f"/workloads/{made['id']}", f"/artifacts/{made['artifactId']}"
    repository_id = made["artifact"]["artifactRepositoryId"]
    repository = f"/artifactRepositories/{repository_id}"
    before = [await read(shared_client, path) for path in (workload, artifact, repository)]
    bodies = {"PATCH": {"name": "stolen"}, "PUT": idle_artifact("stolen")}
    for operation in (
        f"GET {workload}",
        f"PATCH {workload}",
        f"DELETE {workload}",
        f"POST {workload}/promote",
        f"POST {workload}/start",
        f"POST {workload}/stop",
        f"GET {workload}/settings",
        f"GET {workload}/related",
        f"GET {workload}/events",
        f"GET {workload}/history",
        f"GET {workload}/protons",
        f"GET {workload}/protons/{made['protonId']}",
        f"GET {workload}/protons/{made['protonId']}/statusDetails",
        f"GET {workload}/stats",
        f"DELETE {workload}/stats",
        f"GET {artifact}",
        f"PATCH {artifact}",
        f"PUT {artifact}",
        f"DELETE {artifact}",
        f"GET {repository}",
        f"DELETE {repository}",
        f"GET /endpoints{workload}/",
        f"POST /endpoints{workload}/protons/{made['protonId']}/x",
    ):
        method, path = operation.split(" ")
        body = problem(await foreign.request(method, path, json=bodies.get(method)), 404)
        assert made["name"] not in body["message"]
    problem(await foreign.post(f"{artifact}/clone", json={"name": "stolen"}), 404)
    problem(await foreign.post("/workloads", json={"name": "thief", "artifactId": made["artifactId"]}), 404)
    joining = idle_artifact("thief", artifactRepositoryId=repository_id)
    problem(await foreign.post("/artifacts", json=joining), 404)
    problem(await foreign.post("/workloads", json={"name": "thief", "artifact": joining}), 404)
    for path in (
        f"/workloads?ids={made['id']}",
        f"/artifacts?ids={made['artifactId']}",
        f"/artifactRepositories?ids={repository_id}",
        "/workloads",
        "/artifacts",
        "/artifactRepositories",
        f"/artifacts?repositoryId={repository_id}",
        f"/workloads?createdBy={made['creator']['id']}",
    ):
        assert (await read(foreign, path))["totalCount"] == 0, path
    now = [await read(shared_client, path) for path in (workload, artifact, repository)]
    for was, is_ in zip(before, now, strict=True):
        changing = {"status", "statusDetails", "updatedAt"} if "protonId" in was else set()
        assert {k: v for k, v in was.items() if k not in changing} == {
            k: v for k, v in is_.items() if k not in changing
        }


async def test_a_colleague_without_a_role_sees_nothing_either(
    shared_server: ServerProcess, shared_client: httpx.AsyncClient
) -> None:
    made = await create(shared_client)
    _, token = new_user(shared_server, "default")
    async with shared_server.client(token=token) as colleague:
        assert (await read(colleague, "/account/info/"))["orgId"] == (await read(shared_client, "/account/info/"))[
            "orgId"
        ]
        problem(await colleague.get(f"/workloads/{made['id']}"), 404)
        problem(await colleague.post(f"/workloads/{made['id']}/promote"), 404)
        problem(await colleague.get(made["endpoint"]), 404)
        assert (await read(colleague, "/workloads"))["totalCount"] == 0


async def test_a_revoked_token_is_refused_everywhere(
    shared_server: ServerProcess, shared_client: httpx.AsyncClient
) -> None:
    made = await create(shared_client)
    name, token = new_user(shared_server, "revoked")
    async with shared_server.client(token=token) as client:
        own = (await client.post("/artifacts", json=idle_artifact("mine"))).json()
        assert own["creator"]["username"] == name
        assert (await client.get(f"/endpoints/workloads/{made['id']}/")).status_code == 404
        [line] = [line for line in shared_server.command("token", "list").stdout.splitlines() if name in line]
        assert token not in line
        token_id = line.split()[0]
        revoked = shared_server.command("token", "revoke", token_id)
        assert revoked.returncode == 0, revoked.stderr

        async def refused() -> bool:
            answers = [await client.get("/account/info/"), await client.get(f"/endpoints/workloads/{made['id']}/")]
            return [answer.status_code for answer in answers] == [401, 401]

        await until(refused, 3)
    [line] = [line for line in shared_server.command("token", "list").stdout.splitlines() if token_id in line]
    assert "revoked" in line
    unknown = shared_server.command("token", "revoke", "no-such-token")
    assert (unknown.returncode, len(unknown.stderr.splitlines())) == (1, 1)


async def test_users_are_listed_and_unique(shared_server: ServerProcess, stranger: tuple[str, str]) -> None:
    users = shared_server.command("user", "list").stdout.splitlines()
    assert any(stranger[0] in line and "other" in line for line in users)
    twice = shared_server.command("user", "add", stranger[0])
    assert (twice.returncode, len(twice.stderr.splitlines())) == (1, 1)
    nobody = shared_server.command("token", "create", "nobody@example.test")
    assert (nobody.returncode, nobody.stdout, len(nobody.stderr.splitlines())) == (1, "", 1)


async def test_the_token_file_is_for_its_owner_alone(shared_server: ServerProcess) -> None:
    file: Path = shared_server.data_dir / "admin-token"
    assert file.read_text().strip() == shared_server.token
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [found.name for found in shared_server.data_dir.glob("admin-token*")] == ["admin-token"]
