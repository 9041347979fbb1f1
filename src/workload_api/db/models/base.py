"""What all tables share: named constraints, ids, moments of creation and change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Computed, ForeignKey, Index, MetaData, text
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from workload_api.clock import utc_now
from workload_api.db.types import ID, NAME, UtcDateTime
from workload_api.domain.ids import new_id
from workload_api.domain.words import values_of


class Base(DeclarativeBase):
    """The base of every table."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    # JSON, not JSONB: what a client sent comes back in the same order (§12).
    type_annotation_map = {datetime: UtcDateTime(), dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012


def _as(other: str) -> Callable[[DefaultExecutionContext], datetime]:
    """The default of one of two moments of a new row: the other, so that it was changed when it was created."""

    def moment(context: DefaultExecutionContext) -> datetime:
        given: datetime | None = context.get_current_parameters().get(other)  # type: ignore[no-untyped-call]
        return given or utc_now()

    return moment


class Identified:
    """A row with an id and its moment of creation."""

    id: Mapped[str] = mapped_column(ID, primary_key=True, default=new_id)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime(), default=_as("updated_at"))


class Changed(Identified):
    """An identified row that also bears the moment of its last change."""

    updated_at: Mapped[datetime] = mapped_column(UtcDateTime(), default=_as("created_at"), onupdate=utc_now)


def one_of(column: str, words: object, *, nullable: bool = False) -> CheckConstraint:
    """A check constraint that holds a text column to an enumeration of ``domain.words``."""
    listed = ", ".join(f"'{word}'" for word in values_of(words))
    condition = f"{column} IN ({listed})"
    return CheckConstraint(f"{column} IS NULL OR {condition}" if nullable else condition, name=column)


SORTED_CHARACTERS = 100
"""Of a name that an index bears: a whole one may be longer than an index entry can be."""


class Listed(Changed):
    """A row of which there is a list, narrowed to what the caller may see and put in order by indexes."""

    @declared_attr
    @classmethod
    def audience_id(cls) -> Mapped[int | None]:
        """Who sees it in lists (``db/models/audiences.py``); nobody once it is deleted. Written by triggers alone."""
        return mapped_column(ForeignKey("audiences.id"), deferred=True)

    @declared_attr
    @classmethod
    def name_start(cls) -> Mapped[str]:
        """The beginning of the name, by which lists are put in order; the database works it out."""
        start = Computed(f"substr(name, 1, {SORTED_CHARACTERS})", persisted=True)
        return mapped_column(NAME, start, deferred=True)


def list_indexes(table: str, *columns: str) -> list[Index]:
    """The indexes that serve a list: of what is not deleted, by organization, with the audience.

    Args:
        table: The table's name.
        columns: The columns of its filters and orders: one index for each, beside the one for the order of creation.
    """
    there = text("deleted_at IS NULL")
    keys = {f"_list_{column}": (column,) for column in columns}
    return [
        Index(f"ix_{table}_audience_id", "audience_id", "id"),
        *(
            Index(
                f"ix_{table}{name}",
                *("organization_id", *key, "id", "audience_id"),
                sqlite_where=there,
                postgresql_where=there,
            )
            for name, key in {"_list": (), **keys}.items()
        ),
    ]
