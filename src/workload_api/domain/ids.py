"""Ids: 24 lower-case hex characters that grow with time (§2)."""

from __future__ import annotations

import re
import secrets
import threading
import time

_PATTERN = re.compile(r"[0-9a-f]{24}")
_RANDOM_BITS = 48
_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """Make an id: 48 bits of milliseconds since 1970, then 48 random bits; strictly growing within a process."""
    global _last
    candidate = (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    with _lock:
        # Within one millisecond (or after a clock stepped back) count on from the last id instead.
        _last = (
            candidate if candidate >> _RANDOM_BITS > _last >> _RANDOM_BITS else _last + 1 + secrets.randbelow(1 << 20)
        )
        return f"{_last:024x}"


def is_id(text: str) -> bool:
    """Tell whether a text has the form of an id."""
    return _PATTERN.fullmatch(text) is not None
