"""Observations of replicas as they are stored: plain JSON, read back whole."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from workload_api.domain.planner import ReplicaState
from workload_api.runtimes.protocol import ProtonObservation, ReplicaObservation


def stored(observation: ProtonObservation) -> list[dict[str, Any]]:
    """The replicas of an observation as JSON."""
    return [_replica(replica) for replica in observation.replicas]


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def _replica(replica: ReplicaObservation) -> dict[str, Any]:
    return {
        "name": replica.name,
        "group": replica.group,
        "index": replica.index,
        "phase": replica.phase,
        "ready": replica.ready,
        "address": replica.address,
        "nodeAddress": replica.node_address,
        "startedAt": _time(replica.started_at),
        "conditions": [{"type": c.type, "met": c.met, "since": _time(c.since)} for c in replica.conditions],
        "containers": [
            {
                "name": c.name,
                "status": c.state,
                "ready": c.ready,
                "image": c.image,
                "restarts": c.restarts,
                "startedAt": _time(c.started_at),
                "reason": c.reason,
                "message": c.message,
                "exitCode": c.exit_code,
                "pid": c.pid,
            }
            for c in replica.containers
        ],
    }


def replica_state(replica: ReplicaObservation) -> ReplicaState:
    """What the planner needs to know of a replica."""
    return ReplicaState(
        started=replica.phase == "running",
        ready=replica.ready,
        backing_off=any(c.state == "waiting" and c.reason == "CrashLoopBackOff" for c in replica.containers),
        restarts=max((c.restarts for c in replica.containers), default=0),
    )


def ready_addresses(replicas: list[dict[str, Any]] | None, first_group: str | None) -> list[str]:
    """Where the ready replicas of the group that the endpoint reaches listen, as ``host:port``."""
    return [
        replica["address"]
        for replica in replicas or ()
        if replica["ready"] and replica["address"] and first_group in (None, replica["group"])
    ]


def restarts_of(replicas: list[dict[str, Any]] | None) -> dict[tuple[str, str], int]:
    """How often each container was restarted, by replica and container name."""
    return {
        (replica["name"], container["name"]): container["restarts"]
        for replica in replicas or ()
        for container in replica["containers"]
    }
