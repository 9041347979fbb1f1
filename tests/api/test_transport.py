"""How the API speaks HTTP (§2, §12): slashes, request ids, errors, links, bodies, methods."""

from __future__ import annotations

import re
from uuid import uuid4

import httpx
import pytest

from tests.api.support import create, idle_artifact, problem, read
from tests.support.server import ServerProcess

# Nothing here depends on the database.
pytestmark = pytest.mark.parametrize("shared_server", ["sqlite"], indirect=True)

UNKNOWN = "0123456789abcdef01234567"


async def test_every_path_answers_the_same_with_and_without_a_slash(shared_client: httpx.AsyncClient) -> None:
    """No operation redirects, and the query string survives."""
    made = await create(shared_client)
    workload, artifact = f"/workloads/{made['id']}", f"/artifacts/{made['artifactId']}"
    document = await read(shared_client, "/openapi.json")
    for path in document["paths"]:
        real = path.removeprefix("/api/v2")
        for name, value in {
            "workload_id": made["id"],
            "artifact_id": made["artifactId"],
            "artifact_repository_id": made["artifact"]["artifactRepositoryId"],
            "proton_id": made["protonId"],
            "metric_name": "totalRequests",
        }.items():
            real = real.replace(f"{{{name}}}", value)
        if "get" not in document["paths"][path]:
            continue
        answers = [await shared_client.get(real + slash, follow_redirects=False) for slash in ("", "/")]
        # What names a thing that is not there is told so, in either form.
        missing = "{" in real or real.endswith("/replacement")
        expected = ([404, 404],) if missing else ([200, 200], [204, 204])
        assert [answer.status_code for answer in answers] in expected, real
    for path in ("/workloads", "/artifacts", "/artifactRepositories", f"{workload}/events"):
        bare, slashed = [await read(shared_client, f"{path}{slash}?limit=1&offset=0") for slash in ("", "/")]
        assert len(bare["data"]) <= 1
        assert bare["data"] == slashed["data"]
    for slash in ("", "/"):
        sent = await shared_client.post(f"/artifacts{slash}", json=idle_artifact(), follow_redirects=False)
        assert sent.status_code == 201
        for method, path, body, code in (
            ("PATCH", f"{workload}{slash}", {"importance": "high"}, 200),
            ("PATCH", f"{artifact}{slash}", {"description": "x"}, 200),
            ("POST", f"{artifact}/clone{slash}", {"name": "x"}, 200),
            ("DELETE", f"/artifacts/{sent.json()['id']}{slash}", None, 204),
        ):
            answer = await shared_client.request(method, path, json=body, follow_redirects=False)
            assert answer.status_code == code, (method, path, answer.text)
    problem(await shared_client.get("/workloads//"), 404)


async def test_request_ids(shared_client: httpx.AsyncClient) -> None:
    given = uuid4().hex
    answer = await shared_client.get("/version/", headers={"x-request-id": given})
    assert answer.headers.get_list("x-request-id") == [given]
    made = {(await shared_client.get("/version/")).headers["x-request-id"] for _ in range(3)}
    assert len(made) == 3
    for bad in ("x" * 200, "two words"):
        answer = await shared_client.get("/version/", headers={"x-request-id": bad})
        assert answer.headers["x-request-id"] not in (bad, "")
    answer = await shared_client.get(f"/workloads/{UNKNOWN}", headers={"x-request-id": given})
    assert (answer.status_code, answer.headers["x-request-id"]) == (404, given)


async def test_errors_have_one_form(shared_client: httpx.AsyncClient) -> None:
    made = await create(shared_client)
    assert isinstance(problem(await shared_client.get("/nothing"), 404)["detail"], str)
    assert isinstance(problem(await shared_client.get(f"/workloads/{UNKNOWN}"), 404)["detail"], str)
    problem(await shared_client.post(f"/workloads/{made['id']}/start"), 409)
    problem(await shared_client.put("/workloads", json={}), 405)
    problem(await shared_client.get("/version/", headers={"authorization": "Bearer x"}), 401)
    body = problem(await shared_client.post("/workloads", json={"name": 7, "colour": "red", "importance": "huge"}), 422)
    found = {tuple(one["loc"]): one for one in body["detail"]}
    assert {("body", "name"), ("body", "colour"), ("body", "importance")} <= set(found)
    for one in body["detail"]:
        assert set(one) == {"loc", "msg", "type", "input"}
    assert (found["body", "name"]["input"], found["body", "colour"]["input"]) == (7, "red")


