"""How workloads are shown (§4, §12)."""

from __future__ import annotations

from workload_api.identity.answers import user_data
from workload_api.identity.rights import permissions_of
from workload_api.protons.answers import status_details
from workload_api.protons.runtime_schemas import runtime_as_answered
from workload_api.replacements.answers import replacement_answer
from workload_api.statistics.queries import RequestSummary
from workload_api.workloads.promote import PromotePlan
from workload_api.workloads.queries import WorkloadView
from workload_api.workloads.schemas import (
    ArtifactInfoFormatted,
    Obstacle,
    PromoteChanges,
    PromotePlanAnswer,
    RequestStats,
    WorkloadFormatted,
    WorkloadsConcurrentRequestsStats,
    WorkloadsCountStats,
    WorkloadsErrorRateStats,
    WorkloadsRequestsStats,
    WorkloadsResponseTimeStats,
    WorkloadStatsResponse,
)
from workload_api.workloads.totals import Totals, trend


def workload_answer(view: WorkloadView, base_url: str) -> WorkloadFormatted:
    """A workload as the API shows it.

    Args:
        view: What was read of it.
        base_url: By what address clients reach this server.
    """
    workload, artifact = view.workload, view.artifact
    return WorkloadFormatted(
        id=workload.id,
        name=workload.name,
        description=workload.description,
        importance=workload.importance,
        type=workload.type,
        status=workload.status,
        artifact_id=artifact.id,
        artifact=ArtifactInfoFormatted(
            id=artifact.id,
            name=artifact.name,
            type=artifact.type,
            status=artifact.status,
            version=artifact.version,
            artifact_repository_id=artifact.repository_id,
        ),
        proton_id=workload.proton_id,
        endpoint=f"{base_url}/api/v2/endpoints/workloads/{workload.id}/",
        runtime=runtime_as_answered(workload.runtime),
        replacement=replacement_answer(view.replacement, view.tenant_id) if view.replacement else None,
        creator=user_data(view.creator),
        owners=[user_data(owner) for owner in view.owners],
        permissions=permissions_of(view.roles),
        tags=list(view.tags),
        created_at=workload.created_at,
        updated_at=workload.updated_at,
        expires_at=workload.expires_at,
        last_response=workload.last_response_at,
        request_stats=_request_stats(view.requests) if view.requests is not None else None,
        status_details=status_details(view.proton),
    )


def plan_answer(workload_id: str, plan: PromotePlan) -> PromotePlanAnswer:
    """What a promote would do, as the API shows it."""
    possible = not plan.obstacles
    return PromotePlanAnswer(
        possible=possible,
        workload_id=workload_id,
        proton_id=plan.proton_id,
        current_expires_at=plan.expires_at,
        changes=PromoteChanges(artifact_id=plan.artifact_id, version=plan.version) if possible else None,
        obstacles=[Obstacle(code=each.code, message=each.message) for each in plan.obstacles],
    )


def totals_answer(found: Totals) -> WorkloadStatsResponse:
    """Figures over several workloads as the API shows them."""
    now, before = found.now, found.before
    return WorkloadStatsResponse(
        workloads=WorkloadsCountStats(total=found.total, active=found.active),
        requests=WorkloadsRequestsStats(
            total=now.requests,
            succeeded=now.requests - now.errors,
            failed=now.errors,
            trend=trend(now.requests, before.requests),
        ),
        concurrent_requests=WorkloadsConcurrentRequestsStats(count=found.under_way),
        error_rate=WorkloadsErrorRateStats(rate=now.error_rate, trend=trend(now.error_rate, before.error_rate)),
        response_time=WorkloadsResponseTimeStats(
            millis=round(now.response_time), trend=trend(now.response_time, before.response_time)
        ),
        total=found.total,
        by_status=found.by_status,
        by_importance=found.by_importance,
    )


def _request_stats(requests: RequestSummary) -> RequestStats:
    return RequestStats(
        total_requests=requests.total_requests,
        response_time=requests.response_time,
        error_rate=requests.error_rate,
        last_request_at=requests.last_request_at,
    )
