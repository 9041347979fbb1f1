"""Many draft workloads at once, put straight into a database: for storms and races that need no real replicas."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, insert

from tests.support.rows import Ids, Person
from workload_api.clock import utc_now
from workload_api.db.engine import Database
from workload_api.db.models import ArtifactRepositoryRow, ArtifactRow, ProtonRow, SharedRoleRow, WorkloadRow
from workload_api.domain.ids import new_id

_SPEC = {"containerGroups": [{"name": "default", "containers": [{"imageUri": "example.test/idle:1", "port": 8080}]}]}


async def add_drafts(
    database: Database,
    person: Person,
    count: int,
    *,
    repositories: int = 1,
    status: str = "running",
    expires_at: datetime | ColumnElement[datetime] | None = None,
) -> list[Ids]:
    """Running workloads on draft artifacts, owned by a person.

    Args:
        database: Where.
        person: Whose.
        count: How many workloads, each on a draft of its own.
        repositories: How many artifact repositories the drafts are spread over.
        status: Of each workload and its proton.
        expires_at: When their time runs out: a moment, or an SQL expression.
    """
    caller = person.caller
    by = {"organization_id": caller.organization_id, "creator_id": caller.user_id}
    lines = [new_id() for _ in range(repositories)]
    made = [Ids(new_id(), new_id(), new_id(), lines[number % repositories]) for number in range(count)]
    wanted = "stopped" if status in ("stopping", "stopped") else "running"
    workload_values: list[dict[str, Any]] = [
        {
            **by,
            "id": ids.workload_id,
            "name": f"w{number}",
            "description": "",
            "importance": "low",
            "type": "service",
            "status": status,
            "artifact_id": ids.artifact_id,
            "draft_artifact_id": ids.artifact_id,
            "proton_id": ids.proton_id,
            "runtime": {},
        }
        for number, ids in enumerate(made)
    ]
    async with database.write() as session:
        await session.execute(
            insert(ArtifactRepositoryRow), [{**by, "id": line, "name": "line", "type": "service"} for line in lines]
        )
        await session.execute(
            insert(ArtifactRow),
            [
                {
                    **by,
                    "id": ids.artifact_id,
                    "repository_id": ids.repository_id,
                    "name": "draft",
                    "type": "service",
                    "spec": _SPEC,
                }
                for ids in made
            ],
        )
        if isinstance(expires_at, ColumnElement):
            # An expression cannot be a parameter of many rows: the statement itself bears it.
            await session.execute(insert(WorkloadRow).values(expires_at=expires_at), workload_values)
        else:
            moment = expires_at or utc_now().replace(year=utc_now().year + 1)
            await session.execute(insert(WorkloadRow), [{**values, "expires_at": moment} for values in workload_values])
        await session.execute(
            insert(ProtonRow),
            [
                {
                    "id": ids.proton_id,
                    "workload_id": ids.workload_id,
                    "artifact_id": ids.artifact_id,
                    "creator_id": caller.user_id,
                    "name": "p",
                    "role": "active",
                    "status": status,
                    "desired_state": wanted,
                    "spec": _SPEC,
                    "runtime": {},
                }
                for ids in made
            ],
        )
        await session.execute(
            insert(SharedRoleRow),
            [
                {
                    "resource_type": kind,
                    "resource_id": resource_id,
                    "subject_type": "user",
                    "subject_id": caller.user_id,
                    "role": "OWNER",
                }
                for kind, resource_ids in (
                    ("workload", [ids.workload_id for ids in made]),
                    ("artifact", [ids.artifact_id for ids in made]),
                    ("artifact_repository", lines),
                )
                for resource_id in resource_ids
            ],
        )
    return made
