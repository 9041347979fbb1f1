"""The OpenAPI document: open to all, whole, and told for people."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import yaml

from tests.support.server import ServerProcess

# Nothing here depends on the database.
pytestmark = pytest.mark.parametrize("shared_server", ["sqlite"], indirect=True)

OPERATIONS = {
    "POST /artifacts": {201, 400, 401, 403, 422},
    "GET /artifacts": {200, 400, 401, 403, 422},
    "GET /artifacts/{artifact_id}": {200, 400, 401, 403, 404, 422},
    "PATCH /artifacts/{artifact_id}": {200, 400, 401, 403, 404, 422},
    "PUT /artifacts/{artifact_id}": {200, 400, 401, 403, 404, 422},
    "POST /artifacts/{artifact_id}/clone": {200, 400, 401, 403, 404, 422},
    "DELETE /artifacts/{artifact_id}": {204, 400, 401, 403, 404, 409, 422},
    "GET /artifactRepositories": {200, 401, 403, 422},
    "GET /artifactRepositories/{artifact_repository_id}": {200, 401, 403, 404, 422},
    "DELETE /artifactRepositories/{artifact_repository_id}": {204, 401, 403, 404, 409, 422},
    "POST /workloads": {201, 400, 401, 403, 404, 422},
    "GET /workloads": {200, 400, 401, 403, 422},
    "GET /workloads/{workload_id}": {200, 400, 401, 403, 404, 422},
    "PATCH /workloads/{workload_id}": {200, 400, 401, 403, 404, 422},
    "DELETE /workloads/{workload_id}": {200, 204, 400, 401, 403, 404, 422},
    "POST /workloads/{workload_id}/promote": {202, 400, 401, 403, 404, 422},
    "POST /workloads/{workload_id}/start": {202, 400, 401, 403, 404, 409, 422},
    "POST /workloads/{workload_id}/stop": {202, 400, 401, 403, 404, 422},
    "GET /workloads/{workload_id}/settings": {200, 400, 401, 403, 404, 422},
    "GET /workloads/{workload_id}/related": {200, 400, 401, 403, 404, 422},
    "GET /workloads/{workload_id}/protons": {200, 400, 401, 403, 404, 422},
    "GET /workloads/{workload_id}/protons/{proton_id}": {200, 400, 401, 403, 404, 422},
    "GET /workloads/{workload_id}/protons/{proton_id}/statusDetails": {200, 204, 400, 401, 403, 404, 422},
    "GET /workloads/{workload_id}/events": {200, 400, 401, 403, 404, 422},
    "GET /workloads/{workload_id}/history": {200, 400, 401, 403, 404, 422},
    "GET /workloads/{workload_id}/stats": {200, 400, 401, 403, 404, 422},
    "DELETE /workloads/{workload_id}/stats": {204, 400, 401, 403, 404, 422},
    "POST /credentials": {201, 400, 401, 403, 409, 422},
    "GET /credentials": {200, 400, 401, 403, 422},
    "GET /credentials/{credential_id}": {200, 400, 401, 403, 404, 422},
    "PATCH /credentials/{credential_id}": {200, 400, 401, 403, 404, 409, 422},
    "DELETE /credentials/{credential_id}": {204, 400, 401, 403, 404, 422},
    "GET /mlops/compute/bundles": {200, 400, 401, 403, 422},
    "GET /version": {200, 401},
    "GET /account/info": {200, 401},
}


@pytest.fixture
async def document(shared_server: ServerProcess) -> dict[str, Any]:
    """The document as anybody gets it."""
    async with httpx.AsyncClient(base_url=shared_server.url, trust_env=False) as nobody:
        answer = await nobody.get("/api/v2/openapi.json")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """All operations by method and path, without the prefix that all have."""
    return {
        f"{method.upper()} {path.removeprefix('/api/v2')}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


async def test_json_and_yaml_are_open_and_equal(shared_server: ServerProcess, document: dict[str, Any]) -> None:
    async with httpx.AsyncClient(base_url=shared_server.url, trust_env=False) as nobody:
        for path in ("/api/v2/openapi.yaml", "/api/v2/openapi.yaml/"):
            answer = await nobody.get(path)
            assert answer.status_code == 200
            assert "yaml" in answer.headers["content-type"]
            assert yaml.safe_load(answer.text) == document
        assert (await nobody.get("/api/v2/openapi.json/")).json() == document


async def test_every_operation_is_there_with_its_codes(document: dict[str, Any]) -> None:
    found = operations(document)
    assert set(found) >= set(OPERATIONS), set(OPERATIONS) - set(found)
    lacking = {
        name: sorted(codes - {int(code) for code in found[name]["responses"]})
        for name, codes in OPERATIONS.items()
        if not codes <= {int(code) for code in found[name]["responses"]}
    }
    assert lacking == {}


async def test_every_operation_is_told_for_people(document: dict[str, Any]) -> None:
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    found = operations(document)
    for name, operation in found.items():
        assert operation["summary"], name
        assert operation["description"], name
        assert len(operation["tags"]) == 1, name
        assert tags[operation["tags"][0]], name
        assert operation["security"] == [{"Token": []}], name
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path":
                assert parameter["description"], (name, parameter["name"])
        for code, answer in operation["responses"].items():
            assert answer["description"], (name, code)
    ids = [operation["operationId"] for operation in found.values()]
    assert len(ids) == len(set(ids))
    assert document["components"]["securitySchemes"]["Token"]["scheme"] == "bearer"


async def test_refusals_are_documented_in_the_form_that_they_have(document: dict[str, Any]) -> None:
    for name, operation in operations(document).items():
        for code, answer in operation["responses"].items():
            if int(code) >= 400:
                schema = answer["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorBody"}, (name, code)
    assert set(document["components"]["schemas"]["ErrorBody"]["properties"]) == {"detail", "message", "code"}


async def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    waiting: list[Any] = [document]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                kind, name = part["$ref"].removeprefix("#/components/").split("/")
                assert name in document["components"][kind], part["$ref"]
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


async def test_links_lead_from_what_is_made_to_what_can_be_done_with_it(document: dict[str, Any]) -> None:
    """Each names an operation that is there, with all its path parameters; create → read → promote → delete."""
    found = operations(document)
    by_id = {operation["operationId"]: name for name, operation in found.items()}
    leads: set[tuple[str, str]] = set()
    for name, operation in found.items():
        for answer in operation["responses"].values():
            for link in answer.get("links", {}).values():
                target = by_id[link["operationId"]]
                wanted = {one["name"] for one in found[target].get("parameters", ()) if one["in"] == "path"}
                assert set(link.get("parameters", {})) == wanted, (name, target)
                leads.add((name, target))
    one = "/workloads/{workload_id}"
    assert leads >= {
        ("POST /workloads", f"GET {one}"),
        (f"GET {one}", f"POST {one}/promote"),
        (f"POST {one}/promote", f"DELETE {one}"),
        ("POST /artifacts", "POST /workloads"),
        ("POST /credentials", "DELETE /credentials/{credential_id}"),
    }


async def test_every_answer_tells_its_headers(document: dict[str, Any]) -> None:
    headers = document["components"]["headers"]
    for name, operation in operations(document).items():
        for code, answer in operation["responses"].items():
            told = {each["$ref"].rpartition("/")[2] for each in answer["headers"].values()}
            assert told <= set(headers), (name, code)
            assert "X-Request-Id" in told, (name, code)
    shown = operations(document)["GET /workloads/{workload_id}"]["responses"]
    assert "ETag" in shown["200"]["headers"]
    assert "WWW-Authenticate" in shown["401"]["headers"]


async def test_parameters_are_never_null(document: dict[str, Any]) -> None:
    """A URL or a header bears text only."""
    for name, operation in operations(document).items():
        for parameter in operation.get("parameters", ()):
            assert {"type": "null"} not in parameter["schema"].get("anyOf", ()), (name, parameter["name"])
