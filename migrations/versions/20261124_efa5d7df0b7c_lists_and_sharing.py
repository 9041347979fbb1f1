"""lists and sharing: groups, tags, what search looks through, an index for each filter and order.

Revision ID: efa5d7df0b7c
Revises: d374d46a2a80
Create Date: 2026-11-24 12:01:32.418203+00:00
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import DBAPIError

import workload_api.db.types

revision: str = "efa5d7df0b7c"
down_revision: str | None = "d374d46a2a80"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

LISTS = {
    "workloads": ("name", "updated_at", "status", "importance", "importance_rank", "creator_id"),
    "artifacts": ("name", "updated_at", "status", "type", "creator_id"),
    "artifact_repositories": ("name", "updated_at", "type", "creator_id"),
}
RANK = "CASE importance WHEN 'critical' THEN 3 WHEN 'high' THEN 2 WHEN 'moderate' THEN 1 ELSE 0 END"
THERE = sa.text("deleted_at IS NULL")

# FTS5 keeps no copy of the texts; the triggers keep it in step with their table.
SQLITE_SEARCH = (
    "CREATE VIRTUAL TABLE search_index USING fts5(text, content='search_texts', content_rowid='id', "
    "tokenize='trigram')",
    "CREATE TRIGGER search_index_insert AFTER INSERT ON search_texts BEGIN "
    "INSERT INTO search_index(rowid, text) VALUES (new.id, new.text); END",
    "CREATE TRIGGER search_index_delete AFTER DELETE ON search_texts BEGIN "
    "INSERT INTO search_index(search_index, rowid, text) VALUES ('delete', old.id, old.text); END",
    "CREATE TRIGGER search_index_update AFTER UPDATE ON search_texts BEGIN "
    "INSERT INTO search_index(search_index, rowid, text) VALUES ('delete', old.id, old.text); "
    "INSERT INTO search_index(rowid, text) VALUES (new.id, new.text); END",
)


def upgrade() -> None:
    """Go to this revision."""
    op.create_table(
        "groups",
        sa.Column("organization_id", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("created_at", workload_api.db.types.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_groups_organization_id_organizations")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_groups")),
        sa.UniqueConstraint("organization_id", "name", name=op.f("uq_groups_organization_id_name")),
    )
    op.create_table(
        "group_members",
        sa.Column("group_id", sa.String(length=24), nullable=False),
        sa.Column("user_id", sa.String(length=24), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["groups.id"], name=op.f("fk_group_members_group_id_groups"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_group_members_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("group_id", "user_id", name=op.f("pk_group_members")),
    )
    op.create_index(op.f("ix_group_members_user_id"), "group_members", ["user_id"])
    op.create_table(
        "tags",
        sa.Column("resource_type", sa.String(length=24), nullable=False),
        sa.Column("resource_id", sa.String(length=24), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("value", sa.String(length=500), nullable=False),
        sa.Column("id", sa.String(length=24), nullable=False),
        sa.Column("created_at", workload_api.db.types.UtcDateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "resource_type IN ('workload', 'artifact', 'artifact_repository')", name=op.f("ck_tags_resource_type")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tags")),
        sa.UniqueConstraint("resource_id", "name", name=op.f("uq_tags_resource_id_name")),
    )
    op.create_index("ix_tags_name_value", "tags", ["resource_type", "name", "value", "resource_id"])
    op.create_index("ix_tags_value", "tags", ["resource_type", "value", "resource_id"])
    op.create_table(
        "search_texts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("resource_type", sa.String(length=24), nullable=False),
        sa.Column("resource_id", sa.String(length=24), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_texts")),
        sa.UniqueConstraint("resource_id", name=op.f("uq_search_texts_resource_id")),
    )
    op.add_column("idempotency_keys", sa.Column("etag", sa.String(length=64)))
    _add_search_index()
    _fill_search_texts()

    if op.get_context().dialect.name == "postgresql":
        for table in LISTS:
            op.alter_column(table, "name", type_=sa.Text(collation="C"), existing_nullable=False)
    # SQLite can add a column that is worked out when read, PostgreSQL can index one that is stored.
    stored = op.get_context().dialect.name == "postgresql"
    rank = sa.Computed(RANK, persisted=stored)
    op.add_column("workloads", sa.Column("importance_rank", sa.SmallInteger(), rank, nullable=False))
    for table, columns in LISTS.items():
        op.drop_index(f"ix_{table}_organization_id_id", table)
        _list_index(f"ix_{table}_list", table, "id")
        for column in columns:
            key = sa.text("substr(name, 1, 100)") if column == "name" else column
            _list_index(f"ix_{table}_list_{column}", table, key, "id")
    op.drop_index("ix_shared_roles_subject", "shared_roles")
    op.create_index("ix_shared_roles_subject", "shared_roles", ["subject_id", "resource_type", "role", "resource_id"])


def downgrade() -> None:
    """Go back to the revision before."""
    op.drop_index("ix_shared_roles_subject", "shared_roles")
    op.create_index("ix_shared_roles_subject", "shared_roles", ["subject_id", "resource_type", "resource_id"])
    for table, columns in LISTS.items():
        for column in columns:
            op.drop_index(f"ix_{table}_list_{column}", table)
        op.drop_index(f"ix_{table}_list", table)
        op.create_index(f"ix_{table}_organization_id_id", table, ["organization_id", "id"])
    op.drop_column("workloads", "importance_rank")
    op.drop_column("idempotency_keys", "etag")
    if op.get_context().dialect.name == "postgresql":
        for table in LISTS:
            op.alter_column(table, "name", type_=sa.Text(collation="default"), existing_nullable=False)
    else:
        op.execute("DROP TABLE search_index")
    for table in ("search_texts", "tags", "group_members", "groups"):
        op.drop_table(table)


def _list_index(name: str, table: str, *columns: str | sa.TextClause) -> None:
    op.create_index(name, table, ["organization_id", *columns], sqlite_where=THERE, postgresql_where=THERE)


def _add_search_index() -> None:
    if op.get_context().dialect.name == "sqlite":
        for statement in SQLITE_SEARCH:
            op.execute(statement)
        return
    # pg_trgm comes with PostgreSQL and is trusted: who owns the database may add it. Where it is not installed, or
    # not allowed, search works without the index.
    try:
        with op.get_bind().begin_nested():
            op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except DBAPIError:
        return
    op.execute("CREATE INDEX search_index ON search_texts USING gin (text gin_trgm_ops)")


def _fill_search_texts() -> None:
    connection = op.get_bind()
    texts = sa.table(
        "search_texts",
        sa.column("resource_type", sa.String),
        sa.column("resource_id", sa.String),
        sa.column("text", sa.Text),
    )
    for table, kind, description in (
        ("workloads", "workload", "description"),
        ("artifacts", "artifact", "description"),
        ("artifact_repositories", "artifact_repository", "NULL"),
    ):
        rows = connection.execute(sa.text(f"SELECT id, name, {description} FROM {table}"))
        for batch in rows.partitions(1000):
            values = [
                {
                    "resource_type": kind,
                    "resource_id": row[0],
                    "text": "\n".join(part for part in (row[1], row[2], row[0]) if part).casefold(),
                }
                for row in batch
            ]
            connection.execute(texts.insert(), values)
