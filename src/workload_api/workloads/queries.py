"""Reads workloads with all that an answer shows of them: a fixed number of queries, however long the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Row, Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.models import (
    ArtifactRow,
    OrganizationRow,
    ProtonRow,
    ReplacementRow,
    SharedRoleRow,
    UserRow,
    WorkloadRow,
)
from workload_api.db.models.search import holds
from workload_api.http.listing import Keys, find_page
from workload_api.http.paging import Paging
from workload_api.identity.rights import Caller, Right, missing, require, roles_column
from workload_api.identity.schemas import TagInfo
from workload_api.identity.sight import sight_of
from workload_api.replacements.queries import is_current
from workload_api.settings import Settings
from workload_api.statistics.queries import RequestSummary, summaries
from workload_api.tags.queries import tagged, tags_of


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
    requests: RequestSummary | None
    tags: Sequence[TagInfo]


_ViewColumns = tuple[WorkloadRow, ArtifactRow, ProtonRow, UserRow, str, ReplacementRow | None, str | None]


def _views(caller: Caller, settings: Settings) -> Select[*_ViewColumns]:
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
        .join(ReplacementRow, (ReplacementRow.workload_id == WorkloadRow.id) & is_current(settings), isouter=True)
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
    tag_names: Sequence[str] | None = None
    tag_values: Sequence[str] | None = None

    def conditions(self, *, one_by_one: bool = False) -> list[ColumnElement[bool]]:
        """The SQL conditions that rows must meet besides being seen, on columns of workloads alone.

        Args:
            one_by_one: Few rows are looked at: see what belongs to each, and not first to which it all belongs.
        """
        found = tagged("workload", WorkloadRow.id, self.tag_names, self.tag_values, one_by_one=one_by_one)
        if self.search:
            found.append(holds(self.search, "workload", WorkloadRow.id, one_by_one=one_by_one))
        if self.importance:
            found.append(WorkloadRow.importance_rank.in_([_RANKS[each] for each in self.importance]))
        if self.artifact_status and len(set(self.artifact_status)) == 1:
            found += _on(self.artifact_status[0])
        for column, values in ((WorkloadRow.id, self.ids), (WorkloadRow.status, self.status)):
            if values:
                found.append(column.in_(values))
        for column, value in ((WorkloadRow.creator_id, self.created_by), (WorkloadRow.artifact_id, self.artifact_id)):
            if value is not None:
                found.append(column == value)
        if self.repository_id is not None:
            line = select(ArtifactRow.id).where(ArtifactRow.repository_id == self.repository_id)
            found.append(WorkloadRow.artifact_id.in_(line))
        return found


_RANKS = {"low": 0, "moderate": 1, "high": 2, "critical": 3}
"""What the database makes of each importance: one index serves the filter and the order."""


def _on(artifact_status: str) -> list[ColumnElement[bool]]:
    """The conditions that a workload's artifact has a status; only of an expired one must the artifact be asked."""
    # A subquery of one value, not EXISTS: PostgreSQL would look up all artifacts of the status at once.
    status = select(ArtifactRow.status).where(ArtifactRow.id == WorkloadRow.artifact_id).scalar_subquery()
    return [
        WorkloadRow.artifact_state.in_((artifact_status, "expired")),
        or_(WorkloadRow.artifact_state != "expired", status == artifact_status),
    ]


_SORT_KEYS: Keys = {
    "name": WorkloadRow.name_start,
    "updatedAt": WorkloadRow.updated_at,
    "status": WorkloadRow.status,
    "importance": WorkloadRow.importance_rank,
}


async def list_workloads(
    session: AsyncSession,
    caller: Caller,
    wanted: WorkloadFilter,
    order_by: str | None,
    paging: Paging,
    settings: Settings,
    *,
    with_requests: bool = True,
) -> tuple[list[WorkloadView], int]:
    """A page of the workloads that the caller may see, and how many there are in all; the newest first by default."""
    sight = await sight_of(session, caller, WorkloadRow)
    ids, total = await find_page(session, sight, wanted.conditions, _SORT_KEYS, order_by, paging)
    if not ids:
        return [], total
    rows = {row[0].id: row for row in await session.execute(_views(caller, settings).where(WorkloadRow.id.in_(ids)))}
    found = [rows[each] for each in ids if each in rows]
    return await _completed(session, found, with_requests=with_requests), total


async def _completed(
    session: AsyncSession, rows: Sequence[Row[*_ViewColumns]], *, with_requests: bool = True
) -> list[WorkloadView]:
    ids = [row[0].id for row in rows]
    owners, tags = await _owners(session, ids), await tags_of(session, ids)
    requests = await summaries(session, [row[0] for row in rows] if with_requests else [])
    return [
        WorkloadView(
            *row,
            owners=owners.get(row[0].id, ()),
            requests=requests.get(row[0].id),
            tags=tags.get(row[0].id, ()),
        )
        for row in rows
    ]


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
