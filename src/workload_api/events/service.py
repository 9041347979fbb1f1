"""Writes events: append-only, what happened to a workload, by whom, why (§7)."""

from __future__ import annotations

from typing import Any

from workload_api.clock import utc_now
from workload_api.domain.ids import new_id
from workload_api.domain.words import EventSeverity


def event_values(
    workload_id: str,
    event_type: str,
    reason: str,
    message: str,
    *,
    actor_id: str | None = None,
    severity: EventSeverity = "Normal",
    details: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The columns of one event, for an insert.

    Args:
        workload_id: Whose event it is.
        event_type: Dotted name, as ``workload.promoted``.
        reason: One CamelCase word.
        message: One sentence for a person.
        actor_id: The user who caused it; ``None`` for what the server saw or did by itself.
        severity: ``Warning`` for what somebody should look at.
        details: More, as a JSON object; type, reason and message are put in as well (§7).
    """
    return {
        "id": new_id(),
        "created_at": utc_now(),
        "workload_id": workload_id,
        "event_type": event_type,
        "severity": severity,
        "reason": reason,
        "message": message,
        "actor_id": actor_id,
        "details": {**(details or {}), "type": severity, "reason": reason, "message": message},
    }
