from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workload_api.domain.entrypoint import expand

ENVIRONMENT = {"PORT": "8080", "EMPTY": "", "LOOP": "$(PORT)", "SHELL": "$PORT"}


@pytest.mark.parametrize(
    ("argument", "filled"),
    [
        ("--port=$(PORT)", "--port=8080"),
        ("$(PORT)$(PORT)", "80808080"),
        ("[$(EMPTY)]", "[]"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$$(PORT)", "$(PORT)"),
        ("$$$(PORT)", "$8080"),
        ("$$$$(PORT)", "$$(PORT)"),
        ("$(LOOP)", "$(PORT)"),
        ("$(SHELL)", "$PORT"),
        ("$PORT ${PORT}", "$PORT ${PORT}"),
        ("$(PORT", "$(PORT"),
        ("cost: 5$", "cost: 5$"),
        ("$()", "$()"),
        ("$(port)", "$(port)"),
    ],
)
def test_references(argument: str, filled: str) -> None:
    assert expand(argument, ENVIRONMENT) == filled


@given(st.text())
def test_an_escaped_argument_comes_out_as_it_is(text: str) -> None:
    assert expand(text.replace("$", "$$"), {text: "replaced", "": "replaced"}) == text


@given(st.text(alphabet=st.characters(exclude_characters="$")), st.text())
def test_nothing_but_references_changes(text: str, value: str) -> None:
    assert expand(f"{text}$(NAME){text}", {"NAME": value}) == text + value + text
