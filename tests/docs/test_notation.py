"""The notation of answers on pages: what fits, and what does not."""

from __future__ import annotations

import json

import pytest

from tests.docs.notation import Answer, differences, read_answer

ID = "01a20f2c58311ae38d1d583c"
TIME = "2031-02-03T04:05:06.789012Z"


def held(shown: str, real: object) -> list[str]:
    """The differences of two bodies."""
    return differences(Answer(200, {}, shown), Answer(200, {}, json.dumps(real)))


@pytest.mark.parametrize(
    ("shown", "real"),
    [
        ('{"a": 1, "b": [true, null]}', {"b": [True, None], "a": 1}),
        ('{"id": "01a2…", "at": "2026-11-24T…Z"}', {"id": ID, "at": TIME}),
        ('{"next": "http://here/01a2…/events?limit=1"}', {"next": f"http://here/{ID}/events?limit=1"}),
        ('{"a": …, "b": {…}, "c": […]}', {"a": [1], "b": {"x": 1}, "c": [1, "2"]}),
        ('{"a": 1, …}', {"a": 1, "b": 2}),
        ('[{"a": 1, …}, …]', [{"a": 1}, {"z": 2}]),
        ('{"text": "an … \\"quoted\\" [{word}]"}', {"text": 'an odd "quoted" [{word}]'}),
    ],
)
def test_fits(shown: str, real: object) -> None:
    assert held(shown, real) == []


@pytest.mark.parametrize(
    ("shown", "real", "sentence"),
    [
        ('{"a": 1}', {"a": 2}, "the body.a is 2, not 1"),
        ('{"a": 1}', {"a": True}, "the body.a is true, not 1"),
        ('{"a": 0.0}', {"a": 0}, "the body.a is 0, not 0.0"),
        ('{"a": "1…"}', {"a": 1}, 'the body.a is 1, not "1…"'),
        ('{"a": {…}}', {"a": None}, "the body.a is null, not {…}"),
        ('{"id": "01a2…"}', {"id": "01a2x"}, 'the body.id is "01a2x", not "01a2…"'),
        ('{"at": "2026-11-24T…Z"}', {"at": "soon"}, 'the body.at is "soon", not "2026-11-24T…Z"'),
        ('{"a": 1}', {"a": 1, "b": 2}, "the body has 'b' too"),
        ('{"a": 1, …}', {"b": 2}, "the body has no 'a'"),
        ('{"a": …}', {}, "the body has no 'a'"),
        ("[1]", [1, 2], "the body has 2 items, not 1"),
        ("[1, …]", [], "the body has 0 items, not 1 or more"),
    ],
)
def test_does_not_fit(shown: str, real: object, sentence: str) -> None:
    assert held(shown, real) == [sentence]


def test_status_headers_and_text() -> None:
    shown = read_answer('HTTP/1.1 200 OK\nETag: "…"\n\nHello, …!\n')
    assert shown == Answer(200, {"etag": '"…"'}, "Hello, …!")
    assert differences(shown, read_answer('HTTP/1.1 200 OK\r\netag: "7"\r\nvia: x\r\n\r\nHello, you!')) == []
    assert differences(shown, Answer(404, {}, "no")) == [
        "the status is 404, not 200",
        "there is no header etag",
        "the body is 'no', not 'Hello, …!'",
    ]
    assert differences(Answer(200, {}, "{…}"), Answer(200, {}, "")) == ["the body is no JSON: ''"]
    with pytest.raises(ValueError, match="begins with its status line"):
        read_answer('{"a": 1}')
