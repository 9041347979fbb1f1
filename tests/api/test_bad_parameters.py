"""Bad paths, queries, headers and methods over every operation of the document: a clear 4xx, and nothing changed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.api.document import Operation, ids_of, operations
from tests.api.raw import exchange, request
from tests.api.support import Json, create, idle_artifact, problem, read, unchanged
from tests.support.server import ServerProcess

CLOSE = "Connection: close\r\n"
BEYOND = str(2**63)

SEGMENTS = {
    "an encoded slash": "a%2Fb",
    "a way up, encoded": "..%2f..%2Fworkloads",
    "dots, encoded": "%2e%2e",
    "dots": "..",
    "a dot": ".",
    "NUL": "%00",
    "no UTF-8": "%ff%fe",
    "half a surrogate pair": "%ed%a0%80",
    "unicode": "%F0%9F%9A%80%E2%80%AE%D7%A9",
    "full-width digits": "%EF%BC%90" * 24,
    "a percent sign": "%25",
    "no escape": "%zz",
    "line ends": "%0d%0aX-Injected:%201",
    "spaces": "%20",
    "SQL": "'%20OR%201=1--",
    "a name of Python": "__class__",
    "a number beyond 64 bits": "9" * 40,
    "5,000 characters": "a" * 5000,
    "an id with a space": "0123456789abcdef01234567%20",
    "an id in capitals": "0123456789ABCDEF01234567",
}


@pytest.fixture
async def workload(shared_client: httpx.AsyncClient) -> AsyncIterator[Json]:
    """Something that all path parameters can be about; it and all else stay as they are."""
    made = await create(shared_client)
    async with unchanged(shared_client):
        yield made
    found = await read(shared_client, f"/workloads/{made['id']}")
    assert (found["name"], found["tags"]) == (made["name"], made["tags"])
    assert (found["artifact"]["status"], found["expiresAt"]) == ("draft", made["expiresAt"])


@pytest.mark.parametrize("segment", SEGMENTS.values(), ids=SEGMENTS.keys())
async def test_every_path_parameter(
    shared_client: httpx.AsyncClient, shared_server: ServerProcess, workload: Json, segment: str
) -> None:
    ids, asked = ids_of(workload), 0
    for operation in await operations(shared_client):
        for name in operation.path_parameters:
            path = operation.at({**ids, name: segment})
            body = b"{}" if operation.takes_body else b""
            answer = await exchange(shared_server, request(shared_server, operation.method, path, body, more=CLOSE))
            # 422 where the body is looked at before, and for names out of a list.
            assert answer.statuses in ([404], [422]), (str(operation), name, answer.text)
            assert set(json.loads(answer.body)) == {"detail", "message", "code"}, answer.text
            assert "x-injected" not in answer.text.lower().split("\r\n\r\n")[0]
            asked += 1
    assert asked > 40


async def test_an_encoded_slash_chooses_no_operation(
    shared_client: httpx.AsyncClient, shared_server: ServerProcess, workload: Json
) -> None:
    """Were it read as a slash, each of these would do something."""
    for method, path in (
        ("POST", f"/workloads/{workload['id']}%2Fpromote"),
        ("POST", f"/workloads%2F{workload['id']}%2fstop"),
        ("GET", f"%2fworkloads%2f{workload['id']}"),
        ("DELETE", f"/artifacts/x/..%2F..%2Fworkloads%2F{workload['id']}"),
        ("DELETE", f"/artifacts/../workloads/{workload['id']}"),
        ("DELETE", f"//workloads/{workload['id']}"),
    ):
        answer = await exchange(shared_server, request(shared_server, method, path, more=CLOSE))
        assert answer.statuses == [404], (path, answer.text)


WRONG = {
    "integer": ["-1", BEYOND, "1" + "0" * 40, "NaN", "1e400", "0x10", "1.5", "", "%00", "%EF%BC%91", "9" * 5000],
    "number": ["NaN", "inf", "-0.1", "1e400", "", "half", "%00", "1" * 5000],
    "boolean": ["maybe", "2", "", "%00"],
    "date-time": [
        "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z", "2026-02-30T00:00:00Z",
        "2026-01-01T25:00:00Z", "2026-01-01T00:00:00", "2026-01-01", "0", "-1", "1e400", BEYOND, "now", "", "%00",
    ],
    "enum": ["HUGE", "", "%00", "%ff", "a" * 5000],
    "string": ["%00", "a%00b"],
}  # fmt: skip
"""What no parameter of a type takes."""

ODD = {
    "date-time": [
        "0001-01-01T00:00:00Z", "0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59",
        "1969-12-31T23:59:60Z", "2026-01-01T00:00:00.123456789Z",
    ],
    "integer": [str(2**63 - 1), "0", "%2B1", "1_0"],
    "number": ["1e-400", "0", "-0.0", "1"],
    "string": ["%ff", "%ed%a0%80", "%F0%9F%9A%80", "'", "%25", "_", "%5C", "a" * 5000],
}  # fmt: skip
"""What may be taken or refused, but is answered."""


def kind_of(schema: Json) -> str:
    """Which of the kinds above a parameter is."""
    return "enum" if "enum" in schema else str(schema.get("format", schema.get("type")))


def is_harmless(operation: Operation) -> bool:
    """Whether it can be asked again and again with all sorts of queries."""
    return operation.method == "GET" or operation.path.endswith("/stats")


@pytest.mark.usefixtures("workload")
async def test_wrong_values_of_every_query_parameter(shared_client: httpx.AsyncClient, workload: Json) -> None:
    kinds = set()
    for operation in filter(is_harmless, await operations(shared_client)):
        path = operation.at(ids_of(workload))
        for name, schema in operation.query_parameters.items():
            kinds.add(kind_of(schema))
            for value in WRONG[kind_of(schema)]:
                answer = await shared_client.request(operation.method, f"{path}?{name}={value}")
                assert answer.status_code == 422, (str(operation), name, value[:50], answer.text)
                assert problem(answer, 422)["detail"][0]["loc"][:2] == ["query", name]
    assert kinds == set(WRONG)


async def test_odd_values_of_every_query_parameter(shared_client: httpx.AsyncClient, workload: Json) -> None:
    """The ends of time, with zones that lead beyond them; the greatest integers; characters that databases mind."""
    for operation in filter(is_harmless, await operations(shared_client)):
        path = operation.at(ids_of(workload))
        for name, schema in operation.query_parameters.items():
            for value in ODD.get(kind_of(schema), ()):
                answer = await shared_client.request(operation.method, f"{path}?{name}={value}")
                assert answer.status_code in (200, 204, 404, 422), (str(operation), name, value[:50], answer.text)
                if answer.status_code >= 400:
                    problem(answer, answer.status_code)


async def test_the_ends_of_time_as_a_window(shared_client: httpx.AsyncClient, workload: Json) -> None:
    ends = "startTime=0001-01-01T00:00:00%2B23:59&endTime=9999-12-31T23:59:59-23:59"
    stats = f"/workloads/{workload['id']}/stats"
    for resolution in ("PT1M", "P1D", "P1M"):
        answer = await read(shared_client, f"{stats}/totalRequests?{ends}&resolution={resolution}")
        assert len(answer["buckets"]) <= 2, "no further back than there are statistics"
    assert (await read(shared_client, f"{stats}?{ends}"))["metrics"]["totalRequests"] == 0
    problem(await shared_client.get(f"{stats}?startTime=9999-12-31T23:59:59Z&endTime=0001-01-01T00:00:00Z"), 422)
    assert (await shared_client.delete(f"{stats}?{ends}")).status_code == 204


async def test_offsets_beyond_the_end(shared_client: httpx.AsyncClient, workload: Json) -> None:
    """An empty page that tells the total and the way back; beyond 64 bits there is no offset."""
    lists = 0
    for operation in await operations(shared_client):
        if operation.method != "GET" or "offset" not in operation.query_parameters:
            continue
        answer = await shared_client.get(operation.at(ids_of(workload)))
        if answer.status_code == 404:
            continue
        lists += 1
        total = answer.json().get("totalCount")
        for offset in (10_000, 2**63 - 1):
            page = await read(shared_client, f"{operation.at(ids_of(workload))}?offset={offset}&limit=5")
            assert (page["data"], page["count"], page["next"]) == ([], 0, None), str(operation)
            assert page.get("totalCount") == total
            # A log with nothing in it has no way back.
            assert f"offset={offset - 5}" in (page["previous"] or "") or total is None
        problem(await shared_client.get(f"{operation.at(ids_of(workload))}?offset={BEYOND}"), 422)
        problem(await shared_client.get(f"{operation.at(ids_of(workload))}?limit={BEYOND}"), 422)
    assert lists >= 10


async def test_parameters_that_stand_twice_or_are_unknown(shared_client: httpx.AsyncClient) -> None:
    """Where one value is wanted the last counts, as when a client adds its own to ``next``; unknown ones do not."""
    page = await read(shared_client, "/mlops/compute/bundles?limit=50&limit=1&offset=7&offset=0&colour=red")
    assert page["count"] == 1
    assert page["next"].count("limit=") == page["next"].count("offset=") == 1
    problem(await shared_client.get("/workloads?limit=1&limit=x"), 422)
    problem(await shared_client.get("/workloads?status=running&status=HUGE"), 422)
    many = "&".join(["ids=x"] * 5000)
    assert (await read(shared_client, f"/workloads?{many}"))["totalCount"] == 0


HEADERS = {
    "an empty key": ("Idempotency-Key: ", 400),
    "a key of 256 characters": (f"Idempotency-Key: {'k' * 256}", 400),
    "NUL": ("Idempotency-Key: a\0b", 400),
    "another version": ('If-Match: "0"', 412),
    "no version": ("If-Match: \xff\xfe", 412),
    "10,000 versions": ("If-Match: " + ", ".join(['"0"'] * 10_000), 412),
    "too many headers": ("\r\n".join(f"X-{number}: {'a' * 100}" for number in range(1000)), 431),
    "a header of a megabyte": (f"X-Long: {'a' * 1_000_000}", 431),
    "a compressed body": ("Content-Encoding: gzip", 415),
    "an unknown encoding": ("Content-Encoding: \xff", 415),
    "two lengths": ("Content-Length: 7", 400),
    "no header": ("nonsense", 400),
    "a name with a space": ("X Y: 1", 400),
}


@pytest.mark.parametrize(("lines", "status"), HEADERS.values(), ids=HEADERS.keys())
@pytest.mark.usefixtures("workload")
async def test_bad_headers(shared_server: ServerProcess, workload: Json, lines: str, status: int) -> None:
    path = f"/workloads/{workload['id']}/promote"
    more = f"{lines}\r\n{CLOSE}"
    answer = await exchange(shared_server, request(shared_server, "POST", path, b"{}", more=more))
    assert answer.statuses == [status], answer.text[:500]
    if "Invalid HTTP" not in answer.text:  # That was no HTTP, and never came as far as the API.
        assert set(json.loads(answer.body)) == {"detail", "message", "code"}


@pytest.mark.usefixtures("nothing_changes")
@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer \xff",
        "Bearer " + "x" * 50_000,
        "Basic YTpi",
        "x",
        "Bearer a b",
    ],
    ids=["none", "empty", "no token", "a space", "wrong", "latin", "long", "basic", "no scheme", "two"],
)
async def test_bad_tokens(shared_server: ServerProcess, value: str | None) -> None:
    """401 before anything else is said, whatever else is wrong with the request."""
    line = "" if value is None else f"Authorization: {value}\r\n"
    for sent in (
        f"GET /api/v2/workloads?limit=x HTTP/1.1\r\nHost: x\r\n{line}{CLOSE}\r\n",
        f"POST /api/v2/artifacts HTTP/1.1\r\nHost: x\r\n{line}Content-Length: 1\r\n{CLOSE}\r\n{{",
    ):
        answer = await exchange(shared_server, sent.encode("latin-1"))
        assert answer.statuses == [401], answer.text
        assert "www-authenticate: bearer" in answer.text.lower()
        assert json.loads(answer.body)["code"] == "UNAUTHENTICATED"


async def test_methods_that_no_path_takes(shared_client: httpx.AsyncClient, workload: Json) -> None:
    """405 with all methods that it does take."""
    found = await operations(shared_client)
    for path in {operation.path for operation in found}:
        declared = {operation.method for operation in found if operation.path == path}
        at = Operation("", path, {}).at(ids_of(workload))
        for method in {"OPTIONS", "HEAD", "TRACE"} - declared:
            answer = await shared_client.request(method, at)
            assert answer.status_code == 405, (method, path)
            assert set(answer.headers["allow"].split(", ")) == declared, (method, path)
            if method != "HEAD":
                problem(answer, 405)


@pytest.mark.usefixtures("nothing_changes")
async def test_methods_and_versions_that_are_none(shared_server: ServerProcess) -> None:
    host = f"Host: 127.0.0.1\r\nAuthorization: Bearer {shared_server.token}\r\n{CLOSE}\r\n"
    for line in (
        "BREW /api/v2/workloads HTTP/1.1",
        "get /api/v2/workloads HTTP/1.1",
        "GET /api/v2/workloads HTTP/9.9",
        "GET /api/v2/workloads\0 HTTP/1.1",
        "GET /api/v2/wörkloads HTTP/1.1",
        "GET /api/v2/workloads?search=\xff HTTP/1.1",
        f"GET /api/v2/workloads?search={'a' * 100_000} HTTP/1.1",
        f"GET /api/v2/{'a' * 100_000} HTTP/1.1",
    ):
        answer = await exchange(shared_server, f"{line}\r\n{host}".encode("latin-1"))
        assert len(answer.statuses) == 1, (line[:50], answer.text)
        assert 400 <= answer.statuses[0] < 500, (line[:50], answer.text)


async def test_bodies_in_chunks(shared_client: httpx.AsyncClient, shared_server: ServerProcess) -> None:
    """Good ones are read like any other; broken ones are refused."""
    body = json.dumps(idle_artifact("in chunks")).encode()
    good = b"".join(b"%x;note=1\r\n%s\r\n" % (len(piece), piece) for piece in (body[:10], body[10:])) + b"0\r\n\r\n"
    more = f"Transfer-Encoding: chunked\r\n{CLOSE}"
    answer = await exchange(shared_server, request(shared_server, "POST", "/artifacts", good, length="", more=more))
    assert answer.statuses == [201], answer.text
    repository_id = json.loads(answer.body)["artifactRepositoryId"]
    assert (await shared_client.delete(f"/artifactRepositories/{repository_id}")).status_code == 204
    async with unchanged(shared_client):
        for sent, encoding in (
            (b"zz\r\n{}\r\n0\r\n\r\n", "chunked"),
            (b"-1\r\n{}\r\n0\r\n\r\n", "chunked"),
            (b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n", "chunked"),
            (body, "chunked"),
            (good, "gzip, chunked"),
            (good, "identity"),
        ):
            more = f"Transfer-Encoding: {encoding}\r\n{CLOSE}"
            sent = request(shared_server, "POST", "/artifacts", sent, length="", more=more)
            answer = await exchange(shared_server, sent)
            assert len(answer.statuses) == 1, answer.text
            assert 400 <= answer.statuses[0] < 500, (encoding, answer.text)
