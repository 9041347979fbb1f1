"""The bodies that the documentation pages begin with work as they are, on the process runtime too."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from tests.api.support import idle_artifact, idle_workload, reach
from workload_api.app import API_PREFIX, api

Json = dict[str, Any]


def _examples() -> dict[str, Json]:
    """Every example of a body by its operation and name: ``POST /artifacts draft``."""
    return {
        f"{method.upper()} {path.removeprefix(API_PREFIX)} {name}": example.get("value", {})
        for path, methods in api().openapi()["paths"].items()
        for method, operation in methods.items()
        if "requestBody" in operation
        for name, example in operation["requestBody"]["content"]["application/json"].get("examples", {"": {}}).items()
    }


EXAMPLES = _examples()

ID_EXAMPLE = "0193af0e5c1b8f2a4d6e9b3c"
"""The id of what is not there, in bodies that have to name an artifact."""


async def made(client: httpx.AsyncClient, path: str, body: Json) -> Json:
    """Make something for an example to be about."""
    answer = await client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    found: Json = answer.json()
    return found


async def with_ids(client: httpx.AsyncClient, path: str) -> str:
    """A path with the id of something new in place of its parameter."""
    if "{workload_id}" in path:
        return path.replace("{workload_id}", (await made(client, "/workloads", idle_workload()))["id"])
    if "{artifact_id}" in path:
        return path.replace("{artifact_id}", (await made(client, "/artifacts", idle_artifact()))["id"])
    if "{artifact_repository_id}" in path:
        artifact = await made(client, "/artifacts", idle_artifact())
        return path.replace("{artifact_repository_id}", artifact["artifactRepositoryId"])
    if "{credential_id}" in path:
        body = {"name": "of an example", "credentialType": "bearer", "token": "secret"}
        return path.replace("{credential_id}", (await made(client, "/credentials", body))["credentialId"])
    return path


def test_every_body_has_an_example() -> None:
    assert [name for name, value in EXAMPLES.items() if not value] == []


@pytest.mark.parametrize("name", EXAMPLES)
async def test_an_example_works_as_it_is(shared_client: httpx.AsyncClient, name: str) -> None:
    method, template, _ = name.split(" ", 2)
    path = await with_ids(shared_client, template)
    assert not re.search(r"[{}]", path), f"nothing is made here for {template}"
    body = dict(EXAMPLES[name])
    if body.get("artifactId") == ID_EXAMPLE:
        body["artifactId"] = (await made(shared_client, "/artifacts", idle_artifact()))["id"]
    if name.endswith(" taken"):
        # What is taken away was given before.
        given = await shared_client.request(method, path, json=EXAMPLES[f"{method} {template} organization"])
        assert given.status_code == 204, given.text
    answer = await shared_client.request(method, path, json=body)
    assert answer.is_success, answer.text
    if name.startswith("POST /workloads "):
        await reach(shared_client, answer.json()["id"], "running")
