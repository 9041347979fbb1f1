"""The loop over replacements: takes each step that is due. Any number of processes may do so at once."""

from __future__ import annotations

import structlog

from workload_api.db.engine import Database
from workload_api.domain.errors import TryAgain
from workload_api.replacements.steps import Due, advance, due_replacements
from workload_api.settings import Settings

log = structlog.get_logger(__name__)


async def replace(database: Database, settings: Settings) -> int:
    """Take all steps that are due, one after the other for each replacement.

    Returns:
        How many this call took.
    """
    taken = 0
    after: str | None = ""
    while after is not None:
        async with database.read() as session:
            due, after = await due_replacements(session, settings, after)
        for each in due:
            taken += await _advance(database, settings, each)
    return taken


async def _advance(database: Database, settings: Settings, due: Due) -> int:
    taken = 0
    try:
        while True:
            async with database.write() as session:
                step = await advance(session, due, settings)
            if step is None:
                return taken
            taken += 1
            log.info("replacement_step", step=step, replacement_id=due.replacement_id, workload_id=due.workload_id)
    except TryAgain as error:
        # Perhaps of this one alone, whose lock somebody holds: the others go on, and it is tried at the next tick.
        log.warning("replacement_postponed", replacement_id=due.replacement_id, reason=error.message)
        return taken
    except Exception:
        # One that cannot go on must not hold up the others; it is tried again at the next tick.
        log.exception("replacement_failed", replacement_id=due.replacement_id, workload_id=due.workload_id)
        return taken
