"""How severe lines are, and which lines are one entry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workload_api.domain.severity import LEVELS
from workload_api.otel.entries import MOST_LINES, WAIT, Entry, entries_of
from workload_api.otel.parsing import parse
from workload_api.runtimes.protocol import LogLine

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)

PYTHON = """\
Traceback (most recent call last):
  File "a.py", line 3, in <module>
    f()
    ~^^
ValueError: no"""
CHAINED = f"""\
{PYTHON}

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 5, in <module>
    g()
KeyError: 'x'"""
GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   File "a.py", line 1, in <module>
  |     raise ExceptionGroup("several", [ValueError("one")])
  | ExceptionGroup: several (1 sub-exception)
  +-+---------------- 1 ----------------
    | ValueError: one
    +------------------------------------"""
JAVA = """\
Exception in thread "main" java.lang.IllegalStateException: bad state
\tat com.example.App.main(App.java:5)
Caused by: java.io.IOException: disk
\tat com.example.Disk.read(Disk.java:9)
\t... 1 more"""
NODE = """\
TypeError [ERR_INVALID_ARG]: x is not a function
    at Object.<anonymous> (/app/a.js:3:9)
    at node:internal/main:23:47 {
  code: 'E'
}"""


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ('INFO:     127.0.0.1:3000 - "GET / HTTP/1.1" 200 OK', "INFO"),
        ("ERROR:root:no", "ERROR"),
        ("2026-11-24 10:00:00,123 - name - WARNING - odd", "WARN"),
        ("2026-11-24 10:00:00,123 ERROR no", "ERROR"),
        ("[2026-11-24 10:00:00 +0000] [7] [CRITICAL] WORKER TIMEOUT", "CRITICAL"),
        ("2026/11/24 10:00:00 [error] 123#0: nginx", "ERROR"),
        ("2026-11-24 10:00:00.123 | WARNING  | mod:fn:1 - odd", "WARN"),
        ("10:00:00.123 [main] DEBUG c.f.Foo - fine", "DEBUG"),
        ("2026-11-24T10:00:00.000Z  WARN 1 --- [main] c.Foo : odd", "WARN"),
        ('time="2026-11-24T10:00:00Z" level=warning msg="odd"', "WARN"),
        ("E1124 10:00:00.000000       1 file.go:123] no", "ERROR"),
        ("I1124 10:00:00.000000       1 file.go:123] ERROR is what it says", "INFO"),
        ("[Tue Nov 24 10:00:00.123456 2026] [core:error] [pid 1] no", "ERROR"),
        ("2026-11-24 10:00:00.123 UTC [12] FATAL:  gone", "CRITICAL"),
        ("\x1b[2m2026-11-24T10:00:00Z\x1b[0m \x1b[33m WARN\x1b[0m mod: odd", "WARN"),
        ("2026-11-24 10:00:00 [info     ] event k=v", "INFO"),
        ("error: no", "ERROR"),
        ("[warn] odd", "WARN"),
        ("/a/b.py:3: DeprecationWarning: old", "WARN"),
        ("ValueError: no", "ERROR"),
        ("hello error world", "INFO"),
        ("information desk", "INFO"),
        ("Erroneous but fine", "INFO"),
        ("", "INFO"),
        ('{"level": "error", "message": "no"}', "ERROR"),
        ('{"severity": "WARNING", "message": "odd"}', "WARN"),
        ('{"level": 30, "msg": "fine"}', "INFO"),
        ('{"level": 60, "msg": "gone"}', "CRITICAL"),
        ('{"message": "no level"}', "INFO"),
    ],
)
def test_levels(text: str, level: str) -> None:
    assert LEVELS[parse(text).severity] == level


def test_json_lines() -> None:
    found = parse('{"level": "error", "message": "no", "user": {"id": 7}, "exc_info": "Traceback:\\n  x"}')
    assert (found.message, found.stacktrace, found.attributes) == ("no", "Traceback:\n  x", {"user": {"id": 7}})
    for text in ('{"a": 1}', "[1]", "{", '{"level": NaN, "message": 1}', "{" * 5000, '{"message": 7}'):
        assert parse(text).message == text
    odd = parse('{"message": "a\\u0000b\\ud800", "x": "\\u0000"}')
    assert odd.message == "a\N{REPLACEMENT CHARACTER}b?"
    assert odd.attributes == {"x": "\N{REPLACEMENT CHARACTER}"}


def lines(text: str, stream: Literal["stdout", "stderr"] = "stderr", at: datetime = LONG_AGO) -> list[LogLine]:
    """Lines of one source; the position of each is its number."""
    return numbered([LogLine(at, "r", "c", stream, line, "s", "") for line in text.split("\n")])


def numbered(found: list[LogLine]) -> list[LogLine]:
    return [
        LogLine(line.timestamp, line.replica, line.container, line.stream, line.text, line.source, str(number + 1))
        for number, line in enumerate(found)
    ]


