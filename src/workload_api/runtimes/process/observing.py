"""Making observations of what is on disk; the same for replicas started here, adopted, and driven elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from workload_api.runtimes.protocol import (
    Condition,
    ContainerObservation,
    ProtonObservation,
    ReplicaObservation,
    ReplicaPhase,
)

from .files import ContainerFiles, Record, ReplicaFiles, read_container, read_record, replicas_of

NODE_ADDRESS = "127.0.0.1"


def observe_proton(proton: Path, proton_id: str) -> ProtonObservation:
    """See how a proton is now."""
    fault = read_record(proton / "fault.json")
    replicas = sorted(replicas_of(proton), key=lambda replica: (replica.group, replica.index, replica.generation))
    return ProtonObservation(
        proton_id=proton_id,
        replicas=tuple(observe_replica(replica) for replica in replicas),
        fault=None if fault is None else str(fault["fault"]),
    )


def commands_of(observation: ProtonObservation) -> list[int]:
    """The processes of a proton's running containers."""
    containers = (container for replica in observation.replicas for container in replica.containers)
    return [container.pid for container in containers if container.pid is not None]


def observe_replica(replica: ReplicaFiles) -> ReplicaObservation:
    """See how a replica is now. One that is being stopped is not ready, whatever it still answers."""
    metas: list[Record] = replica.meta["containers"]
    created = _time(replica.meta["created_at"])
    seen: list[ContainerObservation] = []
    changes: list[tuple[bool, datetime]] = []
    address = ""
    started: list[bool] = []
    for meta in metas:
        files = read_container(replica.container(meta["name"]))
        ready = is_ready(files, meta) and replica.stopping is None
        seen.append(_observe_container(files, meta, ready))
        changes.append((ready, _changed_at(files, meta, ready, created)))
        started.append(files.started_ever)
        if meta["primary"] and files.running and files.state is not None:
            port = (files.probe or {}).get("port") or files.state["port"]
            address = f"{NODE_ADDRESS}:{port}"
    all_ready = bool(seen) and all(ready for ready, _ in changes)
    if all_ready:
        since = max(at for _, at in changes)
    else:
        since = min((at for ready, at in changes if not ready), default=created)
    phase: ReplicaPhase = "running" if any(started) else "pending"
    return ReplicaObservation(
        name=replica.name,
        group=replica.group,
        index=replica.index,
        generation=replica.generation,
        phase=phase,
        ready=all_ready,
        address=address,
        node_address=NODE_ADDRESS,
        started_at=created if phase == "running" else None,
        containers=tuple(seen),
        conditions=(
            Condition("PodScheduled", True, created),
            Condition("Initialized", True, created),
            Condition("ContainersReady", all_ready, since),
            Condition("Ready", all_ready, since),
        ),
    )


def is_ready(files: ContainerFiles, meta: Record) -> bool:
    """Tell whether a container is ready: it runs, is not being stopped, and its prober (if it has one) says so."""
    if not files.running or files.stop is not None:
        return False
    return not meta["probed"] or bool(files.probe and files.probe["ready"])


def _observe_container(files: ContainerFiles, meta: Record, ready: bool) -> ContainerObservation:
    name, image, restarts = str(meta["name"]), str(meta["image"] or ""), files.restarts
    if files.running:
        assert files.state is not None
        probe = files.probe or {}
        return ContainerObservation(
            name=name,
            image=image,
            state="running",
            ready=ready,
            restarts=restarts,
            started_at=_time(files.state["started_at"]),
            reason="Unhealthy" if probe.get("message") else None,
            message=probe.get("message"),
            pid=int(files.state["child_pid"]),
        )
    if files.launch is None or (files.held and files.exit is None):
        return ContainerObservation(
            name=name, image=image, state="waiting", ready=False, restarts=restarts, reason="ContainerCreating"
        )
    code, reason, message = how_it_ended(files)
    if files.restart is not None:
        delay = float(files.restart["delay_seconds"])
        return ContainerObservation(
            name=name,
            image=image,
            state="waiting",
            ready=False,
            restarts=restarts,
            reason="CrashLoopBackOff",
            message=f"is started again after a back-off of {delay:g} s; it ended before: {reason}: {message}",
            exit_code=code,
        )
    return ContainerObservation(
        name=name,
        image=image,
        state="terminated",
        ready=False,
        restarts=restarts,
        started_at=None if files.state is None else _time(files.state["started_at"]),
        reason=reason,
        message=message,
        exit_code=code,
    )


def how_it_ended(files: ContainerFiles) -> tuple[int | None, str, str]:
    """Exit code, reason and a sentence about the end of a container that does not run."""
    if files.exit is None:
        return None, "Error", "its supervisor was killed"
    return files.exit["exit_code"], str(files.exit["reason"]), str(files.exit["message"])


def _changed_at(files: ContainerFiles, meta: Record, ready: bool, created: datetime) -> datetime:
    """Since when a container is ready, or not ready."""
    if files.running and files.stop is not None:
        return _time(files.stop["asked_at"])
    if files.running and files.state is not None:
        probed = files.probe is not None and meta["probed"] and bool(files.probe["ready"]) == ready
        return _time(files.probe["since"] if probed and files.probe is not None else files.state["started_at"])
    if files.exit is not None:
        return _time(files.exit["ended_at"])
    return created if files.launch is None else _time(files.launch["launched_at"])


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)
