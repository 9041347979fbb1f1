"""Secrets reach the replicas of their owner and nothing else (§11, §12): what is injected, refused, revoked, found."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.api.support import Json, create, problem, reach, read
from tests.api.test_identity import new_user
from tests.support import payloads
from tests.support.secrets import (
    command_lines_with,
    dump,
    environment,
    files_with,
    from_credential,
    holds,
    spellings,
    store,
    workload,
)
from tests.support.server import ServerProcess
from tests.support.waiting import until

API_KEY = {"source": "api-key"}


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that logs everything; its controller soon looks again for what was missing."""
    settings = {"LEASE": "2s", "LOG_LEVEL": "debug"}
    with ServerProcess(tmp_path, database_url=database_url, settings=settings) as made:
        yield made


async def restarted(client: httpx.AsyncClient, made: Json) -> None:
    """Stop and start a workload."""
    path = f"/workloads/{made['id']}"
    assert (await client.post(f"{path}/stop")).status_code == 202
    await reach(client, made["id"], "stopped")
    assert (await client.post(f"{path}/start")).status_code == 202
    await reach(client, made["id"], "running")


async def why_errored(client: httpx.AsyncClient, made: Json) -> str:
    """What a workload's events say of why it does not run."""
    await reach(client, made["id"], "errored")
    events = (await read(client, f"/workloads/{made['id']}/events?limit=100"))["data"]
    said: str = next(event["message"] for event in events if event["details"].get("status") == "errored")
    return said


async def test_values_reach_the_replica_and_new_ones_at_its_next_start(client: httpx.AsyncClient) -> None:
    basic = await store(client, "database", user="ann", password="first")
    gcp = await store(client, "google", "gcp", gcpKey={"type": "service_account", "n": [1, "ü"]})
    made = await create(
        client,
        workload(
            from_credential("DB_USER", basic, "user"),
            from_credential("DB_PASSWORD", basic, "password"),
            from_credential("GOOGLE", gcp, "gcpKey"),
            {"source": "string", "name": "PLAIN", "value": "$(DB_PASSWORD)"},
        ),
    )
    await reach(client, made["id"], "running")
    found = await environment(client, made)
    assert (found["DB_USER"], found["DB_PASSWORD"], found["PLAIN"]) == ("ann", "first", "$(DB_PASSWORD)")
    assert json.loads(found["GOOGLE"]) == {"type": "service_account", "n": [1, "ü"]}

    assert (await client.patch(f"/credentials/{basic}", json={"password": "second"})).status_code == 200
    assert (await environment(client, made))["DB_PASSWORD"] == "first"
    await restarted(client, made)
    found = await environment(client, made)
    assert (found["DB_USER"], found["DB_PASSWORD"]) == ("ann", "second")
    stored = await read(client, f"/artifacts/{made['artifactId']}")
    assert stored["spec"]["containerGroups"][0]["containers"][0]["environmentVars"][1] == from_credential(
        "DB_PASSWORD", basic, "password"
    )


async def test_what_is_missing_is_named_and_looked_for_again(server: ServerProcess, client: httpx.AsyncClient) -> None:
    """No such credential, another user's, no such key: the variable, the id, the key and what to do; never a value."""
    async with server.client(token=new_user(server, "default")[1]) as colleague:
        foreign = await store(colleague, "theirs", user="x", password="not-for-you")
    own = await store(client, "mine", "s3", awsAccessKeyId="id-value", awsSecretAccessKey="key-value")
    for credential_id, key in ((foreign, "password"), ("0" * 24, "password"), (own, "awsSessionToken")):
        made = await create(client, workload(from_credential("NEEDED", credential_id, key)))
        said = await why_errored(client, made)
        assert all(word in said for word in ("NEEDED", credential_id, key)), said
        assert not any(value in said for value in ("not-for-you", "id-value", "key-value"))
        shown = await read(client, f"/workloads/{made['id']}/protons/{made['protonId']}/statusDetails")
        assert shown["overallStatus"]["summary"] == said
    answer = await client.patch(f"/credentials/{own}", json={"awsSessionToken": "now-there"})
    assert answer.status_code == 200
    await reach(client, made["id"], "running")
    assert (await environment(client, made))["NEEDED"] == "now-there"


async def test_no_secret_on_a_command_line(client: httpx.AsyncClient) -> None:
    credential = await store(client, "argument", user="ann", password="visible-to-all")
    password = from_credential("DB_PASSWORD", credential, "password")
    entrypoint = payloads.container()["entrypoint"]
    for variable, name in ((password, "DB_PASSWORD"), (API_KEY, "DATAROBOT_API_TOKEN")):
        made = await create(client, workload(variable, entrypoint=[*entrypoint, f"--word=$({name})"]))
        said = await why_errored(client, made)
        assert f"$({name})" in said and "environment variable" in said
        assert command_lines_with("visible-to-all") == []
    escaped = await create(client, workload(password, entrypoint=[*entrypoint, "$$(DB_PASSWORD)", "$(WORKLOAD_ID)"]))
    await reach(client, escaped["id"], "running")
    pid = (await client.get(escaped["endpoint"])).json()["pid"]
    assert psutil.Process(pid).cmdline()[-2:] == ["$(DB_PASSWORD)", escaped["id"]]


