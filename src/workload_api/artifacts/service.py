"""What can be done to artifacts and repositories; each function is one unit of work (§3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Row, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.artifacts.spec_rules import refuse_parts_of_other_types
from workload_api.clock import utc_now
from workload_api.db.changes import mark_changed
from workload_api.db.locks import locked
from workload_api.db.models import ArtifactRepositoryRow, ArtifactRow, ProtonRow, ReplacementRow, WorkloadRow
from workload_api.domain.errors import Conflict, FieldError, Unprocessable
from workload_api.domain.versions import ANY_VERSION, Expected
from workload_api.domain.words import ArtifactStatus, ArtifactType, ResourceType
from workload_api.identity.rights import Caller, Right, missing, require, roles_column
from workload_api.identity.service import grant_ownership

RowType = TypeVar("RowType", ArtifactRow, ArtifactRepositoryRow)

_GONE = ("stopped", "terminated")


@dataclass(frozen=True, slots=True)
class ArtifactContent:
    """What a client says about an artifact."""

    name: str
    description: str
    type: ArtifactType
    spec: dict[str, Any]


async def create_artifact(
    session: AsyncSession,
    caller: Caller,
    content: ArtifactContent,
    *,
    status: ArtifactStatus = "draft",
    repository_id: str | None = None,
) -> ArtifactRow:
    """Make an artifact, in a repository that is there or in a new one of the same name.

    Args:
        session: A unit of work.
        caller: Becomes its owner.
        content: Name, description, type and spec.
        status: ``locked`` makes and locks it in one step.
        repository_id: The repository to join.

    Raises:
        NotFound: There is no such repository.
        FieldError: The repository is of another type.
        Unprocessable: It is to be locked, but an image is not built.
    """
    if repository_id is None:
        repository = ArtifactRepositoryRow(
            organization_id=caller.organization_id, creator_id=caller.user_id, name=content.name, type=content.type
        )
        session.add(repository)
        await session.flush()
        grant_ownership(session, caller, "artifact_repository", repository.id)
    else:
        repository = await lock_repository(session, caller, repository_id, "update")
        if repository.type != content.type:
            raise FieldError(
                f"The artifact repository {repository_id} is for the type {repository.type}, not {content.type}.",
                ("body", "type"),
                content.type,
            )
    artifact = ArtifactRow(
        organization_id=caller.organization_id,
        creator_id=caller.user_id,
        repository_id=repository.id,
        name=content.name,
        description=content.description,
        type=content.type,
        spec=content.spec,
        status="draft",
    )
    if status == "locked":
        assign_version(artifact, repository)
    session.add(artifact)
    await session.flush()
    grant_ownership(session, caller, "artifact", artifact.id)
    await session.flush()
    return artifact


async def change_artifact(
    session: AsyncSession,
    caller: Caller,
    artifact_id: str,
    *,
    name: str | None = None,
    description: str | None = None,
    artifact_type: ArtifactType | None = None,
    spec: dict[str, Any] | None = None,
    status: ArtifactStatus | None = None,
    expected: Expected = ANY_VERSION,
) -> ArtifactRow:
    """Change what is given of a draft, and lock it where the status says so. Protons that run it are not touched.

    Raises:
        NotFound: There is no such artifact.
        Forbidden: The caller may not change it.
        Stale: It has changed since the caller read it.
        FieldError: It is of another type than what is given is for.
        Unprocessable: It is locked, or cannot be locked.
    """
    artifact = await lock_artifact(session, caller, artifact_id, "update", with_workload=status == "locked")
    expected.check(artifact)
    if artifact.status == "locked":
        raise already_locked(artifact)
    if artifact_type is not None and artifact_type != artifact.type:
        raise FieldError(
            f"The type of an artifact cannot change; it is {artifact.type}.", ("body", "type"), artifact_type
        )
    if name is not None:
        artifact.name = name
    if description is not None:
        artifact.description = description
    if spec is not None:
        refuse_parts_of_other_types(artifact.type, spec)
        artifact.spec = spec
    if status == "locked":
        repository = (
            await session.scalars(
                locked(select(ArtifactRepositoryRow).where(ArtifactRepositoryRow.id == artifact.repository_id))
            )
        ).one()
        assign_version(artifact, repository)
        ended = await session.scalars(
            update(WorkloadRow)
            .where(WorkloadRow.draft_artifact_id == artifact.id)
            .values(draft_artifact_id=None, expires_at=None)
            .returning(WorkloadRow.id)
        )
        mark_changed(session, *ended.all())
    artifact.updated_at = utc_now()
    await session.flush()
    return artifact


async def clone_artifact(session: AsyncSession, caller: Caller, artifact_id: str, name: str) -> ArtifactRow:
    """Make a new draft in the same repository with the same spec, from a draft or a locked artifact.

    Raises:
        NotFound: There is no such artifact.
        Forbidden: The caller may not add to its repository.
    """
    source = await get_artifact_row(session, caller, artifact_id, "view")
    content = ArtifactContent(name, source.description, source.type, source.spec)
    return await create_artifact(session, caller, content, repository_id=source.repository_id)


async def delete_artifact(
    session: AsyncSession, caller: Caller, artifact_id: str, expected: Expected = ANY_VERSION
) -> None:
    """Delete a draft that nothing uses.

    Raises:
        NotFound: There is no such artifact.
        Forbidden: The caller may not delete it.
        Stale: It has changed since the caller read it.
        Conflict: It is locked, or a proton that is not gone uses it.
    """
    artifact = await lock_artifact(session, caller, artifact_id, "delete")
    expected.check(artifact)
    if artifact.status == "locked":
        raise Conflict(
            f"The artifact {artifact_id} is locked as version {artifact.version} and stays; delete its repository "
            f"{artifact.repository_id} to remove all its versions.",
            code="ARTIFACT_LOCKED",
        )
    if await session.scalar(select(_in_use(ArtifactRow.id == artifact_id))):
        raise Conflict(
            f"The artifact {artifact_id} is used by a workload; delete the workload first.", code="ARTIFACT_IN_USE"
        )
    artifact.deleted_at = utc_now()


async def delete_repository(
    session: AsyncSession, caller: Caller, repository_id: str, expected: Expected = ANY_VERSION
) -> None:
    """Delete a repository with all its artifacts.

    Raises:
        NotFound: There is no such repository.
        Forbidden: The caller may not delete it.
        Stale: It has changed since the caller read it.
        Conflict: One of its artifacts is in use, or stands in a living workload's history.
    """
    # Artifacts before the repository: the order of locks. A version that joins meanwhile waits at the repository.
    await session.execute(
        locked(
            select(ArtifactRow.id)
            .where(ArtifactRow.repository_id == repository_id, ArtifactRow.organization_id == caller.organization_id)
            .order_by(ArtifactRow.id)
        )
    )
    repository = await lock_repository(session, caller, repository_id, "delete")
    expected.check(repository)
    if await session.scalar(select(_in_use(ArtifactRow.repository_id == repository_id, history=True))):
        raise Conflict(
            f"An artifact of the repository {repository_id} is used by a workload or stands in its history; "
            "delete the workload first.",
            code="REPOSITORY_IN_USE",
        )
    now = utc_now()
    repository.deleted_at = now
    await session.execute(
        update(ArtifactRow)
        .where(ArtifactRow.repository_id == repository_id, ArtifactRow.deleted_at.is_(None))
        .values(deleted_at=now)
    )


def _in_use(condition: Any, *, history: bool = False) -> Any:
    """An SQL condition: artifacts that meet the condition are used by a living workload (or stand in its history)."""
    living = WorkloadRow.deleted_at.is_(None) & WorkloadRow.expired_at.is_(None)
    backing = (
        select(ProtonRow.id)
        .join(ArtifactRow, ArtifactRow.id == ProtonRow.artifact_id)
        .where(condition, ~((ProtonRow.desired_state != "running") & ProtonRow.status.in_(_GONE)))
    )
    pointing = (
        select(WorkloadRow.id).join(ArtifactRow, ArtifactRow.id == WorkloadRow.artifact_id).where(condition, living)
    )
    used = exists(backing) | exists(pointing)
    if history:
        told = (
            select(ReplacementRow.id)
            .join(ArtifactRow, ArtifactRow.id == ReplacementRow.artifact_id)
            .join(WorkloadRow, WorkloadRow.id == ReplacementRow.workload_id)
            .where(condition, living)
        )
        used = used | exists(told)
    return used


def assign_version(artifact: ArtifactRow, repository: ArtifactRepositoryRow) -> None:
    """Lock a draft as the next version of its repository; both rows must be locked by this unit of work.

    Raises:
        Unprocessable: An image that it names is not built.
    """
    refuse_unbuilt(artifact.id, artifact.spec)
    repository.last_version_number += 1
    artifact.status = "locked"
    artifact.version = repository.last_version_number


def refuse_unbuilt(artifact_id: str, spec: dict[str, Any]) -> None:
    """Let through a spec all of whose images are there.

    Raises:
        Unprocessable: A container names ``imageBuildConfig``, and its build has not completed (§3).
    """
    for group in spec.get("containerGroups", ()):
        for container in group.get("containers", ()):
            if container.get("imageBuildConfig") and not container.get("imageUri"):
                raise Unprocessable(
                    f"The artifact {artifact_id} cannot be locked: the image of container "
                    f"{container.get('name') or 'without a name'!r} has not been built; build it or give an imageUri.",
                    code="BUILD_REQUIRED",
                )


async def refuse_draft_in_use(session: AsyncSession, artifact_id: str, beside: str | None = None) -> None:
    """Let through a draft that no living workload has a proton on (§4); its row must be locked.

    Args:
        session: A unit of work.
        artifact_id: The draft.
        beside: A workload that does not count.

    Raises:
        Unprocessable: One has.
    """
    backing = select(ProtonRow.id).where(ProtonRow.artifact_id == artifact_id, ProtonRow.desired_state != "gone")
    if beside is not None:
        backing = backing.where(ProtonRow.workload_id != beside)
    if (await session.scalars(backing.limit(1))).first():
        raise draft_in_use(artifact_id)


def draft_in_use(artifact_id: str) -> Unprocessable:
    """The refusal of a second workload on a draft."""
    return Unprocessable(
        f"A workload lives on the draft artifact {artifact_id} already; a draft backs at most one. Clone the artifact "
        "or lock it.",
        code="DRAFT_IN_USE",
    )


def already_locked(artifact: ArtifactRow) -> Unprocessable:
    """The refusal of any change to a locked artifact."""
    return Unprocessable(
        f"The artifact {artifact.id} is locked as version {artifact.version} and cannot change; clone it to go on.",
        code="ARTIFACT_LOCKED",
    )


async def get_artifact_row(session: AsyncSession, caller: Caller, artifact_id: str, right: Right) -> ArtifactRow:
    """An artifact, unlocked, for what the caller wants to do.

    Raises:
        NotFound: It is not there, or not for the caller to see.
        Forbidden: The caller may see it, but not do this.
    """
    statement = select(ArtifactRow, roles_column(caller, ArtifactRow.id)).where(
        ArtifactRow.id == artifact_id,
        ArtifactRow.organization_id == caller.organization_id,
        ArtifactRow.deleted_at.is_(None),
    )
    found = (await session.execute(statement)).one_or_none()
    return _allowed(found, right, "artifact", artifact_id)


async def lock_artifact(
    session: AsyncSession, caller: Caller, artifact_id: str, right: Right, *, with_workload: bool = False
) -> ArtifactRow:
    """The same, with its row locked; on request with the row of the workload that lives on it, which comes first.

    Raises:
        NotFound: It is not there, or not for the caller to see.
        Forbidden: The caller may see it, but not do this.
    """
    statement = locked(
        select(ArtifactRow, roles_column(caller, ArtifactRow.id))
        .where(
            ArtifactRow.id == artifact_id,
            ArtifactRow.organization_id == caller.organization_id,
            ArtifactRow.deleted_at.is_(None),
        )
        .execution_options(populate_existing=True),
        ArtifactRow,
    )
    living = select(WorkloadRow.id).where(WorkloadRow.draft_artifact_id == artifact_id)
    while True:
        # A workload may come to live on the draft until the draft's own lock is held: if one did, begin again,
        # with its lock first. Each round needs another workload to have come, so this ends.
        savepoint = await session.begin_nested()
        first = (await session.scalars(locked(living))).one_or_none() if with_workload else None
        found = (await session.execute(statement)).one_or_none()
        artifact = _allowed(found, right, "artifact", artifact_id)
        if not with_workload or (await session.scalars(living)).one_or_none() in (None, first):
            return artifact
        await savepoint.rollback()


async def lock_repository(
    session: AsyncSession, caller: Caller, repository_id: str, right: Right
) -> ArtifactRepositoryRow:
    """A repository with its row locked.

    Raises:
        NotFound: It is not there, or not for the caller to see.
        Forbidden: The caller may see it, but not do this.
    """
    statement = locked(
        select(ArtifactRepositoryRow, roles_column(caller, ArtifactRepositoryRow.id)).where(
            ArtifactRepositoryRow.id == repository_id,
            ArtifactRepositoryRow.organization_id == caller.organization_id,
            ArtifactRepositoryRow.deleted_at.is_(None),
        ),
        ArtifactRepositoryRow,
    )
    return _allowed((await session.execute(statement)).one_or_none(), right, "artifact_repository", repository_id)


def _allowed(
    found: Row[RowType, str | None] | None, right: Right, resource_type: ResourceType, resource_id: str
) -> RowType:
    if found is None:
        raise missing(resource_type, resource_id)
    row, roles = found
    require(roles, right, resource_type, resource_id)
    return row


async def artifact_counts(session: AsyncSession, repository_ids: list[str]) -> dict[str, int]:
    """How many artifacts each of these repositories holds."""
    statement = (
        select(ArtifactRow.repository_id, func.count())
        .where(ArtifactRow.repository_id.in_(repository_ids), ArtifactRow.deleted_at.is_(None))
        .group_by(ArtifactRow.repository_id)
    )
    return {repository_id: count for repository_id, count in (await session.execute(statement)).all()}
