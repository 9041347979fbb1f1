"""Reads tags, and narrows lists by them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from workload_api.db.models import TagRow
from workload_api.domain.words import ResourceType
from workload_api.identity.schemas import TagInfo


async def tags_of(session: AsyncSession, resource_ids: Collection[str]) -> dict[str, list[TagInfo]]:
    """The tags of these resources by their ids, in the order they were given; by one query."""
    if not resource_ids:
        return {}
    statement = select(TagRow).where(TagRow.resource_id.in_(resource_ids)).order_by(TagRow.id)
    found: dict[str, list[TagInfo]] = {}
    for tag in (await session.scalars(statement)).all():
        found.setdefault(tag.resource_id, []).append(TagInfo(id=tag.id, name=tag.name, value=tag.value))
    return found


def tagged(
    resource_type: ResourceType,
    resource_id: InstrumentedAttribute[str],
    names: Sequence[str] | None,
    values: Sequence[str] | None,
    *,
    one_by_one: bool = False,
) -> list[ColumnElement[bool]]:
    """The condition that a resource has a tag with one of the names and one of the values; none where both are open.

    Args:
        resource_type: Of which kind the rows are.
        resource_id: Their ids.
        names: Of the tag.
        values: Of the tag.
        one_by_one: Look at the tags of each row; right where they are few, however many have such a tag.
    """
    wanted: list[ColumnElement[bool]] = []
    if names:
        wanted.append(TagRow.name.in_(names))
    if values:
        wanted.append(TagRow.value.in_(values))
    if not wanted:
        return []
    if one_by_one:
        return [exists().where(TagRow.resource_id == resource_id, *wanted)]
    return [resource_id.in_(select(TagRow.resource_id).where(TagRow.resource_type == resource_type, *wanted))]
