"""Workloads as requests and answers bear them (§4)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from workload_api.artifacts.schemas import InputArtifact
from workload_api.domain.words import ArtifactStatus as ArtifactStatus
from workload_api.domain.words import ArtifactType, ProtonStatus
from workload_api.domain.words import Importance as WorkloadImportance
from workload_api.http.models import AbsentOr, AnswerModel, Name, Page, RequestModel, UtcDatetime, absent, problem
from workload_api.identity.schemas import ResourcePermissions, Tags, UserData
from workload_api.protons.runtime_schemas import RuntimeAsAnswered, WorkloadRuntime
from workload_api.protons.schemas import ProtonStatusDetailsPublic
from workload_api.replacements.schemas import Replacement

__all__ = [
    "ArtifactInfoFormatted",
    "ArtifactStatus",
    "CreateWorkloadRequest",
    "PromotePlanAnswer",
    "ProtonStatusFilter",
    "RelatedEntitiesResponse",
    "RelatedItem",
    "RelatedItemID",
    "RequestStats",
    "ResourceTypes",
    "UpdateWorkloadRequest",
    "WorkloadFormatted",
    "WorkloadImportance",
    "WorkloadListResponse",
    "WorkloadOperationResponse",
    "WorkloadSettingsResponse",
    "WorkloadSortQueryParam",
    "WorkloadStatsResponse",
    "WorkloadsConcurrentRequestsStats",
    "WorkloadsCountStats",
    "WorkloadsErrorRateStats",
    "WorkloadsRequestsStats",
    "WorkloadsResponseTimeStats",
]

WorkloadSortQueryParam = Literal[
    "name",
    "-name",
    "createdAt",
    "-createdAt",
    "updatedAt",
    "-updatedAt",
    "status",
    "-status",
    "importance",
    "-importance",
]
ProtonStatusFilter = Literal[ProtonStatus, "suspended", "interrupted"]
"""What the status filter takes; the last two match nothing (§12)."""
ResourceTypes = Literal["artifact", "artifact_repository", "proton", "workload", "custom_model"]


class CreateWorkloadRequest(RequestModel):
    """A new workload, on an artifact that is there or on one that is made with it."""

    name: Name
    description: str | None = None
    importance: WorkloadImportance = "low"
    artifact: InputArtifact | None = Field(default=None, description="This or `artifactId`, not both.")
    artifact_id: str | None = Field(default=None, description="This or `artifact`, not both.")
    runtime: AbsentOr[WorkloadRuntime] = Field(default_factory=absent)

    @model_validator(mode="after")
    def _has_one_artifact(self) -> Self:
        if (self.artifact is None) == (self.artifact_id is None):
            raise problem(
                "Give exactly one of artifact (a new one) and artifactId (one that is there).",
                ("artifactId",),
                self.artifact_id,
            )
        return self


class UpdateWorkloadRequest(RequestModel):
    """A change of a workload: what is given is changed."""

    name: Name | None = None
    description: str | None = None
    importance: WorkloadImportance | None = None


class ArtifactInfoFormatted(AnswerModel):
    """The artifact of a workload, in short."""

    id: str
    name: str | None = None
    type: ArtifactType | None = None
    status: ArtifactStatus | None = None
    version: int | None = None
    artifact_repository_id: str | None = None


class RequestStats(AnswerModel):
    """A workload's requests of late; times in milliseconds."""

    total_requests: int = 0
    concurrent_requests: int = 0
    response_time: int = 0
    error_rate: float = 0.0
    request_rates: list[int] = Field(default_factory=list)
    error_rates: list[int] = Field(default_factory=list)
    last_request_at: UtcDatetime | None = None


