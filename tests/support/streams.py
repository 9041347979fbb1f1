"""A client of server-sent events, as the standard has it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

TIMEOUT = 20
"""Seconds that the next piece of a stream may take."""


@dataclass(frozen=True)
class Got:
    """An event."""

    id: str | None
    event: str
    data: dict[str, Any]


class Stream:
    """The events of an answer that goes on.

    Attributes:
        answer: The head of the answer.
        last_id: What the client would send as ``Last-Event-ID``.
        comments: All comments so far.
    """

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.last_id: str | None = None
        self.comments: list[str] = []
        self._lines = answer.aiter_lines()

    async def next(self) -> Got | None:
        """The next event; ``None`` where the server has ended the stream."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(TIMEOUT):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if line.startswith(":"):
                    self.comments.append(line[2:])
                elif line:
                    assert name in ("id", "event", "data"), line
                    assert name not in fields, fields
                    fields[name] = value
                elif fields:
                    self.last_id = fields.get("id", self.last_id)
                    if "data" in fields:
                        return Got(fields.get("id"), fields["event"], json.loads(fields["data"]))
                    fields = {}
        return None

    async def take(self, count: int) -> list[Got]:
        """The next so many events."""
        found = [await self.next() for _ in range(count)]
        assert None not in found, found
        return [got for got in found if got is not None]

    async def rest(self) -> list[Got]:
        """All events until the server ends the stream."""
        found = []
        while (got := await self.next()) is not None:
            found.append(got)
        return found

    async def opened(self) -> None:
        """Wait until the server has sent the first piece: from here on it sends all that happens."""
        async with asyncio.timeout(TIMEOUT):
            async for line in self._lines:
                if line.startswith("id: "):
                    self.last_id = line.removeprefix("id: ")
                    return


@asynccontextmanager
async def following(
    client: httpx.AsyncClient, workload_id: str, query: str = "", **headers: str
) -> AsyncIterator[Stream]:
    """Follow a workload's events from when the block begins.

    Args:
        client: Whose.
        workload_id: Which.
        query: More of it, as ``&lastEventId=…``.
        headers: More of them.
    """
    path = f"/workloads/{workload_id}/events?follow=true{query}"
    async with client.stream("GET", path, headers=headers, timeout=httpx.Timeout(30, read=None)) as answer:
        assert answer.status_code == 200, (await answer.aread()).decode()
        stream = Stream(answer)
        await stream.opened()
        yield stream
