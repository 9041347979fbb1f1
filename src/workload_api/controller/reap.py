"""The reaper's loop: ends drafts whose time has run out, batch by batch, until none is due."""

from __future__ import annotations

import structlog

from workload_api.db.engine import Database
from workload_api.workloads.lifetime import BATCH, expire_due

log = structlog.get_logger(__name__)


async def reap(database: Database) -> int:
    """End all that are due; any number of processes may do so at once.

    Returns:
        How many this call ended.
    """
    total = 0
    while True:
        async with database.write() as session:
            ended = await expire_due(session)
        total += len(ended)
        for workload_id in ended:
            log.info("workload_expired", workload_id=workload_id)
        if len(ended) < BATCH:
            return total
