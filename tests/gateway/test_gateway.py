"""What passes the endpoint, by a real server, a real client and real apps (§9)."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest
from aiohttp import ClientError, ClientSession, WSServerHandshakeError, web
from sqlalchemy import select
from yarl import URL

from tests.gateway.conftest import SHORT_SECONDS, App, Served, app_of
from tests.support.ports import free_port
from tests.support.rows import Ids, add_person, add_workload, replica
from tests.support.waiting import until
from workload_api.clock import utc_now
from workload_api.db.models import ProtonRow, RequestCountRow
from workload_api.domain.ids import new_id

short = pytest.mark.parametrize("response_timeout", [SHORT_SECONDS])


async def echo(request: web.Request) -> web.StreamResponse:
    """Tell what the app saw."""
    body = await request.read()
    return web.json_response(
        {
            "method": request.method,
            "target": request.raw_path,
            "headers": [[name.lower(), value] for name, value in request.headers.items()],
            "body": body.decode("latin-1"),
        }
    )


async def behind(served: Served, *apps: App, **columns: object) -> Ids:
    return await add_workload(served.database, served.person, [app.address for app in apps], **columns)  # type: ignore[arg-type]


async def body_of(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(10):
        return await reader.read()


# ---------------------------------------------------------------- what the app sees


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
async def test_every_method_passes(served: Served, method: str) -> None:
    async with app_of(echo) as app:
        ids = await behind(served, app)
        async with served.client.request(method, served.url(ids, "/a/b"), data=b"body") as answer:
            seen = await answer.json()
    assert (answer.status, seen["method"], seen["target"], seen["body"]) == (200, method, "/a/b", "body")


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("", "/"),
        ("/", "/"),
        ("/a/", "/a/"),
        ("/a%2Fb%20c", "/a%2Fb%20c"),
        ("//x//y", "//x//y"),
        ("/a/../../..%2f/b/./c", "/a/../../..%2f/b/./c"),
        ("/?q=1&q=2&e=%2B+a%20&=&x", "/?q=1&q=2&e=%2B+a%20&=&x"),
        ("?only=query", "/?only=query"),
        ("/protons", "/protons"),
        ("/protons/short/x", "/protons/short/x"),
        ("/%zz", "/%zz"),
    ],
)
async def test_path_and_query_pass_as_they_stand(served: Served, path: str, target: str) -> None:
    async with app_of(echo) as app:
        ids = await behind(served, app)
        async with served.client.get(URL(served.url(ids, path), encoded=True)) as answer:
            assert answer.status == 200
            assert app.seen[0].raw_path == target


async def test_headers_for_the_app(served: Served) -> None:
    async with app_of(echo) as app:
        ids = await behind(served, app)
        reader, writer = await served.connect()
        writer.write(
            served.head(
                ids,
                "GET",
                "/x",
                "X-Two: 1",
                "X-Two: 2",
                "Cookie: a=b; c=d",
                "X-Hop: secret",
                "Connection: close, X-Hop",
                "Keep-Alive: timeout=5",
                "TE: trailers",
                "Proxy-Authorization: Basic eA==",
                "X-Forwarded-For: 10.1.2.3",
                "X-Request-Id: mine-1",
                "Expect: 100-continue",
            )
        )
        answer = await body_of(reader)
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    seen = json.loads(body)
    headers = {name: value for name, value in seen["headers"]}
    assert [value for name, value in seen["headers"] if name == "x-two"] == ["1", "2"]
    assert headers["cookie"] == "a=b; c=d"
    prefix = served.path(ids)
    assert headers["host"] == app.address
    assert headers["x-forwarded-for"] == "10.1.2.3, 127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["x-forwarded-host"] == "gateway.test:81"
    assert headers["x-forwarded-prefix"] == prefix
    assert headers["forwarded"] == 'for=127.0.0.1;host="gateway.test:81";proto=http'
    assert headers["x-request-id"] == "mine-1"
    assert head.lower().count(b"x-request-id: mine-1") == 1
    gone = {"authorization", "x-hop", "keep-alive", "te", "proxy-authorization", "expect", "upgrade"}
    assert not gone & headers.keys()
    assert not {"user-agent", "accept", "accept-encoding", "content-type", "content-length"} & headers.keys()
    assert served.person.token not in json.dumps(seen)


async def test_length_is_kept_and_unknown_length_stays_unknown(served: Served) -> None:
    async with app_of(echo) as app:
        ids = await behind(served, app)
        async with served.client.post(served.url(ids), data=b"12345") as answer:
            assert dict((await answer.json())["headers"])["content-length"] == "5"

        async def pieces() -> object:
            yield b"12"
            yield b"345"

        async with served.client.post(served.url(ids), data=pieces()) as answer:
            seen = await answer.json()
        headers = dict(seen["headers"])
        assert (headers["transfer-encoding"], seen["body"]) == ("chunked", "12345")
        assert "content-length" not in headers
        async with served.client.post(served.url(ids)) as answer:
            assert (await answer.json())["body"] == ""


# ---------------------------------------------------------------- what the client sees


async def test_status_and_headers_of_the_app_pass(served: Served) -> None:
    async def handle(_request: web.Request) -> web.StreamResponse:
        answer = web.Response(status=418, reason="no", body=b"\x1f\x8bnot really", headers={"X-Hop": "1"})
        answer.headers["Content-Encoding"] = "gzip"
        answer.headers["Connection"] = "X-Hop"
        answer.headers["Keep-Alive"] = "timeout=9"
        answer.headers["X-Request-Id"] = "the app's"
        answer.headers.add("Set-Cookie", "a=1")
        answer.headers.add("Set-Cookie", "b=2")
        return answer

    async with app_of(handle) as app:
        ids = await behind(served, app)
        async with served.client.get(served.url(ids), headers={"X-Request-Id": "mine"}) as answer:
            body = await answer.read()
    assert (answer.status, body) == (418, b"\x1f\x8bnot really")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["Content-Length"] == str(len(body))
    assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]
    assert answer.headers.getall("X-Request-Id") == ["mine"]
    assert not {"X-Hop", "Keep-Alive"} & set(answer.headers)
    assert len(answer.headers.getall("Date", [])) == 1
    assert await served.counts(ids) == (1, 1, 0)


async def test_redirects_and_cookies_are_the_clients_business(served: Served) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "/elsewhere", "Set-Cookie": "session=1; Path=/"})

    async with app_of(handle) as app:
        ids = await behind(served, app)
        for _ in range(2):
            async with served.client.get(served.url(ids), allow_redirects=False) as answer:
                assert (answer.status, answer.headers["Location"]) == (302, "/elsewhere")
        assert [request.headers.get("Cookie") for request in app.seen] == [None, None]
        assert len(app.seen) == 2


async def test_head_and_answers_without_body(served: Served) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        if request.method == "HEAD":
            return web.Response(headers={"Content-Length": "1234"})
        return web.Response(status=int(request.path[1:]), headers={"ETag": '"1"'})

    async with app_of(handle) as app:
        ids = await behind(served, app)
        # One connection: a body out of place would spoil the next answer on it.
        reader, writer = await served.connect()
        for method, path, status in (("HEAD", "/", 200), ("GET", "/204", 204), ("GET", "/304", 304)) * 2:
            writer.write(served.head(ids, method, path))
            head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).lower()
            assert head.startswith(f"http/1.1 {status} ".encode())
            assert (b"content-length: 1234" in head) == (method == "HEAD")
            assert b"transfer-encoding" not in head
        writer.close()
    assert await served.counts(ids) == (6, 0, 0)


async def test_the_answer_streams(served: Served) -> None:
    go_on = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        for number in range(3):
            await answer.write(f"data: {number}\n\n".encode())
            await go_on.wait()
            go_on.clear()
        await answer.write_eof()
        return answer

    async with app_of(handle) as app:
        ids = await behind(served, app)
        async with served.client.get(served.url(ids, "/events")) as answer:
            assert answer.headers["Content-Type"] == "text/event-stream"
            for number in range(3):
                # Each event is here while the app still waits to be let on.
                async with asyncio.timeout(5):
                    assert await answer.content.readuntil(b"\n\n") == f"data: {number}\n\n".encode()
                assert served.gateway.in_flight()[ids.proton_id] == 1
                go_on.set()
            assert await answer.content.read() == b""
        async with asyncio.timeout(5):
            await served.gateway.drained(ids.proton_id)
        assert ids.proton_id not in served.gateway.in_flight()


@short
async def test_a_silent_stream_is_not_cut_off(served: Served) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await asyncio.sleep(SHORT_SECONDS * 1.5)
        await answer.write(b"late")
        return answer

    async with app_of(handle) as app:
        ids = await behind(served, app)
        async with served.client.get(served.url(ids)) as answer:
            assert await answer.read() == b"late"


async def test_the_body_streams_both_ways_at_once(served: Served) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        async for chunk in request.content.iter_any():
            await answer.write(chunk.upper())
        return answer

    async with app_of(handle) as app:
        ids = await behind(served, app)
        reader, writer = await served.connect()
        writer.write(served.head(ids, "POST", "/", "Transfer-Encoding: chunked"))
        writer.write(b"3\r\nabc\r\n")
        async with asyncio.timeout(5):
            await reader.readuntil(b"ABC")
            writer.write(b"2\r\nde\r\n")
            await reader.readuntil(b"DE")
            writer.write(b"0\r\n\r\n")
            await reader.readuntil(b"0\r\n\r\n")
        writer.close()


async def test_a_slow_reader_holds_the_app_back(served: Served) -> None:
    written = 0

    async def handle(request: web.Request) -> web.StreamResponse:
        nonlocal written
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(256):
            await answer.write(bytes(262_144))
            written += 262_144
        return answer

    async with app_of(handle) as app:
        ids = await behind(served, app)
        reader, writer = await served.connect()
        writer.write(served.head(ids))
        await reader.readuntil(b"\r\n\r\n")
        before = -1
        while before != written:
            before = written
            await asyncio.sleep(0.3)
        # What the sockets and buffers on the way take, and no more: far from the 64 MiB.
        assert written < 40_000_000
        writer.transport.abort()


# ---------------------------------------------------------------- hanging up and breaking off


async def test_hanging_up_while_waiting_cancels_the_request(served: Served) -> None:
    cancelled = asyncio.Event()

    async def handle(_request: web.Request) -> web.StreamResponse:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return web.Response()

    async with app_of(handle) as app:
        ids = await behind(served, app)
        _, writer = await served.connect()
        writer.write(served.head(ids))
        await until(lambda: app.seen)
        writer.close()
        async with asyncio.timeout(5):
            await cancelled.wait()
            await served.gateway.drained(ids.proton_id)
    assert await served.counts(ids) == (1, 1, 0)


async def test_hanging_up_within_a_stream_cancels_the_request(served: Served) -> None:
    cancelled = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"first")
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return answer

    async with app_of(handle) as app:
        ids = await behind(served, app)
        reader, writer = await served.connect()
        writer.write(served.head(ids))
        await reader.readuntil(b"first")
        writer.close()
        async with asyncio.timeout(5):
            await cancelled.wait()
            await served.gateway.drained(ids.proton_id)
    assert await served.counts(ids) == (1, 1, 0)


async def test_a_body_that_is_cut_off_never_looks_whole(served: Served) -> None:
    got: list[bytes] = []
    failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            async for chunk in request.content.iter_any():
                got.append(chunk)
        except BaseException as error:
            failed.set_result(type(error).__name__)
            raise
        failed.set_result("whole")
        return web.Response()

    async with app_of(handle) as app:
        ids = await behind(served, app)
        _, writer = await served.connect()
        writer.write(served.head(ids, "POST", "/", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n")
        await until(lambda: got)
        writer.close()
        async with asyncio.timeout(5):
            assert await failed != "whole"
            await served.gateway.drained(ids.proton_id)
    assert await served.counts(ids) == (1, 1, 0)


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "100"}])
async def test_an_app_that_breaks_off_breaks_the_clients_connection(served: Served, headers: dict[str, str]) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers=headers)
        await answer.prepare(request)
        await answer.write(b"part")
        assert request.transport is not None
        request.transport.abort()
        return answer

    async with app_of(handle) as app:
        ids = await behind(served, app)
        with pytest.raises(ClientError):
            async with served.client.get(served.url(ids)) as answer:
                assert answer.status == 200
                await answer.read()
    assert await served.counts(ids) == (1, 0, 1)


# ---------------------------------------------------------------- replicas that fail


def dead_address() -> str:
    return f"127.0.0.1:{free_port()}"


async def test_a_dead_replica_is_passed_over(served: Served) -> None:
    async with app_of(echo) as app:
        ids = await add_workload(served.database, served.person, [dead_address(), dead_address(), app.address])
        for _ in range(6):
            async with served.client.post(served.url(ids), data=b"once") as answer:
                assert (answer.status, (await answer.json())["body"]) == (200, "once")
        assert len(app.seen) == 6
    assert await served.counts(ids) == (6, 0, 0)


async def test_no_replica_to_connect_to_is_502(served: Served) -> None:
    ids = await add_workload(served.database, served.person, [dead_address(), dead_address()])
    async with served.client.get(served.url(ids)) as answer:
        body = await answer.json()
    assert (answer.status, body["code"]) == (502, "UPSTREAM_UNREACHABLE")
    assert body.keys() == {"detail", "message", "code"}
    assert await served.counts(ids) == (1, 0, 1)


async def test_what_reached_a_replica_is_not_sent_again(served: Served) -> None:
    async def vanish(request: web.Request) -> web.StreamResponse:
        await request.read()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with app_of(vanish) as one, app_of(vanish) as other:
        ids = await behind(served, one, other)
        for method, times in (("POST", 1), ("PUT", 1), ("DELETE", 1)):
            async with served.client.request(
                method, served.url(ids), data=b"x" if method != "DELETE" else None
            ) as answer:
                assert answer.status == 502
            assert len(one.seen) + len(other.seen) == times
            one.seen.clear()
            other.seen.clear()
    assert await served.counts(ids) == (3, 0, 3)


async def test_a_safe_request_that_was_lost_is_tried_once_more(served: Served) -> None:
    async def vanish_once(request: web.Request) -> web.StreamResponse:
        if len(app.seen) % 2:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(text="here")

    async with app_of(vanish_once) as app:
        ids = await behind(served, app)
        async with served.client.get(served.url(ids)) as answer:
            assert (answer.status, await answer.text()) == (200, "here")
    assert await served.counts(ids) == (1, 0, 0)


async def test_requests_go_to_the_least_busy_replica(served: Served) -> None:
    go_on = asyncio.Event()

    async def wait(_request: web.Request) -> web.StreamResponse:
        await go_on.wait()
        return web.Response()

    async with app_of(wait) as one, app_of(wait) as other:
        ids = await behind(served, one, other)

        async def ask() -> int:
            async with served.client.get(served.url(ids)) as answer:
                return answer.status

        asked = [asyncio.create_task(ask()) for _ in range(6)]
        await until(lambda: len(one.seen) + len(other.seen) == 6, timeout=5)
        assert served.gateway.in_flight()[ids.proton_id] == 6
        assert (len(one.seen), len(other.seen)) == (3, 3)
        go_on.set()
        assert await asyncio.gather(*asked) == [200] * 6


@short
async def test_too_slow_is_504_and_cancels_the_request(served: Served) -> None:
    cancelled = asyncio.Event()

    async def handle(_request: web.Request) -> web.StreamResponse:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return web.Response()

    async with app_of(handle) as app:
        ids = await behind(served, app)
        for arguments in ({}, {"data": b"body"}):
            cancelled.clear()
            async with served.client.post(served.url(ids), **arguments) as answer:  # type: ignore[arg-type]
                assert (answer.status, (await answer.json())["code"]) == (504, "UPSTREAM_TIMEOUT")
            async with asyncio.timeout(5):
                await cancelled.wait()
    assert await served.counts(ids) == (2, 0, 2)


@short
async def test_a_slow_upload_is_not_too_slow(served: Served) -> None:
    async with app_of(echo) as app:
        ids = await behind(served, app)

        async def slowly() -> object:
            for _ in range(4):
                yield b"x"
                await asyncio.sleep(SHORT_SECONDS / 2)

        async with served.client.post(served.url(ids), data=slowly()) as answer:
            assert (answer.status, (await answer.json())["body"]) == (200, "xxxx")


async def test_an_app_that_speaks_no_http_is_502(served: Served) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"\x00\x01 hello\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0, family=socket.AF_INET)
    async with server:
        ids = await add_workload(served.database, served.person, [f"127.0.0.1:{server.sockets[0].getsockname()[1]}"])
        async with served.client.get(served.url(ids)) as answer:
            assert answer.status == 502


# ---------------------------------------------------------------- who and where


@pytest.mark.parametrize(
    ("status", "columns", "code", "word"),
    [
        ("launching", {}, "WORKLOAD_NOT_READY", "launching"),
        ("running", {}, "WORKLOAD_NOT_READY", "no ready replica"),
        ("stopped", {}, "WORKLOAD_STOPPED", "stopped"),
        ("errored", {}, "WORKLOAD_ERRORED", "no ready replica"),
        ("terminated", {"expired_at": utc_now()}, "WORKLOAD_EXPIRED", "TTL of 8 hours"),
    ],
)
async def test_no_ready_replica_is_503_with_the_reason(
    served: Served, status: str, columns: dict[str, object], code: str, word: str
) -> None:
    ids = await behind(served, status=status, **columns)
    async with served.client.post(served.url(ids), data=b"x" * 100_000) as answer:
        body = await answer.json()
    assert (answer.status, body["code"]) == (503, code)
    assert word in body["message"]
    assert body["detail"] == body["message"]
    assert int(answer.headers["Retry-After"]) >= 1
    assert await served.counts(ids) == (1, 0, 1)


async def test_without_a_token_nothing_is_told_or_counted(served: Served) -> None:
    async with app_of(echo) as app, ClientSession() as nobody:
        ids = await behind(served, app)
        for url in (served.url(ids), f"http://127.0.0.1:{served.port}/api/v2/endpoints/workloads/{new_id()}/"):
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}):
                async with nobody.get(url, headers=headers) as answer:
                    body = await answer.json()
                    assert (answer.status, body["code"]) == (401, "UNAUTHENTICATED")
        assert not app.seen
    assert await served.counts(ids) == (0, 0, 0)


async def test_what_one_may_not_see_is_404(served: Served) -> None:
    stranger = await add_person(served.database, "stranger")
    async with app_of(echo) as app:
        ids = await behind(served, app)
        base = f"http://127.0.0.1:{served.port}/api/v2/endpoints/workloads/"
        async with ClientSession(headers=stranger.headers) as client, client.get(served.url(ids)) as answer:
            assert (answer.status, (await answer.json())["code"]) == (404, "WORKLOAD_NOT_FOUND")
        for path in (new_id(), "nonsense/x", "", f"{ids.workload_id.upper()}x/"):
            async with served.client.get(base + path) as answer:
                assert answer.status == 404
        assert not app.seen
    assert await served.counts(ids) == (0, 0, 0)


@pytest.mark.parametrize(("role", "status"), [("CONSUMER", 200), ("USER", 200), ("READ_ONLY", 403), (None, 404)])
async def test_the_role_decides(served: Served, role: str | None, status: int) -> None:
    async with app_of(echo) as app:
        ids = await behind(served, app, role=role)
        async with served.client.get(served.url(ids)) as answer:
            assert answer.status == status


async def test_one_proton_is_reached_by_its_id(served: Served) -> None:
    async with app_of(echo) as active, app_of(echo) as candidate:
        ids = await behind(served, active)
        proton_id = new_id()
        async with served.database.write() as session:
            session.add(
                ProtonRow(
                    id=proton_id,
                    workload_id=ids.workload_id,
                    artifact_id=ids.artifact_id,
                    creator_id=served.person.caller.user_id,
                    name="w",
                    role="candidate",
                    status="running",
                    spec={},
                    runtime={},
                    replicas=[replica(candidate.address)],
                )
            )
        async with served.client.get(served.url(ids, f"/protons/{proton_id}/a/b?c=d")) as answer:
            assert dict((await answer.json())["headers"])["x-forwarded-prefix"].endswith(f"/protons/{proton_id}")
        assert (candidate.seen[0].raw_path, len(active.seen)) == ("/a/b?c=d", 0)
        async with served.client.get(served.url(ids, f"/protons/{ids.proton_id}")) as answer:
            assert (answer.status, active.seen[0].raw_path) == (200, "/")
        async with served.client.get(served.url(ids, f"/protons/{new_id()}/x")) as answer:
            assert (answer.status, (await answer.json())["code"]) == (404, "PROTON_NOT_FOUND")
        assert await served.counts(Ids(ids.workload_id, proton_id, "")) == (1, 0, 0)
        assert await served.counts(ids) == (1, 0, 0)


async def test_websockets_are_refused_cleanly(served: Served) -> None:
    async with app_of(echo) as app:
        ids = await behind(served, app)
        with pytest.raises(WSServerHandshakeError) as refusal:
            await served.client.ws_connect(served.url(ids))
        assert refusal.value.status == 501
        assert not app.seen


# ---------------------------------------------------------------- routes and epochs


async def test_changes_of_this_process_show_at_once(served: Served) -> None:
    async with app_of(echo) as old, app_of(echo) as new:
        ids = await behind(served, old)

        async def ask() -> int:
            async with served.client.get(served.url(ids)) as answer:
                return answer.status

        assert await ask() == 200
        await served.change(ids, proton={"replicas": [replica(new.address)]})
        assert await ask() == 200
        assert (len(old.seen), len(new.seen)) == (1, 1)
        await served.change(ids, status="stopping", proton={"desired_state": "stopped", "status": "stopping"})
        assert await ask() == 503
        await served.change(ids, deleted_at=utc_now())
        assert await ask() == 404


async def test_changes_of_others_show_within_a_second(served: Served) -> None:
    async with app_of(echo) as app:
        ids = await behind(served)

        async def ask() -> int:
            async with served.client.get(served.url(ids)) as answer:
                return answer.status

        assert await ask() == 503
        async with served.database.write() as session:
            proton = await session.get_one(ProtonRow, ids.proton_id)
            proton.replicas = [replica(app.address)]

        async def answers() -> bool:
            return await ask() == 200

        await until(answers, timeout=3)


async def test_a_request_counts_to_the_epoch_in_which_it_arrived(served: Served) -> None:
    go_on = asyncio.Event()

    async def wait(request: web.Request) -> web.StreamResponse:
        if request.path == "/wait":
            await go_on.wait()
        return web.Response()

    async with app_of(wait) as app:
        ids = await behind(served, app)

        async def ask(path: str) -> int:
            async with served.client.get(served.url(ids, path)) as answer:
                return answer.status

        assert await ask("/first") == 200
        asked = asyncio.create_task(ask("/wait"))
        await until(lambda: len(app.seen) == 2)
        await served.change(ids, statistics_epoch=1, statistics_since=utc_now())
        assert served.routes.epoch_known(ids.workload_id) == 1
        assert await ask("/after") == 200
        go_on.set()
        assert await asked == 200
    await served.recorder.flush()
    async with served.database.read() as session:
        rows = (await session.execute(select(RequestCountRow.epoch, RequestCountRow.requests))).all()
    by_epoch: dict[int, int] = {}
    for epoch, requests in rows:
        by_epoch[epoch] = by_epoch.get(epoch, 0) + requests
    assert by_epoch == {0: 2, 1: 1}


async def test_counts_are_exact_under_load(served: Served) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=int(request.path[1:]), text="x")

    async with app_of(handle) as one, app_of(handle) as other:
        ids = await behind(served, one, other)
        statuses = [200, 200, 404, 500] * 50

        async def ask(status: int) -> int:
            async with served.client.get(served.url(ids, f"/{status}")) as answer:
                await answer.read()
                return answer.status

        assert await asyncio.gather(*map(ask, statuses)) == statuses
        # Whoever has the last byte of an answer finds it counted.
        assert await served.counts(ids) == (200, 50, 50)
        assert len(one.seen) + len(other.seen) == 200
