"""From a proton's stored spec and runtime to what a runtime is asked to run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from workload_api.artifacts.container_schemas import API_KEY_VARIABLE
from workload_api.domain.entrypoint import references
from workload_api.domain.scaling import initial_replicas
from workload_api.runtimes.protocol import ContainerSpec, GroupSpec, HttpProbe, ProtonSpec

_MOST_SHOWN: Final = 100


class UnresolvedVariable(ValueError):
    """An environment variable's value cannot be had; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the variables of one proton refer to. It is kept in memory only, and shows nothing of it when printed."""

    credentials: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    """Values by their keys, by the credential's id."""
    api_token: str | None = field(default=None, repr=False)
    faults: Mapping[str | None, str] = field(default_factory=dict)
    """Why one cannot be had though it is there, by the credential's id (``None``: the API token)."""


NO_SECRETS: Final = Secrets()


def proton_spec(
    proton_id: str,
    workload_id: str,
    generation: int,
    spec: Mapping[str, Any],
    runtime: Mapping[str, Any],
    grace_seconds: float,
    secrets: Secrets = NO_SECRETS,
) -> ProtonSpec:
    """Put together what a runtime needs to run a proton.

    Args:
        proton_id: Which proton.
        workload_id: Whose.
        generation: The proton's generation.
        spec: The artifact's spec, as the proton was started with it.
        runtime: The workload's runtime; groups and containers that it does not name take the defaults.
        grace_seconds: Time between SIGTERM and SIGKILL.
        secrets: What its variables refer to.

    Raises:
        UnresolvedVariable: An environment variable refers to something that is not there, or the entrypoint to a
            variable that holds a secret.
    """
    overrides = {group.get("name", "default"): group for group in runtime.get("containerGroups", ())}
    groups = tuple(
        _group(group, overrides.get(group.get("name", "default"), {}), secrets)
        for group in spec.get("containerGroups", ())
    )
    return ProtonSpec(proton_id, workload_id, generation, groups, grace_seconds)


def variables(spec: Mapping[str, Any], source: str) -> Iterator[Mapping[str, Any]]:
    """The environment variables of a spec that are of a source, over all its containers."""
    for group in spec.get("containerGroups", ()):
        for container in group.get("containers", ()):
            for variable in container.get("environmentVars") or ():
                if variable.get("source", "string") == source:
                    yield variable


def _group(group: Mapping[str, Any], override: Mapping[str, Any], secrets: Secrets) -> GroupSpec:
    containers = group.get("containers", ())
    allocations = {
        container["name"]: container.get("resourceAllocation") or {} for container in override.get("containers") or ()
    }
    return GroupSpec(
        name=group.get("name", "default"),
        replica_count=initial_replicas(override),
        containers=tuple(
            _container(container, number, len(containers) == 1, allocations, override.get("resolvedBundle"), secrets)
            for number, container in enumerate(containers)
        ),
    )


def _container(
    container: Mapping[str, Any],
    number: int,
    alone: bool,
    allocations: Mapping[str, Mapping[str, Any]],
    bundle: Mapping[str, Any] | None,
    secrets: Secrets,
) -> ContainerSpec:
    name = container.get("name") or f"container-{number}"
    primary = bool(container.get("primary")) or alone
    allocation = allocations.get(name, {})
    if not allocation and bundle is not None and primary:
        allocation = {"cpu": bundle["cpuCount"], "memory": bundle["memoryBytes"]}
    entrypoint = container.get("entrypoint")
    _refuse_secret_arguments(container, name)
    return ContainerSpec(
        name=name,
        image=container.get("imageUri"),
        entrypoint=tuple(entrypoint) if entrypoint else None,
        port=container.get("port"),
        primary=primary,
        environment=dict(_variable(variable, secrets) for variable in container.get("environmentVars") or ()),
        readiness_probe=_probe(container.get("readinessProbe")),
        liveness_probe=_probe(container.get("livenessProbe")),
        startup_probe=_probe(container.get("startupProbe")),
        cpu=allocation.get("cpu"),
        memory_bytes=allocation.get("memory"),
    )


def _variable(variable: Mapping[str, Any], secrets: Secrets) -> tuple[str, str]:
    name = _name(variable)
    match variable.get("source", "string"):
        case "string":
            return name, variable["value"]
        case "api-key":
            if secrets.api_token is None:
                why = secrets.faults.get(None, "no API token could be made for the workload.")
                raise UnresolvedVariable(f"The environment variable {_cut(name)} cannot be filled in: {why}")
            return name, secrets.api_token
    credential_id, key = variable["drCredentialId"], variable["key"]
    what = f"The environment variable {_cut(name)} needs {_cut(key)} of the credential {_cut(credential_id)}"
    if credential_id in secrets.faults:
        raise UnresolvedVariable(f"{what}, which cannot be read: {secrets.faults[credential_id]}")
    values = secrets.credentials.get(credential_id)
    if values is None:
        raise UnresolvedVariable(
            f"{what}, and the workload's creator has no credential with that id: create one, put its id into the "
            "artifact, and start the workload again."
        )
    if key not in values:
        raise UnresolvedVariable(
            f"{what}, which has no such key; it has: {', '.join(values)}. Change the key in the artifact, or add the "
            "value to the credential, and start the workload again."
        )
    return name, values[key]


def _refuse_secret_arguments(container: Mapping[str, Any], container_name: str) -> None:
    """Let no secret onto a command line: every user of the machine can read that."""
    secret = {
        _name(variable)
        for variable in container.get("environmentVars") or ()
        if variable.get("source", "string") != "string"
    }
    for argument in container.get("entrypoint") or ():
        for name in sorted(references(argument) & secret):
            raise UnresolvedVariable(
                f"The entrypoint of the container {_cut(container_name)} refers to $({_cut(name)}), which holds a "
                "secret, and every user of the machine can read command lines: leave it out there and let the program "
                f"read the environment variable {_cut(name)} itself."
            )


def _name(variable: Mapping[str, Any]) -> str:
    name: str = variable.get("name") or API_KEY_VARIABLE
    return name


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


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
