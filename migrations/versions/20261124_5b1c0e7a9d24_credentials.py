"""credentials, tokens of workloads.

Revision ID: 5b1c0e7a9d24
Revises: efa5d7df0b7c
Create Date: 2026-11-24 13:10:00.000000+00:00
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

import workload_api.db.types

revision: str = "5b1c0e7a9d24"
down_revision: str | None = "efa5d7df0b7c"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_OF_A_WORKLOAD = sa.text("workload_id IS NOT NULL AND revoked_at IS NULL")


def upgrade() -> None:
    """Go to this revision."""
    op.create_table(
        "credentials",
        sa.Column("organization_id", sa.String(length=24), nullable=False),
        sa.Column("creator_id", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("credential_type", sa.String(length=40), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("created_at", workload_api.db.types.UtcDateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "credential_type IN ('s3', 'basic', 'api_token', 'bearer', 'oauth', 'gcp', 'azure', 'azure_service_principal', 'databricks_access_token_account', 'snowflake_key_pair_user_account', 'azure_sas', 'client_id_and_secret', 'box_jwt')",
            name=op.f("ck_credentials_credential_type"),
        ),
        sa.ForeignKeyConstraint(["creator_id"], ["users.id"], name=op.f("fk_credentials_creator_id_users")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_credentials_organization_id_organizations")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credentials")),
        sa.UniqueConstraint("creator_id", "name", name=op.f("uq_credentials_creator_id_name")),
    )
    op.create_index("ix_credentials_creator_id_id", "credentials", ["creator_id", "id"])
    # On SQLite this makes the table anew, which is safe: no other table points to it.
    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.add_column(sa.Column("workload_id", sa.String(length=24), nullable=True))
        batch_op.add_column(sa.Column("sealed", sa.LargeBinary(), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f("fk_tokens_workload_id_workloads"), "workloads", ["workload_id"], ["id"], ondelete="CASCADE"
        )
    op.create_index(
        "uq_tokens_workload_id_user_id",
        "tokens",
        ["workload_id", "user_id"],
        unique=True,
        sqlite_where=_OF_A_WORKLOAD,
        postgresql_where=_OF_A_WORKLOAD,
    )
    op.add_column("idempotency_keys", sa.Column("sealed", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """Go back to the revision before."""
    op.drop_column("idempotency_keys", "sealed")
    op.drop_index("uq_tokens_workload_id_user_id", table_name="tokens")
    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_tokens_workload_id_workloads"), type_="foreignkey")
        batch_op.drop_column("sealed")
        batch_op.drop_column("workload_id")
    op.drop_index("ix_credentials_creator_id_id", table_name="credentials")
    op.drop_table("credentials")
