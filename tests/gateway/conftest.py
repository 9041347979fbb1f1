"""A gateway on a loopback port, and apps behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from aiohttp import ClientSession, DummyCookieJar, web
from sqlalchemy import select, update

from tests.support.ports import free_port
from tests.support.rows import Ids, Person, add_person, opened
from workload_api.db.changes import mark_changed
from workload_api.db.engine import Database
from workload_api.db.models import ProtonRow, RequestCountRow, WorkloadRow
from workload_api.gateway.app import PREFIX, Gateway
from workload_api.gateway.routes import RouteTable
from workload_api.http.middleware import RequestIds
from workload_api.identity.authentication import Authenticator
from workload_api.settings import Settings
from workload_api.statistics.recorder import Recorder

SHORT_SECONDS = 0.7
"""A time-out for tests that want to see it run out."""


@dataclass
class App:
    """An app behind the gateway: what it was asked, and how it answers."""

    address: str
    handle: Callable[[web.Request], Awaitable[web.StreamResponse]]
    seen: list[web.Request] = field(default_factory=list)


@asynccontextmanager
async def app_of(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[App]:
    """Serve a handler for every path and method on a loopback port."""
    app = App("", handle)

    async def answer(request: web.Request) -> web.StreamResponse:
        app.seen.append(request)
        return await app.handle(request)

    served = web.Application(client_max_size=1 << 30, handler_args={"handler_cancellation": True})
    served.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(served, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    app.address = f"127.0.0.1:{port}"
    try:
        yield app
    finally:
        await runner.cleanup()


@dataclass
class Served:
    """A running gateway with all that it is made of."""

    port: int
    gateway: Gateway
    routes: RouteTable
    recorder: Recorder
    database: Database
    person: Person
    client: ClientSession

    def path(self, ids: Ids, path: str = "") -> str:
        return f"{PREFIX}{ids.workload_id}{path}"

    def url(self, ids: Ids, path: str = "") -> str:
        return f"http://127.0.0.1:{self.port}{self.path(ids, path)}"

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    def head(self, ids: Ids, method: str = "GET", path: str = "/", *headers: str) -> bytes:
        """The head of a request, for tests that write their own bytes."""
        lines = [f"{method} {self.path(ids, path)} HTTP/1.1", "Host: gateway.test:81"]
        lines += [f"Authorization: Bearer {self.person.token}", *headers, "", ""]
        return "\r\n".join(lines).encode()

    async def counts(self, ids: Ids) -> tuple[int, int, int]:
        """Requests, user errors and server errors that are written down, of all epochs."""
        await self.recorder.flush()
        async with self.database.read() as session:
            rows = (
                await session.execute(
                    select(RequestCountRow.requests, RequestCountRow.user_errors, RequestCountRow.server_errors).where(
                        RequestCountRow.proton_id == ids.proton_id
                    )
                )
            ).all()
        return (sum(row[0] for row in rows), sum(row[1] for row in rows), sum(row[2] for row in rows))

    async def change(self, ids: Ids, *, proton: dict[str, Any] | None = None, **columns: Any) -> None:
        """Change rows of a workload as a transaction of this process does."""
        async with self.database.write() as session:
            if columns:
                await session.execute(update(WorkloadRow).where(WorkloadRow.id == ids.workload_id).values(**columns))
            if proton:
                await session.execute(update(ProtonRow).where(ProtonRow.id == ids.proton_id).values(**proton))
            mark_changed(session, ids.workload_id)


@pytest.fixture
def response_timeout() -> float:
    """Seconds until an app must begin to answer."""
    return 30


@pytest.fixture
async def served(sqlite_url: str, response_timeout: float) -> AsyncIterator[Served]:
    settings = Settings.model_validate({"database_url": sqlite_url, "gateway_response_timeout": response_timeout})
    async with opened(sqlite_url) as database:
        person = await add_person(database)
        recorder = Recorder(database)
        routes = RouteTable(database, settings)
        gateway = Gateway(routes, Authenticator(database), recorder, settings)
        await gateway.start()
        port = free_port()
        config = uvicorn.Config(
            RequestIds(gateway),
            host="127.0.0.1",
            port=port,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
        server = _Server(config)
        running = asyncio.create_task(server.serve())
        while not server.started:
            assert not running.done(), running
            await asyncio.sleep(0.01)
        async with ClientSession(headers=person.headers, auto_decompress=False, cookie_jar=DummyCookieJar()) as client:
            yield Served(port, gateway, routes, recorder, database, person, client)
        server.should_exit = True
        await running
        await gateway.close()


class _Server(uvicorn.Server):
    """A server that leaves the signals to pytest."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
