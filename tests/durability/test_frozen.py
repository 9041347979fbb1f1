"""A process that is frozen in the midst of a transaction (a stopped container, a laptop asleep)."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from tests.support.rows import add_person, opened
from workload_api.db.models import UserRow
from workload_api.domain.errors import TryAgain


async def test_it_does_not_hold_its_locks_for_ever(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database ends its transaction: others go on, and it is told to try again once it wakes."""
    monkeypatch.setattr("workload_api.db.engine.IDLE_TIMEOUT_SECONDS", 1)
    async with opened(postgresql_url) as frozen, opened(postgresql_url) as other:
        person = await add_person(other)
        rename = update(UserRow).where(UserRow.id == person.caller.user_id)
        with pytest.raises(TryAgain):
            async with frozen.write() as holding:
                await holding.execute(rename.values(first_name="frozen"))
                async with other.write() as session:
                    # Waits for the lock until the database has taken it away.
                    await session.execute(rename.values(first_name="other"))
                await holding.execute(rename.values(first_name="too late"))
        async with frozen.read() as session:
            row = await session.get(UserRow, person.caller.user_id)
        assert row is not None
        assert row.first_name == "other"
