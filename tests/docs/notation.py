"""The notation in which pages show answers, held against what was really answered.

A page shows JSON with `…` for what varies or is left out:

- inside of a string, for any text: ``"no build service is configured; …"``; but ``01a2…`` is an id, and
  ``2026-11-24T…Z`` a time, whichever day it names;
- in place of a value, for any value: ``"responseTime": …``;
- at the end of an object or a list, for more keys or items: ``{"id": "…", …}``.

All else must be just so: an object without `…` at its end has the keys that are shown and no others.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

_ANY: Final = "\ue000any"
_REST: Final = "\ue000rest"
_PLACEHOLDERS: Final = re.compile(r"(01a2…)|(\d{4}-\d\d-\d\dT…Z)|…")
_ID: Final = "[0-9a-f]{24}"
_TIME: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\s+|.', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as a page shows it, or as a server gave it.

    Attributes:
        status: The status code.
        headers: What is shown of the headers, by their names in small letters.
        body: The text of the body.
    """

    status: int
    headers: dict[str, str]
    body: str


def read_answer(text: str) -> Answer:
    """Read an answer as ``curl -i`` prints it.

    Raises:
        ValueError: It does not begin with a status line.
    """
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    status_line, *lines = head.strip().splitlines() or [""]
    found = re.fullmatch(r"HTTP/[\d.]+ (\d{3})( .*)?", status_line)
    if found is None:
        raise ValueError(f"an answer begins with its status line, as `HTTP/1.1 200 OK`, not with {status_line!r}")
    headers = (line.partition(":") for line in lines)
    return Answer(int(found[1]), {name.strip().lower(): value.strip() for name, _, value in headers}, body.strip())


def differences(shown: Answer, real: Answer) -> list[str]:
    """Where a real answer is not as shown, one sentence each."""
    found = [] if shown.status == real.status else [f"the status is {real.status}, not {shown.status}"]
    for name, value in shown.headers.items():
        if name not in real.headers:
            found.append(f"there is no header {name}")
        elif not _matches(value, real.headers[name]):
            found.append(f"the header {name} is {real.headers[name]!r}, not {value!r}")
    if shown.body.startswith(("{", "[")):
        try:
            body = json.loads(real.body)
        except ValueError:
            return [*found, f"the body is no JSON: {real.body[:200]!r}"]
        return found + _differences(_shown_json(shown.body), body, "the body")
    if not _matches(shown.body, real.body):
        found.append(f"the body is {real.body[:200]!r}, not {shown.body!r}")
    return found


def _matches(shown: str, real: str) -> bool:
    pattern, end = "", 0
    for each in _PLACEHOLDERS.finditer(shown):
        meant = _ID if each[1] else _TIME if each[2] else ".*"
        pattern += re.escape(shown[end : each.start()]) + meant
        end = each.end()
    return re.fullmatch(pattern + re.escape(shown[end:]), real, re.DOTALL) is not None


def _shown_json(text: str) -> Any:
    written: list[str] = []
    inside: list[str] = []
    before = ""
    for token in _TOKEN.findall(text):
        if token == "…":
            in_object = inside[-1:] == ["{"]
            token = f'"{_ANY}"' if before == ":" else f'"{_REST}": 0' if in_object else f'"{_REST}"'
        elif token in ("{", "["):
            inside.append(token)
        elif token in ("}", "]"):
            inside.pop()
        written.append(token)
        before = before if token.isspace() else token
    return json.loads("".join(written))


def _differences(shown: Any, real: Any, place: str) -> list[str]:
    if shown == _ANY:
        return []
    if isinstance(shown, dict) and isinstance(real, dict):
        keys = shown.keys() - {_REST}
        lacking = [f"{place} has no {key!r}" for key in shown if key in keys and key not in real]
        further = [] if _REST in shown else [f"{place} has {key!r} too" for key in real if key not in keys]
        within = [
            sentence
            for key in shown
            if key in keys and key in real
            for sentence in _differences(shown[key], real[key], f"{place}.{key}")
        ]
        return lacking + further + within
    if isinstance(shown, list) and isinstance(real, list):
        is_open = shown[-1:] == [_REST]
        items = shown[:-1] if is_open else shown
        if len(real) < len(items) or (len(real) > len(items) and not is_open):
            return [f"{place} has {len(real)} items, not {len(items)}{' or more' if is_open else ''}"]
        return [
            sentence
            for number, item in enumerate(items)
            for sentence in _differences(item, real[number], f"{place}[{number}]")
        ]
    if isinstance(shown, str) and isinstance(real, str):
        same = _matches(shown, real)
    else:
        same = type(shown) is type(real) and shown == real
    return [] if same else [f"{place} is {_in_json(real)[:200]}, not {_in_json(shown)[:200]}"]


def _in_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).replace(f'"{_ANY}"', "…").replace(f'"{_REST}": 0', "…")
