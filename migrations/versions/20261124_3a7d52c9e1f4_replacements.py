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

_LEAVING = sa.text("role IS NULL AND desired_state = 'running'")
_MOMENT = workload_api.db.types.UtcDateTime(timezone=True)


def upgrade() -> None:
    """Go to this revision."""
    op.add_column("replacements", sa.Column("deleted_at", _MOMENT, nullable=True))
    op.add_column("replacements", sa.Column("status_since", _MOMENT, nullable=True))
    op.execute("UPDATE replacements SET status_since = updated_at")
    # On SQLite this makes the table anew, which is safe: no other table points to it.
    with op.batch_alter_table("replacements", schema=None) as batch_op:
        batch_op.alter_column("status_since", existing_type=_MOMENT, nullable=False)
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
    with op.batch_alter_table("replacements", schema=None) as batch_op:
        batch_op.drop_column("status_since")
        batch_op.drop_column("deleted_at")
