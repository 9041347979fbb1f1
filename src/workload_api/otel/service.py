"""Writing logs: entries together with how far their outputs have been read, and clearing away what is old or too much.

What makes collection exact is the position: it is moved on from where the reader began, in the transaction that stores
the entries before it. Whoever read from there as well, a controller that slept through its lease say, finds it moved
and stores nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, exists, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.clock import utc_now
from workload_api.db.locks import locked, table_of
from workload_api.db.models import LogLineRow, LogSourceRow, ProtonRow, ProtonUsageRow, WorkloadLogRow, WorkloadRow
from workload_api.otel.entries import Entry
from workload_api.runtimes.protocol import Usage

BATCH = 2000
"""Entries cleared away in one transaction."""


@dataclass(frozen=True, slots=True)
class Source:
    """One output of a proton, and how far it has been read."""

    id: int
    log_id: int
    position: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of one output: entries, and the position behind them."""

    proton_id: str
    source: Source
    entries: Sequence[Entry]
    position: str


@dataclass(frozen=True, slots=True)
class Extent:
    """How long a log is, or may be."""

    lines: int
    size: int
    """In characters, about."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What came of storing."""

    lost: frozenset[str]
    """The protons of which nothing was stored: they are another's."""
    overtaken: frozenset[str]
    """The protons of which something was not stored: it was read from a position that is not the present one."""
    extents: Mapping[int, Extent]
    """How long the logs are now."""


async def sources_of(session: AsyncSession, proton_ids: Collection[str]) -> dict[str, dict[str, Source]]:
    """How far the outputs of protons have been read, by proton and name."""
    found: dict[str, dict[str, Source]] = {proton_id: {} for proton_id in proton_ids}
    statement = select(LogSourceRow).where(LogSourceRow.proton_id.in_(proton_ids))
    for row in await session.scalars(statement):
        found[row.proton_id][row.name] = Source(row.id, row.log_id, row.position)
    return found


async def add_sources(session: AsyncSession, named: Mapping[tuple[str, str], tuple[str, str]]) -> None:
    """Begin to read outputs; those that are there already stay as they are.

    Args:
        session: A write.
        named: Replica and container by proton and name of the output.
    """
    protons = {proton_id for proton_id, _ in named}
    there = (
        select(ProtonRow.id, WorkloadRow.id)
        .join(WorkloadRow, WorkloadRow.id == ProtonRow.workload_id)
        .where(ProtonRow.id.in_(protons))
        # Nobody removes them while this is under way.
        .with_for_update(read=True, key_share=True, of=WorkloadRow)
    )
    workloads: dict[str, str] = {proton_id: workload_id for proton_id, workload_id in await session.execute(there)}
    if not workloads:
        return
    logs = [{"workload_id": workload_id, "lines": 0, "size": 0} for workload_id in sorted(set(workloads.values()))]
    await _insert_missing(session, WorkloadLogRow, logs)
    found = select(WorkloadLogRow.workload_id, WorkloadLogRow.id).where(
        WorkloadLogRow.workload_id.in_(workloads.values())
    )
    log_ids = {workload_id: log_id for workload_id, log_id in await session.execute(found)}
    await _insert_missing(
        session,
        LogSourceRow,
        [
            {
                "log_id": log_ids[workloads[proton_id]],
                "proton_id": proton_id,
                "name": name,
                "replica": replica,
                "container": container,
                "position": "",
            }
            for (proton_id, name), (replica, container) in sorted(named.items())
            if proton_id in workloads
        ],
    )


async def _insert_missing(
    session: AsyncSession, row: type[WorkloadLogRow | LogSourceRow], values: list[dict[str, Any]]
) -> None:
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    if values:
        await session.execute(dialect.insert(table_of(row)).on_conflict_do_nothing(), values)


async def store(session: AsyncSession, controller_id: str, readings: Sequence[Reading]) -> Stored:
    """Store entries and move their outputs' positions on, as far as the controller still looks after the protons.

    Args:
        session: A write.
        controller_id: Whose readings they are.
        readings: At most one of each output.
    """
    mine = set(
        await session.scalars(
            select(ProtonRow.id).where(
                ProtonRow.id.in_({reading.proton_id for reading in readings}), ProtonRow.controller_id == controller_id
            )
        )
    )
    overtaken: set[str] = set()
    rows: list[dict[str, Any]] = []
    growth: dict[int, tuple[int, int]] = {}
    for reading in sorted(readings, key=lambda each: each.source.id):
        if reading.proton_id not in mine:
            continue
        if not await _move_on(session, reading):
            overtaken.add(reading.proton_id)
            continue
        made = [_row(reading.source, entry) for entry in reading.entries]
        rows += made
        lines, size = growth.get(reading.source.log_id, (0, 0))
        growth[reading.source.log_id] = (lines + len(made), size + sum(row["size"] for row in made))
    if rows:
        await session.execute(insert(table_of(LogLineRow)), rows)
    lost = frozenset(reading.proton_id for reading in readings) - mine
    return Stored(lost, frozenset(overtaken), await _grow(session, growth))


async def _move_on(session: AsyncSession, reading: Reading) -> bool:
    moved = await session.scalars(
        update(LogSourceRow)
        .where(LogSourceRow.id == reading.source.id, LogSourceRow.position == reading.source.position)
        .values(position=reading.position)
        .returning(LogSourceRow.id)
        .execution_options(synchronize_session=False)
    )
    return moved.one_or_none() is not None


