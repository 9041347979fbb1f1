"""Reading one line of a program's output: how severe it is, and what it says.

A line without any sign of a level is ``INFO``, on standard error too: Python's logging, uvicorn, nginx, Go and most
others write all that they have to say there. The text of a line is kept whole; only of a JSON line is the message
taken out, and the rest kept beside it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from workload_api.domain.severity import CRITICAL, DEBUG, ERROR, INFO, WARN, WORDS, severity_of

_HEAD_CHARACTERS = 200
"""Of a line, in which its level is looked for."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a line says."""

    severity: int
    message: str
    stacktrace: str | None = None
    attributes: dict[str, Any] | None = None


def parse(text: str) -> Parsed:
    """Read a line."""
    text = storable(text)
    if text[:1] in "{ " and (found := _structured(text)) is not None:
        return found
    return Parsed(_severity(text), text)


def storable(text: str) -> str:
    """The same text without what no database keeps: NUL characters and halves of surrogate pairs."""
    if "\0" in text:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


# --- plain lines ------------------------------------------------------------------------------------------------------

_ANY = "|".join(sorted(WORDS, key=len, reverse=True))
_UPPER = _ANY.upper()
_TIME = r"""
    [\[(]?(?:
        \d{4}[-/.]\d\d[-/.]\d\d [T\ ] \d\d:\d\d:\d\d                 # 2026-11-24 10:00:00, 2026/11/24T10:00:00
      | \d\d/\w{3}/\d{4}[:\ ]\d\d:\d\d:\d\d                          # 24/Nov/2026:10:00:00
      | (?:\w{3}\ )?\w{3}\ +\d{1,2}\ (?:\d{4}\ )?\d\d:\d\d:\d\d      # Tue Nov 24 10:00:00
      | \d\d:\d\d:\d\d                                               # 10:00:00
    )(?:[.,]\d+)?
    (?:\ ?(?:Z|UTC|[+-]\d\d:?\d\d)\b)?
    (?:\ \d{4})?[\])]?
"""
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_KLOG = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ ")
_KLOG_LEVELS = {"I": INFO, "W": WARN, "E": ERROR, "F": CRITICAL}
_LEADING: Final = (
    # LEVEL:name:message, LEVEL message, level: message, [level] message, <level> message, | level |
    re.compile(rf"\s*({_UPPER})(?=[\s:|\])>,;-]|$)"),
    re.compile(rf"\s*({_ANY})\s*:(?=\s|$)", re.IGNORECASE),
    re.compile(rf"\s*[\[(<|]\s*({_ANY})\s*[\])>|]", re.IGNORECASE),
)
_AFTER_TIME: Final = (
    # Level right after the time in any letters; in brackets or bars, or in capitals, some words later.
    re.compile(rf"{_TIME}[\s|:,-]*[\[(<|]?\s*({_ANY})\s*(?:[\s\])>|:,]|$)", re.IGNORECASE | re.VERBOSE),
    re.compile(rf"{_TIME}.{{0,80}}?[\[(<|]\s*(?:\w+:)?({_ANY})\s*[\])>|]", re.IGNORECASE | re.VERBOSE),
    re.compile(rf"(?i:{_TIME}).{{0,80}}?(?<![\w./])({_UPPER})(?![\w./=])", re.VERBOSE),
)
_KEYED = re.compile(rf"(?:^|\s)(?:level|lvl|severity|levelname)=\"?({_ANY})\b", re.IGNORECASE)
_PYTHON_WARNING = re.compile(r"\S+:\d+: \w*Warning: ")
EXCEPTION = re.compile(
    r"(?:Exception\ in\ thread\ \"[^\"]*\"\ |Uncaught\ (?:exception:?\ )?)?"
    r"(?:[A-Za-z_$][\w$]*\.)*[A-Z][\w$]*(?:Error|Exception|Throwable|Failure)(?:\ \[\w+\])?(?::\ .*|:)?$",
    re.VERBOSE,
)
"""A line that is an exception's name and message."""
_TROUBLE = re.compile(r"(?:Exception (?:in|ignored in)\b|npm ERR!|Segmentation fault|panic: )", re.IGNORECASE)