async def test_what_runs_goes_on_without_its_credential(server: ServerProcess, client: httpx.AsyncClient) -> None:
    """Deleted under it, and the server started again: the replica is what it was; once it is lost, the reason shows."""
    credential = await store(client, "fleeting", user="ann", password="pass")
    made = await create(client, workload(from_credential("DB_PASSWORD", credential, "password")))
    await reach(client, made["id"], "running")
    pid = (await client.get(made["endpoint"])).json()["pid"]
    assert (await client.delete(f"/credentials/{credential}")).status_code == 204
    server.kill()
    await asyncio.to_thread(server.start)

    async def looked_at() -> bool:
        # The controller has taken it over once it takes down another that it looks after.
        return (await client.get(made["endpoint"])).status_code == 200

    await until(looked_at)
    witness = await create(client, payloads.workload("witness"))
    await reach(client, witness["id"], "running")
    assert (await read(client, f"/workloads/{made['id']}"))["status"] == "running"
    assert (await client.get(made["endpoint"])).json()["pid"] == pid
    psutil.Process(pid).kill()
    assert credential in await why_errored(client, made)


async def test_an_api_key_is_made_kept_and_revoked(server: ServerProcess, client: httpx.AsyncClient) -> None:
    """It does what its creator may; it is the same after every restart, and ends with the workload."""
    name, token = new_user(server, "default")
    async with server.client(token=token) as owner:
        own = await create(owner, workload(API_KEY, {"source": "api-key", "name": "MY_KEY"}))
        other = await create(owner, workload(API_KEY))
        await asyncio.gather(*(reach(owner, each["id"], "running") for each in (own, other)))
        found = await environment(owner, own)
        made = found["DATAROBOT_API_TOKEN"]
        assert made == found["MY_KEY"] != (await environment(owner, other))["DATAROBOT_API_TOKEN"]
        async with server.client(token=made) as inside:
            assert (await read(inside, "/account/info/"))["username"] == name
            assert (await read(inside, f"/workloads/{own['id']}"))["name"] == "secrets"
            foreign = await create(client, payloads.workload("foreign"))
            problem(await inside.get(f"/workloads/{foreign['id']}"), 404)
            [line] = [each for each in server.command("token", "list").stdout.splitlines() if own["id"] in each]
            assert name in line and f"made for workload {own['id']}" in line and made not in line

            await restarted(owner, own)
            assert (await environment(owner, own))["DATAROBOT_API_TOKEN"] == made
            server.kill()
            await asyncio.to_thread(server.start)
            adopted = await until(lambda: _answer(owner, own))
            assert adopted is not None
            pid = adopted["pid"]
            psutil.Process(pid).kill()
            await until(lambda: _another(owner, own, pid), timeout=40)
            assert (await environment(owner, own))["DATAROBOT_API_TOKEN"] == made
            assert (await inside.get("/version/")).status_code == 200

            assert (await inside.delete(f"/workloads/{own['id']}")).status_code == 204
            await until(lambda: _refused(inside), 5, what="the token is refused")
        [line] = [each for each in server.command("token", "list").stdout.splitlines() if own["id"] in each]
        assert "revoked" in line
        other_token = (await environment(owner, other))["DATAROBOT_API_TOKEN"]
        async with server.client(token=other_token) as inside:
            assert (await inside.get("/version/")).status_code == 200


async def _answer(client: httpx.AsyncClient, made: Json) -> Json:
    answer = await client.get(made["endpoint"])
    assert answer.status_code == 200
    found: Json = answer.json()
    return found


async def _another(client: httpx.AsyncClient, made: Json, pid: int) -> bool:
    return bool((await _answer(client, made))["pid"] != pid)


async def _refused(client: httpx.AsyncClient) -> bool:
    return (await client.get("/version/")).status_code == 401


async def test_an_api_key_ends_with_its_drafts_time(database_url: str, tmp_path: Path) -> None:
    settings = {"DRAFT_TTL": "6s"}
    with ServerProcess(tmp_path, database_url=database_url, settings=settings) as server:
        async with server.client() as client:
            made = await create(client, workload(API_KEY))
            await reach(client, made["id"], "running")
            token = (await environment(client, made))["DATAROBOT_API_TOKEN"]
            async with server.client(token=token) as inside:
                assert (await inside.get("/version/")).status_code == 200
                await reach(client, made["id"], "terminated", timeout=40)
                await until(lambda: _refused(inside), 5, what="the token is refused")
        assert not holds(await dump(database_url), token)


