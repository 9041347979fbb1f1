"""Puts the parts of one server process together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from workload_api.account.router import router as account
from workload_api.artifacts.builds import router as builds
from workload_api.artifacts.router import artifacts, repositories
from workload_api.bundles.catalog import catalog
from workload_api.bundles.router import router as bundles
from workload_api.controller.controller import Controller
from workload_api.controller.scheduler import Scheduler
from workload_api.credentials.router import router as credentials
from workload_api.credentials.sealing import KeyRing
from workload_api.db.engine import Database
from workload_api.domain.replacement import UNDER_WAY_INTERVAL
from workload_api.events.followers import Followers
from workload_api.events.router import router as events
from workload_api.gateway.app import Gateway
from workload_api.gateway.routes import RouteTable
from workload_api.gateway.under_way import UnderWay
from workload_api.http.context import ServerContext
from workload_api.http.docs_pages import add_docs, add_openapi_yaml
from workload_api.http.errors import AnsweredFaults, add_error_handlers
from workload_api.http.health import router as health
from workload_api.http.middleware import BodyBounds, OneSlash, RequestIds, SaneHeads
from workload_api.http.openapi import add_headers, add_links, drop_nulls
from workload_api.identity.authentication import Authenticator
from workload_api.identity.operations import in_words
from workload_api.otel.router import router as otel
from workload_api.protons.router import router as protons
from workload_api.replacements.router import router as replacements
from workload_api.runtimes.process import ProcessRuntime
from workload_api.runtimes.protocol import Runtime
from workload_api.settings import Settings
from workload_api.sharing.router import routers as sharing
from workload_api.statistics.recorder import Recorder
from workload_api.statistics.router import router as statistics
from workload_api.tags.router import routers as tags
from workload_api.workloads.router import router as workloads

API_PREFIX = "/api/v2"
ENDPOINT_PREFIX = f"{API_PREFIX}/endpoints/workloads/"
_TOKEN_USE_INTERVAL = timedelta(seconds=10)

DESCRIPTION = """An open, self-hosted implementation of the Workload API.

Run container services ("workloads"): iterate on a *draft* that lives 8 hours, then **promote it to production in
place**, while it runs and traffic flows.
"""


def api(context: ServerContext | None = None) -> FastAPI:
    """The API without its data path: every operation, the OpenAPI document, the documentation pages.

    Args:
        context: The server's parts; without it the application can only describe itself.
    """
    app = _Api(
        title="Workload API",
        version=version("workload-api"),
        description=DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_url=f"{API_PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        openapi_tags=[
            {"name": "workloads", "description": "The stable identity of a running service; promote."},
            {"name": "artifacts", "description": "What to run: drafts, and locked versions."},
            {"name": "artifact repositories", "description": "The lines of versions."},
            {"name": "protons", "description": "The running backing of a workload, and its replicas."},
            {"name": "replacements", "description": "Moves onto another proton, and the history."},
            {"name": "statistics", "description": "Requests, errors and response times at the endpoint."},
            {"name": "events", "description": "What happened, who did it, why."},
            {"name": "telemetry", "description": "Logs, resource use and traces of a workload."},
            {"name": "credentials", "description": "Secrets for the environment of workloads; encrypted, never shown."},
            {"name": "bundles", "description": "Named sizes of containers."},
            {"name": "account", "description": "The API's version and the caller."},
        ],
    )
    app.state.context = context
    routes = APIRouter(prefix=API_PREFIX)
    # Statistics before workloads: `/workloads/stats` is no id.
    for router in (
        artifacts,
        repositories,
        builds,
        statistics,
        workloads,
        protons,
        replacements,
        events,
        otel,
        credentials,
        bundles,
        account,
        *sharing,
        *tags,
    ):
        routes.include_router(router)
    app.include_router(routes)
    app.include_router(health)
    add_docs(app)
    add_openapi_yaml(app)
    add_error_handlers(app)
    return app


class _Api(FastAPI):
    """Says more in the OpenAPI document: which rights each operation needs, headers, links."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once."""
        if self.openapi_schema is None:
            document = super().openapi()
            drop_nulls(document)
            add_headers(document)
            add_links(document, API_PREFIX)
            for path, operations in document["paths"].items():
                for method, operation in operations.items():
                    needed = in_words(f"{method.upper()} {path.removeprefix(API_PREFIX)}")
                    if needed is not None:
                        operation["description"] += f"\n\nNeeds the right {needed}."
        return super().openapi()


class Server:
    """One server process as an ASGI application: the API, the gateway and, unless told otherwise, a controller.

    Args:
        settings: All settings.
        runtime: What makes protons run; by default the one that the settings name.
    """

    def __init__(self, settings: Settings, runtime: Runtime | None = None) -> None:
        catalog(settings.bundles_file)
        self._settings = settings
        self.database = Database(settings.sqlalchemy_url, settings.database_pool_size)
        authenticator = Authenticator(self.database)
        recorder = Recorder(self.database)
        self._gateway = Gateway(RouteTable(self.database, settings), authenticator, recorder, settings)
        self._scheduler = Scheduler()
        self._scheduler.every(settings.statistics_flush_interval, "flush statistics", recorder.flush)
        self._scheduler.every(_TOKEN_USE_INTERVAL, "flush token use", authenticator.flush_last_use)
        self._under_way = UnderWay(self.database, self._gateway.in_flight)
        self._scheduler.every(UNDER_WAY_INTERVAL, "tell what is under way", self._under_way.tell)
        self._controller: Controller | None = None
        if settings.controller:
            runtime = runtime or make_runtime(settings)
            self._controller = Controller(self.database, runtime, settings, self._scheduler)
        self._recorder = recorder
        self._authenticator = authenticator
        context = ServerContext(
            settings,
            self.database,
            authenticator,
            flush_statistics=recorder.flush,
            requests_in_flight=self._gateway.in_flight,
            sealer=KeyRing.of(settings),
        )
        app = api(context)
        self._followers = app.state.followers = Followers(self.database, authenticator)
        app.router.lifespan_context = self._lifespan
        bounded = BodyBounds(AnsweredFaults(app), settings.body_limit, settings.body_timeout.total_seconds())
        self._app = RequestIds(_Dispatch(SaneHeads(OneSlash(bounded)), self._gateway))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection event."""
        await self._app(scope, receive, send)

    def end_streams(self) -> None:
        """End what would go on as long as its client likes: the process is about to stop."""
        self._followers.stop()

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        await self._gateway.start()
        if self._controller is not None:
            await self._controller.start()
        self._followers.start()
        self._scheduler.start()
        try:
            yield
        finally:
            await self._followers.close()
            await self._scheduler.close()
            if self._controller is not None:
                await self._controller.close()
            await self._gateway.close()
            await self._under_way.close()
            await self._recorder.flush()
            await self._authenticator.flush_last_use()
            await self.database.close()


def make_runtime(settings: Settings) -> Runtime:
    """The runtime that the settings name."""
    return ProcessRuntime(
        settings.data_dir / "protons",
        log_limit_bytes=settings.log_limit,
        usage_seconds=settings.usage_interval.total_seconds(),
    )


class _Dispatch:
    """Sends what is for a workload's endpoint to the gateway, all else to the API."""

    def __init__(self, api_app: ASGIApp, gateway: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._api = api_app
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Choose by the path."""
        if scope["type"] in ("http", "websocket") and scope["path"].startswith(ENDPOINT_PREFIX):
            await self._gateway(scope, receive, send)
        else:
            await self._api(scope, receive, send)
