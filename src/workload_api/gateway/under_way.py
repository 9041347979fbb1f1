"""Tells controllers, in other processes too, to which leaving protons this gateway has requests under way (§6).

Only then is the old proton of a replacement taken down. It costs a look at an index of what is leaving, and a write
only while there is something to tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from sqlalchemy import delete, literal, select
from sqlalchemy.dialects import postgresql, sqlite

from workload_api.db.engine import Database
from workload_api.db.models import ProtonRow, RequestsUnderWayRow
from workload_api.db.types import database_now
from workload_api.domain.ids import new_id

_GOOD_FOR: Final = timedelta(seconds=10)
"""How long the word of a gateway counts that says no more: it may be busy, or have died."""


class UnderWay:
    """What one gateway process says.

    Args:
        database: Where it is said.
        in_flight: How many requests are under way right now, by proton.
    """

    def __init__(self, database: Database, in_flight: Callable[[], Mapping[str, int]]) -> None:
        self._gateway_id = new_id()
        self._database = database
        self._in_flight = in_flight
        self._told: frozenset[str] = frozenset()

    async def tell(self) -> None:
        """Say what is under way now; to be called again and again."""
        busy = frozenset(self._in_flight()) & await self._leaving() if self._in_flight() else frozenset()
        if not busy and not self._told:
            return
        mine = RequestsUnderWayRow.gateway_id == self._gateway_id
        async with self._database.write() as session:
            await session.execute(delete(RequestsUnderWayRow).where(mine, RequestsUnderWayRow.proton_id.not_in(busy)))
            if busy:
                insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
                # From the protons, not from our list alone: one may have gone since.
                there = select(ProtonRow.id, literal(self._gateway_id), database_now(_GOOD_FOR)).where(
                    ProtonRow.id.in_(busy)
                )
                statement = insert(RequestsUnderWayRow).from_select(["proton_id", "gateway_id", "good_until"], there)
                await session.execute(
                    statement.on_conflict_do_update(
                        index_elements=["proton_id", "gateway_id"],
                        set_={"good_until": statement.excluded.good_until},
                    )
                )
        self._told = busy

    async def close(self) -> None:
        """Say that nothing is under way any more."""
        if self._told:
            async with self._database.write() as session:
                await session.execute(
                    delete(RequestsUnderWayRow).where(RequestsUnderWayRow.gateway_id == self._gateway_id)
                )

    async def _leaving(self) -> frozenset[str]:
        statement = select(ProtonRow.id).where(ProtonRow.role.is_(None), ProtonRow.desired_state == "running")
        async with self._database.read() as session:
            return frozenset((await session.scalars(statement)).all())