class WorkloadFormatted(AnswerModel):
    """A workload."""

    id: str
    name: str
    description: str | None = ""
    importance: WorkloadImportance = "low"
    type: ArtifactType = "service"
    status: ProtonStatus = "unknown"
    status_details: ProtonStatusDetailsPublic = Field(default_factory=ProtonStatusDetailsPublic)
    endpoint: str | None = None
    artifact_id: str | None = None
    artifact: ArtifactInfoFormatted | None = None
    proton_id: str | None = Field(default=None, description="The active proton.")
    runtime: RuntimeAsAnswered = Field(default_factory=dict)
    replacement: Replacement | None = None
    expires_at: UtcDatetime | None = Field(default=None, description="When a draft ends; null once locked.")
    created_at: UtcDatetime
    updated_at: UtcDatetime
    last_response: UtcDatetime | None = None
    request_stats: RequestStats | None = None
    creator: UserData | None = None
    owners: list[UserData] = Field(default_factory=list)
    permissions: ResourcePermissions = Field(default_factory=list, description="What the caller may do.")
    tags: Tags = Field(default_factory=list)


class WorkloadListResponse(Page[WorkloadFormatted]):
    """A page of workloads."""


class WorkloadSettingsResponse(AnswerModel):
    """How a workload runs."""

    runtime: RuntimeAsAnswered = Field(default_factory=dict)


class WorkloadOperationResponse(AnswerModel):
    """What was begun and where to watch it."""

    status: str
    workload_id: str
    track_via: str = Field(description="URL to poll.")


class Obstacle(AnswerModel):
    """What stands in the way of a promote."""

    code: str
    message: str


class PromoteChanges(AnswerModel):
    """What a promote would change."""

    artifact_id: str
    artifact_status: ArtifactStatus = "locked"
    version: int = Field(description="The version that the artifact would get, if nothing else is locked before.")
    expires_at: UtcDatetime | None = Field(default=None, description="It would have no end any more.")
    statistics_reset: bool = True


class PromotePlanAnswer(AnswerModel):
    """What a promote would do; nothing was changed."""

    dry_run: bool = True
    possible: bool
    workload_id: str
    proton_id: str = Field(description="It would go on running.")
    current_expires_at: UtcDatetime | None = Field(description="When the draft's time runs out as things stand.")
    changes: PromoteChanges | None = Field(description="Null where something stands in the way.")
    obstacles: list[Obstacle] = Field(default_factory=list)


class RelatedItemID(AnswerModel):
    """Something related, of which the caller may know no more than that it is there."""

    id: str
    type: ResourceTypes


class RelatedItem(AnswerModel):
    """Something related to a workload."""

    id: str
    name: str
    type: ResourceTypes
    created_at: UtcDatetime
    updated_at: UtcDatetime
    creator: UserData | None = None
    permissions: ResourcePermissions = Field(default_factory=list, description="What the caller may do.")


class RelatedEntitiesResponse(AnswerModel):
    """What belongs to a workload."""

    count: int = 0
    data: list[RelatedItem | RelatedItemID] = Field(default_factory=list)


class WorkloadsCountStats(AnswerModel):
    """How many workloads there are."""

    total: int = 0
    active: int = 0


class WorkloadsRequestsStats(AnswerModel):
    """Requests of all of them."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    trend: float = Field(default=0.0, description="Against the period before, as part of 1.")


class WorkloadsConcurrentRequestsStats(AnswerModel):
    """Requests under way."""

    count: int = 0
    trend: float = Field(default=0.0, description="Against the period before, as part of 1.")


class WorkloadsErrorRateStats(AnswerModel):
    """The part of requests that failed."""

    rate: float = 0.0
    trend: float = Field(default=0.0, description="Against the period before, as part of 1.")


class WorkloadsResponseTimeStats(AnswerModel):
    """How long requests took, in milliseconds."""

    millis: int = 0
    trend: float = Field(default=0.0, description="Against the period before, as part of 1.")


class WorkloadStatsResponse(AnswerModel):
    """Figures over several workloads."""

    workloads: WorkloadsCountStats = Field(default_factory=WorkloadsCountStats)
    requests: WorkloadsRequestsStats = Field(default_factory=WorkloadsRequestsStats)
    concurrent_requests: WorkloadsConcurrentRequestsStats = Field(default_factory=WorkloadsConcurrentRequestsStats)
    error_rate: WorkloadsErrorRateStats = Field(default_factory=WorkloadsErrorRateStats)
    response_time: WorkloadsResponseTimeStats = Field(default_factory=WorkloadsResponseTimeStats)
    total: int = 0
    by_status: dict[str, int] = Field(default_factory=dict)
    by_importance: dict[str, int] = Field(default_factory=dict)
