"""Sets tags."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import delete, insert
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.artifacts.service import already_locked
from workload_api.clock import utc_now
from workload_api.db.models import ArtifactRow, EventRow, TagRow
from workload_api.domain.versions import ANY_VERSION, Expected
from workload_api.domain.words import ResourceType
from workload_api.events.service import event_values
from workload_api.identity.rights import Caller
from workload_api.identity.targets import lock_resource


async def set_tags(
    session: AsyncSession,
    caller: Caller,
    resource_type: ResourceType,
    resource_id: str,
    tags: Mapping[str, str],
    expected: Expected = ANY_VERSION,
) -> None:
    """Let a resource have these tags and no others.

    Args:
        session: A unit of work.
        caller: Needs the right to update the resource.
        resource_type: Of which kind it is.
        resource_id: Which.
        tags: Values by names.
        expected: Which version the caller has seen.

    Raises:
        NotFound: It is not there, or not for the caller to see.
        Forbidden: The caller may see it, but not change it.
        Stale: It has changed since the caller read it.
        Unprocessable: It is a locked artifact, which stays as it is (§3); its repository can be tagged.
    """
    row = await lock_resource(session, caller, resource_type, resource_id, "update")
    expected.check(row)
    if isinstance(row, ArtifactRow) and row.status == "locked":
        raise already_locked(row)
    await session.execute(delete(TagRow).where(TagRow.resource_id == resource_id))
    session.add_all(
        TagRow(resource_type=resource_type, resource_id=resource_id, name=name, value=value)
        for name, value in tags.items()
    )
    row.updated_at = utc_now()
    await session.flush()
    if resource_type == "workload":
        message = f"Tagged: {', '.join(tags)}." if tags else "All tags were taken away."
        event = event_values(
            resource_id, "workload.tagged", "Tagged", message, actor_id=caller.user_id, details={"tags": dict(tags)}
        )
        await session.execute(insert(EventRow).values(event))
