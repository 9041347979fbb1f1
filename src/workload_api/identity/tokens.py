"""API tokens: 256 random bits, of which the database holds a keyed hash only."""

from __future__ import annotations

import hashlib
import secrets

_KEY = b"workload-api token, version 1"
PREFIX = "wla_"


def new_token() -> str:
    """Make a token; it is shown once and cannot be found again."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(token: str) -> bytes:
    """The hash under which a token is stored: fast, since 256 random bits need no slow one."""
    return hashlib.blake2b(token.encode("utf-8", "surrogateescape"), key=_KEY, digest_size=32).digest()
