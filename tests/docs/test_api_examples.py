"""docs/api.md: its examples run in a real shell on a real server, and there is one for every operation."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.docs.notation import differences
from tests.docs.pages import SHOWN_BASE, Example, examples, headings
from tests.docs.session import Played, play
from tests.support.server import ServerProcess
from workload_api.app import API_PREFIX, api

PAGE = "docs/api.md"
OPERATION = re.compile(r"`([A-Z]+ /\S*)`")


def operation_of(example: Example) -> str | None:
    """The operation whose heading an example stands under: ``GET /workloads/{workload_id}``."""
    found = OPERATION.fullmatch(example.headings[-1])
    return found[1] if found else None


def is_example_of(operation: str, played: Played) -> bool:
    """Whether an example stands under this operation, and its last request, whose answer is shown, was one of it."""
    if operation_of(played.example) != operation:
        return False
    method, _, template = operation.partition(" ")
    pattern = re.escape(API_PREFIX) + re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
    last = played.calls[-1]
    return last.method == method and re.fullmatch(pattern, last.path) is not None


@pytest.mark.curl
@pytest.mark.timeout(300)
def test_the_documented_examples_all_run(server: ServerProcess, tmp_path: Path) -> None:
    directory = tmp_path / "reader"
    directory.mkdir()
    played = play(examples(PAGE), server, directory)
    wrong = []
    for each in played:
        assert each.example.answer is not None, f"{each.example.place} shows no answer"
        real = replace(each.answer, body=each.answer.body.replace(server.url, SHOWN_BASE))
        wrong += [f"{each.example.place}: {sentence}" for sentence in differences(each.example.answer, real)]
    shown = {operation for each in played if (operation := operation_of(each.example))}
    called = {operation for operation in shown if any(is_example_of(operation, each) for each in played)}
    wrong += [f"{PAGE} shows an example under {operation} that is none of it" for operation in sorted(shown - called)]
    assert not wrong, "\n".join(wrong)


def test_every_operation_has_its_example() -> None:
    there = {
        f"{method.upper()} {path.removeprefix(API_PREFIX)}"
        for path, methods in api().openapi()["paths"].items()
        for method in methods
    }
    told = Counter(found[1] for heading in headings(PAGE) if (found := OPERATION.fullmatch(heading)))
    assert not there - told.keys(), f"{PAGE} lacks {sorted(there - told.keys())}"
    assert not told.keys() - there, f"{PAGE} tells of what is not there: {sorted(told.keys() - there)}"
    assert set(told.values()) == {1}, f"{PAGE} tells twice of {[name for name, times in told.items() if times > 1]}"
    exemplified = {operation_of(each) for each in examples(PAGE) if each.answer is not None}
    assert not there - exemplified, f"{PAGE} has no example of {sorted(there - exemplified)}"
