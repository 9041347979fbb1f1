"""Bodies of requests about replacements that the documentation pages begin with."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body
from fastapi.openapi.models import Example

from workload_api.replacements.schemas import StartReplacementRequest, UpdateSettingsRequest

NewReplacement = Annotated[
    StartReplacementRequest,
    Body(
        openapi_examples={
            "artifact": Example(
                summary="Another artifact; put in its id",
                value={"artifactId": "0193af0e5c1b8f2a4d6e9b3c", "strategy": "rolling"},
            ),
            "kept": Example(
                summary="Keep the old proton for a while, so that one can go back",
                value={
                    "artifactId": "0193af0e5c1b8f2a4d6e9b3c",
                    "strategy": "rolling",
                    "config": {"warmupDurationMinutes": 1, "keepOldVersionMinutes": 10},
                },
            ),
        }
    ),
]
"""The body that begins a replacement."""

NewSettings = Annotated[
    UpdateSettingsRequest,
    Body(
        openapi_examples={
            "replicas": Example(
                summary="Two replicas", value={"runtime": {"containerGroups": [{"name": "default", "replicaCount": 2}]}}
            )
        }
    ),
]
"""The body that changes the settings."""
