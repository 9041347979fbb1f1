"""Waiting for something to become so, with a deadline."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast, overload

T = TypeVar("T")


@overload
async def until(
    condition: Callable[[], Awaitable[T]], timeout: float = ..., interval: float = ..., *, what: str = ...
) -> T: ...


@overload
async def until(condition: Callable[[], T], timeout: float = ..., interval: float = ..., *, what: str = ...) -> T: ...


async def until(
    condition: Callable[[], T | Awaitable[T]],
    timeout: float = 20,
    interval: float = 0.05,
    *,
    what: str = "",
) -> T:
    """Ask again and again until the answer is true, and return it.

    Args:
        condition: A function or coroutine function. A failed ``assert`` in it counts as "not yet".
        timeout: Seconds after which to give up.
        interval: Seconds between two askings.
        what: What is waited for, for the message.

    Raises:
        AssertionError: The time is up; the message bears the last answer or failed assertion.
    """
    deadline = time.monotonic() + timeout
    while True:
        last: object
        try:
            answer = condition()
            answer = cast(T, await answer) if inspect.isawaitable(answer) else answer
            if answer:
                return answer
            last = answer
        except AssertionError as failure:
            last = failure
        if time.monotonic() >= deadline:
            name = what or getattr(condition, "__qualname__", repr(condition))
            raise AssertionError(f"not within {timeout} s: {name}; last: {last!r}") from (
                last if isinstance(last, AssertionError) else None
            )
        await asyncio.sleep(interval)
