"""What belongs to a workload: its artifact, its repository and its protons (§4)."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.models import ArtifactRepositoryRow, ArtifactRow, ProtonRow, UserRow, WorkloadRow
from workload_api.identity.answers import user_data
from workload_api.identity.rights import Caller, permissions_of, roles_column
from workload_api.identity.targets import require_workload
from workload_api.workloads.schemas import RelatedEntitiesResponse, RelatedItem

_MOST_PROTONS = 100


async def related(session: AsyncSession, caller: Caller, workload_id: str) -> RelatedEntitiesResponse:
    """The entities related to a workload; its newest protons where there are very many.

    Raises:
        NotFound: There is no such workload for this caller.
    """
    workload = await require_workload(session, caller, workload_id)
    items: list[RelatedItem] = []
    artifact = (
        await session.execute(
            select(ArtifactRow, UserRow, roles_column(caller, ArtifactRow.id))
            .join(UserRow, UserRow.id == ArtifactRow.creator_id)
            .where(ArtifactRow.id == workload.artifact_id)
        )
    ).one()
    items.append(_item("artifact", artifact[0], artifact[1], artifact[2]))
    repository = (
        await session.execute(
            select(ArtifactRepositoryRow, UserRow, roles_column(caller, ArtifactRepositoryRow.id))
            .join(UserRow, UserRow.id == ArtifactRepositoryRow.creator_id)
            .where(ArtifactRepositoryRow.id == artifact[0].repository_id)
        )
    ).one()
    items.append(_item("artifact_repository", repository[0], repository[1], repository[2]))
    protons = (
        await session.execute(
            select(ProtonRow, UserRow, roles_column(caller, WorkloadRow.id))
            .join(WorkloadRow, WorkloadRow.id == ProtonRow.workload_id)
            .join(UserRow, UserRow.id == ProtonRow.creator_id)
            .where(ProtonRow.workload_id == workload_id)
            .order_by(ProtonRow.id.desc())
            .limit(_MOST_PROTONS)
        )
    ).all()
    items += [_item("proton", proton, user, roles) for proton, user, roles in protons]
    return RelatedEntitiesResponse(count=len(items), data=items)


def _item(
    kind: str, row: ArtifactRow | ArtifactRepositoryRow | ProtonRow, creator: UserRow, roles: str | None
) -> RelatedItem:
    return RelatedItem(
        id=row.id,
        name=row.name,
        type=kind,
        created_at=row.created_at,
        updated_at=row.updated_at,
        creator=user_data(creator),
        permissions=permissions_of(roles),
    )
