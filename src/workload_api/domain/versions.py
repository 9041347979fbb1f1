"""Versions of a resource, so that nobody overwrites what he has not seen (``ETag`` and ``If-Match``, RFC 9110).

The version of a resource changes with its configuration: name, spec, importance, lock, promote, settings. It stays
while only its state does: status, statistics, replicas.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from workload_api.domain.errors import Stale


class HasVersion(Protocol):
    """What the version is worked out from."""

    id: str
    updated_at: datetime


def version_of(resource: HasVersion) -> str:
    """The version of a resource: short, and opaque to clients."""
    microseconds = int(resource.updated_at.astimezone(UTC).timestamp() * 1_000_000)
    return f"{resource.id[-8:]}-{microseconds:x}"


@dataclass(frozen=True, slots=True)
class Expected:
    """Which versions a caller has seen.

    Attributes:
        versions: Any of them; ``None`` for whichever it is.
    """

    versions: frozenset[str] | None = None

    def check(self, resource: HasVersion) -> None:
        """Let through a resource that is as the caller has seen it; its row must be locked.

        Raises:
            Stale: It has changed since.
        """
        if self.versions is not None and version_of(resource) not in self.versions:
            raise Stale(
                f"{resource.id} has changed since you read it (If-Match); read it again and decide anew. "
                "Nothing was done."
            )


ANY_VERSION: Final = Expected()
