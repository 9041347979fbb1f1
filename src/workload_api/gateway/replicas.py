"""Chooses the replica for a request: the least busy one, and none that has just failed if there is another."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

AVOID_SECONDS = 2.0
"""How long a replica that failed is passed over."""
_MANY = 1000


class Replicas:
    """What this process knows of replicas from its own requests to them, by address."""

    def __init__(self) -> None:
        self._busy: dict[str, int] = {}
        self._avoided: dict[str, float] = {}
        self._turn = 0

    def choose(self, addresses: Sequence[str], tried: Collection[str]) -> str | None:
        """The replica to try next, or ``None`` where each has been tried.

        Args:
            addresses: The ready replicas.
            tried: Those that this request has been to already.
        """
        left = [address for address in addresses if address not in tried] if tried else addresses
        if self._avoided and len(left) > 1:
            now = time.monotonic()
            left = [address for address in left if self._avoided.get(address, 0.0) <= now] or left
        if len(left) <= 1:
            return left[0] if left else None
        # Equally busy ones take turns.
        self._turn += 1
        first = self._turn % len(left)
        return min((*left[first:], *left[:first]), key=lambda address: self._busy.get(address, 0))

    def begin(self, address: str) -> None:
        """A request goes to this replica."""
        self._busy[address] = self._busy.get(address, 0) + 1

    def end(self, address: str) -> None:
        """A request to this replica has ended."""
        left = self._busy[address] - 1
        if left:
            self._busy[address] = left
        else:
            del self._busy[address]

    def failed(self, address: str) -> None:
        """A replica did not take a connection or broke one off before it answered: pass it over for a while."""
        now = time.monotonic()
        if len(self._avoided) >= _MANY:
            self._avoided = {address: until for address, until in self._avoided.items() if until > now}
        self._avoided[address] = now + AVOID_SECONDS
