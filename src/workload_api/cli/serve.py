"""``workload-api serve``: checks, the two ``export`` lines, and uvicorn."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import IO, Any

import structlog
import uvicorn
from uvicorn.supervisors import Multiprocess

from workload_api.app import Server
from workload_api.bundles.catalog import catalog
from workload_api.cli.logs import configure_logging
from workload_api.credentials.rotation import prepare_keys
from workload_api.credentials.sealing import KeyRing
from workload_api.db.engine import Database
from workload_api.db.schema import check_schema, migrate
from workload_api.identity.service import ensure_administrator
from workload_api.settings import Settings, SettingsError, load_settings

log = structlog.get_logger(__name__)

_BACKLOG = 2048
_GRACEFUL_SECONDS = 10


def serve(settings: Settings) -> None:
    """Serve until told to stop.

    Raises:
        SettingsError: A setting cannot work here.
        SchemaError: The PostgreSQL database's schema does not fit.
    """
    configure_logging(settings)
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"DATA_DIR {settings.data_dir} cannot be used ({error.strerror})") from None
    ring = KeyRing.of(settings)
    catalog(settings.bundles_file)
    lock = _only_server(settings)
    token = asyncio.run(_prepare(settings, ring))
    listener = _listen(settings)
    port = listener.getsockname()[1]
    _announce(settings, port, token)
    # Workers read their settings from the environment, so what came by options goes there.
    os.environ.update(_as_environment(settings))
    config = uvicorn.Config(
        "workload_api.cli.serve:make_app",
        factory=True,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        backlog=_BACKLOG,
        workers=settings.workers,
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
        timeout_keep_alive=75,
        h11_max_incomplete_event_size=65536,
    )
    try:
        if settings.workers > 1:
            Multiprocess(config, sockets=[listener]).run()
        else:
            uvicorn.Server(config).run(sockets=[listener])
    finally:
        if lock is not None:
            lock.close()


def make_app() -> Server:
    """The application of one server process, by the settings in its environment."""
    settings = load_settings()
    configure_logging(settings)
    server = Server(settings)
    _when_told_to_stop(server.end_streams)
    return server


def _when_told_to_stop(act: Callable[[], None]) -> None:
    """Call something in the event loop at the first word of a stop.

    uvicorn waits for all answers under way before it tells the application; those that go on without end must hear of
    it earlier. Its own handlers of the signals are in place by now, and are called as well.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        before = signal.getsignal(number)

        def told(number: int, frame: FrameType | None, before: Any = before) -> None:
            loop.call_soon_threadsafe(act)
            if callable(before):
                before(number, frame)

        signal.signal(number, told)


async def _prepare(settings: Settings, ring: KeyRing) -> str:
    if settings.is_sqlite:
        before, after = await migrate(settings.sqlalchemy_url)
        if before != after:
            log.info("schema_migrated", before=before, after=after)
    else:
        await check_schema(settings.sqlalchemy_url)
    database = Database(settings.sqlalchemy_url, 1)
    try:
        async with database.write() as session:
            fault = await prepare_keys(session, ring)
        if fault:
            log.error("encryption_key_unusable", error=fault)
        async with database.write() as session:
            given = settings.admin_token.get_secret_value() if settings.admin_token else None
            return await ensure_administrator(session, settings.data_dir, given)
    finally:
        await database.close()


def _only_server(settings: Settings) -> IO[str] | None:
    """Hold the lock that lets one server at a time work on a SQLite file.

    Raises:
        SettingsError: Another server holds it.
    """
    path = settings.sqlite_path
    if path is None:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = Path(f"{path}.server-lock").open("a+")  # noqa: SIM115 (held as long as the server runs)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise SettingsError(
            f"another server works on {path} already; stop it, use another DATA_DIR, or use PostgreSQL for several"
        ) from None
    return lock


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host.strip("[]"), settings.port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}); free it or set PORT"
        ) from None
    listener.listen(_BACKLOG)
    listener.set_inheritable(True)
    return listener


def _announce(settings: Settings, port: int, token: str) -> None:
    # A wildcard address is none that a client could use.
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    host = f"[{address}]" if ":" in address else address
    base = settings.public_url or f"http://{host}:{port}"
    print(
        f"""workload-api is serving at {base}   (documentation: {base}/docs)

export DATAROBOT_ENDPOINT={base}/api/v2
export DATAROBOT_API_TOKEN={token}
""",
        flush=True,
    )


def _as_environment(settings: Settings) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in settings.model_fields_set:
        value = getattr(settings, name)
        if value is None:
            continue
        if hasattr(value, "get_secret_value"):
            value = value.get_secret_value()
        elif hasattr(value, "total_seconds"):
            value = value.total_seconds()
        found[f"WORKLOAD_API_{name.upper()}"] = str(value)
    return found
