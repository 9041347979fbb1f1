"""What the OpenAPI document says other than what the framework gathers: headers of answers, links between operations.

A link says which value of an answer is which parameter of another operation. Whoever reads the document, person or
program, sees by them what can be done with what was just made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_TAGGED: Final = frozenset(
    {
        "WorkloadFormatted",
        "WorkloadSettingsResponse",
        "ProtonFormatted",
        "Replacement",
        "ArtifactFormatted",
        "ArtifactRepositoryFormatted",
        "CredentialFormatted",
    }
)
"""The answers that bear an ``ETag``."""


def _header(description: str, *, required: bool, **schema: Any) -> dict[str, Any]:
    return {"description": description, "required": required, "schema": {"type": "string", **schema}}


_HEADERS: Final = {
    "X-Request-Id": _header("Names the request; the server's log line bears it too.", required=True, minLength=1),
    "WWW-Authenticate": _header("How to authenticate.", required=True),
    "Retry-After": _header("Seconds after which to try again.", required=True, pattern="^[0-9]+$"),
    "ETag": _header("The version of what is shown; `If-Match` takes it.", required=True, pattern='^"[^"]+"$'),
    "Idempotency-Replayed": _header(
        "`true` where this is the first answer to the same `Idempotency-Key` again.", required=False, enum=["true"]
    ),
}


def add_headers(document: dict[str, Any]) -> None:
    """Say of each answer in an OpenAPI document which headers it bears."""
    document["components"]["headers"] = _HEADERS
    for operation in _operations(document).values():
        takes_key = any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ()))
        for code, answer in operation["responses"].items():
            names = ["X-Request-Id"]
            if code == "401":
                names.append("WWW-Authenticate")
            elif code == "503":
                names.append("Retry-After")
            elif code.startswith("2"):
                names += ["ETag"] * (_schema_of(answer) in _TAGGED)
                names += ["Idempotency-Replayed"] * takes_key
            answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def drop_nulls(document: Mapping[str, Any]) -> None:
    """Say of no parameter in an OpenAPI document that it may be null: what a URL or a header bears is text."""
    for operation in _operations(document).values():
        for parameter in operation.get("parameters", ()):
            schema = parameter["schema"]
            kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
            if len(kinds) == 1:
                del schema["anyOf"]
                parameter["schema"] = {**kinds[0], **schema}


@dataclass(frozen=True, slots=True)
class _Source:
    """An answer that tells ids, as JSON pointers, by the path parameters that take them."""

    code: str
    ids: Mapping[str, str]
    methods: tuple[str, ...] = ("GET", "POST", "PUT", "PATCH", "DELETE")
    """Which operations on these ids follow on it."""


_WORKLOAD: Final = {"workload_id": "/id", "proton_id": "/protonId"}
_ARTIFACT: Final = {"artifact_id": "/id", "artifact_repository_id": "/artifactRepositoryId"}
_SOURCES: Final = {
    "POST /workloads": _Source("201", _WORKLOAD),
    "GET /workloads/{workload_id}": _Source("200", _WORKLOAD, ("POST", "PATCH", "DELETE")),
    "POST /workloads/{workload_id}/promote": _Source("202", _WORKLOAD),
    "POST /workloads/{workload_id}/start": _Source("202", {"workload_id": "/workloadId"}),
    "POST /workloads/{workload_id}/stop": _Source("202", {"workload_id": "/workloadId"}),
    "POST /artifacts": _Source("201", _ARTIFACT),
    "POST /artifacts/{artifact_id}/clone": _Source("200", _ARTIFACT),
    "POST /credentials": _Source("201", {"credential_id": "/credentialId"}),
}


def add_links(document: dict[str, Any], prefix: str) -> None:
    """Link the answers that make or show something to all operations on it.

    Args:
        document: An OpenAPI document.
        prefix: What all its paths begin with.
    """
    operations = {
        f"{method} {path.removeprefix(prefix)}": operation
        for (method, path), operation in _operations(document).items()
    }
    for source, (code, links) in _links(operations):
        operations[source]["responses"][code].setdefault("links", {}).update(links)


def _links(operations: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, tuple[str, dict[str, Any]]]]:
    for name, source in _SOURCES.items():
        links = {}
        for target, operation in operations.items():
            method, path = target.split(" ")
            wanted = re.findall(r"{(\w+)}", path)
            if target != name and method in source.methods and wanted and set(wanted) <= set(source.ids):
                links[operation["operationId"]] = {
                    "operationId": operation["operationId"],
                    "description": operation["summary"],
                    "parameters": {key: f"$response.body#{source.ids[key]}" for key in wanted},
                }
        yield name, (source.code, links)
    run = operations["POST /workloads"]
    body = {"name": "$response.body#/name", "artifactId": "$response.body#/id"}
    yield (
        "POST /artifacts",
        (
            "201",
            {
                run["operationId"]: {
                    "operationId": run["operationId"],
                    "description": run["summary"],
                    "requestBody": body,
                }
            },
        ),
    )


def _operations(document: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def _schema_of(answer: Mapping[str, Any]) -> str:
    """The name of the schema of an answer's JSON, if it has one."""
    schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
    return str(schema.get("$ref", "")).rpartition("/")[2]
