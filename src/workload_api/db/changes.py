"""Tells this process's gateway and controller which workloads a committed transaction changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from sqlalchemy.ext.asyncio import AsyncSession

Listener = Callable[[Collection[str]], Awaitable[None]]

_KEY = "changed_workloads"


class Changes:
    """Listeners of this process; each is called after the commit and before the answer."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> None:
        """Call a listener with the ids of the changed workloads from now on."""
        self._listeners.append(listener)

    async def publish(self, session: AsyncSession) -> None:
        """Call the listeners for what :func:`mark_changed` noted in a session that has been committed."""
        if changed := session.info.pop(_KEY, None):
            for listener in self._listeners:
                await listener(changed)


def mark_changed(session: AsyncSession, *workload_ids: str) -> None:
    """Note that this unit of work changes what runs, or what is known of it, for these workloads."""
    session.info.setdefault(_KEY, set()).update(workload_ids)
