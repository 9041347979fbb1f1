"""How artifacts and repositories are shown."""

from __future__ import annotations

from workload_api.artifacts.queries import ArtifactView, RepositoryView
from workload_api.artifacts.schemas import ArtifactFormatted, ArtifactRepositoryFormatted
from workload_api.db.models import ArtifactRow
from workload_api.identity.answers import user_data
from workload_api.identity.rights import permissions_of


def shown_spec(artifact: ArtifactRow) -> dict[str, object]:
    """A spec as it was sent; a container that waits for its build shows that it has no image yet (§12)."""
    groups = []
    for group in artifact.spec.get("containerGroups", ()):
        containers = [
            {**container, "imageUri": None}
            if container.get("imageBuildConfig") and "imageUri" not in container
            else container
            for container in group.get("containers", ())
        ]
        groups.append({**group, "containers": containers})
    return {**artifact.spec, "containerGroups": groups, "type": artifact.type}


def artifact_answer(view: ArtifactView) -> ArtifactFormatted:
    """An artifact as the API shows it."""
    artifact = view.artifact
    return ArtifactFormatted(
        id=artifact.id,
        name=artifact.name,
        description=artifact.description,
        type=artifact.type,
        status=artifact.status,
        version=artifact.version,
        artifact_repository_id=artifact.repository_id,
        spec=shown_spec(artifact),
        created_at=artifact.created_at,
        updated_at=artifact.updated_at,
        creator=user_data(view.creator),
        permissions=permissions_of(view.roles),
        tags=list(view.tags),
    )


def repository_answer(view: RepositoryView) -> ArtifactRepositoryFormatted:
    """A repository as the API shows it."""
    repository = view.repository
    return ArtifactRepositoryFormatted(
        id=repository.id,
        name=repository.name,
        type=repository.type,
        last_version_number=repository.last_version_number,
        num_artifacts=view.artifact_count,
        created_at=repository.created_at,
        updated_at=repository.updated_at,
        creator=user_data(view.creator),
        permissions=permissions_of(view.roles),
        tags=list(view.tags),
    )
