"""From rows to events as answers bear them."""

from __future__ import annotations

from workload_api.db.models import EventRow
from workload_api.events.schemas import WorkloadEvent


def event_answer(row: EventRow) -> WorkloadEvent:
    """One event."""
    return WorkloadEvent(
        id=row.id,
        workload_id=row.workload_id,
        timestamp=row.created_at,
        event_type=row.event_type,
        actor_id=row.actor_id,
        details=row.details,
        type=row.severity,
        reason=row.reason,
        message=row.message,
    )
