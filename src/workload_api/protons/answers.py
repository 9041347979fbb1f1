"""How protons and their replicas are shown (§7)."""

from __future__ import annotations

from typing import Any

from workload_api.db.models import ProtonRow, UserRow
from workload_api.domain.transitions import shown
from workload_api.identity.answers import user_data
from workload_api.protons.runtime_schemas import runtime_as_answered
from workload_api.protons.schemas import (
    ContainerStatusDetail,
    ProtonFormatted,
    ProtonStatusDetailsPublic,
    ReplicaConditionDetail,
    ReplicaDetail,
    ReplicaStatusesSnapshot,
    WorkloadMonitorOverallStatus,
)

_SUMMARY = {
    "submitted": "Waiting for a controller.",
    "provisioning": "Replicas are being started.",
    "launching": "Replicas have started and are not ready yet.",
    "running": "All replicas are ready.",
    "stopping": "Replicas are being stopped.",
    "stopped": "Stopped.",
    "terminated": "Gone.",
    "errored": "Replicas do not come up.",
    "unknown": "The runtime cannot be reached.",
}


def status_details(proton: ProtonRow) -> ProtonStatusDetailsPublic:
    """The last lines of output while the proton is not healthy, and what its replicas' conditions are."""
    conditions = [
        {**condition, "value": condition["met"], "replica": replica["name"]}
        for replica in proton.replicas or ()
        for condition in replica["conditions"]
    ]
    tail = list(proton.log_tail or ()) if shown(proton.status) not in ("running", "stopped", "terminated") else []
    return ProtonStatusDetailsPublic(log_tail=tail, conditions=conditions)


def proton_answer(proton: ProtonRow, creator: UserRow, base_url: str) -> ProtonFormatted:
    """A proton as the API shows it."""
    return ProtonFormatted(
        id=proton.id,
        name=proton.name,
        workload_id=proton.workload_id,
        artifact_id=proton.artifact_id,
        created_at=proton.created_at,
        updated_at=proton.updated_at,
        creator=user_data(creator),
        endpoint=f"{base_url}/api/v2/endpoints/workloads/{proton.workload_id}/protons/{proton.id}/",
        role=proton.role,
        running_since=proton.running_since,
        runtime=runtime_as_answered(proton.runtime),
        status=proton.status,
        status_details=status_details(proton),
    )


def snapshot_answer(proton: ProtonRow) -> ReplicaStatusesSnapshot:
    """The last observation of a proton's replicas."""
    assert proton.observed_at is not None
    return ReplicaStatusesSnapshot(
        overall_status=WorkloadMonitorOverallStatus(
            state=proton.status,
            summary=proton.message or _SUMMARY.get(shown(proton.status), proton.status),
            last_updated=proton.observed_at.isoformat().replace("+00:00", "Z"),
        ),
        replicas=[_replica(replica) for replica in proton.replicas or ()],
    )


def _replica(replica: dict[str, Any]) -> ReplicaDetail:
    return ReplicaDetail(
        name=replica["name"],
        status=replica["phase"],
        address=replica["address"],
        node_address=replica["nodeAddress"],
        started_at=replica["startedAt"],
        conditions=[
            ReplicaConditionDetail(type=c["type"], met=c["met"], value=c["met"], since=c["since"])
            for c in replica["conditions"]
        ],
        containers=[
            ContainerStatusDetail(
                name=c["name"],
                status=c["status"],
                started_at=c["startedAt"],
                ready=c["ready"],
                restart_count=c["restarts"],
                image=c["image"],
                reason=c["reason"],
                message=c["message"],
                exit_code=c["exitCode"],
            )
            for c in replica["containers"]
        ],
    )