@pytest.mark.parametrize("path", ["/artifacts", "/workloads", "/artifactRepositories"])
async def test_links_bear_the_address_that_the_client_used(
    shared_client: httpx.AsyncClient, shared_server: ServerProcess, path: str
) -> None:
    for _ in range(3):
        await create(shared_client)
    for headers, base in (
        ({}, shared_server.url),
        ({"host": "api.example.test:4711"}, "http://api.example.test:4711"),
        ({"x-forwarded-proto": "https", "x-forwarded-host": "api.example.test"}, "https://api.example.test"),
        (
            {"x-forwarded-proto": "https", "x-forwarded-host": "a.test", "x-forwarded-port": "8443"},
            "https://a.test:8443",
        ),
        ({"x-forwarded-proto": "https", "x-forwarded-host": "a.test", "x-forwarded-port": "443"}, "https://a.test"),
        ({"x-forwarded-proto": "https, http", "x-forwarded-host": "a.test:1, inner"}, "https://a.test:1"),
        ({"forwarded": 'for=192.0.2.1;proto=https;host="f.test:8443", for=10.0.0.1'}, "https://f.test:8443"),
        ({"forwarded": "proto=javascript;host=f.test"}, None),
        ({"x-forwarded-host": "evil.test/path?x"}, None),
    ):
        page = (await shared_client.get(f"{path}/?limit=1&offset=1&search=i", headers=headers)).json()
        for link in (page["next"], page["previous"]):
            wanted = f"{base or shared_server.url}/api/v2{path}/?"
            assert link.startswith(wanted), (headers, link)
            assert httpx.URL(link).params["search"] == "i"


async def test_bodies_that_are_no_bodies(shared_client: httpx.AsyncClient) -> None:
    json_type = {"content-type": "application/json"}
    for content in (b"", b"null"):
        made = await create(shared_client)
        for operation in ("promote", "stop"):
            path = f"/workloads/{made['id']}/{operation}/"
            answer = await shared_client.post(path, content=content, headers=json_type)
            assert answer.status_code == 202, answer.text
        answer = await shared_client.request("DELETE", f"/workloads/{made['id']}/", content=content, headers=json_type)
        assert answer.status_code == 204
        problem(await shared_client.post("/workloads/", content=content, headers=json_type), 422)
    draft = (await shared_client.post("/artifacts", json=idle_artifact())).json()
    answer = await shared_client.request("DELETE", f"/artifacts/{draft['id']}", content=b"null", headers=json_type)
    assert answer.status_code == 204


async def test_methods_that_a_path_does_not_take(shared_client: httpx.AsyncClient) -> None:
    made = await create(shared_client)
    for method, path in (
        ("DELETE", "/workloads"),
        ("PUT", f"/workloads/{made['id']}"),
        ("GET", f"/workloads/{made['id']}/promote"),
        ("PATCH", "/artifacts"),
        ("OPTIONS", "/artifacts"),
    ):
        answer = await shared_client.request(method, path)
        assert problem(answer, 405)["code"] == "METHOD_NOT_ALLOWED"
        assert answer.headers["allow"]
    for path in ("/workloads", f"/workloads/{made['id']}", "/version/"):
        answer = await shared_client.head(path)
        assert (answer.status_code, answer.content) == (405, b"")
    assert (await read(shared_client, f"/workloads/{made['id']}"))["id"] == made["id"]


async def test_unknown_headers_are_ignored_and_answers_are_json(shared_client: httpx.AsyncClient) -> None:
    headers = {"user-agent": "somebody/9", "x-datarobot-trace": "1", "accept": "text/html", "cookie": "a=b"}
    answer = await shared_client.get("/workloads?unknown=1", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert re.fullmatch(r"\d+", answer.headers["content-length"])


async def test_health_is_open(shared_server: ServerProcess) -> None:
    async with httpx.AsyncClient(base_url=shared_server.url, trust_env=False) as nobody:
        assert (await nobody.get("/livez")).json() == {"status": "ok"}
        assert (await nobody.get("/readyz")).json() == {"status": "ok", "database": "ok"}
