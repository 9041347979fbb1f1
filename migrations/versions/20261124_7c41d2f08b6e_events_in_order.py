"""events in order: the position of each event among those of its workload, given in the order of commits.

Revision ID: 7c41d2f08b6e
Revises: 3a7d52c9e1f4
Create Date: 2026-11-24 16:40:00.000000+00:00
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "7c41d2f08b6e"
down_revision: str | None = "3a7d52c9e1f4"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Whoever writes an event holds the workload's row first, and takes the number then: so an event that can be seen has
# none before it that cannot be seen yet.
PLACE = (
    "CREATE SEQUENCE events_position_seq OWNED BY events.position",
    "SELECT setval('events_position_seq', (SELECT coalesce(max(position), 0) + 1 FROM events), false)",
    """
    CREATE FUNCTION place_event() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM 1 FROM workloads WHERE id = NEW.workload_id FOR NO KEY UPDATE;
        NEW.position := nextval('events_position_seq');
        RETURN NEW;
    END
    $$
    """,
    "CREATE TRIGGER place_event BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION place_event()",
)


def upgrade() -> None:
    """Go to this revision."""
    op.add_column("events", sa.Column("position", sa.BigInteger(), nullable=True))
    op.execute(
        "UPDATE events SET position = numbered.number "
        "FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM events) AS numbered "
        "WHERE numbered.id = events.id"
    )
    with op.batch_alter_table("events", reflect_kwargs={"resolve_fks": False}) as events:
        events.alter_column("position", existing_type=sa.BigInteger(), nullable=False)
        events.drop_index("ix_events_workload_id_id")
        events.create_index("ix_events_workload_id_position", ["workload_id", "position"])
        events.create_index("uq_events_position", ["position"], unique=True)
    if op.get_context().dialect.name == "postgresql":
        for statement in PLACE:
            op.execute(statement)


def downgrade() -> None:
    """Go back to the revision before."""
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP TRIGGER place_event ON events")
        op.execute("DROP FUNCTION place_event()")
    with op.batch_alter_table("events", reflect_kwargs={"resolve_fks": False}) as events:
        events.drop_index("uq_events_position")
        events.drop_index("ix_events_workload_id_position")
        events.create_index("ix_events_workload_id_id", ["workload_id", "id"])
        events.drop_column("position")
