"""The commands of README.md and docs/operating.md run as they stand there."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import Example, examples
from tests.docs.session import play
from tests.support.server import ServerProcess

WAIT = """
until curl -sS "${DATAROBOT_ENDPOINT}/workloads/${WORKLOAD_ID}" -H "Authorization: Bearer ${DATAROBOT_API_TOKEN}" \\
  | python3 -c 'import json, sys; sys.exit(json.load(sys.stdin)["status"] != "running")'; do sleep 0.2; done
"""
"""What the README says in words: "after a second or so it is `running`"."""


@pytest.mark.curl
def test_the_promote_story_of_the_readme_runs(server: ServerProcess, tmp_path: Path) -> None:
    create, read, call, promote = examples("README.md", under="The promote story")
    wait = Example("README.md", read.line, ("until it is running",), WAIT, None)
    directory = tmp_path / "reader"
    directory.mkdir()

    created, _, was_read, called, promoted = play([create, wait, read, call, promote], server, directory)

    told = [each.status for played in (created, was_read, called, promoted) for each in played.calls]
    assert told == [201, 200, 200, 200, 202, 200]
    assert json.loads(was_read.answer.body)["status"] == "running"
    assert json.loads(was_read.answer.body)["expiresAt"] is not None
    assert json.loads(called.answer.body)["metrics"]["totalRequests"] == 1
    after = json.loads(promoted.answer.body)
    assert (after["artifact"]["status"], after["artifact"]["version"]) == ("locked", 1)
    assert (after["importance"], after["expiresAt"], after["status"]) == ("high", None, "running")


def test_the_commands_for_users_and_secrets_run(server: ServerProcess, tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    said = ""
    blocks = [
        block
        for heading in ("Users, groups and tokens", "Secrets and their key")
        for block in examples("docs/operating.md", under=heading)
    ]
    assert len(blocks) == 2
    for block in blocks:
        for line in block.commands.splitlines():
            command = shlex.split(line)
            if "TOKEN_ID" in command:
                # The token made above, as the list before this line shows it.
                (token_line,) = (each for each in said.splitlines() if "laptop" in each)
                command[command.index("TOKEN_ID")] = token_line.split()[0]
            done = subprocess.run(
                command, cwd=tmp_path, env=server.environment, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, f"docs/operating.md: {line}\n{done.stdout}{done.stderr}"
            said = done.stdout
