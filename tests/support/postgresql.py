"""A throw-away PostgreSQL server, and databases on it."""

from __future__ import annotations

import asyncio
import glob
import os
import pwd
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from tests.support.ports import free_port
from workload_api.db.schema import migrate
from workload_api.settings import Settings

T = TypeVar("T")

_START_TIMEOUT = 60
_TEMPLATE = "workload_api_template"
_OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "max_wal_size": "2GB",
    "listen_addresses": "127.0.0.1",
    "timezone": "UTC",
}


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, whether or not this thread has a running event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@cache
def server_programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``, the newest if there are several; ``None`` if there is none."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    if config := shutil.which("pg_config"):
        answer = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        folders.append(Path(answer.stdout.strip()))
    versions = [Path(folder) for folder in glob.glob("/usr/lib/postgresql/*/bin")]
    folders += sorted(versions, key=lambda folder: float(re.sub(r"[^\d.]", "", folder.parent.name) or 0), reverse=True)

    def has(folder: Path, program: str) -> bool:
        return shutil.which(program, path=str(folder)) is not None  # False too for a folder that may not be read.

    return next((folder for folder in folders if has(folder, "initdb") and has(folder, "postgres")), None)


def unprivileged_user() -> str:
    """Whom PostgreSQL runs as: it refuses root. Empty where we are not root.

    Raises:
        RuntimeError: There is no such user.
    """
    if os.geteuid() != 0:
        return ""
    names = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in names:
            return name
    raise RuntimeError("PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody`")


class PostgreSQL:
    """A PostgreSQL server for tests: one that we start, or one that is there.

    Args:
        url: Address of a server that is there, with a user who may create databases; ``None`` starts one.
    """

    def __init__(self, url: str | None = None) -> None:
        self._guardian: subprocess.Popen[bytes] | None = None
        self._made: list[str] = []
        self._prefix = f"wapi_{secrets.token_hex(4)}"
        self._template: str | None = None
        self._url = url or self._start()

    def _start(self) -> str:
        programs, user = server_programs(), unprivileged_user()
        assert programs is not None, "asked to start PostgreSQL where its programs are not"
        # The other user cannot reach into root's own temporary folders; /tmp is for all.
        directory = Path(tempfile.mkdtemp(prefix="workload-api-test-", dir="/tmp" if user else None))
        data, log, secret, word = directory / "data", directory / "log", directory / "password", secrets.token_hex(16)
        secret.write_text(word)
        log.touch()
        if user:
            for path in (directory, secret, log):
                shutil.chown(path, user, pwd.getpwnam(user).pw_gid)
        command = [str(programs / "initdb"), "-D", str(data), "-U", "tests", "--auth=password", f"--pwfile={secret}"]
        command += ["--no-sync", "--encoding=UTF8", "--no-locale"]
        made = subprocess.run(
            command,
            user=user or None,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
            cwd=directory,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            shutil.rmtree(directory, ignore_errors=True)
            raise RuntimeError(f"initdb failed: {made.stdout}{made.stderr}")
        port = free_port()
        options = [f"--{name}={value}" for name, value in _OPTIONS.items()]
        server = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-k", str(directory), *options]
        guardian = [sys.executable, str(Path(__file__).with_name("guardian.py")), user, str(directory), *server]
        with log.open("ab") as output:
            self._guardian = subprocess.Popen(guardian, stdin=subprocess.PIPE, stdout=output, stderr=output)
        url = f"postgresql://tests:{word}@127.0.0.1:{port}/postgres"
        deadline = time.monotonic() + _START_TIMEOUT
        with log.open() as said:
            while True:
                try:
                    run(_execute(url, "SELECT 1"))
                    return url
                except (OSError, asyncpg.CannotConnectNowError) as error:
                    if self._guardian.poll() is not None or time.monotonic() > deadline:
                        self.close()
                        raise RuntimeError(f"PostgreSQL did not start: {error}\n{said.read()}") from error
                    time.sleep(0.05)

    def url_of(self, database: str) -> str:
        """The address of a database on this server."""
        return urlunsplit(urlsplit(self._url)._replace(path=f"/{database}"))

    def create(self, *, migrated: bool = True) -> str:
        """Make a database.

        Args:
            migrated: With the newest schema; else empty.

        Returns:
            Its address.
        """
        name = f"{self._prefix}_{len(self._made)}"
        if migrated:
            self._new(name, f'"{self._migrated_template()}"')
        else:
            self._new(name, "template0")
        return self.url_of(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        name = urlsplit(url).path.removeprefix("/")
        run(_execute(self._url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))

    def close(self) -> None:
        """Stop the server that we started; on one that was there, remove what we made."""
        if self._guardian is None:
            for name in self._made:
                self.drop(self.url_of(name))
            return
        assert self._guardian.stdin is not None
        self._guardian.stdin.close()
        self._guardian.wait()

    def _migrated_template(self) -> str:
        if self._template is None:
            name = f"{self._prefix}_{_TEMPLATE}"
            self._new(name, "template0")
            run(migrate(Settings(database_url=self.url_of(name)).sqlalchemy_url))
            self._template = name
        return self._template

    def _new(self, name: str, template: str) -> None:
        run(_execute(self._url, f'CREATE DATABASE "{name}" TEMPLATE {template}'))
        self._made.append(name)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url, timeout=30)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
