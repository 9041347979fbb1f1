"""The server's clock: UTC, always with a zone."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The time now, in UTC. Whether something has expired is asked of the database's clock instead."""
    return datetime.now(UTC)
