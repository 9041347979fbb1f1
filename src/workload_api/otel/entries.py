"""Making entries of lines: a traceback is one entry, also where it arrives in pieces or among other lines.

A pure function of the lines of one source, all from the same point on, and of the time. An entry that may not be whole
yet is not made: it and what comes after it are given again with the next lines. That is why nothing has to be
remembered between two collections, and why a crash between them neither loses nor doubles a line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from workload_api.domain.severity import ERROR, severity_of
from workload_api.otel.parsing import EXCEPTION, parse, storable
from workload_api.runtimes.protocol import LogLine

WAIT: Final = timedelta(seconds=2)
"""After its last line a traceback is waited for this long, then it is taken for whole."""
MOST_LINES: Final = 500
MOST_CHARACTERS: Final = 128 * 1024
"""Of one entry."""

_TRACEBACK = "Traceback (most recent call last):"
_CHAIN = re.compile(r"(During handling of the above exception|The above exception was the direct cause)")
_RAISED = re.compile(r"((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)(?::(?:\s.*)?)?$")
_RAISED_GROUP = re.compile(r"\s*\|\s((?:\w+\.)*\w+(?:: .*)?)$")
_FRAME = re.compile(r"\s+(?:at |\.\.\. )\S|\s*(?:Caused by|Suppressed): ")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a log."""

    line: LogLine
    """Its first line: time and source are the entry's."""
    severity: int
    message: str
    stacktrace: str | None
    attributes: dict[str, Any] | None


@dataclass(slots=True)
class _Traceback:
    """Lines that may be a traceback, and what may come next."""

    numbers: list[int]
    texts: list[str]
    state: Callable[[_Traceback, str], bool]
    message: str | None = None
    pending: list[int] = field(default_factory=list)
    """Blank lines that belong to it only if it goes on after them."""
    is_group: bool = False
    characters: int = 0

    def takes(self, number: int, text: str) -> bool:
        """Take a line in, if it belongs to this."""
        if len(self.numbers) >= MOST_LINES or self.characters >= MOST_CHARACTERS or not self.state(self, text):
            return False
        if self.state is _after_blank:
            self.pending.append(number)
            return True
        for _ in self.pending:
            self.texts.append("")
        self.numbers += [*self.pending, number]
        self.pending.clear()
        self.texts.append(text)
        self.characters += len(text)
        return True


def _in_frames(self: _Traceback, text: str) -> bool:
    if text[:1].isspace():
        if self.is_group and self.message is None and (raised := _RAISED_GROUP.match(text)):
            self.message = raised[1]
        return True
    raised = _RAISED.match(text)
    if self.is_group or raised is None or severity_of(raised[1]) is not None:
        return False
    self.message, self.state = text, _after_message
    return True


def _after_message(self: _Traceback, text: str) -> bool:
    if not text.strip():
        self.state = _after_blank
        return True
    return text[0].isspace()  # A message of several lines.


def _after_blank(self: _Traceback, text: str) -> bool:
    if _CHAIN.match(text):
        self.state = _before_next
        return True
    return not text.strip()


def _before_next(self: _Traceback, text: str) -> bool:
    if text.rstrip().endswith(_TRACEBACK):
        self.state = _in_frames
        return True
    return not text.strip()


def _after_name(self: _Traceback, text: str) -> bool:
    """After a line that looks like an exception of Java or JavaScript: it is one if frames follow."""
    if _FRAME.match(text):
        self.state = _in_other_frames
        return True
    return False


def _in_other_frames(_self: _Traceback, text: str) -> bool:
    return _FRAME.match(text) is not None or (text[:1].isspace() and bool(text.strip())) or text == "}"


def _begin(number: int, text: str) -> _Traceback | None:
    if text.rstrip().endswith(_TRACEBACK):
        return _Traceback([number], [text], _in_frames, is_group="Exception Group" in text)
    if EXCEPTION.match(text):
        return _Traceback([number], [text], _after_name)
    return None


@dataclass(frozen=True, slots=True)
class _Made:
    first: int
    last: int
    entry: Entry


def entries_of(
    lines: Sequence[LogLine], now: datetime, *, ended: bool = False, full: bool = False
) -> tuple[list[Entry], str | None]:
    """Make entries of lines.

    Args:
        lines: Of one source, in order.
        now: The time, for how long is waited.
        ended: Nothing will come after these lines.
        full: There are more lines already.

    Returns:
        The entries that are whole, and the position up to which they go; ``None`` if there is none yet.
    """
    made: list[_Made] = []
    open_ones: dict[str, _Traceback] = {}
    for number, line in enumerate(lines):
        text = line.text
        current = open_ones.get(line.stream)
        if current is not None:
            if current.takes(number, text):
                continue
            made += _close(open_ones.pop(line.stream), lines)
        begun = _begin(number, text)
        if begun is None:
            made.append(_single(number, line))
        else:
            open_ones[line.stream] = begun
    waiting = []
    for current in open_ones.values():
        last = (current.pending or current.numbers)[-1]
        stuck = full and current.numbers[0] == 0
        if ended or stuck or now - lines[last].timestamp >= WAIT:
            made += _close(current, lines)
        else:
            waiting.append(current.numbers[0])
    end = min(waiting, default=len(lines))
    # An entry that reaches over the end waits with what is there.
    while reaching := [each.first for each in made if each.first < end <= each.last]:
        end = min(reaching)
    whole = sorted((each for each in made if each.first < end), key=lambda each: each.first)
    return [each.entry for each in whole], lines[end - 1].position if end else None


def _single(number: int, line: LogLine) -> _Made:
    found = parse(line.text)
    return _Made(number, number, Entry(line, found.severity, found.message, found.stacktrace, found.attributes))


def _close(found: _Traceback, lines: Sequence[LogLine]) -> list[_Made]:
    first = found.numbers[0]
    blanks = [_single(number, lines[number]) for number in found.pending]
    if found.state is _after_name:
        return [_single(first, lines[first]), *blanks]
    if found.message is not None:
        message = found.message
    elif found.state is _in_other_frames:
        message = found.texts[0]
    else:  # It broke off.
        message = next((text.strip() for text in reversed(found.texts) if text.strip()), "")
    whole = storable("\n".join(found.texts))
    return [_Made(first, found.numbers[-1], Entry(lines[first], ERROR, storable(message), whole, None)), *blanks]
