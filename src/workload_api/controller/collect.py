"""The collecting loop: takes what containers have written into the logs of their workloads, each line exactly once.

Runtimes keep output and give it from any position on; how far it has been read is in the database, and is moved on in
the transaction that stores the lines. So a crash or a hand-over between two controllers loses and doubles nothing that
the runtime still keeps. Nothing is written while containers are silent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Sequence

import structlog

from workload_api.clock import utc_now
from workload_api.db.engine import Database
from workload_api.otel.entries import entries_of
from workload_api.otel.service import Extent, Reading, Source, add_sources, sources_of, store, trim
from workload_api.protons.service import owned
from workload_api.runtimes.protocol import LogLine, Runtime
from workload_api.settings import Settings

log = structlog.get_logger(__name__)

LINES_AT_ONCE = 1000
"""Of one output in one round, so that a talkative container does not hold up the others."""
PROTONS_AT_ONCE = 50
ROUNDS_AT_THE_END = 10_000
"""More than a runtime keeps: a proton's last output is collected before it counts as gone, but not for ever."""


class Collector:
    """Collects the output of the protons that one controller looks after.

    Args:
        database: Where logs are.
        runtime: Who keeps the output.
        settings: How often is collected, how much is kept.
        controller_id: Whose protons.
    """

    def __init__(self, database: Database, runtime: Runtime, settings: Settings, controller_id: str) -> None:
        self._database = database
        self._runtime = runtime
        self._seconds = settings.log_collect_interval.total_seconds()
        self._limit = Extent(settings.log_lines, settings.log_characters)
        self._controller_id = controller_id
        self._sources: dict[str, dict[str, Source]] = {}
        """How far each proton's outputs have been read; looked up again whenever that may not be so any more."""
        self._turn = asyncio.Lock()

    async def tick(self) -> None:
        """Collect what is new, round by round: those that have more to say wait for all others to be heard."""
        deadline = time.monotonic() + self._seconds
        async with self._database.read() as session:
            waiting = sorted(proton.id for proton in await owned(session, self._controller_id))
        async with self._turn:
            for proton_id in self._sources.keys() - set(waiting):
                del self._sources[proton_id]
        while waiting:
            more: list[str] = []
            for start in range(0, len(waiting), PROTONS_AT_ONCE):
                more += await self._collect(waiting[start : start + PROTONS_AT_ONCE])
            waiting = more if time.monotonic() < deadline else []

    async def finish(self, proton_id: str) -> None:
        """Collect the last output of a proton whose compute is gone, while it is still ours."""
        for _ in range(ROUNDS_AT_THE_END):
            if not await self._collect([proton_id], ended=True):
                break

    async def _collect(self, proton_ids: Sequence[str], *, ended: bool = False) -> list[str]:
        """Make a round over some protons. Returns those that have more to say; where all has ended, may have."""
        async with self._turn:
            return await self._round(proton_ids, ended)

    async def _round(self, proton_ids: Sequence[str], ended: bool) -> list[str]:
        await self._look_up(proton_ids)
        lines = {proton_id: await self._read(proton_id) for proton_id in proton_ids}
        if not any(lines.values()):
            return []
        if await self._begin(lines):
            await self._look_up(proton_ids)
        readings: list[Reading] = []
        more: set[str] = set()
        for proton_id, read in lines.items():
            by_source: dict[str, list[LogLine]] = {}
            for line in read:
                by_source.setdefault(line.source, []).append(line)
            for name, of_one in by_source.items():
                source = self._sources[proton_id].get(name)
                if source is None:
                    continue  # The proton was deleted meanwhile.
                reading, full = await asyncio.to_thread(_reading, proton_id, source, of_one, ended)
                if reading is not None:
                    readings.append(reading)
                    more |= {proton_id} if full or ended else set()
        if readings:
            more -= await self._store(readings)
        return sorted(more)

    async def _look_up(self, proton_ids: Collection[str]) -> None:
        unknown = [proton_id for proton_id in proton_ids if proton_id not in self._sources]
        if unknown:
            async with self._database.read() as session:
                self._sources.update(await sources_of(session, unknown))

    async def _read(self, proton_id: str) -> list[LogLine]:
        after = {name: source.position for name, source in self._sources[proton_id].items()}
        try:
            return await self._runtime.logs(proton_id, after, LINES_AT_ONCE)
        except OSError as error:
            # Of this one proton: the others go on, and it is tried again at the next tick.
            log.warning("collect_failed", proton_id=proton_id, error=str(error))
            return []

    async def _begin(self, lines: dict[str, list[LogLine]]) -> bool:
        """Note outputs that have not been read before. Returns whether there are any."""
        new = {
            (proton_id, line.source): (line.replica, line.container)
            for proton_id, read in lines.items()
            for line in read
            if line.source not in self._sources[proton_id]
        }
        if not new:
            return False
        async with self._database.write() as session:
            await add_sources(session, new)
        for proton_id, _ in new:
            self._sources.pop(proton_id, None)
        return True

    async def _store(self, readings: Sequence[Reading]) -> frozenset[str]:
        """Store readings. Returns the protons that are not ours any more."""
        protons = {reading.proton_id for reading in readings}
        kept = {proton_id: self._sources.pop(proton_id) for proton_id in protons}
        async with self._database.write() as session:
            stored = await store(session, self._controller_id, readings)
        refused = stored.lost | stored.overtaken
        # Only now is it known to be so: after a failure all of it is looked up again.
        names = {source.id: name for sources in kept.values() for name, source in sources.items()}
        for reading in readings:
            if reading.proton_id not in refused:
                source = reading.source
                kept[reading.proton_id][names[source.id]] = Source(source.id, source.log_id, reading.position)
        self._sources.update({proton_id: kept[proton_id] for proton_id in protons - refused})
        await self._trim(each for each, extent in stored.extents.items() if self._is_over(extent))
        return stored.lost

    def _is_over(self, extent: Extent) -> bool:
        return extent.lines > self._limit.lines or extent.size > self._limit.size

    async def _trim(self, log_ids: Iterable[int]) -> None:
        """Let a log that is full lose as much as it gained: what floods does not fill the database."""
        for log_id in log_ids:
            async with self._database.write() as session:
                await trim(session, log_id, self._limit)


def _reading(proton_id: str, source: Source, lines: list[LogLine], ended: bool) -> tuple[Reading | None, bool]:
    """Make a reading of lines, if they make any entry yet. Returns it, and whether there are more lines."""
    full = len(lines) >= LINES_AT_ONCE
    entries, position = entries_of(lines, utc_now(), ended=ended and not full, full=full)
    return None if position is None else Reading(proton_id, source, entries, position), full
