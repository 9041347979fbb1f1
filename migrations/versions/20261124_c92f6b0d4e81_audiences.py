"""audiences: who sees what in lists, and how many that are, kept by triggers; indexes of lists bear it.

Revision ID: c92f6b0d4e81
Revises: 20f4b73d1aca
Create Date: 2026-11-24 20:15:00.000000+00:00
"""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "c92f6b0d4e81"
down_revision: str | None = "20f4b73d1aca"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

KINDS = {"workloads": "workload", "artifacts": "artifact", "artifact_repositories": "artifact_repository"}
BEFORE = {
    "workloads": ("name", "updated_at", "status", "importance", "importance_rank", "creator_id"),
    "artifacts": ("name", "updated_at", "status", "type", "creator_id"),
    "artifact_repositories": ("name", "updated_at", "type", "creator_id"),
}
AFTER = {
    "workloads": ("name_start", "updated_at", "status", "importance_rank", "artifact_state", "creator_id"),
    "artifacts": ("name_start", "updated_at", "status", "type", "creator_id"),
    "artifact_repositories": ("name_start", "updated_at", "type", "creator_id"),
}
ARTIFACT_STATE = (
    "CASE WHEN draft_artifact_id IS NOT NULL THEN 'draft' WHEN expired_at IS NULL THEN 'locked' ELSE 'expired' END"
)
THERE = sa.text("deleted_at IS NULL")
VIEWING = "('OWNER', 'EDITOR', 'READ_WRITE', 'ADMIN', 'DATA_SCIENTIST', 'USER', 'READ_ONLY', 'OBSERVER')"
IN_USE = 0x61756469656E6365
"""Advisory lock: whoever chooses audiences holds it with others, whoever forgets unused ones alone ("audience")."""


