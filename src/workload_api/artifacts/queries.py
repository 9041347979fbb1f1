"""Reads artifacts and repositories with all that an answer shows of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.artifacts.service import artifact_counts
from workload_api.db.models import ArtifactRepositoryRow, ArtifactRow, UserRow
from workload_api.http.paging import Paging
from workload_api.identity.rights import Caller, missing, require, roles_column, visible


@dataclass(frozen=True, slots=True)
class ArtifactView:
    """An artifact with what belongs into its answer."""

    artifact: ArtifactRow
    creator: UserRow
    roles: str | None


@dataclass(frozen=True, slots=True)
class RepositoryView:
    """A repository with what belongs into its answer."""

    repository: ArtifactRepositoryRow
    creator: UserRow
    roles: str | None
    artifact_count: int


@dataclass(frozen=True, slots=True)
class ArtifactFilter:
    """What a list of artifacts or repositories is narrowed to; ``status`` and ``repository_id`` for artifacts only."""

    search: str | None = None
    ids: Sequence[str] | None = None
    created_by: str | None = None
    artifact_type: str | None = None
    status: str | None = None
    repository_id: str | None = None

    def conditions(self, table: type[ArtifactRow] | type[ArtifactRepositoryRow]) -> list[ColumnElement[bool]]:
        """The SQL conditions that rows must meet."""
        found: list[ColumnElement[bool]] = []
        if self.search:
            searched = [table.name, table.id]
            if table is ArtifactRow:
                searched.append(ArtifactRow.description)
            found.append(or_(*(column.icontains(self.search, autoescape=True) for column in searched)))
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


_S = TypeVar("_S", bound=Select[*tuple[Any, ...]])


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


def _sorted(statement: _S, table: Any, order_by: str | None, paging: Paging) -> _S:
    name = (order_by or "-createdAt").removeprefix("-")
    column = {
        "name": table.name,
        "createdAt": table.id,
        "updatedAt": table.updated_at,
        "status": getattr(table, "status", table.id),
    }[name]
    columns = (column,) if column is table.id else (column, table.id)
    descending = order_by is None or order_by.startswith("-")
    ordered = statement.order_by(*(each.desc() if descending else each.asc() for each in columns))
    return ordered.offset(paging.offset).limit(paging.limit)


async def get_artifact(session: AsyncSession, caller: Caller, artifact_id: str) -> ArtifactView:
    """One artifact.

    Raises:
        NotFound: It is not there, or not for the caller to see.
    """
    found = (await session.execute(_artifacts(caller).where(ArtifactRow.id == artifact_id))).one_or_none()
    if found is None:
        raise missing("artifact", artifact_id)
    require(found[2], "view", "artifact", artifact_id)
    return ArtifactView(*found)


async def list_artifacts(
    session: AsyncSession, caller: Caller, wanted: ArtifactFilter, order_by: str | None, paging: Paging
) -> tuple[list[ArtifactView], int]:
    """A page of the artifacts that the caller may see, and how many there are in all; the newest first by default."""
    conditions = [
        visible(caller, "artifact", ArtifactRow.id),
        ArtifactRow.deleted_at.is_(None),
        *wanted.conditions(ArtifactRow),
    ]
    total = await session.scalar(select(func.count()).select_from(ArtifactRow).where(*conditions))
    statement = _sorted(_artifacts(caller).where(*conditions), ArtifactRow, order_by, paging)
    return [ArtifactView(*row) for row in (await session.execute(statement)).all()], total or 0


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
    return RepositoryView(*found, artifact_count=counts.get(repository_id, 0))


async def list_repositories(
    session: AsyncSession, caller: Caller, wanted: ArtifactFilter, order_by: str | None, paging: Paging
) -> tuple[list[RepositoryView], int]:
    """A page of the repositories that the caller may see, and how many there are in all; newest first by default."""
    conditions = [
        visible(caller, "artifact_repository", ArtifactRepositoryRow.id),
        ArtifactRepositoryRow.deleted_at.is_(None),
        *wanted.conditions(ArtifactRepositoryRow),
    ]
    total = await session.scalar(select(func.count()).select_from(ArtifactRepositoryRow).where(*conditions))
    statement = _sorted(_repositories(caller).where(*conditions), ArtifactRepositoryRow, order_by, paging)
    rows = (await session.execute(statement)).all()
    counts = await artifact_counts(session, [row[0].id for row in rows])
    return [RepositoryView(row[0], row[1], row[2], counts.get(row[0].id, 0)) for row in rows], total or 0
