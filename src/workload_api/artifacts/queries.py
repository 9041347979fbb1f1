"""Reads artifacts and repositories with all that an answer shows of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.artifacts.service import artifact_counts
from workload_api.db.models import ArtifactRepositoryRow, ArtifactRow, UserRow
from workload_api.db.models.search import holds
from workload_api.domain.words import ResourceType
from workload_api.http.listing import Keys, find_page
from workload_api.http.paging import Paging
from workload_api.identity.rights import Caller, missing, require, roles_column
from workload_api.identity.schemas import TagInfo
from workload_api.identity.sight import sight_of
from workload_api.tags.queries import tagged, tags_of


@dataclass(frozen=True, slots=True)
class ArtifactView:
    """An artifact with what belongs into its answer."""

    artifact: ArtifactRow
    creator: UserRow
    roles: str | None
    tags: Sequence[TagInfo]


@dataclass(frozen=True, slots=True)
class RepositoryView:
    """A repository with what belongs into its answer."""

    repository: ArtifactRepositoryRow
    creator: UserRow
    roles: str | None
    artifact_count: int
    tags: Sequence[TagInfo]


@dataclass(frozen=True, slots=True)
class ArtifactFilter:
    """What a list of artifacts or repositories is narrowed to; ``status`` and ``repository_id`` for artifacts only."""

    search: str | None = None
    ids: Sequence[str] | None = None
    created_by: str | None = None
    artifact_type: str | None = None
    status: str | None = None
    repository_id: str | None = None
    tag_names: Sequence[str] | None = field(default=None, kw_only=True)
    tag_values: Sequence[str] | None = field(default=None, kw_only=True)

    def conditions(
        self, table: type[ArtifactRow] | type[ArtifactRepositoryRow], *, one_by_one: bool = False
    ) -> list[ColumnElement[bool]]:
        """The SQL conditions that rows must meet besides being seen.

        Args:
            table: Which rows.
            one_by_one: Few rows are looked at: see what belongs to each, and not first to which it all belongs.
        """
        kind: ResourceType = "artifact" if table is ArtifactRow else "artifact_repository"
        found = tagged(kind, table.id, self.tag_names, self.tag_values, one_by_one=one_by_one)
        if self.search:
            found.append(holds(self.search, kind, table.id, one_by_one=one_by_one))
        if self.ids:
            found.append(table.id.in_(self.ids))
        for column, value in (
            (table.creator_id, self.created_by),
            (table.type, self.artifact_type),
            (ArtifactRow.status, self.status),
            (ArtifactRow.repository_id, self.repository_id),
        ):
            if value is not None:
                found.append(column == value)
        return found


_ARTIFACT_KEYS: Keys = {
    "name": ArtifactRow.name_start,
    "updatedAt": ArtifactRow.updated_at,
    "status": ArtifactRow.status,
}
_REPOSITORY_KEYS: Keys = {"name": ArtifactRepositoryRow.name_start, "updatedAt": ArtifactRepositoryRow.updated_at}


def _artifacts(caller: Caller) -> Select[ArtifactRow, UserRow, str | None]:
    return (
        select(ArtifactRow, UserRow, roles_column(caller, ArtifactRow.id))
        .join(UserRow, UserRow.id == ArtifactRow.creator_id)
        .where(ArtifactRow.organization_id == caller.organization_id, ArtifactRow.deleted_at.is_(None))
        .execution_options(populate_existing=True)
    )


def _repositories(caller: Caller) -> Select[ArtifactRepositoryRow, UserRow, str | None]:
    return (
        select(ArtifactRepositoryRow, UserRow, roles_column(caller, ArtifactRepositoryRow.id))
        .join(UserRow, UserRow.id == ArtifactRepositoryRow.creator_id)
        .where(
            ArtifactRepositoryRow.organization_id == caller.organization_id, ArtifactRepositoryRow.deleted_at.is_(None)
        )
        .execution_options(populate_existing=True)
    )


async def get_artifact(session: AsyncSession, caller: Caller, artifact_id: str) -> ArtifactView:
    """One artifact.

    Raises:
        NotFound: It is not there, or not for the caller to see.
    """
    found = (await session.execute(_artifacts(caller).where(ArtifactRow.id == artifact_id))).one_or_none()
    if found is None:
        raise missing("artifact", artifact_id)
    require(found[2], "view", "artifact", artifact_id)
    return ArtifactView(*found, tags=(await tags_of(session, [artifact_id])).get(artifact_id, ()))


async def list_artifacts(
    session: AsyncSession, caller: Caller, wanted: ArtifactFilter, order_by: str | None, paging: Paging
) -> tuple[list[ArtifactView], int]:
    """A page of the artifacts that the caller may see, and how many there are in all; the newest first by default."""
    sight = await sight_of(session, caller, ArtifactRow)
    filters = partial(wanted.conditions, ArtifactRow)
    ids, total = await find_page(session, sight, filters, _ARTIFACT_KEYS, order_by, paging)
    if not ids:
        return [], total
    found = (await session.execute(_artifacts(caller).where(ArtifactRow.id.in_(ids)))).all()
    rows, tags = {row[0].id: row for row in found}, await tags_of(session, ids)
    return [ArtifactView(*rows[each], tags=tags.get(each, ())) for each in ids if each in rows], total


async def get_repository(session: AsyncSession, caller: Caller, repository_id: str) -> RepositoryView:
    """One repository.

    Raises:
        NotFound: It is not there, or not for the caller to see.
    """
    statement = _repositories(caller).where(ArtifactRepositoryRow.id == repository_id)
    found = (await session.execute(statement)).one_or_none()
    if found is None:
        raise missing("artifact_repository", repository_id)
    require(found[2], "view", "artifact_repository", repository_id)
    counts = await artifact_counts(session, [repository_id])
    tags = await tags_of(session, [repository_id])
    return RepositoryView(*found, artifact_count=counts.get(repository_id, 0), tags=tags.get(repository_id, ()))


async def list_repositories(
    session: AsyncSession, caller: Caller, wanted: ArtifactFilter, order_by: str | None, paging: Paging
) -> tuple[list[RepositoryView], int]:
    """A page of the repositories that the caller may see, and how many there are in all; newest first by default."""
    sight = await sight_of(session, caller, ArtifactRepositoryRow)
    filters = partial(wanted.conditions, ArtifactRepositoryRow)
    ids, total = await find_page(session, sight, filters, _REPOSITORY_KEYS, order_by, paging)
    if not ids:
        return [], total
    found = (await session.execute(_repositories(caller).where(ArtifactRepositoryRow.id.in_(ids)))).all()
    rows = {row[0].id: row for row in found}
    counts, tags = await artifact_counts(session, ids), await tags_of(session, ids)
    return [RepositoryView(*rows[each], counts.get(each, 0), tags.get(each, ())) for each in ids if each in rows], total
