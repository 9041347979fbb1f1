"""replacements: steps, cancelled ones, requests under way to protons that are to go.

Revision ID: 3a7d52c9e1f4
Revises: 5b1c0e7a9d24
Create Date: 2026-11-24 20:20:00.000000+00:00
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import workload_api.db.types

revision: str = "3a7d52c9e1f4"
down_revision: str | None = "5b1c0e7a9d24"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_GONE = sa.text("role IS NULL AND status = 'terminated'")
_LEAVING = sa.text("role IS NULL AND desired_state = 'running'")
_MOMENT = workload_api.db.types.UtcDateTime(timezone=True)

_LONG_AGO = "1970-01-01T00:00:00.000000Z"


def upgrade() -> None:
    """Go to this revision."""
    op.add_column("replacements", sa.Column("deleted_at", _MOMENT, nullable=True))
    # The default is for the rows that are there, for the moment until the next statement.
    op.add_column("replacements", sa.Column("status_since", _MOMENT, nullable=False, server_default=_LONG_AGO))
    op.execute("UPDATE replacements SET status_since = updated_at")
    if op.get_context().dialect.name == "postgresql":
        op.alter_column("replacements", "status_since", server_default=None)
    op.create_index("ix_protons_gone", "protons", ["updated_at"], sqlite_where=_GONE, postgresql_where=_GONE)
    op.create_index("ix_protons_leaving", "protons", ["id"], sqlite_where=_LEAVING, postgresql_where=_LEAVING)
    op.create_table(
        "requests_under_way",
        sa.Column("proton_id", sa.String(length=24), nullable=False),
        sa.Column("gateway_id", sa.String(length=24), nullable=False),
        sa.Column("good_until", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["proton_id"], ["protons.id"], name=op.f("fk_requests_under_way_proton_id_protons"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("proton_id", "gateway_id", name=op.f("pk_requests_under_way")),
    )
    op.create_index(op.f("ix_requests_under_way_good_until"), "requests_under_way", ["good_until"])


def downgrade() -> None:
    """Go back to the revision before."""
    op.drop_index(op.f("ix_requests_under_way_good_until"), table_name="requests_under_way")
    op.drop_table("requests_under_way")
    op.drop_index("ix_protons_leaving", table_name="protons")
    op.drop_index("ix_protons_gone", table_name="protons")
    op.drop_column("replacements", "status_since")
    op.drop_column("replacements", "deleted_at")
