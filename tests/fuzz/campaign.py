"""A run of Schemathesis over the whole OpenAPI document of a server, as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.fuzz.prepared import Prepared
from tests.support.server import ServerProcess

_ROOT: Final = Path(__file__).parents[2]
_QUERY_NAMES: Final = {
    "workload_id": "workloadId",
    "proton_id": "protonId",
    "artifact_id": "artifactId",
    "artifact_repository_id": "repositoryId",
    "credential_id": "credentialId",
}


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is generated.

    Attributes:
        seed: Of everything random.
        examples: Requests to each operation while fuzzing.
        chains: Sequences of requests by links.
        seconds: Repeat fuzzing and sequences until so much time is gone; ``None`` runs each once.
    """

    seed: int
    examples: int
    chains: int
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    exit_code: int
    output: str
    report: Mapping[str, Any]

    @property
    def figures(self) -> str:
        """One line for people."""
        operations, cases = self.report["operations"], self.report["test_cases"]
        return (
            f"{operations['tested']} of {operations['total']} operations, {cases['generated']} cases, "
            f"{cases['unique_failures']} failures, {len(self.report['errors'])} errors, "
            f"{self.report['running_time']:.0f} s, seed {self.report['seed']}; "
            f"never accepted: {', '.join(sorted(self.never_accepted)) or 'none'}"
        )

    @property
    def never_accepted(self) -> set[str]:
        """The operations that answered no request with success, as far as single requests go."""
        return {
            operation
            for operation, phases in self.report["valid_rates"].items()
            if not any(rate["accepted"] for rate in phases.values())
        }


def attack(server: ServerProcess, prepared: Prepared, directory: Path, bounds: Bounds) -> Outcome:
    """Run Schemathesis with every check and every phase.

    Args:
        server: What is asked; by its administrator.
        prepared: What is there.
        directory: Where the configuration and the report go.
        bounds: How much.
    """
    directory.mkdir(parents=True, exist_ok=True)
    config, report = directory / "schemathesis.toml", directory / "report.json"
    config.write_text("\n".join(_config(server, prepared, bounds)) + "\n")
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"]
    command += [f"{server.url}/api/v2/openapi.json", "--no-color", "--report", "json"]
    command += ["--report-json-path", str(report)]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks"}
    environment["FUZZ_PREPARED"] = json.dumps(asdict(prepared))
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False, errors="replace"
    )
    output = done.stdout + done.stderr
    assert report.exists(), output
    return Outcome(done.returncode, output, json.loads(report.read_text()))


def _config(server: ServerProcess, prepared: Prepared, bounds: Bounds) -> Iterator[str]:
    """The lines of the configuration file (TOML, whose plain values are written like JSON)."""
    yield f"seed = {bounds.seed}"
    yield "workers = 1"
    yield "continue-on-failure = true"
    yield "request-timeout = 30"
    if bounds.seconds is not None:
        yield f"max-time = {bounds.seconds}"
    yield f"headers = {{ Authorization = {json.dumps(f'Bearer {server.token}')} }}"
    yield "[generation]"
    yield 'database = "none"'
    yield 'mode = "all"'
    yield "[phases.fuzzing]"
    yield f"generation = {{ max-examples = {bounds.examples} }}"
    yield "[phases.stateful]"
    yield f"generation = {{ max-examples = {bounds.chains} }}"
    yield "[checks]"
    yield "enabled = true"
    # What JSON Schema cannot say is refused with 422, what has changed with 412: here each refusal of data that fits
    # the document is looked at by the check `refused_by_a_rule` (hooks.py) instead, which is stricter.
    yield "[checks.positive_data_acceptance]"
    yield 'expected-statuses = ["2xx", "400", "401", "403", "404", "409", "412", "422"]'
    for kind, ids in (("kept", prepared.kept), ("expendable", prepared.expendable)):
        for name, values in ids.items():
            yield f"[dictionaries.{kind}_{name}]"
            yield f"values = {json.dumps(values)}"
    yield from _parameters("parameters", "kept", prepared.kept)
    # What is deleted whole; there are more paths that take DELETE.
    yield "[[operations]]"
    yield 'include-method = "DELETE"'
    yield 'include-path-regex = "^/api/v2/[^/]+/[^/]+$"'
    yield from _parameters("operations.parameters", "expendable", prepared.expendable)


def _parameters(section: str, kind: str, ids: Mapping[str, list[str]]) -> Iterator[str]:
    yield f"[{section}]"
    for name in ids:
        for parameter in (f"path.{name}", f"query.{_QUERY_NAMES[name]}"):
            yield f'"{parameter}" = {{ dictionary = "{kind}_{name}", probability = 0.8 }}'
