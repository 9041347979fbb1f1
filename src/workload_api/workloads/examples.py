"""Bodies of requests about workloads that the documentation pages begin with: they work as they are."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body
from fastapi.openapi.models import Example

from workload_api.artifacts.examples import FILE_SERVER
from workload_api.workloads.schemas import CreateWorkloadRequest, UpdateWorkloadRequest

NewWorkload = Annotated[
    CreateWorkloadRequest,
    Body(
        openapi_examples={
            "draft": Example(
                summary="With a draft that is made for it",
                value={"name": "hello", "importance": "low", "artifact": {"name": "hello", "spec": FILE_SERVER}},
            ),
            "runtime": Example(
                summary="Two replicas of a certain size",
                value={
                    "name": "hello",
                    "artifact": {"name": "hello", "spec": FILE_SERVER},
                    "runtime": {
                        "containerGroups": [
                            {
                                "name": "default",
                                "replicaCount": 2,
                                "containers": [{"name": "web", "resourceAllocation": {"cpu": 0.5, "memory": "256MB"}}],
                            }
                        ]
                    },
                },
            ),
        }
    ),
]
"""The body that makes a workload."""

WorkloadChanges = Annotated[
    UpdateWorkloadRequest,
    Body(
        openapi_examples={
            "importance": Example(summary="Change its importance", value={"importance": "high"}),
            "texts": Example(
                summary="Change its name and description", value={"name": "hello", "description": "Says hello."}
            ),
        }
    ),
]
"""The body that changes a workload."""
