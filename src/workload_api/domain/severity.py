"""How severe a line of a log is: the words that programs use for it, and the five that answers bear."""

from __future__ import annotations

from typing import Final

DEBUG: Final = 5
INFO: Final = 9
WARN: Final = 13
ERROR: Final = 17
CRITICAL: Final = 21
"""The numbers are OpenTelemetry's: the higher, the worse."""

LEVELS: Final = {DEBUG: "DEBUG", INFO: "INFO", WARN: "WARN", ERROR: "ERROR", CRITICAL: "CRITICAL"}

WORDS: Final = {
    **dict.fromkeys(("trace", "verbose", "finest", "finer", "fine", "debug"), DEBUG),
    **dict.fromkeys(("info", "information", "informational", "notice", "log", "success", "config"), INFO),
    **dict.fromkeys(("warn", "warning"), WARN),
    **dict.fromkeys(("err", "error", "severe"), ERROR),
    **dict.fromkeys(("crit", "critical", "fatal", "alert", "emerg", "emergency", "panic"), CRITICAL),
}
"""Lower-case words."""


def severity_of(word: str) -> int | None:
    """The severity that a word means, in any letter case; ``None`` if it means none."""
    return WORDS.get(word.strip().lower())
