"""Reads workloads with all that an answer shows of them: a fixed number of queries, however long the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Row, Select, case, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from workload_api.db.models import (
    ArtifactRow,
    OrganizationRow,
    ProtonRow,
    ReplacementRow,
    SharedRoleRow,
    UserRow,
    WorkloadRow,
)
from workload_api.db.types import database_now
from workload_api.domain.words import IMPORTANCE_RANK, UNFINISHED_REPLACEMENT
from workload_api.http.paging import Paging
from workload_api.identity.rights import Caller, Right, missing, require, roles_column, visible
from workload_api.settings import Settings
from workload_api.statistics.queries import RequestSummary, summaries


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """A workload with what belongs into its answer."""

    workload: WorkloadRow
    artifact: ArtifactRow
    proton: ProtonRow
    creator: UserRow
    tenant_id: str
    replacement: ReplacementRow | None
    roles: str | None
    owners: Sequence[UserRow]
    requests: RequestSummary


_ViewColumns = tuple[WorkloadRow, ArtifactRow, ProtonRow, UserRow, str, ReplacementRow | None, str | None]


def _views(caller: Caller, settings: Settings) -> Select[*_ViewColumns]:
    # The replacement that is shown: the one in progress, or the last one while pollers must get to see its end (§6).
    later = aliased(ReplacementRow)
    newer = (
        select(later.id)
        .where(later.workload_id == ReplacementRow.workload_id, later.id > ReplacementRow.id, later.reason != "promote")
        .exists()
    )
    current = (ReplacementRow.reason != "promote") & or_(
        ReplacementRow.status.in_(UNFINISHED_REPLACEMENT),
        ~newer & (ReplacementRow.status == "errored"),
        ~newer
        & (ReplacementRow.status == "completed")
        & (ReplacementRow.updated_at > database_now(-settings.replacement_settling)),
    )
    return (
        select(
            WorkloadRow,
            ArtifactRow,
            ProtonRow,
            UserRow,
            OrganizationRow.tenant_id,
            ReplacementRow,
            roles_column(caller, WorkloadRow.id),
        )
        .join(ArtifactRow, ArtifactRow.id == WorkloadRow.artifact_id)
        .join(ProtonRow, ProtonRow.id == WorkloadRow.proton_id)
        .join(UserRow, UserRow.id == WorkloadRow.creator_id)
        .join(OrganizationRow, OrganizationRow.id == WorkloadRow.organization_id)
        .join(ReplacementRow, (ReplacementRow.workload_id == WorkloadRow.id) & current, isouter=True)
        .execution_options(populate_existing=True)
    )


async def get_workload(
    session: AsyncSession, caller: Caller, workload_id: str, settings: Settings, right: Right = "view"
) -> WorkloadView:
    """One workload as its answer shows it.

    Raises:
        NotFound: It is not there, or not for the caller to see.
        Forbidden: The caller may see it, but not do what is asked.
    """
    statement = _views(caller, settings).where(
        WorkloadRow.id == workload_id,
        WorkloadRow.organization_id == caller.organization_id,
        WorkloadRow.deleted_at.is_(None),
    )
    found = (await session.execute(statement)).first()
    if found is None:
        raise missing("workload", workload_id)
    require(found[6], right, "workload", workload_id)
    (view,) = await _completed(session, [found])
    return view


@dataclass(frozen=True, slots=True)
class WorkloadFilter:
    """What a list of workloads is narrowed to."""

    search: str | None = None
    ids: Sequence[str] | None = None
    created_by: str | None = None
    status: Sequence[str] | None = None
    importance: Sequence[str] | None = None
    artifact_id: str | None = None
    artifact_status: Sequence[str] | None = None
    repository_id: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The SQL conditions that rows must meet."""
        found: list[ColumnElement[bool]] = []
        if self.search:
            found.append(
                or_(
                    *(
                        column.icontains(self.search, autoescape=True)
                        for column in (WorkloadRow.name, WorkloadRow.description, WorkloadRow.id)
                    )
                )
            )
        for column, values in (
            (WorkloadRow.id, self.ids),
            (WorkloadRow.status, self.status),
            (WorkloadRow.importance, self.importance),
            (ArtifactRow.status, self.artifact_status),
        ):
            if values:
                found.append(column.in_(values))
        for column, value in (
            (WorkloadRow.creator_id, self.created_by),
            (WorkloadRow.artifact_id, self.artifact_id),
            (ArtifactRow.repository_id, self.repository_id),
        ):
            if value is not None:
                found.append(column == value)
        return found


_SORT_COLUMNS = {
    "name": WorkloadRow.name,
    "createdAt": WorkloadRow.created_at,
    "updatedAt": WorkloadRow.updated_at,
    "status": WorkloadRow.status,
    "importance": case(IMPORTANCE_RANK, value=WorkloadRow.importance),
}


async def list_workloads(
    session: AsyncSession,
    caller: Caller,
    wanted: WorkloadFilter,
    order_by: str | None,
    paging: Paging,
    settings: Settings,
) -> tuple[list[WorkloadView], int]:
    """A page of the workloads that the caller may see, and how many there are in all; the newest first by default."""
    conditions = [visible(caller, "workload", WorkloadRow.id), WorkloadRow.deleted_at.is_(None), *wanted.conditions()]
    total = await session.scalar(
        select(func.count())
        .select_from(WorkloadRow)
        .join(ArtifactRow, ArtifactRow.id == WorkloadRow.artifact_id)
        .where(*conditions)
    )
    name = (order_by or "-createdAt").removeprefix("-")
    columns = (_SORT_COLUMNS[name], WorkloadRow.id) if name != "createdAt" else (WorkloadRow.id,)
    descending = order_by is None or order_by.startswith("-")
    statement = (
        _views(caller, settings)
        .where(*conditions)
        .order_by(*(column.desc() if descending else column.asc() for column in columns))
        .offset(paging.offset)
        .limit(paging.limit)
    )
    rows = (await session.execute(statement)).all()
    return await _completed(session, rows), total or 0


async def _completed(session: AsyncSession, rows: Sequence[Row[*_ViewColumns]]) -> list[WorkloadView]:
    owners = await _owners(session, [row[0].id for row in rows])
    requests = await summaries(session, [row[0] for row in rows])
    return [WorkloadView(*row, owners=owners.get(row[0].id, ()), requests=requests[row[0].id]) for row in rows]


async def _owners(session: AsyncSession, workload_ids: list[str]) -> dict[str, list[UserRow]]:
    if not workload_ids:
        return {}
    statement = (
        select(SharedRoleRow.resource_id, UserRow)
        .join(UserRow, UserRow.id == SharedRoleRow.subject_id)
        .where(SharedRoleRow.resource_id.in_(workload_ids), SharedRoleRow.role == "OWNER")
        .order_by(SharedRoleRow.id)
    )
    found: dict[str, list[UserRow]] = {}
    for workload_id, user in (await session.execute(statement)).all():
        found.setdefault(workload_id, []).append(user)
    return found
