"""Bodies that cannot be read: no JSON, too large, cut off, or of another length than they say."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.api.raw import exchange, request
from tests.api.support import IDLE, Json, create, idle_artifact, problem, reach, read, unchanged
from tests.support.server import ServerProcess

NO_OBJECTS = (
    b"{", b"nonsense", b'{"name": "x"', b"[]", b'"text"', b"7", b"null", b"\xff\xfe", b'{"name": "\xff"}', b"{}{}",
    b'{"name": NaN}', b'{"name": "a", "name": "b"}', b'{"name": "\\ud800"}', b'{"\\u0000": 1}', b"name=x",
    b"[" * 100_000, b'{"name":' * 50_000, b'{"name": ' + b"9" * 10_000 + b"}", b'{"name": 1e999}', b"\xef\xbb\xbf{}",
)  # fmt: skip


async def test_bodies_that_are_no_json_objects(shared_client: httpx.AsyncClient) -> None:
    made = await create(shared_client)
    await reach(shared_client, made["id"], "launching")
    before = await read(shared_client, f"/workloads/{made['id']}")
    async with unchanged(shared_client):
        for content in NO_OBJECTS:
            for method, path in (
                ("POST", "/workloads"),
                ("POST", "/artifacts"),
                ("PATCH", f"/workloads/{made['id']}"),
                ("PATCH", f"/artifacts/{made['artifactId']}"),
                ("PUT", f"/artifacts/{made['artifactId']}"),
                ("POST", f"/artifacts/{made['artifactId']}/clone"),
                ("POST", f"/workloads/{made['id']}/promote"),
            ):
                if content == b"null" and path.endswith("promote"):
                    continue
                headers = {"content-type": "application/json"}
                answer = await shared_client.request(method, path, content=content, headers=headers)
                assert answer.status_code == 422, (method, path, content[:50], answer.text)
                problem(answer, 422)
    assert await read(shared_client, f"/workloads/{made['id']}") == before
    assert (await read(shared_client, f"/artifacts/{made['artifactId']}"))["status"] == "draft"


NASTY = {
    "NUL": r'"a\u0000b"',
    "half a surrogate pair": r'"\ud800"',
    "the other half": r'"a\udfffb"',
    "halves in the wrong order": r'"\udc00\ud800"',
    "an integer beyond 64 bits": "9223372036854775808",
    "one below": "-9223372036854775809",
    "an integer of 10,000 digits": "9" * 10_000,
    "NaN": "NaN",
    "infinity": "-Infinity",
    "a number that is not finite": "1e999",
    "a key that stands twice": '{"a": 1, "a": 1}',
    "a key with NUL": r'{"\u0000": 1}',
    "a key with half a surrogate pair": r'{"\udead": 1}',
    "200 levels": "[" * 200 + "]" * 200,
    "200 levels of objects": '{"a":' * 200 + "1" + "}" * 200,
    "50,000 levels": "[" * 50_000 + "]" * 50_000,
    "no JSON": "'a'",
    "no UTF-8": '"\xff"',
    "a control character": '"\x01"',
}


@pytest.mark.parametrize("value", NASTY.values(), ids=NASTY.keys())
async def test_nasty_values(shared_client: httpx.AsyncClient, value: str) -> None:
    """In a place that takes anything, in one that is ignored, in one that is unknown, and in place of a name."""
    made = await create(shared_client)
    before = await read(shared_client, f"/workloads/{made['id']}")
    spec = json.dumps(idle_artifact()["spec"])
    container = json.dumps(IDLE)[:-1]
    variable = f'{{"source": "string", "name": "A", "value": "", "anything": {value}}}'
    group = f'{{"containerGroups": [{{"containers": [{container}, "environmentVars": [{variable}]}}]}}]}}'
    async with unchanged(shared_client):
        for method, path, body in (
            ("POST", "/artifacts", f'{{"name": "x", "spec": {group}}}'),
            ("POST", "/artifacts", f'{{"name": {value}, "spec": {spec}}}'),
            ("POST", "/artifacts", f'{{"name": "x", "spec": {spec}, "colour": {value}}}'),
            ("POST", "/workloads", f'{{"name": "x", "artifact": {{"name": "x", "spec": {group}}}}}'),
            ("PATCH", f"/artifacts/{made['artifactId']}", f'{{"name": "x", "artifactRepositoryId": {value}}}'),
            ("PUT", f"/artifacts/{made['artifactId']}", f'{{"name": "x", "spec": {group}}}'),
            ("POST", f"/artifacts/{made['artifactId']}/clone", f'{{"name": {value}}}'),
            ("PATCH", f"/workloads/{made['id']}", f'{{"description": {value}}}'),
            ("PUT", f"/workloads/{made['id']}/tags", f'{{"tags": [{{"name": "a", "value": {value}}}]}}'),
            (
                "PATCH",
                f"/workloads/{made['id']}/sharedRoles",
                f'{{"operation": "updateRoles", "roles": [{{"id": {value}, "role": "USER",'
                ' "shareRecipientType": "user"}]}',
            ),
            (
                "POST",
                "/credentials",
                f'{{"name": "x", "credentialType": "bearer", "token": "t", "description": {value}}}',
            ),
            ("POST", f"/workloads/{made['id']}/promote", f'{{"x": {value}}}'),
        ):
            answer = await shared_client.request(
                method, path, content=body.encode("latin-1"), headers={"content-type": "application/json"}
            )
            assert answer.status_code == 422, (method, path, answer.text[:300])
            assert len(problem(answer, 422)["message"]) < 1000
    after = await read(shared_client, f"/workloads/{made['id']}")
    assert {**after, "status": "", "updatedAt": "", "statusDetails": ""} == {
        **before,
        "status": "",
        "updatedAt": "",
        "statusDetails": "",
    }


def _specs(**fields: Any) -> Json:
    return {"containerGroups": [{"containers": [{**IDLE, **fields}]}]}


def _group(**fields: Any) -> Json:
    return {"name": "x", "artifact": idle_artifact(), "runtime": {"containerGroups": [{"name": "default", **fields}]}}


MANY = 100_000
ARRAYS: dict[str, tuple[str, str, Any]] = {
    "containerGroups": ("POST", "/artifacts", {"name": "x", "spec": {"containerGroups": [{}] * MANY}}),
    "containers": ("POST", "/artifacts", {"name": "x", "spec": {"containerGroups": [{"containers": [{}] * MANY}]}}),
    "entrypoint": ("POST", "/artifacts", {"name": "x", "spec": _specs(entrypoint=["a"] * MANY)}),
    "environmentVars": ("POST", "/artifacts", {"name": "x", "spec": _specs(environmentVars=[{}] * MANY)}),
    "capabilities": (
        "POST",
        "/artifacts",
        {"name": "x", "spec": _specs(securityContext={"capabilities": {"add": ["A"] * MANY}})},
    ),
    "httpHeaders": (
        "POST",
        "/artifacts",
        {"name": "x", "spec": _specs(startupProbe={"path": "/", "httpHeaders": {str(n): "" for n in range(MANY)}})},
    ),
    "Dockerfile": (
        "POST",
        "/artifacts",
        {
            "name": "x",
            "spec": _specs(imageBuildConfig={"dockerfile": {"source": "generated", "entrypoint": ["a"] * MANY}}),
        },
    ),
    "wrong groups": ("PATCH", "/artifacts/{artifact}", {"spec": {"containerGroups": [0] * MANY}}),
    "wrong arguments": ("PUT", "/artifacts/{artifact}", {"name": "x", "spec": _specs(entrypoint=[0] * MANY)}),
    "unknown fields": ("PATCH", "/workloads/{workload}", {str(number): 0 for number in range(MANY)}),
    "runtime": (
        "POST",
        "/workloads",
        {"name": "x", "artifact": idle_artifact(), "runtime": {"containerGroups": [{}] * MANY}},
    ),
    "overrides": ("POST", "/workloads", _group(containers=[{"name": "idle"}] * MANY)),
    "resourceBundles": ("POST", "/workloads", _group(resourceBundles=["a"] * MANY)),
    "policies": ("POST", "/workloads", _group(autoscaling={"policies": [{}] * MANY})),
    "enclaves": (
        "POST",
        "/workloads",
        {"name": "x", "artifact": idle_artifact(), "runtime": {"enclaves": ["a"] * MANY}},
    ),
    "roles": ("PATCH", "/workloads/{workload}/sharedRoles", {"operation": "updateRoles", "roles": [{}] * MANY}),
    "tags": ("PUT", "/workloads/{workload}/tags", {"tags": [{"name": "a", "value": ""}] * 50_000}),
    "a bare list": ("POST", "/artifacts", [0] * MANY),
    "a body that is not taken": ("POST", "/workloads/{workload}/promote", [0] * MANY),
}


@pytest.mark.parametrize(("method", "path", "body"), ARRAYS.values(), ids=ARRAYS.keys())
async def test_arrays_of_100_000_elements(
    shared_client: httpx.AsyncClient, shared_server: ServerProcess, method: str, path: str, body: Any
) -> None:
    """Refused with one short sentence, and before much has been done: meanwhile nobody else is answered."""
    made = await create(shared_client)
    process = psutil.Process(shared_server.pid)
    at = path.format(workload=made["id"], artifact=made["artifactId"])
    async with unchanged(shared_client):
        before = process.cpu_times()
        answer = await shared_client.request(method, at, json=body)
        after = process.cpu_times()
    problem(answer, 422)
    assert len(answer.content) < 2000
    assert after.user + after.system - before.user - before.system < 2


async def test_the_most_values_that_a_body_may_hold(shared_client: httpx.AsyncClient) -> None:
    """Lists that are long, but within reason, are taken, and given back whole."""
    arguments = ["sleep", "1000", *(str(number) for number in range(5000))]
    answer = await shared_client.post("/artifacts", json={"name": "long", "spec": _specs(entrypoint=arguments)})
    assert answer.status_code == 201, answer.text
    found = await read(shared_client, f"/artifacts/{answer.json()['id']}")
    assert found["spec"]["containerGroups"][0]["containers"][0]["entrypoint"] == arguments


async def test_of_many_problems_the_first_hundred_are_told(shared_client: httpx.AsyncClient) -> None:
    answer = await shared_client.post("/artifacts", json={"name": "x", "spec": {"containerGroups": [0] * 9000}})
    assert len(problem(answer, 422)["detail"]) == 100


async def test_a_body_of_another_type_is_refused(shared_client: httpx.AsyncClient) -> None:
    content = json.dumps(idle_artifact("typed")).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = await shared_client.post("/artifacts", content=content, headers={"content-type": kind})
        problem(answer, 422)
    answer = await shared_client.post(
        "/artifacts", content=content, headers={"content-type": "application/json; charset=utf-8"}
    )
    assert answer.status_code == 201


@pytest.mark.usefixtures("nothing_changes")
async def test_a_body_of_fifty_megabytes(shared_client: httpx.AsyncClient, shared_server: ServerProcess) -> None:
    """Refused by what it says it is, before it is sent, and by what it is, where it does not say."""
    said = await exchange(shared_server, request(shared_server, "POST", "/artifacts", length=50_000_000))
    assert said.statuses == [413]
    assert '"BODY_TOO_LARGE"' in said.text
    body = json.dumps(idle_artifact("x" * 50_000_000)).encode()
    problem(await shared_client.post("/artifacts", content=body, headers={"content-type": "application/json"}), 413)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 500_000):
            yield body[start : start + 500_000]

    problem(await shared_client.post("/artifacts", content=pieces(), headers={"content-type": "application/json"}), 413)
    largest = json.dumps(idle_artifact(description="d" * 1_900_000)).encode()
    answer = await shared_client.post("/artifacts", content=largest, headers={"content-type": "application/json"})
    assert answer.status_code == 201, "within the limit it is welcome"
    assert (
        await shared_client.delete(f"/artifactRepositories/{answer.json()['artifactRepositoryId']}")
    ).status_code == 204


@pytest.mark.usefixtures("nothing_changes")
async def test_a_body_that_is_cut_off(shared_client: httpx.AsyncClient, shared_server: ServerProcess) -> None:
    """Nothing of it is done, though what came may be whole JSON by itself."""
    whole = json.dumps(idle_artifact("cut off")).encode()
    for body, length in ((whole[:-20], len(whole)), (whole, len(whole) + 10)):
        sent = request(shared_server, "POST", "/artifacts", body, length=length)
        assert 201 not in (await exchange(shared_server, sent, half_close=True)).statuses
        await exchange(shared_server, sent, hang_up=True)
    chunked = request(
        shared_server,
        "POST",
        "/artifacts",
        b"%x\r\n%s\r\n" % (len(whole), whole),
        length="",
        more="Transfer-Encoding: chunked\r\n",
    )
    assert 201 not in (await exchange(shared_server, chunked, half_close=True)).statuses
    await exchange(shared_server, chunked, hang_up=True)
    assert (await read(shared_client, "/artifacts?search=cut off"))["totalCount"] == 0


@pytest.mark.usefixtures("nothing_changes")
async def test_a_content_length_that_says_too_little(
    shared_client: httpx.AsyncClient, shared_server: ServerProcess
) -> None:
    """What it says is read; the rest is no second request that anybody would answer with success."""
    whole = json.dumps(idle_artifact("too little")).encode()
    for sent in (
        request(shared_server, "POST", "/artifacts", whole, length=len(whole) - 20),
        request(shared_server, "POST", "/artifacts", whole, length=0),
        request(shared_server, "POST", "/artifacts", whole, length=-1),
        request(shared_server, "POST", "/artifacts", whole, length="many"),
        request(shared_server, "POST", "/artifacts", whole, more="Content-Length: 3\r\n"),
        request(shared_server, "POST", "/artifacts", whole, more="Transfer-Encoding: chunked\r\n"),
    ):
        answer = await exchange(shared_server, sent)
        assert answer.statuses
        assert set(answer.statuses) <= {400, 411, 422}, answer.text
    assert (await read(shared_client, "/artifacts?search=too little"))["totalCount"] == 0


async def test_a_content_length_that_says_too_much_is_waited_for_only_so_long(tmp_path: Path, sqlite_url: str) -> None:
    """408 after the time that the setting gives, and nothing is done."""
    with ServerProcess(tmp_path, database_url=sqlite_url, settings={"BODY_TIMEOUT": "700ms"}) as server:
        whole = json.dumps(idle_artifact("too much")).encode()
        began = time.monotonic()
        answer = await exchange(server, request(server, "POST", "/artifacts", whole, length=len(whole) + 10))
        assert answer.statuses == [408]
        assert time.monotonic() - began >= 0.7
        assert '"BODY_TOO_SLOW"' in answer.text
        async with server.client() as client:
            assert (await read(client, "/artifacts"))["totalCount"] == 0
