"""Pastes examples into one shell, as a reader does, and keeps what each ``curl`` was answered."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.docs.notation import Answer, read_answer
from tests.docs.pages import Example
from tests.support.server import ServerProcess

_TIMEOUT: Final = 240
"""Seconds that a whole page may take: far more than it does, and for commands that wait for what never comes."""

_BEGIN: Final = r"""
set -euo pipefail
begin() { number=$1; : >"$KEPT/$number.told"; }
# As the program, but it notes what it asked and keeps what it was answered.
curl() {
  command curl "$@" --write-out '%{stderr}\n%{method} %{http_code} %{url_effective}\n' \
    2>>"$KEPT/$number.told" | tee "$KEPT/$number.body"
}
"""


@dataclass(frozen=True, slots=True)
class Call:
    """One request that an example made."""

    method: str
    path: str
    status: int


@dataclass(frozen=True, slots=True)
class Played:
    """An example that was run.

    Attributes:
        example: Which.
        calls: Its requests in their order.
        answer: What the last of them was answered.
    """

    example: Example
    calls: list[Call]
    answer: Answer


def play(examples: Sequence[Example], server: ServerProcess, directory: Path) -> list[Played]:
    """Paste examples into one shell (bash) that has the two lines which ``make run`` prints.

    Args:
        examples: In their order.
        server: Which server's lines these are.
        directory: An empty folder, in which the shell runs.

    Returns:
        What came of each.

    Raises:
        AssertionError: A command failed, or they took too long; the message names the example and tells what was said.
    """
    kept = directory / "kept"
    kept.mkdir()
    script = kept / "script"
    script.write_text(_BEGIN + "".join(f"begin {number}\n{each.commands}" for number, each in enumerate(examples)))
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(directory),
        "LC_ALL": "C.UTF-8",
        "KEPT": str(kept),
        "DATAROBOT_ENDPOINT": f"{server.url}/api/v2",
        "DATAROBOT_API_TOKEN": server.token,
    }
    bash = shutil.which("bash")
    assert bash is not None
    try:
        done = subprocess.run(
            [bash, str(script)],
            stdin=subprocess.DEVNULL,
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AssertionError(_fault(examples, kept, f"did not end within {_TIMEOUT} s")) from None
    assert done.returncode == 0, _fault(examples, kept, f"ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return [_played(kept, number, example) for number, example in enumerate(examples)]


def _fault(examples: Sequence[Example], kept: Path, what: str) -> str:
    number = max((int(path.stem) for path in kept.glob("*.told")), default=0)
    told, body = (_text(kept / f"{number}.{kind}") for kind in ("told", "body"))
    return f"{examples[number].place} {what}\n{examples[number].commands}\ncurl said:{told[-1000:]}{body[:2000]}"


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _played(kept: Path, number: int, example: Example) -> Played:
    calls = [
        Call(method, re.sub(r"^https?://[^/]+", "", url).partition("?")[0], int(status))
        for method, status, url in re.findall(r"^([A-Z]+) (\d{3}) (\S+)$", _text(kept / f"{number}.told"), re.MULTILINE)
    ]
    body = _text(kept / f"{number}.body")
    if body.startswith("HTTP/"):
        answer = read_answer(body)
    else:
        answer = Answer(calls[-1].status if calls else 0, {}, body.strip())
    return Played(example, calls, answer)
