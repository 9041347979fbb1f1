"""Credentials of the tests, and where a secret must not be found."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx
import psutil

from tests.support import payloads

Json = dict[str, Any]


def from_credential(name: str, credential_id: str, key: str) -> Json:
    """An environment variable that is filled in from a credential."""
    return {"source": "dr-credential", "name": name, "drCredentialId": credential_id, "key": key}


def workload(*variables: Json, name: str = "secrets", **fields: Any) -> Json:
    """The body of a workload on the echo application with these environment variables."""
    container = payloads.container(environmentVars=list(variables), **fields)
    return payloads.workload(name, artifact={"name": name, "spec": payloads.spec(container)})


async def store(client: httpx.AsyncClient, name: str, credential_type: str = "basic", **values: Any) -> str:
    """Store a credential; returns its id."""
    answer = await client.post("/credentials", json={"name": name, "credentialType": credential_type, **values})
    assert answer.status_code == 201, answer.text
    credential_id: str = answer.json()["credentialId"]
    return credential_id


async def environment(client: httpx.AsyncClient, made: Json) -> dict[str, str]:
    """The environment of a replica of a running workload, as its process has it."""
    answer = await client.get(f"{made['endpoint']}environment")
    assert answer.status_code == 200, answer.text
    found: dict[str, str] = answer.json()
    return found


def spellings(secret: str) -> list[bytes]:
    """How a secret may stand somewhere: as it is, hexadecimal, for URLs, and base64 wherever it begins."""
    raw = secret.encode()
    found = [raw, raw.hex().encode(), quote(secret).encode(), repr(secret)[1:-1].encode()]
    for shift in range(3):
        # Only the characters that the neighbours of the secret do not change.
        encoded = base64.b64encode(b"\0" * shift + raw + b"\0" * 3)
        whole = encoded[4 if shift else 0 : 4 * ((shift + len(raw)) // 3)]
        found += [whole, whole.replace(b"+", b"-").replace(b"/", b"_")]
    return found


def holds(content: bytes, secret: str) -> bool:
    """Whether a secret stands there in any of its spellings."""
    return any(spelling in content for spelling in spellings(secret))


def files_with(folder: Path, secret: str) -> list[Path]:
    """The files below a folder that hold a secret, in their names or contents."""
    found = []
    for path in folder.rglob("*"):
        if holds(str(path).encode(), secret) or (path.is_file() and holds(path.read_bytes(), secret)):
            found.append(path)
    return found


def command_lines_with(secret: str) -> list[list[str]]:
    """The command lines of this machine that hold a secret."""
    return [line for line in _command_lines() if holds("\0".join(line).encode("utf-8", "replace"), secret)]


def _command_lines() -> Iterator[list[str]]:
    for process in psutil.process_iter():
        try:
            yield process.cmdline()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


async def dump(url: str) -> bytes:
    """Every row of every table as text."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            tables = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            rows = [row for table in tables for row in file.execute(f'SELECT * FROM "{table}"')]
        return repr(rows).encode()
    connection = await asyncpg.connect(url)
    try:
        names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = [row for (table,) in names for row in await connection.fetch(f'SELECT t::text, t.* FROM "{table}" t')]
        return repr([tuple(row.values()) for row in rows]).encode()
    finally:
        await connection.close()
