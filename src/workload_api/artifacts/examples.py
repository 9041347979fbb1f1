"""Bodies of requests about artifacts that the documentation pages begin with: they work as they are."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Body
from fastapi.openapi.models import Example

from workload_api.artifacts.schemas import ArtifactCloneRequest, InputArtifact, UpdateArtifactRequest

FILE_SERVER: Final[dict[str, Any]] = {
    "containerGroups": [
        {
            "name": "default",
            "containers": [
                {
                    "name": "web",
                    "imageUri": "python:3.13-slim",
                    "primary": True,
                    "port": 8080,
                    "entrypoint": ["python3", "-m", "http.server", "--bind", "127.0.0.1", "$(PORT)"],
                    "environmentVars": [{"source": "string", "name": "GREETING", "value": "hello"}],
                    "readinessProbe": {"path": "/", "port": 8080, "initialDelaySeconds": 0, "periodSeconds": 1},
                }
            ],
        }
    ]
}
"""A spec that runs on every runtime: Python's own file server."""

NewArtifact = Annotated[
    InputArtifact,
    Body(
        openapi_examples={
            "draft": Example(
                summary="A draft",
                value={"name": "hello", "description": "Files over HTTP.", "spec": FILE_SERVER},
            ),
            "locked": Example(
                summary="Made and locked in one step",
                value={"name": "hello", "status": "locked", "spec": FILE_SERVER},
            ),
        }
    ),
]
"""The body that makes an artifact."""

WholeArtifact = Annotated[
    InputArtifact,
    Body(
        openapi_examples={
            "all": Example(
                summary="Name, description and spec",
                value={"name": "hello", "description": "The files of its folder.", "spec": FILE_SERVER},
            )
        }
    ),
]
"""The body that replaces what is in an artifact."""

ArtifactChanges = Annotated[
    UpdateArtifactRequest,
    Body(
        openapi_examples={
            "description": Example(summary="Change its description", value={"description": "The files of its folder."}),
            "spec": Example(summary="Replace its spec", value={"spec": FILE_SERVER}),
            "lock": Example(summary="Lock it as the next version", value={"status": "locked"}),
        }
    ),
]
"""The body that changes an artifact."""

CloneName = Annotated[
    ArtifactCloneRequest,
    Body(openapi_examples={"name": Example(summary="The clone's name", value={"name": "hello again"})}),
]
"""The body that clones an artifact."""
