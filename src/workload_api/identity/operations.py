"""Which operation needs which right on what (§10).

The documentation shows it, and a test walks every operation with every role. What is not listed (creating an artifact
in a new repository, version, account, lists) needs a token alone; lists show what the caller may view.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workload_api.domain.words import ResourceType
from workload_api.identity.rights import Right


@dataclass(frozen=True, slots=True)
class Need:
    """A right on the resource of a kind that the request names."""

    resource_type: ResourceType
    right: Right


_VIEW_WORKLOAD = (Need("workload", "view"),)
_UPDATE_WORKLOAD = (Need("workload", "update"),)
_VIEW_ARTIFACT = (Need("artifact", "view"),)
_UPDATE_ARTIFACT = (Need("artifact", "update"),)

OPERATIONS: Final[dict[str, tuple[Need, ...]]] = {
    "POST /workloads": _VIEW_ARTIFACT,  # with `artifactId`
    "GET /workloads/{workload_id}": _VIEW_WORKLOAD,
    "PATCH /workloads/{workload_id}": _UPDATE_WORKLOAD,
    "DELETE /workloads/{workload_id}": (Need("workload", "delete"),),
    "POST /workloads/{workload_id}/promote": (Need("workload", "update"), Need("artifact", "update")),
    "POST /workloads/{workload_id}/start": _UPDATE_WORKLOAD,
    "POST /workloads/{workload_id}/stop": _UPDATE_WORKLOAD,
    "GET /workloads/{workload_id}/settings": _VIEW_WORKLOAD,
    "PATCH /workloads/{workload_id}/settings": _UPDATE_WORKLOAD,
    "GET /workloads/{workload_id}/replacement": _VIEW_WORKLOAD,
    "POST /workloads/{workload_id}/replacement": (Need("workload", "update"), Need("artifact", "view")),
    "DELETE /workloads/{workload_id}/replacement": _UPDATE_WORKLOAD,
    "GET /workloads/{workload_id}/related": _VIEW_WORKLOAD,
    "GET /workloads/{workload_id}/protons": _VIEW_WORKLOAD,
    "GET /workloads/{workload_id}/protons/{proton_id}": _VIEW_WORKLOAD,
    "GET /workloads/{workload_id}/protons/{proton_id}/statusDetails": _VIEW_WORKLOAD,
    "GET /workloads/{workload_id}/events": _VIEW_WORKLOAD,
    "GET /workloads/{workload_id}/history": _VIEW_WORKLOAD,
    "GET /workloads/{workload_id}/stats": _VIEW_WORKLOAD,
    "GET /workloads/{workload_id}/stats/{metric_name}": _VIEW_WORKLOAD,
    "DELETE /workloads/{workload_id}/stats": _UPDATE_WORKLOAD,
    "GET /workloads/{workload_id}/sharedRoles": _VIEW_WORKLOAD,
    "PATCH /workloads/{workload_id}/sharedRoles": (Need("workload", "share"),),
    "PUT /workloads/{workload_id}/tags": _UPDATE_WORKLOAD,
    "GET /otel/workload/{workload_id}/logs": _VIEW_WORKLOAD,
    "GET /otel/workload/{workload_id}/metrics/autocollectedValues": _VIEW_WORKLOAD,
    "GET /otel/workload/{workload_id}/traces": _VIEW_WORKLOAD,
    "GET /otel/workload/{workload_id}/traces/{trace_id}": _VIEW_WORKLOAD,
    "POST /artifacts": (Need("artifact_repository", "update"),),  # with `artifactRepositoryId`
    "GET /artifacts/{artifact_id}": _VIEW_ARTIFACT,
    "PATCH /artifacts/{artifact_id}": _UPDATE_ARTIFACT,
    "PUT /artifacts/{artifact_id}": _UPDATE_ARTIFACT,
    "DELETE /artifacts/{artifact_id}": (Need("artifact", "delete"),),
    "POST /artifacts/{artifact_id}/clone": (Need("artifact", "view"), Need("artifact_repository", "update")),
    "GET /artifacts/{artifact_id}/builds": _VIEW_ARTIFACT,
    "POST /artifacts/{artifact_id}/builds": _UPDATE_ARTIFACT,
    "GET /artifacts/{artifact_id}/builds/{build_id}": _VIEW_ARTIFACT,
    "GET /artifacts/{artifact_id}/builds/{build_id}/logs": _VIEW_ARTIFACT,
    "GET /artifacts/{artifact_id}/sharedRoles": _VIEW_ARTIFACT,
    "PATCH /artifacts/{artifact_id}/sharedRoles": (Need("artifact", "share"),),
    "PUT /artifacts/{artifact_id}/tags": _UPDATE_ARTIFACT,
    "GET /artifactRepositories/{artifact_repository_id}": (Need("artifact_repository", "view"),),
    "DELETE /artifactRepositories/{artifact_repository_id}": (Need("artifact_repository", "delete"),),
    "GET /artifactRepositories/{artifact_repository_id}/sharedRoles": (Need("artifact_repository", "view"),),
    "PATCH /artifactRepositories/{artifact_repository_id}/sharedRoles": (Need("artifact_repository", "share"),),
    "PUT /artifactRepositories/{artifact_repository_id}/tags": (Need("artifact_repository", "update"),),
}
"""By method and path."""


def in_words(operation: str) -> str | None:
    """What an operation needs, as its documentation says it; ``None`` where a token is enough."""
    needs = OPERATIONS.get(operation)
    if not needs:
        return None
    return " and ".join(f"`{need.right}` on the {need.resource_type.replace('_', ' ')}" for need in needs)