def _severity(text: str) -> int:
    head = text[:_HEAD_CHARACTERS]
    if "\x1b" in head:
        head = _ESCAPES.sub("", head)
    if klog := _KLOG.match(head):
        return _KLOG_LEVELS[klog[1]]
    for pattern in (*_LEADING, *_AFTER_TIME):
        if found := pattern.match(head):
            return WORDS[found[1].lower()]
    if found := _KEYED.search(head):
        return WORDS[found[1].lower()]
    if _PYTHON_WARNING.match(head):
        return WARN
    return ERROR if EXCEPTION.match(head) or _TROUBLE.match(head) else INFO


# --- JSON lines -------------------------------------------------------------------------------------------------------

_LEVEL_KEYS = ("level", "severity", "levelname", "lvl", "log.level", "severity_text", "severityText", "loglevel")
_MESSAGE_KEYS = ("message", "msg", "event", "body", "text", "log", "short_message")
_STACK_KEYS = (
    "stacktrace",
    "stack_trace",
    "traceback",
    "exc_info",
    "exception",
    "exc_text",
    "stack",
    "error.stack_trace",
)
_MOST_LEVELS = 50
"""Of a structured line; a deeper one is kept as the text that it is."""
_CAUSE_KEYS = ("err", "error", "exception")


def _structured(text: str) -> Parsed | None:
    """Read a JSON line; ``None`` if it cannot be kept as one, or says neither how severe it is nor a message."""
    try:
        fields = _clean(json.loads(text, parse_constant=_refuse))
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict):
        return None
    severity = next((found for key in _LEVEL_KEYS if (found := _level(fields.get(key))) is not None), None)
    level_key = next((key for key in _LEVEL_KEYS if key in fields), None)
    message_key = next((key for key in _MESSAGE_KEYS if isinstance(fields.get(key), str)), None)
    if severity is None and message_key is None:
        return None
    stacktrace = _stacktrace(fields)
    rest = {key: value for key, value in fields.items() if key not in (level_key, message_key, *stacktrace)}
    default = ERROR if stacktrace else INFO
    return Parsed(
        default if severity is None else severity,
        text if message_key is None else fields[message_key],
        next(iter(stacktrace.values())) if stacktrace else None,
        rest or None,
    )


def _refuse(_constant: str) -> Any:
    raise ValueError("not JSON")


def _level(value: Any) -> int | None:
    if isinstance(value, str):
        return severity_of(value)
    if isinstance(value, int) and not isinstance(value, bool):
        # The numbers of bunyan and pino.
        bounds = ((60, CRITICAL), (50, ERROR), (40, WARN), (30, INFO), (10, DEBUG))
        return next((severity for least, severity in bounds if value >= least), None)
    return None


def _stacktrace(fields: Mapping[str, Any]) -> dict[str, str]:
    """The stack trace of a structured line by its key, if there is one; that of a nested error by no key of its own."""
    for key in _STACK_KEYS:
        if isinstance(value := fields.get(key), str) and "\n" in value:
            return {key: value}
    for key in _CAUSE_KEYS:
        if isinstance(cause := fields.get(key), dict):
            for inner in ("stack", "stacktrace", "stack_trace"):
                if isinstance(value := cause.get(inner), str) and "\n" in value:
                    return {f"{key}.{inner}": value}
    return {}


def _clean(value: Any, level: int = 0) -> Any:
    """Make of a JSON value one that can be stored and given back.

    Raises:
        ValueError: It is nested too deeply, or holds a number that is too large (``1e999``): databases and answers take
            no such thing, and one line must not keep all others from being stored.
    """
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not a number that JSON has")
    if not isinstance(value, dict | list):
        return value
    if level >= _MOST_LEVELS:
        raise ValueError("nested too deeply")
    if isinstance(value, dict):
        return {storable(key): _clean(inner, level + 1) for key, inner in value.items()}
    return [_clean(inner, level + 1) for inner in value]
