"""What a runtime may ask for: names that the artifact has (§4), replicas within the limit (§11)."""

from __future__ import annotations

from typing import Any

from workload_api.domain.errors import FieldError, Forbidden
from workload_api.domain.scaling import replica_bounds


def refuse_unknown_names(runtime: dict[str, Any], spec: dict[str, Any]) -> None:
    """Let through a runtime whose groups and containers are all in the artifact (§4).

    Raises:
        FieldError: The first name that is not.
    """
    known = {
        group.get("name", "default"): {container.get("name") for container in group.get("containers", ())}
        for group in spec.get("containerGroups", ())
    }
    for number, group in enumerate(runtime.get("containerGroups") or ()):
        where = ("body", "runtime", "containerGroups", number)
        name = group.get("name", "default")
        if name not in known:
            names = ", ".join(sorted(known))
            raise FieldError(f"The artifact has no container group {name!r}; it has: {names}.", (*where, "name"), name)
        for place, container in enumerate(group.get("containers") or ()):
            if container["name"] not in known[name]:
                raise FieldError(
                    f"The container group {name!r} of the artifact has no container {container['name']!r}.",
                    (*where, "containers", place, "name"),
                    container["name"],
                )


def refuse_too_many_replicas(runtime: dict[str, Any], limit: int) -> None:
    """Let through a runtime that asks, scaled up as far as it may be, for no more replicas than are allowed.

    Args:
        runtime: As it was sent.
        limit: The most replicas of one workload.

    Raises:
        Forbidden: It asks for more.
    """
    count = sum(replica_bounds(group)[1] for group in runtime.get("containerGroups") or ())
    if 0 < limit < count:
        raise Forbidden(
            f"Requested replicas ({count}) exceeds the maximum allowed ({limit}).", code="REPLICA_LIMIT_EXCEEDED"
        )