def shown(entries: list[Entry]) -> list[tuple[str, str | None]]:
    return [(entry.message, entry.stacktrace) for entry in entries]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PYTHON, "ValueError: no"),
        (CHAINED, "KeyError: 'x'"),
        (GROUP, "ExceptionGroup: several (1 sub-exception)"),
        (JAVA, 'Exception in thread "main" java.lang.IllegalStateException: bad state'),
        (NODE, "TypeError [ERR_INVALID_ARG]: x is not a function"),
    ],
)
def test_a_traceback_is_one_entry(text: str, message: str) -> None:
    around = lines(f"before\n{text}\nINFO: after\n")
    entries, position = entries_of(around, NOW)
    assert shown(entries) == [("before", None), (message, text), ("INFO: after", None), ("", None)]
    assert LEVELS[entries[1].severity] == "ERROR"
    assert position == str(len(around))
    # At the end of what there is: whole once it was waited for, or nothing can follow.
    last = lines(text)
    assert shown(entries_of(last, NOW)[0]) == [(message, text)]
    assert entries_of(last, LONG_AGO + WAIT / 2) == ([], None)
    assert shown(entries_of(last, LONG_AGO + WAIT / 2, ended=True)[0]) == [(message, text)]


def test_what_only_looks_like_one() -> None:
    text = "ValueError: just a line\nINFO: next\nTraceback (most recent call last):\nINFO: broken off"
    entries, _ = entries_of(lines(text), NOW)
    assert shown(entries) == [
        ("ValueError: just a line", None),
        ("INFO: next", None),
        ("Traceback (most recent call last):", "Traceback (most recent call last):"),
        ("INFO: broken off", None),
    ]


def test_one_that_never_ends_is_cut() -> None:
    text = "Traceback (most recent call last):" + "\n  more" * (2 * MOST_LINES)
    entries, position = entries_of(lines(text, at=NOW), NOW, full=True)
    assert len(entries[0].stacktrace.split("\n")) == MOST_LINES  # type: ignore[union-attr]
    assert position == str(2 * MOST_LINES + 1)
    short = lines("Traceback (most recent call last):\n  more", at=NOW)
    assert entries_of(short, NOW, full=True)[1] == "2"  # It is all that fits: nothing would ever move on.


def test_streams_are_not_mixed_up_and_nothing_overtakes_what_waits() -> None:
    out = lines("one\ntwo\nthree", "stdout")
    err = lines(PYTHON)
    mixed = numbered([out[0], err[0], out[1], *err[1:3], out[2], *err[3:]])
    entries, position = entries_of(mixed, NOW)
    assert shown(entries) == [("one", None), ("ValueError: no", PYTHON), ("two", None), ("three", None)]
    assert position == str(len(mixed))
    # While it waits only what came before it is made.
    entries, position = entries_of(mixed, LONG_AGO)
    assert (shown(entries), position) == ([("one", None)], "1")


TEXTS = st.sampled_from([*CHAINED.split("\n"), *JAVA.split("\n"), *GROUP.split("\n"), "plain", "INFO: x", ""])
STREAMS: st.SearchStrategy[Literal["stdout", "stderr"]] = st.sampled_from(["stdout", "stderr"])


@given(st.lists(st.tuples(STREAMS, TEXTS, st.booleans()), max_size=40))
def test_collected_in_any_pieces_no_line_is_lost_or_doubled(
    written: list[tuple[Literal["stdout", "stderr"], str, bool]],
) -> None:
    """Each line stands in exactly one entry, whenever it is looked, and those of a stream are in order."""
    every: list[LogLine] = []
    found: list[Entry] = []
    at = 0
    for number, (stream, text, look) in enumerate(written):
        moment = NOW + number * WAIT / 3
        every.append(LogLine(moment, "r", "c", stream, text, "s", str(number + 1)))
        if look:
            entries, position = entries_of(every[at:], moment)
            found += entries
            at = at if position is None else int(position)
    found += entries_of(every[at:], NOW, ended=True)[0]
    for stream in ("stdout", "stderr"):
        told = [
            line
            for entry in found
            if entry.line.stream == stream
            for line in (entry.stacktrace or entry.message).split("\n")
        ]
        assert told == [line.text for line in every if line.stream == stream]


@pytest.mark.parametrize(
    "value", ["[" * 60 + "]" * 60, "[" * 400 + "]" * 400, "[" * 20_000 + "]" * 20_000, "1e999", "-1e999", "NaN"]
)
def test_a_structured_line_that_cannot_be_stored_is_plain_text(value: str) -> None:
    """One line must not keep all others from being stored, or a page from being answered."""
    line = '{"level": "error", "msg": "x", "more": ' + value + "}"
    found = parse(line)
    assert (found.message, found.attributes) == (line, None)


def test_a_structured_line_may_be_deep() -> None:
    found = parse('{"msg": "x", "more": ' + "[" * 40 + "]" * 40 + "}")
    assert found.message == "x"
    assert found.attributes is not None
