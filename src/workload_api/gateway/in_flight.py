"""How many requests are under way to each proton, and waiting until there are none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType


class InFlight:
    """Counts what this process is forwarding."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}

    def begin(self, proton_id: str) -> None:
        """A request to this proton begins."""
        self._counts[proton_id] = self._counts.get(proton_id, 0) + 1

    def end(self, proton_id: str) -> None:
        """A request to this proton has ended."""
        left = self._counts[proton_id] - 1
        if left:
            self._counts[proton_id] = left
            return
        del self._counts[proton_id]
        for waiter in self._waiting.pop(proton_id, ()):
            if not waiter.done():
                waiter.set_result(None)

    def counts(self) -> Mapping[str, int]:
        """How many requests are under way, by proton; those with none are not there."""
        return MappingProxyType(self._counts)

    async def drained(self, proton_id: str) -> None:
        """Return as soon as no request is under way to this proton; bound it with ``asyncio.timeout``."""
        while self._counts.get(proton_id):
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(proton_id, []).append(waiter)
            await waiter
