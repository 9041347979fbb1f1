"""Events as answers bear them (§7)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from workload_api.domain.words import EventSeverity
from workload_api.http.models import AnswerModel, Page, UtcDatetime


class WorkloadEvent(AnswerModel):
    """Something that happened to a workload."""

    id: str
    workload_id: str
    timestamp: UtcDatetime
    event_type: str = Field(description="Dotted, as `workload.promoted`.")
    type: EventSeverity = "Normal"
    reason: str = Field(description="One CamelCase word.")
    message: str = Field(description="One sentence for a person.")
    actor_id: str | None = Field(default=None, description="The user who caused it; null for the server itself.")
    details: dict[str, Any] | None = None


class WorkloadEventsResponse(Page[WorkloadEvent]):
    """A page of events."""


class StreamEnd(AnswerModel):
    """The `data` of the last event of a stream that cannot be taken up again."""

    code: str = Field(description="`TOKEN_REVOKED`, `RIGHT_LOST` or `WORKLOAD_DELETED`.")
    message: str = Field(description="One sentence for a person.")