def upgrade() -> None:
    """Go to this revision."""
    op.create_table(
        "audiences",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("organization_id", sa.String(length=24), nullable=False),
        sa.Column("resource_type", sa.String(length=24), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "resource_type IN ('workload', 'artifact', 'artifact_repository')", name=op.f("ck_audiences_resource_type")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_audiences_organization_id_organizations")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audiences")),
        sa.UniqueConstraint("signature", name=op.f("uq_audiences_signature")),
    )
    op.create_table(
        "audience_members",
        sa.Column("subject_id", sa.String(length=24), nullable=False),
        sa.Column("audience_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["audience_id"],
            ["audiences.id"],
            name=op.f("fk_audience_members_audience_id_audiences"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("subject_id", "audience_id", name=op.f("pk_audience_members")),
    )
    op.create_index(op.f("ix_audience_members_audience_id"), "audience_members", ["audience_id"])
    op.create_table(
        "audience_counts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("audience_id", sa.Integer(), nullable=False),
        sa.Column("amount", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["audience_id"], ["audiences.id"], name=op.f("fk_audience_counts_audience_id_audiences")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audience_counts")),
    )
    op.create_index("ix_audience_counts_audience_id_amount", "audience_counts", ["audience_id", "amount"])

    # SQLite can add a column that is worked out when read, PostgreSQL can index one that is stored.
    stored = _is_postgresql()
    name_type = sa.Text(collation="C") if stored else sa.Text()
    op.add_column(
        "workloads",
        sa.Column(
            "artifact_state", sa.String(length=16), sa.Computed(ARTIFACT_STATE, persisted=stored), nullable=False
        ),
    )
    for table, columns in AFTER.items():
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN audience_id INTEGER "
            f"CONSTRAINT fk_{table}_audience_id_audiences REFERENCES audiences (id)"
        )
        start = sa.Computed("substr(name, 1, 100)", persisted=stored)
        op.add_column(table, sa.Column("name_start", name_type, start, nullable=False))
        op.drop_index(f"ix_{table}_list", table)
        for column in BEFORE[table]:
            op.drop_index(f"ix_{table}_list_{column}", table)
        _list_index(f"ix_{table}_list", table, "id", "audience_id")
        for column in columns:
            _list_index(f"ix_{table}_list_{column}", table, column, "id", "audience_id")
        op.create_index(f"ix_{table}_audience_id", table, ["audience_id", "id"])
    for statement in _postgresql() if _is_postgresql() else _sqlite():
        op.execute(statement)
    # What is there already: the triggers see it.
    op.execute("UPDATE shared_roles SET role = role")


def downgrade() -> None:
    """Go back to the revision before."""
    for statement in _postgresql_gone() if _is_postgresql() else _sqlite_gone():
        op.execute(statement)
    for table, columns in AFTER.items():
        op.drop_index(f"ix_{table}_audience_id", table)
        op.drop_index(f"ix_{table}_list", table)
        for column in columns:
            op.drop_index(f"ix_{table}_list_{column}", table)
        op.drop_column(table, "name_start")
        op.drop_column(table, "audience_id")
        _list_index(f"ix_{table}_list", table, "id")
        for column in BEFORE[table]:
            key = sa.text("substr(name, 1, 100)") if column == "name" else column
            _list_index(f"ix_{table}_list_{column}", table, key, "id")
    op.drop_column("workloads", "artifact_state")
    for table in ("audience_counts", "audience_members", "audiences"):
        op.drop_table(table)


def _is_postgresql() -> bool:
    return op.get_context().dialect.name == "postgresql"


def _list_index(name: str, table: str, *columns: str | sa.TextClause) -> None:
    op.create_index(name, table, ["organization_id", *columns], sqlite_where=THERE, postgresql_where=THERE)


def _postgresql() -> Iterator[str]:
    for table, kind in KINDS.items():
        subjects = f"""
            SELECT resource.id, resource.organization_id,
                string_agg(role.subject_id, ',' ORDER BY role.subject_id COLLATE "C") AS subjects
            FROM {table} AS resource JOIN shared_roles AS role ON role.resource_id = resource.id
            WHERE resource.id = ANY (ids) AND resource.deleted_at IS NULL AND role.role IN {VIEWING}
            GROUP BY resource.id"""
        signature = f"encode(sha256(convert_to(organization_id || '/{kind}/' || subjects, 'UTF8')), 'hex')"
        # The resources are locked first: of two who change the roles of one at once, the second must see what the
        # first has done, and each statement of a function sees what was committed before it began.
        yield f"""
            CREATE FUNCTION find_audiences_of_{table}(ids varchar[]) RETURNS void LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM pg_advisory_xact_lock_shared({IN_USE});
                PERFORM FROM {table} WHERE id = ANY (ids) ORDER BY id FOR NO KEY UPDATE;
                WITH wanted AS (
                    SELECT DISTINCT organization_id, subjects, {signature} AS signature FROM ({subjects}) AS found
                ), made AS (
                    INSERT INTO audiences (organization_id, resource_type, signature)
                    SELECT organization_id, '{kind}', signature FROM wanted
                    WHERE NOT EXISTS (SELECT FROM audiences WHERE audiences.signature = wanted.signature)
                    ORDER BY signature
                    ON CONFLICT DO NOTHING RETURNING id, signature
                )
                INSERT INTO audience_members (audience_id, subject_id)
                SELECT made.id, unnest(string_to_array(wanted.subjects, ',')) FROM made JOIN wanted USING (signature);
                WITH changed AS (
                    UPDATE {table} AS changed SET audience_id = audience.id
                    FROM {table} AS resource
                    LEFT JOIN (SELECT id, {signature} AS signature FROM ({subjects}) AS found) AS wanted USING (id)
                    LEFT JOIN audiences AS audience USING (signature)
                    WHERE resource.id = ANY (ids) AND changed.id = resource.id
                        AND changed.audience_id IS DISTINCT FROM audience.id
                    RETURNING resource.audience_id AS before, changed.audience_id AS after
                )
                INSERT INTO audience_counts (audience_id, amount)
                SELECT audience_id, sum(amount) FROM (
                    SELECT before AS audience_id, -1 AS amount FROM changed UNION ALL SELECT after, 1 FROM changed
                ) AS step WHERE audience_id IS NOT NULL GROUP BY audience_id HAVING sum(amount) <> 0;
            END $$"""
        yield f"""
            CREATE FUNCTION {table}_added() RETURNS trigger LANGUAGE plpgsql AS $$
            DECLARE ids varchar[] := (
                SELECT array_agg(id) FROM added
                WHERE audience_id IS NULL AND EXISTS (SELECT FROM shared_roles WHERE resource_id = added.id)
            );
            BEGIN
                INSERT INTO audience_counts (audience_id, amount)
                SELECT audience_id, count(*) FROM added WHERE audience_id IS NOT NULL GROUP BY audience_id;
                IF ids IS NOT NULL THEN PERFORM find_audiences_of_{table}(ids); END IF;
                RETURN NULL;
            END $$"""
        yield (
            f"CREATE TRIGGER {table}_added AFTER INSERT ON {table} REFERENCING NEW TABLE AS added "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_added()"
        )
    find = "".join(
        f"""
                ids := (SELECT array_agg(DISTINCT resource_id) FROM changed WHERE resource_type = '{kind}');
                IF ids IS NOT NULL THEN PERFORM find_audiences_of_{table}(ids); END IF;"""
        for table, kind in KINDS.items()
    )
    yield f"""
        CREATE FUNCTION shared_roles_changed() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE ids varchar[];
        BEGIN{find}
                RETURN NULL;
        END $$"""
    for event, moment in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
        yield (
            f"CREATE TRIGGER shared_roles_{event.lower()} AFTER {event} ON shared_roles "
            f"REFERENCING {moment} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION shared_roles_changed()"
        )
    yield """
        CREATE FUNCTION leave_audience() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO audience_counts (audience_id, amount) VALUES (OLD.audience_id, -1);
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            NEW.audience_id := NULL;
            RETURN NEW;
        END $$"""
    for table in KINDS:
        yield (
            f"CREATE TRIGGER {table}_deleted BEFORE UPDATE OF deleted_at ON {table} FOR EACH ROW "
            "WHEN (NEW.deleted_at IS NOT NULL AND OLD.audience_id IS NOT NULL) EXECUTE FUNCTION leave_audience()"
        )
        yield (
            f"CREATE TRIGGER {table}_removed BEFORE DELETE ON {table} FOR EACH ROW "
            "WHEN (OLD.audience_id IS NOT NULL) EXECUTE FUNCTION leave_audience()"
        )


def _postgresql_gone() -> Iterator[str]:
    for event in ("insert", "update", "delete"):
        yield f"DROP TRIGGER shared_roles_{event} ON shared_roles"
    yield "DROP FUNCTION shared_roles_changed"
    for table in KINDS:
        for name in ("added", "deleted", "removed"):
            yield f"DROP TRIGGER {table}_{name} ON {table}"
        yield f"DROP FUNCTION {table}_added"
        yield f"DROP FUNCTION find_audiences_of_{table}"
    yield "DROP FUNCTION leave_audience"


def _sqlite() -> Iterator[str]:
    for table, kind in KINDS.items():
        has_roles = "NEW.audience_id IS NULL AND EXISTS (SELECT 1 FROM shared_roles WHERE resource_id = NEW.id)"
        for name, event, moment, when, resource_id in (
            ("added", f"INSERT ON {table}", "NEW", has_roles, "id"),
            ("shared", "INSERT ON shared_roles", "NEW", f"NEW.resource_type = '{kind}'", "resource_id"),
            (
                "reshared",
                "UPDATE OF role, subject_id ON shared_roles",
                "NEW",
                f"NEW.resource_type = '{kind}'",
                "resource_id",
            ),
            ("unshared", "DELETE ON shared_roles", "OLD", f"OLD.resource_type = '{kind}'", "resource_id"),
        ):
            resource = f"{moment}.{resource_id}"
            members = f"SELECT subject_id FROM shared_roles WHERE resource_id = {resource} AND role IN {VIEWING}"
            signature = (
                f"(SELECT organization_id FROM {table} WHERE id = {resource}) || '/{kind}/' || "
                f"(SELECT group_concat(subject_id, ',') FROM ({members} ORDER BY subject_id))"
            )
            audience = f"(SELECT id FROM audiences WHERE signature = {signature})"
            homeless = f"FROM {table} WHERE id = {resource} AND deleted_at IS NULL AND audience_id IS NULL"
            # As a rule the audience is there already, and the first statement is all that does anything.
            yield f"""
                CREATE TRIGGER {table}_{name} AFTER {event} WHEN {when} BEGIN
                UPDATE {table} SET audience_id = {audience} WHERE id = {resource} AND deleted_at IS NULL;
                INSERT INTO audiences (organization_id, resource_type, signature)
                SELECT organization_id, '{kind}', {signature} {homeless} AND EXISTS ({members});
                INSERT INTO audience_members (subject_id, audience_id)
                SELECT subject_id, {audience} FROM ({members}) WHERE EXISTS (SELECT 1 {homeless});
                UPDATE {table} SET audience_id = {audience} WHERE id IN (SELECT id {homeless}) AND EXISTS ({members});
                END"""
        yield f"""
            CREATE TRIGGER {table}_deleted AFTER UPDATE OF deleted_at ON {table}
            WHEN NEW.deleted_at IS NOT NULL AND NEW.audience_id IS NOT NULL BEGIN
            UPDATE {table} SET audience_id = NULL WHERE id = NEW.id;
            END"""
        fewer = (
            "INSERT INTO audience_counts (audience_id, amount) "
            "SELECT OLD.audience_id, -1 WHERE OLD.audience_id IS NOT NULL;"
        )
        more = (
            "INSERT INTO audience_counts (audience_id, amount) "
            "SELECT NEW.audience_id, 1 WHERE NEW.audience_id IS NOT NULL;"
        )
        yield f"CREATE TRIGGER {table}_counted_insert AFTER INSERT ON {table} BEGIN {more} END"
        yield f"""
            CREATE TRIGGER {table}_counted_update AFTER UPDATE OF audience_id ON {table}
            WHEN OLD.audience_id IS NOT NEW.audience_id BEGIN {fewer} {more} END"""
        yield f"CREATE TRIGGER {table}_counted_delete AFTER DELETE ON {table} BEGIN {fewer} END"


def _sqlite_gone() -> Iterator[str]:
    for table in KINDS:
        for name in (
            *("added", "shared", "reshared", "unshared", "deleted"),
            *("counted_insert", "counted_update", "counted_delete"),
        ):
            yield f"DROP TRIGGER {table}_{name}"
