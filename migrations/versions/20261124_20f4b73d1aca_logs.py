"""logs: what containers wrote, how far it has been collected; what replicas use.

Revision ID: 20f4b73d1aca
Revises: 7c41d2f08b6e
Create Date: 2026-11-24 20:14:30.058961+00:00
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import workload_api.db.types

revision: str = "20f4b73d1aca"
down_revision: str | None = "7c41d2f08b6e"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NEWEST = ["log_id", "at", "id", "severity", "source_id"]
AT_LEAST = {"warn": 13, "error": 17, "critical": 21}


def upgrade() -> None:
    """Go to this revision."""
    op.create_table(
        "workload_logs",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("workload_id", sa.String(length=24)),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workload_id"], ["workloads.id"], name=op.f("fk_workload_logs_workload_id_workloads"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workload_logs")),
        sa.UniqueConstraint("workload_id", name=op.f("uq_workload_logs_workload_id")),
    )
    op.create_table(
        "log_sources",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("log_id", NUMBER, nullable=False),
        sa.Column("proton_id", sa.String(length=24), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("replica", sa.Text(), nullable=False),
        sa.Column("container", sa.Text(), nullable=False),
        sa.Column("position", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["log_id"], ["workload_logs.id"], name=op.f("fk_log_sources_log_id_workload_logs")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_sources")),
        sa.UniqueConstraint("proton_id", "name", name="uq_log_sources_proton_id_name"),
    )
    op.create_index("ix_log_sources_log_id", "log_sources", ["log_id"])
    op.create_table(
        "proton_usages",
        sa.Column("proton_id", sa.String(length=24), nullable=False),
        sa.Column("cpu_nanocores", sa.BigInteger(), nullable=False),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=False),
        sa.Column("network_received_bytes", sa.BigInteger()),
        sa.Column("network_sent_bytes", sa.BigInteger()),
        sa.Column("measured_at", workload_api.db.types.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["proton_id"], ["protons.id"], name=op.f("fk_proton_usages_proton_id_protons"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("proton_id", name=op.f("pk_proton_usages")),
    )
    op.create_table(
        "log_lines",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("log_id", sa.BigInteger(), nullable=False),
        sa.Column("source_id", NUMBER, nullable=False),
        sa.Column("at", workload_api.db.types.Microseconds(), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("stacktrace", sa.Text()),
        sa.Column("attributes", sa.JSON()),
        sa.Column("searched", sa.Text()),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["log_sources.id"], name=op.f("fk_log_lines_source_id_log_sources")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_lines")),
    )
    op.create_index("ix_log_lines_newest", "log_lines", NEWEST)
    op.create_index("ix_log_lines_source", "log_lines", ["source_id", "at", "id", "severity"])
    for name, severity in AT_LEAST.items():
        those = sa.text(f"severity >= {severity}")
        op.create_index(f"ix_log_lines_{name}", "log_lines", NEWEST, sqlite_where=those, postgresql_where=those)


def downgrade() -> None:
    """Go back to the revision before."""
    for table in ("log_lines", "proton_usages", "log_sources", "workload_logs"):
        op.drop_table(table)
