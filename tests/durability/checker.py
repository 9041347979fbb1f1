"""Looks into a database for workloads that are neither wholly before nor wholly after their promote (§5)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy import select

from workload_api.db.engine import Database
from workload_api.db.models import ArtifactRepositoryRow, ArtifactRow, EventRow, ReplacementRow, WorkloadRow


@dataclass
class Findings:
    """What was found: which workloads are before and after their promote, and everything that is neither."""

    before: set[str] = field(default_factory=set)
    after: set[str] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)


async def check_promotes(database: Database, workload_ids: Collection[str]) -> Findings:
    """Look at artifact, version, statistics, history, event and TTL of workloads that were drafts to begin with.

    Args:
        database: Where; nothing else may be writing to it.
        workload_ids: Which.
    """
    found = Findings()
    async with database.read() as session:
        rows = await session.execute(
            select(WorkloadRow, ArtifactRow)
            .join(ArtifactRow, ArtifactRow.id == WorkloadRow.artifact_id)
            .where(WorkloadRow.id.in_(workload_ids))
        )
        standing = [(workload, artifact) for workload, artifact in rows.all()]
        history: dict[str, list[ReplacementRow]] = {}
        for entry in await session.scalars(select(ReplacementRow).where(ReplacementRow.workload_id.in_(workload_ids))):
            history.setdefault(entry.workload_id, []).append(entry)
        events: dict[str, list[EventRow]] = {}
        promoted = EventRow.event_type == "workload.promoted"
        for event in await session.scalars(select(EventRow).where(EventRow.workload_id.in_(workload_ids), promoted)):
            events.setdefault(event.workload_id, []).append(event)
        repositories = (await session.scalars(select(ArtifactRepositoryRow))).all()
        versions: dict[str, list[int]] = {}
        locked = select(ArtifactRow.repository_id, ArtifactRow.version).where(ArtifactRow.status == "locked")
        for repository_id, version in (await session.execute(locked)).all():
            versions.setdefault(repository_id, []).append(version or 0)

    if missing := set(workload_ids) - {workload.id for workload, _ in standing}:
        found.violations.append(f"lost: {sorted(missing)}")
    for workload, artifact in standing:
        is_after = artifact.status == "locked"
        (found.after if is_after else found.before).add(workload.id)
        entries, told = history.get(workload.id, []), events.get(workload.id, [])
        facts = {
            "the artifact has a version": artifact.version is not None,
            "the draft's place is free": workload.draft_artifact_id is None,
            "the TTL is gone": workload.expires_at is None,
            "the statistics began anew": workload.statistics_epoch == 1,
            "the statistics' beginning moved": workload.statistics_since > workload.created_at,
            "the history has one entry": [(e.reason, e.status, e.artifact_id) for e in entries]
            == [("promote", "completed", artifact.id)],
            "the event names the version": [e.details.get("version") for e in told] == [artifact.version],
        }
        if not is_after:
            facts["the history is not empty"] = bool(entries)
            facts["an event was written"] = bool(told)
            facts["the statistics began anew"] = workload.statistics_epoch != 0
        found.violations += [
            f"{workload.id} is {'after' if is_after else 'before'} its promote, but not so: {fact}"
            for fact, holds in facts.items()
            if holds != is_after
        ]
    for repository in repositories:
        given = sorted(versions.get(repository.id, []))
        if given != list(range(1, repository.last_version_number + 1)):
            found.violations.append(
                f"the repository {repository.id} has the versions {given} and counts {repository.last_version_number}"
            )
    return found
