"""Schemathesis over the whole OpenAPI document: every phase, every check, positive and negative data, both databases.

By hand, for longer and at random::

    FUZZ_SECONDS=780 FUZZ_SEED=$RANDOM make test ARGS="tests/fuzz -s -p no:xdist"

Prints what was covered; with a failure the output tells how to send the request again.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fuzz.campaign import Bounds, attack
from tests.fuzz.prepared import prepare
from tests.support.server import ServerProcess

SEED = 20250
SECONDS = int(os.environ.get("FUZZ_SECONDS", "0"))

NEVER_ACCEPTED = {
    "POST /api/v2/artifacts/{artifact_id}/builds",
    "GET /api/v2/artifacts/{artifact_id}/builds/{build_id}",
    "GET /api/v2/artifacts/{artifact_id}/builds/{build_id}/logs",
}
"""This server builds no images: there is nothing that these could answer with success."""


@pytest.mark.timeout(600 + 2 * SECONDS)
def test_no_request_finds_a_fault(
    server: ServerProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    """No server error, no undeclared code, no answer off its schema, nothing accepted that the document forbids."""
    prepared = prepare(server)
    # From here on nothing is started: nobody knows what commands a generator comes up with. What was prepared runs on.
    server.terminate()
    server.settings["CONTROLLER"] = "false"
    server.start()

    bounds = Bounds(int(os.environ.get("FUZZ_SEED", SEED)), examples=15, chains=40)
    if SECONDS:
        bounds = Bounds(bounds.seed, examples=100, chains=100, seconds=SECONDS)
    outcome = attack(server, prepared, tmp_path / "schemathesis", bounds)

    with capsys.disabled():
        print(f"\nschemathesis, {request.node.callspec.id}: {outcome.figures}")
    assert outcome.exit_code == 0, outcome.output
    assert outcome.report["failures"] == outcome.report["errors"] == []
    assert {phase["status"] for phase in outcome.report["phases"].values()} == {"success"}
    operations = outcome.report["operations"]
    assert operations["tested"] == operations["total"] >= 50
    assert outcome.report["test_cases"]["generated"] > 10_000
    # Requests get past 404 and the rules: nearly every operation has done what it is there for.
    idle = outcome.never_accepted - NEVER_ACCEPTED
    assert len(idle) <= operations["total"] // 10, idle
    assert "request_failed" not in server.log
