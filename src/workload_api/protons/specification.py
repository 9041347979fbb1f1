"""From a proton's stored spec and runtime to what a runtime is asked to run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workload_api.domain.scaling import initial_replicas
from workload_api.runtimes.protocol import ContainerSpec, GroupSpec, HttpProbe, ProtonSpec


class UnresolvedVariable(ValueError):
    """An environment variable's value cannot be had; the message says which and what to do."""


def proton_spec(
    proton_id: str,
    workload_id: str,
    generation: int,
    spec: Mapping[str, Any],
    runtime: Mapping[str, Any],
    grace_seconds: float,
) -> ProtonSpec:
    """Put together what a runtime needs to run a proton.

    Args:
        proton_id: Which proton.
        workload_id: Whose.
        generation: The proton's generation.
        spec: The artifact's spec, as the proton was started with it.
        runtime: The workload's runtime; groups and containers that it does not name take the defaults.
        grace_seconds: Time between SIGTERM and SIGKILL.

    Raises:
        UnresolvedVariable: An environment variable refers to something that is not there.
    """
    overrides = {group.get("name", "default"): group for group in runtime.get("containerGroups", ())}
    groups = tuple(
        _group(group, overrides.get(group.get("name", "default"), {})) for group in spec.get("containerGroups", ())
    )
    return ProtonSpec(proton_id, workload_id, generation, groups, grace_seconds)


def _group(group: Mapping[str, Any], override: Mapping[str, Any]) -> GroupSpec:
    containers = group.get("containers", ())
    allocations = {
        container["name"]: container.get("resourceAllocation") or {} for container in override.get("containers") or ()
    }
    return GroupSpec(
        name=group.get("name", "default"),
        replica_count=initial_replicas(override),
        containers=tuple(
            _container(container, number, len(containers) == 1, allocations)
            for number, container in enumerate(containers)
        ),
    )


def _container(
    container: Mapping[str, Any], number: int, alone: bool, allocations: Mapping[str, Mapping[str, Any]]
) -> ContainerSpec:
    name = container.get("name") or f"container-{number}"
    allocation = allocations.get(name, {})
    entrypoint = container.get("entrypoint")
    return ContainerSpec(
        name=name,
        image=container.get("imageUri"),
        entrypoint=tuple(entrypoint) if entrypoint else None,
        port=container.get("port"),
        primary=bool(container.get("primary")) or alone,
        environment=dict(_variable(variable) for variable in container.get("environmentVars") or ()),
        readiness_probe=_probe(container.get("readinessProbe")),
        liveness_probe=_probe(container.get("livenessProbe")),
        startup_probe=_probe(container.get("startupProbe")),
        cpu=allocation.get("cpu"),
        memory_bytes=allocation.get("memory"),
    )


def _variable(variable: Mapping[str, Any]) -> tuple[str, str]:
    if variable.get("source", "string") != "string":
        raise UnresolvedVariable(
            f"the environment variable {variable.get('name') or 'DATAROBOT_API_TOKEN'} has the source "
            f"{variable['source']!r}, which this server cannot fill in yet; give its value as a string"
        )
    return variable["name"], variable["value"]


def _probe(probe: Mapping[str, Any] | None) -> HttpProbe | None:
    if not probe:
        return None
    return HttpProbe(
        path=probe["path"],
        port=probe.get("port", 8080),
        scheme=probe.get("scheme", "HTTP"),
        host=probe.get("host"),
        headers=dict(probe.get("httpHeaders") or {}),
        initial_delay_seconds=probe.get("initialDelaySeconds", 30),
        period_seconds=probe.get("periodSeconds", 30),
        timeout_seconds=probe.get("timeoutSeconds", 30),
        failure_threshold=probe.get("failureThreshold", 3),
        success_threshold=probe.get("successThreshold", 1),
    )