async def test_a_secret_is_found_nowhere(
    server: ServerProcess, client: httpx.AsyncClient, database_url: str, tmp_path: Path
) -> None:
    """Stored, used, refused, listed, and the cause of errors: not in files, tables, logs, answers or command lines."""
    secret, short = "geheim/7f3a+ä c1", "pin-4711"
    answers: list[bytes] = []

    async def keep(answer: httpx.Response) -> None:
        await answer.aread()
        if "/endpoints/" not in str(answer.request.url):
            answers.append(answer.content + str(answer.headers).encode())

    client.event_hooks["response"].append(keep)
    key = {"Idempotency-Key": "a-key-of-the-test"}
    body = {"name": "hidden", "credentialType": "basic", "user": secret, "password": short}
    for _ in range(2):
        assert (await client.post("/credentials", json=body, headers=key)).status_code == 201
    credential = (await read(client, "/credentials"))["data"][0]["credentialId"]
    path = f"/credentials/{credential}"
    for wrong in (
        {**body, "password": [secret]},
        {**body, "apiToken": secret},
        {**body, "credentialType": secret},
        {**body, "user": secret + "\0"},
        {"name": [secret], "user": secret, "password": short},
    ):
        for method, target in (("POST", "/credentials"), ("PATCH", path)):
            problem(await client.request(method, target, json=wrong, headers=key), 422)
    problem(await client.post("/credentials", json=body), 409)
    problem(await client.post("/credentials", content=json.dumps(body)[:-1]), 422)
    problem(await client.patch("/credentials/no-such-id", json={"user": secret}), 404)
    assert (await client.patch(path, json={"user": secret})).status_code == 200

    variables = [from_credential("A", credential, "user"), from_credential("B", credential, "password"), API_KEY]
    made = await create(client, workload(*variables))
    broken = await create(
        client, workload(*variables, from_credential("C", credential, "nothing"), name="broken", entrypoint=["sh"])
    )
    ending = await create(client, workload(*variables, name="ending", entrypoint=["sh", "-c", "exit 3"]))
    unknown = await create(client, workload(*variables, name="unknown", entrypoint=["no-such-command"]))
    refused = await create(client, workload(*variables, name="refused", entrypoint=["echo", "$(A)"]))
    await reach(client, made["id"], "running")
    for each in (broken, ending, unknown, refused):
        await reach(client, each["id"], "errored", timeout=60)
    found = await environment(client, made)
    token = found["DATAROBOT_API_TOKEN"]
    assert (found["A"], found["B"]) == (secret, short)
    for each in (made, broken, ending, unknown, refused):
        for part in ("", "/events?limit=100", "/protons", "/related", "/settings", "/history"):
            await read(client, f"/workloads/{each['id']}{part}")
        await read(client, f"/workloads/{each['id']}/protons/{each['protonId']}/statusDetails")
        await read(client, f"/artifacts/{each['artifactId']}")
    await restarted(client, made)
    assert (await client.post(f"/workloads/{made['id']}/promote")).status_code == 202

    for hidden in (secret, short, token):
        assert files_with(tmp_path, hidden) == []
        assert not holds(await dump(database_url), hidden)
        assert not holds(server.log.encode(), hidden)
        assert not any(holds(answer, hidden) for answer in answers)
        assert command_lines_with(hidden) == []
    assert "request" in server.log and path in server.log, "the log tells of each request"
    assert len(answers) > 50
    server.terminate()
    for hidden in (secret, short, token):
        assert files_with(tmp_path, hidden) == []
        assert not holds(server.log.encode(), hidden)


async def test_the_search_finds_what_is_there(database_url: str, tmp_path: Path) -> None:
    """A search that finds nothing anywhere would prove nothing."""
    secret = "geheim/7f3a+ä c1"
    for content in [*spellings(secret), f"xy{secret}z".encode().hex().encode()]:
        assert holds(b"before " + content + b" after", secret)
    file = tmp_path / "deep" / "file"
    file.parent.mkdir()
    file.write_text(f"xxx{secret}")
    assert files_with(tmp_path, secret) == [file]
    child = await asyncio.create_subprocess_exec("sh", "-c", "read line", secret, stdin=asyncio.subprocess.PIPE)
    try:
        assert len(command_lines_with(secret)) == 1
    finally:
        child.kill()
        await child.wait()
    with ServerProcess(tmp_path, database_url=database_url, settings={"CONTROLLER": "false"}) as server:
        async with server.client() as client:
            await create(client, {"name": secret, "artifact": payloads.artifact()})
    assert holds(await dump(database_url), secret)
