"""Bodies of requests that make workloads which really run, on the bundled application ``apps/echo.py``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

ECHO = Path(__file__).with_name("apps") / "echo.py"

Json = dict[str, Any]


def probe(path: str = "/health", **fields: Any) -> Json:
    """An HTTP probe that looks every second, from the start."""
    return {
        "path": path,
        "port": 8080,
        "initialDelaySeconds": 0,
        "periodSeconds": 1,
        "timeoutSeconds": 5,
        "failureThreshold": 3,
        **fields,
    }


def container(*, variables: dict[str, str] | None = None, **fields: Any) -> Json:
    """The one container of an artifact: the echo application.

    Args:
        variables: Its environment.
        fields: More fields of the container, or others in place of ours.
    """
    made: Json = {
        "name": "echo",
        "imageUri": "example.test/echo:1",
        "primary": True,
        "port": 8080,
        # `-I -S`: nothing of the tests' own environment is in it, and it starts at once.
        "entrypoint": [sys.executable, "-I", "-S", str(ECHO)],
        "readinessProbe": probe(),
    }
    if variables:
        made["environmentVars"] = [{"source": "string", "name": name, "value": variables[name]} for name in variables]
    return {**made, **fields}


def spec(*containers: Json) -> Json:
    """The spec of an artifact with one group; of the echo container if none is given."""
    return {"containerGroups": [{"name": "default", "containers": list(containers) or [container()]}]}


def artifact(name: str = "echo", *, variables: dict[str, str] | None = None, **fields: Any) -> Json:
    """The body of ``POST /artifacts``, and the ``artifact`` of a workload: a draft of the echo application.

    Args:
        name: Its name.
        variables: The container's environment (``VERSION``, ``START_DELAY``, … of ``apps/echo.py``).
        fields: More fields (``artifactRepositoryId``, ``status``, …), or others in place of ours (``spec``).
    """
    return {"name": name, "spec": spec(container(variables=variables)), **fields}


def workload(name: str = "echo", *, variables: dict[str, str] | None = None, **fields: Any) -> Json:
    """The body of ``POST /workloads``: a draft of the echo application made inline, unless ``artifactId`` is given.

    Args:
        name: Its name, and that of its artifact.
        variables: The container's environment.
        fields: More fields (``importance``, ``runtime``, ``artifactId``, …), or others in place of ours.
    """
    if "artifactId" in fields:
        return {"name": name, **fields}
    return {"name": name, "artifact": artifact(name, variables=variables), **fields}


def replicas(count: int) -> Json:
    """A ``runtime`` with a number of replicas."""
    return {"containerGroups": [{"name": "default", "replicaCount": count}]}