def _row(source: Source, entry: Entry) -> dict[str, Any]:
    searched = searched_text(entry)
    return {
        "log_id": source.log_id,
        "source_id": source.id,
        "at": entry.line.timestamp,
        "severity": entry.severity,
        "message": entry.message,
        "stacktrace": entry.stacktrace,
        "attributes": entry.attributes,
        "searched": searched,
        "size": len(entry.message) + len(entry.stacktrace or "") + len(searched or ""),
    }


def searched_text(entry: Entry) -> str | None:
    """What ``includes`` and ``excludes`` look through, letters folded, where that is more than the message.

    ``None`` for a message in ASCII alone, whose letters the database can fold by itself.
    """
    if entry.stacktrace is None and entry.attributes is None:
        return None if entry.message.isascii() else entry.message.casefold()
    parts = (entry.message, entry.stacktrace, entry.line.text)
    return "\n".join(dict.fromkeys(part for part in parts if part)).replace("\0", "").casefold()


async def _grow(session: AsyncSession, growth: Mapping[int, tuple[int, int]]) -> dict[int, Extent]:
    """Count entries and their size in or out; gives how long the logs are now."""
    found = {}
    for log_id, (lines, size) in sorted(growth.items()):
        row = await session.execute(
            update(WorkloadLogRow)
            .where(WorkloadLogRow.id == log_id)
            .values(lines=WorkloadLogRow.lines + lines, size=WorkloadLogRow.size + size)
            .returning(WorkloadLogRow.lines, WorkloadLogRow.size)
            .execution_options(synchronize_session=False)
        )
        found[log_id] = Extent(*row.one())
    return found


def _logs(which: ColumnElement[bool]) -> Select[int]:
    """Some of the logs, in the order in which everybody takes their rows."""
    return select(WorkloadLogRow.id).where(which).order_by(WorkloadLogRow.id).limit(BATCH)


async def clear(session: AsyncSession, before: datetime, limit: Extent) -> int:
    """Clear away a bounded number of entries: of workloads that are gone, older ones, and what logs have too much.

    Args:
        session: A write.
        before: Entries from before this moment go.
        limit: How long a log may be.

    Returns:
        How many went; 0 where there is nothing left to clear away.
    """
    left = BATCH
    orphaned = WorkloadLogRow.workload_id.is_(None)
    for log_id in (await session.scalars(_logs(orphaned))).all():
        gone = await _clear_oldest(session, log_id, left)
        left -= gone
        if left <= 0:
            return BATCH
        # Nothing is collected for it any more, and all that was is gone.
        await session.execute(delete(LogSourceRow).where(LogSourceRow.log_id == log_id))
        await session.execute(delete(WorkloadLogRow).where(WorkloadLogRow.id == log_id))
    old = exists().where(LogLineRow.log_id == WorkloadLogRow.id, LogLineRow.at < before)
    for log_id in (await session.scalars(_logs(old))).all():
        left -= await _clear_oldest(session, log_id, left, before)
        if left <= 0:
            return BATCH
    over = (WorkloadLogRow.lines > limit.lines) | (WorkloadLogRow.size > limit.size)
    for log_id in (await session.scalars(_logs(over))).all():
        left -= await trim(session, log_id, limit, left)
        if left <= 0:
            return BATCH
    return BATCH - left


async def trim(session: AsyncSession, log_id: int, limit: Extent, most: int = BATCH) -> int:
    """Clear away the oldest entries of a log that is too long, a bounded number.

    Returns:
        How many went.
    """
    row = await session.execute(
        locked(select(WorkloadLogRow.lines, WorkloadLogRow.size).where(WorkloadLogRow.id == log_id))
    )
    extent = Extent(*row.one())
    oldest = select(LogLineRow.size).where(LogLineRow.log_id == log_id).order_by(LogLineRow.at, LogLineRow.id)
    count = 0
    for size in (await session.scalars(oldest.limit(most))).all():
        if extent.lines <= limit.lines and extent.size <= limit.size:
            break
        extent = Extent(extent.lines - 1, extent.size - size)
        count += 1
    return await _clear_oldest(session, log_id, count)


async def _clear_oldest(session: AsyncSession, log_id: int, count: int, before: datetime | None = None) -> int:
    oldest = select(LogLineRow.id).where(LogLineRow.log_id == log_id).order_by(LogLineRow.at, LogLineRow.id)
    if before is not None:
        oldest = oldest.where(LogLineRow.at < before)
    gone = (
        await session.scalars(
            delete(LogLineRow)
            .where(LogLineRow.id.in_(oldest.limit(count)))
            .returning(LogLineRow.size)
            .execution_options(synchronize_session=False)
        )
    ).all()
    if gone:
        await _grow(session, {log_id: (-len(gone), -sum(gone))})
    return len(gone)


async def store_usages(session: AsyncSession, usages: Mapping[str, Usage]) -> None:
    """Write down what protons use at present, of those that are still there."""
    there = select(ProtonRow.id).where(ProtonRow.id.in_(usages)).order_by(ProtonRow.id)
    values = [
        {"proton_id": proton_id, **asdict(usages[proton_id]), "measured_at": utc_now()}
        for proton_id in await session.scalars(locked(there))
    ]
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table_of(ProtonUsageRow))
    changes = {name: statement.excluded[name] for name in values[0] if name != "proton_id"} if values else {}
    if values:
        await session.execute(statement.on_conflict_do_update(index_elements=["proton_id"], set_=changes), values)
