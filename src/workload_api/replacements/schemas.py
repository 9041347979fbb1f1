"""Replacements as requests and answers bear them (§6)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from workload_api.domain.words import ReplacementReason as ReplacementReason
from workload_api.domain.words import ReplacementStatus as ReplacementStatus
from workload_api.http.models import AnswerModel, Page, RequestModel, UtcDatetime
from workload_api.protons.runtime_schemas import RuntimeAsAnswered, WorkloadRuntime

ReplacementStrategy = Literal["rolling"]

MOST_MINUTES = 525_600
"""The longest time that a replacement may be told to take in one of its steps: a year."""

Uuid = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid4"})]


class ReplacementConfig(RequestModel):
    """The times of a replacement."""

    warmup_duration_minutes: int = Field(
        default=0, ge=0, le=MOST_MINUTES, description="How long the candidate warms up before traffic moves to it."
    )
    keep_old_version_minutes: int = Field(
        default=0, ge=0, le=MOST_MINUTES, description="How long one can still go back after the switch."
    )


class StartReplacementRequest(RequestModel):
    """The move onto another artifact."""

    artifact_id: str
    strategy: ReplacementStrategy
    config: ReplacementConfig = Field(default_factory=ReplacementConfig)
    runtime: WorkloadRuntime | None = Field(default=None, description="The workload's own if absent.")


class UpdateSettingsRequest(RequestModel):
    """The runtime that a workload moves onto."""

    runtime: WorkloadRuntime


class Replacement(AnswerModel):
    """A replacement, a settings change, or a promote in the history."""

    id: str
    name: str
    workload_id: str
    user_id: str
    tenant_id: Uuid
    reason: ReplacementReason = "replace"
    status: ReplacementStatus = "unknown"
    strategy: ReplacementStrategy = "rolling"
    config: ReplacementConfig = Field(default_factory=ReplacementConfig)
    runtime: RuntimeAsAnswered = Field(default_factory=dict)
    candidate_artifact_id: str
    artifact_id: str | None = None
    candidate_proton_ids: list[str] = Field(default_factory=list)
    previous_proton_ids: list[str] | None = Field(default_factory=list)
    message: str | None = Field(default=None, description="Why it errored.")
    created_at: UtcDatetime
    updated_at: UtcDatetime
    switched_at: UtcDatetime | None = None
    deployed_at: UtcDatetime | None = None
    retired_at: UtcDatetime | None = None
    deleted_at: UtcDatetime | None = None
    is_deleted: bool = False


class ReplacementHistoryListResponse(Page[Replacement]):
    """A page of a workload's history."""
