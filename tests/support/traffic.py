"""Clients that send requests to an endpoint without a pause, and what they saw."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx

from tests.support.server import ServerProcess

CLIENTS = 16


class Traffic:
    """Clients that send one request after the other, and what they saw."""

    def __init__(self) -> None:
        self.sent = 0
        self.failed: list[str] = []
        self.pids: set[int] = set()
        self.phase = "before"
        self.begun = {"before": 0, "during": 0, "after": 0}
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self.stop = False

    async def request(self, client: httpx.AsyncClient, url: str, **options: Any) -> None:
        """Send one request and note in which phase it began, and what became of it."""
        self.sent += 1
        self.begun[self.phase] += 1
        try:
            answer = await client.get(url, **options)
        except httpx.HTTPError as error:
            self.failed.append(repr(error))
            return
        if answer.status_code == 200:
            self.pids.add(answer.json()["pid"])
        else:
            self.failed.append(answer.text)

    async def keep_sending(self, client: httpx.AsyncClient, url: str) -> None:
        """One client; it begins nothing while the gate is closed."""
        while not self.stop:
            self.waiting += 1
            await self.gate.wait()
            self.waiting -= 1
            await self.request(client, url)

    @asynccontextmanager
    async def flowing(self, clients: list[httpx.AsyncClient], url: str) -> AsyncIterator[None]:
        """Traffic from all clients during the block; ended, every request answered, behind it."""
        senders = [asyncio.create_task(self.keep_sending(client, url)) for client in clients]
        yield
        self.stop = True
        self.gate.set()
        await asyncio.gather(*senders)


async def clients_of(stack: AsyncExitStack, *servers: ServerProcess) -> list[httpx.AsyncClient]:
    """Sixteen clients with connections of their own, spread over the servers."""
    return [await stack.enter_async_context(servers[n % len(servers)].client(timeout=60)) for n in range(CLIENTS)]
