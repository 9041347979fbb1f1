"""Protons and their replicas as answers bear them (§7)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from workload_api.domain.words import ProtonRole, ProtonStatus
from workload_api.http.models import AnswerModel, Page, UtcDatetime
from workload_api.identity.schemas import UserData
from workload_api.protons.runtime_schemas import RuntimeAsAnswered

ContainerStatus = Literal["running", "waiting", "terminated", "unknown"]
ReplicaPhase = Literal["pending", "running", "succeeded", "failed", "unknown"]


class ReplicaConditionDetail(AnswerModel):
    """One of `PodScheduled`, `Initialized`, `ContainersReady`, `Ready`."""

    type: str
    met: bool | None
    value: bool | None = Field(default=None, description="The same as `met`.")
    since: str


class ProtonCondition(ReplicaConditionDetail):
    """A condition of one replica."""

    replica: str = Field(description="The replica's name.")


class ProtonStatusDetailsPublic(AnswerModel):
    """Why a proton is as it is."""

    log_tail: list[str] | None = Field(
        default_factory=list, description="The last lines of output while it is not healthy."
    )
    conditions: list[ProtonCondition] = Field(default_factory=list)


class ProtonFormatted(AnswerModel):
    """A proton: one running backing of a workload."""

    id: str
    name: str
    workload_id: str | None = None
    artifact_id: str
    role: ProtonRole | None = None
    status: ProtonStatus
    status_details: ProtonStatusDetailsPublic = Field(default_factory=ProtonStatusDetailsPublic)
    runtime: RuntimeAsAnswered = Field(default_factory=dict)
    endpoint: str | None = None
    running_since: UtcDatetime | None = None
    created_at: UtcDatetime
    updated_at: UtcDatetime
    creator: UserData | None = None


class ProtonListResponse(Page[ProtonFormatted]):
    """A page of protons."""


class ContainerStatusDetail(AnswerModel):
    """A container of a replica as it was last seen."""

    name: str
    status: ContainerStatus
    started_at: str | None
    ready: bool
    restart_count: int
    image: str
    reason: str | None = Field(default=None, description="One word, as `CrashLoopBackOff` or `OOMKilled`.")
    message: str | None = None
    exit_code: int | None = None


class ReplicaDetail(AnswerModel):
    """A replica as it was last seen."""

    name: str
    status: ReplicaPhase
    address: str
    node_address: str
    started_at: str | None
    conditions: list[ReplicaConditionDetail]
    containers: list[ContainerStatusDetail]


class WorkloadMonitorOverallStatus(AnswerModel):
    """The status over all replicas."""

    state: ProtonStatus
    summary: str
    last_updated: str


class ReplicaStatusesSnapshot(AnswerModel):
    """All replicas of a proton as they were last seen."""

    overall_status: WorkloadMonitorOverallStatus
    replicas: list[ReplicaDetail]
