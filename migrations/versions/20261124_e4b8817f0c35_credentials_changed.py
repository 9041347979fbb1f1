"""credentials: the moment of the last change, by which versions are told apart.

Revision ID: e4b8817f0c35
Revises: c92f6b0d4e81
Create Date: 2026-11-24 22:15:00.000000+00:00
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import workload_api.db.types

revision: str = "e4b8817f0c35"
down_revision: str | None = "c92f6b0d4e81"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_MOMENT = workload_api.db.types.UtcDateTime(timezone=True)
_LONG_AGO = "1970-01-01T00:00:00.000000Z"


def upgrade() -> None:
    """Go to this revision."""
    # The default is for the rows that are there, for the moment until the next statement.
    op.add_column("credentials", sa.Column("updated_at", _MOMENT, nullable=False, server_default=_LONG_AGO))
    op.execute("UPDATE credentials SET updated_at = created_at")
    if op.get_context().dialect.name == "postgresql":
        op.alter_column("credentials", "updated_at", server_default=None)


def downgrade() -> None:
    """Go back to the revision before."""
    op.drop_column("credentials", "updated_at")
