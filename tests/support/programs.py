"""Programs that some tests need and not every machine has: what is there, and what was left out for want of it."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

KINDS = {"postgresql": "PostgreSQL", "docker": "Docker", "browser": "browser", "curl": "curl"}
"""Markers, and what the tests that bear them are called."""

REQUIRED_VARIABLE = "WORKLOAD_API_TEST_REQUIRE"
LEFT_OUT = "left_out"
"""Name of the property by which a skipped test's report tells which kind was left out, and why."""


def chromium() -> Path | None:
    """Chromium (or Chrome): ``TEST_CHROMIUM``, or what is on the PATH."""
    if named := os.environ.get("TEST_CHROMIUM"):
        return Path(named)
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((Path(found) for name in names if (found := shutil.which(name))), None)


def missing(kind: str, *, postgresql_url: str | None) -> str | None:
    """Why tests of this kind cannot run here, or ``None`` if they can."""
    return None if kind == "postgresql" and postgresql_url else _missing(kind)


@cache
def _missing(kind: str) -> str | None:
    # Imported late: this module is used where only the question is asked.
    from tests.support.postgresql import server_programs

    if kind == "postgresql":
        return None if server_programs() else "no PostgreSQL programs (initdb, postgres) and no TEST_POSTGRESQL_URL"
    if kind == "browser":
        return None if chromium() else "no chromium on the PATH and no TEST_CHROMIUM"
    if kind == "curl":
        lacking = [name for name in ("curl", "bash") if shutil.which(name) is None]
        return f"no {' and no '.join(lacking)} on the PATH" if lacking else None
    docker = shutil.which("docker")
    if docker is None:
        return "no docker on the PATH"
    question = [docker, "version", "--format", "{{.Server.Version}}"]
    answer = subprocess.run(question, capture_output=True, timeout=20, check=False)
    return "no Docker engine answers" if answer.returncode else None


def required() -> frozenset[str]:
    """The kinds that must not be left out: ``WORKLOAD_API_TEST_REQUIRE=postgresql,browser``.

    Raises:
        pytest.UsageError: It names a kind that there is not.
    """
    names = frozenset(filter(None, (name.strip() for name in os.environ.get(REQUIRED_VARIABLE, "").split(","))))
    if unknown := names - KINDS.keys():
        raise pytest.UsageError(f"{REQUIRED_VARIABLE}: {', '.join(sorted(unknown))} is none of {', '.join(KINDS)}")
    return names
