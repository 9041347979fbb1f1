"""The rules that the parts of a spec keep among each other (§3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from workload_api.artifacts.container_schemas import (
    API_KEY_VARIABLE,
    ApiKeyEnvironmentVariable,
    Container,
    ContainerGroup,
)
from workload_api.domain.errors import FieldError
from workload_api.domain.words import ArtifactType
from workload_api.http.models import problem

_Place = tuple[str | int, ...]

_PARTS_OF_TYPE: Final[dict[str, ArtifactType]] = {
    "storage": "nim",
    "templateId": "agent",
    "a2aEnabled": "agent",
}


def refuse_parts_of_other_types(artifact_type: str, spec: Mapping[str, Any]) -> None:
    """Let through a spec, as it was sent, that has no parts of another type of artifact.

    For a change of an artifact: its request does not say what type the artifact has.

    Raises:
        FieldError: The first part that is not for this type.
    """
    for part, only_for in _PARTS_OF_TYPE.items():
        if part in spec and only_for != artifact_type:
            raise FieldError(
                f"Only artifacts of type {only_for} have {part}; this one is of type {artifact_type}.",
                ("body", "spec", part),
                spec[part],
            )


def check_groups(groups: Sequence[ContainerGroup]) -> None:
    """Let through container groups that can run.

    Raises:
        pydantic.ValidationError: The first rule that is broken, with its place.
    """
    if not groups:
        raise problem("An artifact needs at least one container group; there is nothing to run.", ("containerGroups",))
    names: set[str] = set()
    for number, group in enumerate(groups):
        place: _Place = ("containerGroups", number)
        if group.name in names:
            raise problem(f"Two container groups have the name {group.name!r}.", (*place, "name"), group.name)
        names.add(group.name)
        _check_containers(group, (*place, "containers"))


def _check_containers(group: ContainerGroup, place: _Place) -> None:
    containers = group.containers
    if not containers:
        raise problem(f"The container group {group.name!r} needs at least one container.", place)
    names: set[str] = set()
    for number, container in enumerate(containers):
        # What has no name is called by its position.
        name = container.name or f"container-{number}"
        if name in names:
            raise problem(
                f"Two containers of the group {group.name!r} have the name {name!r} (one without a name is called "
                "container- and its position).",
                (*place, number, "name"),
                container.name,
            )
        names.add(name)
        if not container.image_uri and container.image_build_config is None:
            raise problem(f"The container {name!r} needs imageUri or imageBuildConfig.", (*place, number, "imageUri"))
        _check_variables(container, name, (*place, number, "environmentVars"))
    _check_primary(group, place)


def _check_primary(group: ContainerGroup, place: _Place) -> None:
    containers = group.containers
    primary = [number for number, container in enumerate(containers) if container.primary]
    if not primary and len(containers) == 1:
        primary = [0]
    if len(primary) != 1:
        raise problem(
            f"The container group {group.name!r} must have one container with primary: true; it has {len(primary)}.",
            place,
        )
    for number, container in enumerate(containers):
        if number == primary[0] and container.port is None:
            raise problem("The primary container needs a port (1024 to 65535).", (*place, number, "port"))
        if number != primary[0] and container.port is not None:
            raise problem(
                "Only the primary container has a port; leave this one out.", (*place, number, "port"), container.port
            )


def _check_variables(container: Container, container_name: str, place: _Place) -> None:
    names: set[str] = set()
    for number, variable in enumerate(container.environment_vars):
        name = variable.name
        if name is None:
            assert isinstance(variable, ApiKeyEnvironmentVariable)
            name = API_KEY_VARIABLE
        if name in names:
            raise problem(
                f"The container {container_name!r} has the environment variable {name!r} twice.",
                (*place, number, "name"),
                variable.name,
            )
        names.add(name)
