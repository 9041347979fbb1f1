"""The operations as the server's OpenAPI document tells them, for tests of all of them, also of those to come."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import httpx

from tests.api.support import Json

PREFIX = "/api/v2"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        method: In capitals.
        path: Behind the prefix, with its parameters in braces.
        told: What the document says.
    """

    method: str
    path: str
    told: Json

    @property
    def path_parameters(self) -> list[str]:
        """The names in its path."""
        return re.findall(r"{(\w+)}", self.path)

    @property
    def query_parameters(self) -> dict[str, Json]:
        """The schemas of what stands behind the question mark, by name; of a list those of its items."""
        schemas = {
            parameter["name"]: parameter["schema"]
            for parameter in self.told.get("parameters", ())
            if parameter["in"] == "query"
        }
        return {name: schema.get("items", schema) for name, schema in schemas.items()}

    @property
    def takes_body(self) -> bool:
        """Whether there is a body to be sent."""
        return "requestBody" in self.told

    def at(self, values: dict[str, str]) -> str:
        """Its path with values, which stand there as they are."""
        return re.sub(r"{(\w+)}", lambda found: values[found[1]], self.path)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


async def operations(client: httpx.AsyncClient) -> list[Operation]:
    """All of them."""
    document: Any = (await client.get("/openapi.json")).json()
    return [
        Operation(method.upper(), path.removeprefix(PREFIX), told)
        for path, methods in document["paths"].items()
        for method, told in methods.items()
    ]


def ids_of(workload: Json) -> dict[str, str]:
    """Values for all path parameters, for what there is of a workload; others are made up."""
    return {
        "workload_id": workload["id"],
        "proton_id": workload["protonId"],
        "artifact_id": workload["artifactId"],
        "artifact_repository_id": workload["artifact"]["artifactRepositoryId"],
        "metric_name": "totalRequests",
        "credential_id": "0123456789abcdef01234567",
        "build_id": "0123456789abcdef01234567",
        "trace_id": "0123456789abcdef0123456789abcdef",
    }
