"""Each line of §12 ("What clients rely on") and of the strict part of §2, over a socket: as the programs speak it.

What §12 says of replacements stands with the tests of replacements.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.api.raw import Answer, ask
from tests.api.support import IDLE, Json, idle_artifact, idle_workload
from tests.support.server import ServerProcess
from tests.support.waiting import until

UNKNOWN = "0123456789abcdef01234567"
PROBE = {"path": "/health", "port": 9000}


def fresh(body: Json, **fields: Any) -> Json:
    """A body with a name of its own, and more fields."""
    return {**copy.deepcopy(body), "name": f"{body['name']} {uuid4()}", **fields}


async def workload(server: ServerProcess, **fields: Any) -> Json:
    """A new workload."""
    answer = await ask(server, "POST", "/workloads/", fresh(idle_workload(), **fields))
    assert answer.status == 201, answer.body
    made: Json = answer.json
    return made


async def artifact(server: ServerProcess, **fields: Any) -> Json:
    """A new artifact."""
    answer = await ask(server, "POST", "/artifacts/", fresh(idle_artifact(), **fields))
    assert answer.status == 201, answer.body
    made: Json = answer.json
    return made


async def got(server: ServerProcess, path: str) -> Any:
    """What a GET answers with 200."""
    answer = await ask(server, "GET", path)
    assert answer.status == 200, (path, answer.status, answer.body)
    return answer.json


def container(**fields: Any) -> Json:
    """A spec of one container with more fields."""
    return {"containerGroups": [{"name": "default", "containers": [{**IDLE, **fields}]}]}


def refused(answer: Answer, status: int) -> Json:
    """A refusal in the one form."""
    assert answer.status == status, (answer.status, answer.body)
    body: Json = answer.json
    assert set(body) == {"detail", "message", "code"}
    return body


# §2


async def test_every_path_answers_directly_with_and_without_a_slash(shared_server: ServerProcess) -> None:
    """A redirect is a failure to clients here. GETs answer 200 exactly, 204 only where said."""
    made = await workload(shared_server)
    one, other = f"/workloads/{made['id']}", f"/artifacts/{made['artifactId']}"
    paths = [
        "/version", "/account/info", "/workloads", "/workloads/stats", one, f"{one}/settings", f"{one}/related",
        f"{one}/events", f"{one}/history", f"{one}/stats", f"{one}/stats/totalRequests", f"{one}/sharedRoles",
        f"{one}/protons", f"{one}/protons/{made['protonId']}", "/artifacts", other, f"{other}/sharedRoles",
        f"{other}/builds", "/artifactRepositories", f"/artifactRepositories/{made['artifact']['artifactRepositoryId']}",
        "/credentials", "/mlops/compute/bundles", "/openapi.json",
    ]  # fmt: skip
    for path, slash in itertools.product(paths, ("", "/")):
        answer = await ask(shared_server, "GET", path + slash)
        assert answer.status == 200, (path, slash, answer.status)
        assert isinstance(answer.json, dict)
    for slash in ("", "/"):
        report = await ask(shared_server, "GET", f"{one}/protons/{made['protonId']}/statusDetails{slash}")
        assert report.status in (200, 204)


async def test_every_write_answers_directly_with_and_without_a_slash(shared_server: ServerProcess) -> None:
    """Creates 201, promote, start and stop 202, PATCH 200, DELETE 204."""
    for slash in ("", "/"):
        made = await ask(shared_server, "POST", f"/workloads{slash}", fresh(idle_workload()))
        draft = await ask(shared_server, "POST", f"/artifacts{slash}", fresh(idle_artifact()))
        secret = {"name": str(uuid4()), "credentialType": "api_token", "apiToken": "t"}
        kept = await ask(shared_server, "POST", f"/credentials{slash}", secret)
        assert (made.status, draft.status, kept.status) == (201, 201, 201)
        one, other = f"/workloads/{made.json['id']}", f"/artifacts/{draft.json['id']}"
        for method, path, content, status in (
            ("PATCH", one, {"importance": "high"}, 200),
            ("PATCH", other, {"description": "d"}, 200),
            ("PUT", other, fresh(idle_artifact()), 200),
            ("POST", f"{other}/clone", {"name": "c"}, 200),
            ("POST", f"{one}/promote", None, 202),
            ("POST", f"{one}/stop", None, 202),
            ("DELETE", f"{one}/stats", None, 204),
            ("DELETE", one, None, 204),
            ("DELETE", other, None, 204),
            ("DELETE", f"/credentials/{kept.json['credentialId']}", None, 204),
        ):
            answer = await ask(shared_server, method, path + slash, content)
            assert answer.status == status, (method, path, slash, answer.body)


async def test_query_strings_survive(shared_server: ServerProcess) -> None:
    """Either slash: the query counts."""
    made = await workload(shared_server)
    for slash in ("", "/"):
        page = await got(shared_server, f"/workloads{slash}?ids={made['id']}&limit=1&status=running&status=submitted"
                         "&status=launching&status=provisioning&status=errored")  # fmt: skip
        assert [each["id"] for each in page["data"]] == [made["id"]]


@pytest.mark.parametrize("scheme", ["Bearer", "Token", "bearer", "token"])
async def test_both_schemes_of_authorization(shared_server: ServerProcess, scheme: str) -> None:
    """``Authorization: Bearer TOKEN`` (also ``Token TOKEN``)."""
    given = {"Authorization": f"{scheme} {shared_server.token}"}
    assert (await ask(shared_server, "GET", "/account/info/", more=given)).status == 200


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", "Basic YTpi", "wrong"])
@pytest.mark.parametrize("path", ["/workloads", "/version/", "/workloads/x", "/account/info/"])
async def test_a_missing_or_wrong_token(shared_server: ServerProcess, given: str, path: str) -> None:
    """401, before anything else is said."""
    answer = await ask(shared_server, "GET", path, more={"Authorization": given})
    assert refused(answer, 401)["code"] == "UNAUTHENTICATED"
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_ids_grow_and_times_have_a_zone(shared_server: ServerProcess) -> None:
    """24 lower-case hex characters, growing with time; RFC 3339 in UTC."""
    made = [await workload(shared_server) for _ in range(3)]
    ids = [each["id"] for each in made]
    assert ids == sorted(ids)
    for each in made:
        for name in ("id", "protonId", "artifactId"):
            assert len(each[name]) == 24
            assert set(each[name]) <= set("0123456789abcdef")
        for name in ("createdAt", "updatedAt", "expiresAt"):
            offset = datetime.fromisoformat(each[name]).utcoffset()
            assert offset is not None
            assert offset.total_seconds() == 0


async def test_an_empty_post_and_a_null_delete(shared_server: ServerProcess) -> None:
    """A POST may come with a JSON content type and no body, a DELETE with the body ``null``."""
    typed = {"Content-Type": "application/json", "Content-Length": "0"}
    for operation in ("promote", "stop"):
        made = await workload(shared_server)
        answer = await ask(shared_server, "POST", f"/workloads/{made['id']}/{operation}/", more=typed)
        assert answer.status == 202, answer.body
        answer = await ask(shared_server, "DELETE", f"/workloads/{made['id']}/", raw=b"null")
        assert (answer.status, answer.body) == (204, b"")
    draft = await artifact(shared_server)
    assert (await ask(shared_server, "DELETE", f"/artifacts/{draft['id']}/", raw=b"null")).status == 204


async def test_lists(shared_server: ServerProcess) -> None:
    """``{count, totalCount, data, next, previous}``; a limit above 100 is taken as 100; bounds are 422."""
    for path in ("/workloads", "/artifacts", "/artifactRepositories", "/credentials"):
        page = await got(shared_server, f"{path}/?limit=100000")
        assert {"count", "totalCount", "data", "next", "previous"} <= set(page)
        assert page["count"] == len(page["data"])
        for query in ("limit=0", "limit=-1", "offset=-1", "limit=x", "offset="):
            refused(await ask(shared_server, "GET", f"{path}?{query}"), 422)
    made = await workload(shared_server)
    for part in ("events", "protons", "history"):
        page = await got(shared_server, f"/workloads/{made['id']}/{part}?limit=1000")
        assert {"count", "totalCount", "data", "next", "previous"} == set(page)


OBJECTS: dict[str, tuple[str, str, Json]] = {
    "workload": (
        "POST",
        "/workloads",
        idle_workload(
            runtime={
                "containerGroups": [
                    {
                        "name": "default",
                        "replicaCount": 1,
                        "autoscaling": {
                            "enabled": False,
                            "policies": [{"scalingMetric": "cpuAverageUtilization", "target": 5}],
                        },
                        "containers": [{"name": "idle", "resourceAllocation": {"cpu": 1, "memory": 10}}],
                    }
                ]
            }
        ),
    ),
    "artifact": (
        "POST",
        "/artifacts",
        {
            "name": "closed",
            "spec": {
                "containerGroups": [
                    {
                        "name": "default",
                        "containers": [
                            {
                                **IDLE,
                                "readinessProbe": PROBE,
                                "securityContext": {
                                    "capabilities": {"drop": ["ALL"]},
                                    "seccompProfile": {"type": "RuntimeDefault"},
                                },
                                "imageBuildConfig": {
                                    "codeRef": {"datarobot": {"catalogId": "a", "catalogVersionId": "b"}},
                                    "dockerfile": {"source": "provided", "path": "./Dockerfile"},
                                },
                            }
                        ],
                    }
                ]
            },
        },
    ),
    "clone": ("POST", "/artifacts/{artifact}/clone", {"name": "c"}),
    "change of a workload": ("PATCH", "/workloads/{workload}", {"importance": "high"}),
    "change of an artifact": ("PATCH", "/artifacts/{artifact}", {"description": "d", "spec": container()}),
    "roles": (
        "PATCH",
        "/workloads/{workload}/sharedRoles",
        {"operation": "updateRoles", "roles": [{"username": "admin", "role": "OWNER", "shareRecipientType": "user"}]},
    ),
}
"""Bodies with all closed objects of the requests in them."""


def objects_of(value: Any, where: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The places of all objects inside a body, but for those that are maps of whatever a client likes."""
    found: list[tuple[str | int, ...]] = []
    if isinstance(value, dict):
        found.append(where)
        for key, part in value.items():
            found += objects_of(part, (*where, key))
    if isinstance(value, list):
        for number, part in enumerate(value):
            found += objects_of(part, (*where, number))
    return found


@pytest.mark.parametrize("body", OBJECTS)
async def test_unknown_fields_are_refused_in_every_closed_schema(shared_server: ServerProcess, body: str) -> None:
    """422, and the place is named; without the unknown field the same body passes."""
    made = await workload(shared_server)
    method, path, content = OBJECTS[body]
    path = path.format(workload=made["id"], artifact=made["artifactId"])
    for where in objects_of(content):
        bad = copy.deepcopy(content)
        part: Any = bad
        for key in where:
            part = part[key]
        part["colour"] = "red"
        answer = refused(await ask(shared_server, method, path, bad), 422)
        assert [one["loc"] for one in answer["detail"]] == [["body", *where, "colour"]], (where, answer)
    assert (await ask(shared_server, method, path, content)).status in (200, 201, 204)


async def test_refusals_bear_a_request_id_and_one_form(shared_server: ServerProcess) -> None:
    """Each answer bears ``X-Request-Id``: also one to what no route takes, one that was too large, one not read."""
    made = await workload(shared_server)
    for method, path, raw, status in (
        ("GET", "/nothing/here", None, 404),
        ("GET", f"/workloads/{UNKNOWN}", None, 404),
        ("PUT", "/workloads", b"{}", 405),
        ("POST", "/workloads", b"{", 422),
        ("POST", "/workloads", b'{"name": 7}', 422),
        ("POST", f"/workloads/{made['id']}/start", None, 409),
        ("POST", "/workloads", b'"' + b"x" * 11_000_000 + b'"', 413),
        ("GET", f"/endpoints/workloads/{UNKNOWN}/", None, 404),
    ):
        answer = await ask(shared_server, method, path, raw=raw, more={"X-Request-Id": "mine-1"})
        refused(answer, status)
        assert answer.headers["x-request-id"] == "mine-1"


# §12


def bases(server: ServerProcess) -> list[tuple[dict[str, str], str]]:
    """Headers of clients and proxies, and the address that the client used."""
    return [
        ({}, server.url),
        ({"Host": "api.example.test"}, "http://api.example.test"),
        ({"Host": "[::1]:8080"}, "http://[::1]:8080"),
        ({"X-Forwarded-Proto": "HTTPS", "X-Forwarded-Host": "a.test"}, "https://a.test"),
        ({"X-Forwarded-Proto": "https"}, f"https://127.0.0.1:{server.port}"),
        ({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.test"}, "https://a.test"),
        ({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.test:8443"}, "https://a.test:8443"),
        (
            {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.test", "X-Forwarded-Port": "8443"},
            "https://a.test:8443",
        ),
        ({"X-Forwarded-Proto": "http", "X-Forwarded-Host": "a.test", "X-Forwarded-Port": "80"}, "http://a.test"),
        ({"X-Forwarded-Proto": "https, http", "X-Forwarded-Host": "outer.test, inner.test"}, "https://outer.test"),
        ({"Forwarded": "for=192.0.2.1;host=f.test:9443;proto=https, for=10.0.0.1"}, "https://f.test:9443"),
        ({"Forwarded": 'Proto=HTTPS;Host="[2001:db8::1]:9443"'}, "https://[2001:db8::1]:9443"),
    ]


async def test_next_bears_the_address_that_the_client_used(shared_server: ServerProcess) -> None:
    """``next`` is null or absolute, with exactly the scheme, host and port that the client used."""
    for _ in range(3):
        await workload(shared_server)
    for headers, base in bases(shared_server):
        answer = await ask(shared_server, "GET", "/workloads/?limit=1&offset=1&search=idle", more=headers)
        page = answer.json
        assert page["next"] == f"{base}/api/v2/workloads/?search=idle&offset=2&limit=1", headers
        assert page["previous"] == f"{base}/api/v2/workloads/?search=idle&offset=0&limit=1", headers
    assert (await got(shared_server, f"/workloads/?search={uuid4()}"))["next"] is None


async def test_the_public_address_is_for_endpoints_alone(tmp_path: Path) -> None:
    """The public URL setting is for ``endpoint``, not for ``next``."""
    settings = {"PUBLIC_URL": "https://public.example.test/base", "CONTROLLER": "false"}
    with ServerProcess(tmp_path, settings=settings) as server:
        made = [await workload(server) for _ in range(2)]
        wanted = f"https://public.example.test/base/api/v2/endpoints/workloads/{made[0]['id']}/"
        assert made[0]["endpoint"] == wanted
        assert (await got(server, "/workloads?limit=1"))["next"].startswith(f"{server.url}/api/v2/workloads?")


async def test_what_is_always_there_and_what_may_be_null(shared_server: ServerProcess) -> None:
    """Times always there and parseable; ``version`` null or integer; lists never null; events' times, protons' ids."""
    made = await workload(shared_server)
    draft = await got(shared_server, f"/artifacts/{made['artifactId']}")
    locked = await artifact(shared_server, status="locked")
    assert (draft["version"], locked["version"]) == (None, 1)
    repository = await got(shared_server, f"/artifactRepositories/{draft['artifactRepositoryId']}")
    for document in (made, draft, locked, repository):
        for name in ("createdAt", "updatedAt"):
            assert datetime.fromisoformat(document[name]).tzinfo is not None
        for name in ("tags", "permissions"):
            assert isinstance(document[name], list), name
    assert isinstance(made["owners"], list)
    assert made["statusDetails"] == {"logTail": [], "conditions": []}
    for event in (await got(shared_server, f"/workloads/{made['id']}/events"))["data"]:
        assert datetime.fromisoformat(event["timestamp"]).tzinfo is not None
    protons = (await got(shared_server, f"/workloads/{made['id']}/protons"))["data"]
    assert [proton["id"] for proton in protons] == [made["protonId"]]


async def test_an_answer_adds_no_parts(shared_server: ServerProcess) -> None:
    """No probes, containers, environment variables, resource fields, image of our own."""
    made = await workload(shared_server)
    assert made["runtime"] == {}
    assert (await got(shared_server, f"/workloads/{made['id']}/settings"))["runtime"] == {}
    spec = (await got(shared_server, f"/artifacts/{made['artifactId']}"))["spec"]
    [group] = spec["containerGroups"]
    [one] = group["containers"]
    scalars = {"description": "", "type": "service"}
    assert {**scalars, **one} == {**scalars, **IDLE}
    override = {"name": "idle", "resourceAllocation": {"cpu": 1}}
    sized = {"containerGroups": [{"name": "default", "containers": [override]}]}
    made = await workload(shared_server, runtime=sized)
    [group] = made["runtime"]["containerGroups"]
    assert group["containers"] == [override]
    assert not {"autoscaling", "resourceBundles", "resolvedBundle"} & set(group)


async def test_scalar_defaults_are_filled_in_inside_a_part_that_was_sent(shared_server: ServerProcess) -> None:
    """A probe's periods; ``successThreshold`` is 1 by default, and comes back as sent."""
    for sent, threshold in ((PROBE, 1), ({**PROBE, "successThreshold": 2}, 2)):
        made = await artifact(shared_server, spec=container(readinessProbe=sent))
        [one] = made["spec"]["containerGroups"][0]["containers"]
        assert one["readinessProbe"] == {
            "path": "/health", "port": 9000, "scheme": "HTTP", "initialDelaySeconds": 30, "periodSeconds": 30,
            "timeoutSeconds": 30, "failureThreshold": 3, "successThreshold": threshold,
        }  # fmt: skip
        assert not {"livenessProbe", "startupProbe"} & set(one)


async def test_items_come_back_with_exactly_their_keys(shared_server: ServerProcess) -> None:
    """The items of ``policies``, ``entrypoint``, ``resourceBundles``, ``enclaves`` come back as they came."""
    bundle = (await got(shared_server, "/mlops/compute/bundles/"))["data"][0]["id"]
    policies = [
        {"target": 70, "scalingMetric": "cpuAverageUtilization"},
        {"scalingMetric": "httpRequestsConcurrency", "target": 2.5, "priority": 1},
    ]
    runtime = {
        "enclaves": ["b", "a"],
        "containerGroups": [
            {
                "name": "default",
                "resourceBundles": [bundle],
                "autoscaling": {"enabled": True, "policies": policies, "minReplicaCount": 1, "maxReplicaCount": 2},
            }
        ],
    }
    entrypoint = ["sleep", "1000"]
    made = await workload(shared_server, runtime=runtime)
    for shown in (made["runtime"], (await got(shared_server, f"/workloads/{made['id']}/settings"))["runtime"]):
        [group] = shown["containerGroups"]
        assert shown["enclaves"] == ["b", "a"]
        assert group["resourceBundles"] == [bundle]
        assert json.dumps(group["autoscaling"]["policies"]) == json.dumps(policies)
    spec = (await got(shared_server, f"/artifacts/{made['artifactId']}"))["spec"]
    assert spec["containerGroups"][0]["containers"][0]["entrypoint"] == entrypoint


POLICY = {"scalingMetric": "cpuAverageUtilization", "target": 60}


@pytest.mark.parametrize(
    ("sent", "bounds"),
    [
        ({"enabled": True, "policies": [{**POLICY, "minCount": 2, "maxCount": 4}]}, (2, 4)),
        ({"enabled": True, "policies": [POLICY], "minReplicaCount": 2, "maxReplicaCount": 4}, (2, 4)),
        ({"policies": [{**POLICY, "minCount": 1, "maxCount": 3}]}, (1, 3)),
        (
            {
                "enabled": True,
                "policies": [{**POLICY, "minCount": 2, "maxCount": 4}],
                "minReplicaCount": 2,
                "maxReplicaCount": 4,
            },
            (2, 4),
        ),
    ],
    ids=["bounds in each policy", "bounds on autoscaling", "enabled left out", "both, and they agree"],
)
async def test_both_spellings_of_autoscaling(shared_server: ServerProcess, sent: Json, bounds: tuple[int, int]) -> None:
    """Accept both, return ``policies`` exactly as sent, and ``minReplicaCount``/``maxReplicaCount`` always."""
    made = await workload(shared_server, runtime={"containerGroups": [{"name": "default", "autoscaling": sent}]})
    for shown in (made, await got(shared_server, f"/workloads/{made['id']}/settings/")):
        [group] = shown["runtime"]["containerGroups"]
        scaling = group["autoscaling"]
        assert scaling["policies"] == sent["policies"]
        assert (scaling["minReplicaCount"], scaling["maxReplicaCount"]) == bounds
        assert scaling["enabled"] is True
        assert "replicaCount" not in group


@pytest.mark.parametrize(
    "group",
    [
        {"autoscaling": {"policies": [{**POLICY, "minCount": 1, "maxCount": 2}], "maxReplicaCount": 3}},
        {"autoscaling": {"policies": [{**POLICY, "minCount": 1, "maxCount": 2}], "minReplicaCount": 2}},
        {"autoscaling": {"enabled": True, "policies": [POLICY], "minReplicaCount": 3, "maxReplicaCount": 2}},
        {"autoscaling": {"enabled": True, "policies": [POLICY], "maxReplicaCount": 2}, "replicaCount": 1},
    ],
    ids=["contradict above", "contradict below", "upside down", "replicaCount beside it"],
)
async def test_autoscaling_that_contradicts_itself(shared_server: ServerProcess, group: Json) -> None:
    """422 if the two spellings contradict, and for ``replicaCount`` beside it if it is enabled."""
    body = fresh(idle_workload(), runtime={"containerGroups": [{"name": "default", **group}]})
    assert isinstance(refused(await ask(shared_server, "POST", "/workloads", body), 422)["detail"], list)


@pytest.mark.parametrize("beside", [{}, {"replicaCount": 1}])
async def test_autoscaling_that_is_not_enabled(shared_server: ServerProcess, beside: Json) -> None:
    """``{"enabled": false}`` needs no policies; ``replicaCount`` may stand beside it."""
    group = {"name": "default", **beside, "autoscaling": {"enabled": False}}
    made = await workload(shared_server, runtime={"containerGroups": [group]})
    [shown] = made["runtime"]["containerGroups"]
    assert shown["autoscaling"]["enabled"] is False
    assert "policies" not in shown["autoscaling"] or shown["autoscaling"]["policies"] == []
    assert isinstance(shown["autoscaling"]["minReplicaCount"], int)
    assert isinstance(shown["autoscaling"]["maxReplicaCount"], int)


async def test_spec_type_and_build_are_ignored_in_any_write(shared_server: ServerProcess) -> None:
    """Clients send back what they read."""
    built = container(build={"artifactImageBuildId": "x", "status": "BUILT", "createdAt": "2026-01-01T00:00:00Z"})
    sent = {**built, "type": "service"}
    made = await artifact(shared_server, spec=sent)
    path = f"/artifacts/{made['id']}"
    for method, body in (("PATCH", {"spec": sent}), ("PUT", {"name": "n", "spec": sent})):
        answer = await ask(shared_server, method, path, body)
        assert answer.status == 200, answer.body
        [one] = answer.json["spec"]["containerGroups"][0]["containers"]
        assert one.get("build") is None
        assert answer.json["spec"].get("type", "service") == "service"
    # What was read can be sent back, as it is.
    read = (await got(shared_server, path))["spec"]
    answer = await ask(shared_server, "PATCH", path, {"spec": read})
    assert (answer.status, answer.json["spec"]) == (200, read)


async def test_resource_requests_and_gpu_types_are_ignored(shared_server: ServerProcess) -> None:
    """Container ``resourceRequest``, ``resourceAllocation.gpuType``."""
    made = await artifact(shared_server, spec=container(resourceRequest={"cpu": 1, "anything": []}))
    assert "resourceRequest" not in made["spec"]["containerGroups"][0]["containers"][0]
    override = {
        "name": "idle",
        "resourceRequest": {"memory": "1GB"},
        "resourceAllocation": {"cpu": 1, "gpuType": "nvidia-a10"},
    }
    made = await workload(shared_server, runtime={"containerGroups": [{"name": "default", "containers": [override]}]})
    [shown] = made["runtime"]["containerGroups"][0]["containers"]
    assert shown == {"name": "idle", "resourceAllocation": {"cpu": 1}}


async def test_the_repository_in_a_change_of_an_artifact_is_ignored(shared_server: ServerProcess) -> None:
    """``artifactRepositoryId`` in an artifact's PATCH."""
    made = await artifact(shared_server)
    for repository in (UNKNOWN, made["artifactRepositoryId"], None):
        change = {"artifactRepositoryId": repository, "description": "d"}
        answer = await ask(shared_server, "PATCH", f"/artifacts/{made['id']}/", change)
        assert answer.status == 200
        assert answer.json["artifactRepositoryId"] == made["artifactRepositoryId"]


async def test_the_filter_enclave_is_ignored(shared_server: ServerProcess) -> None:
    """The list filter ``enclave``."""
    made = await workload(shared_server)
    page = await got(shared_server, f"/workloads/?enclave=somewhere&enclave=else&ids={made['id']}")
    assert [each["id"] for each in page["data"]] == [made["id"]]


async def test_enclaves_are_kept(shared_server: ServerProcess) -> None:
    """``runtime.enclaves`` and ``runtime.enclaveSelectionPolicy`` come back, without effect."""
    runtime = {"enclaves": ["z", "a"], "enclaveSelectionPolicy": "availability"}
    made = await workload(shared_server, runtime=runtime)
    for shown in (made, await got(shared_server, f"/workloads/{made['id']}/settings")):
        assert {key: shown["runtime"][key] for key in runtime} == runtime


async def test_statuses_that_nothing_has(shared_server: ServerProcess) -> None:
    """The status filter also takes ``suspended`` and ``interrupted``; nothing matches."""
    await workload(shared_server)
    for query in ("status=suspended", "status=interrupted", "status=suspended&status=interrupted"):
        page = await got(shared_server, f"/workloads?{query}")
        assert (page["totalCount"], page["data"], page["next"]) == (0, [], None)
    refused(await ask(shared_server, "GET", "/workloads?status=asleep"), 422)


async def test_an_image_that_is_not_built_is_null(shared_server: ServerProcess) -> None:
    """A container with ``imageBuildConfig`` shows no ``imageUri`` (null) until its build has completed, unless sent."""
    config = {"dockerfile": {"source": "provided", "path": "./Dockerfile"}}
    bare = {key: value for key, value in IDLE.items() if key != "imageUri"}
    spec = {"containerGroups": [{"name": "default", "containers": [{**bare, "imageBuildConfig": config}]}]}
    made = await artifact(shared_server, spec=spec)
    [one] = made["spec"]["containerGroups"][0]["containers"]
    assert one.get("imageUri") is None
    assert one["imageBuildConfig"] == config
    refused(await ask(shared_server, "PATCH", f"/artifacts/{made['id']}", {"status": "locked"}), 422)
    made = await artifact(shared_server, spec=container(imageBuildConfig=config))
    assert made["spec"]["containerGroups"][0]["containers"][0]["imageUri"] == IDLE["imageUri"]


async def test_changes_answer_with_the_whole_document(shared_server: ServerProcess) -> None:
    """PATCH on workloads and artifacts answers 200 with the whole document, never 204."""
    made = await workload(shared_server)
    for path, change in (
        (f"/workloads/{made['id']}", {"importance": "critical", "description": "d", "name": "n"}),
        (f"/artifacts/{made['artifactId']}", {"description": "d", "name": "n"}),
    ):
        before = await got(shared_server, path)
        for content in ({}, change):
            answer = await ask(shared_server, "PATCH", path, content)
            assert answer.status == 200
            assert answer.json.keys() == before.keys()
            assert {key: answer.json[key] for key in content} == content
        assert answer.json["createdAt"] == before["createdAt"]


async def test_version_and_account_come_first(shared_server: ServerProcess) -> None:
    """``GET /version/`` and ``GET /account/info/`` are asked before anything else; ``uid``, ``orgId`` never empty."""
    version = await got(shared_server, "/version/")
    assert version
    account = await got(shared_server, "/account/info/")
    for name in ("uid", "orgId", "tenantId"):
        assert isinstance(account[name], str)
        assert account[name]
    assert {"email", "firstName", "lastName", "limits"} <= set(account)
    assert all(isinstance(account["limits"][name], int) for name in ("maxConcurrentWorkloads", "maxWorkloadReplicas"))


async def test_totals_over_workloads(shared_server: ServerProcess) -> None:
    """``GET /workloads/stats`` also bears ``total``, ``byStatus``, ``byImportance``."""
    made = await workload(shared_server, importance="critical")
    for query in (f"?ids={made['id']}", ""):
        found = await got(shared_server, f"/workloads/stats{query}")
        assert found["total"] == sum(found["byStatus"].values()) == sum(found["byImportance"].values())
    assert (await got(shared_server, f"/workloads/stats/?ids={made['id']}"))["byImportance"]["critical"] == 1


def nulls(value: Any, where: str = "") -> list[str]:
    """The places of all nulls in a document."""
    if isinstance(value, dict):
        return [found for key, part in value.items() for found in nulls(part, f"{where}.{key}")]
    if isinstance(value, list):
        return [found for number, part in enumerate(value) for found in nulls(part, f"{where}.{number}")]
    return [where] if value is None else []


async def test_rates_and_counts_are_numbers(shared_server: ServerProcess) -> None:
    """Never null, also where nobody has asked anything yet."""
    made = await workload(shared_server)
    totals = await got(shared_server, f"/workloads/stats?search={uuid4()}")
    assert nulls(totals) == []
    metrics = (await got(shared_server, f"/workloads/{made['id']}/stats"))["metrics"]
    assert nulls(metrics) == [], metrics
    assert all(isinstance(value, int | float) for value in metrics.values())
    [listed] = (await got(shared_server, f"/workloads?ids={made['id']}"))["data"]
    assert nulls(listed["requestStats"]) in ([], [".lastRequestAt"])


async def test_pollers_see_running_and_errored(shared_server: ServerProcess) -> None:
    """Pollers treat ``running`` as success, ``errored`` and ``terminated`` as failure; what comes before is neither."""
    broken = container(entrypoint=["/no/such/program"])
    made = await workload(shared_server, artifact={"name": "broken", "spec": broken})
    seen: list[str] = []

    async def ended() -> bool:
        seen.append((await got(shared_server, f"/workloads/{made['id']}/"))["status"])
        return seen[-1] == "errored"

    await until(ended, 30)
    assert set(seen) <= {"submitted", "provisioning", "launching", "errored"}


async def test_headers_of_clients_are_ignored(shared_server: ServerProcess) -> None:
    """Unknown ``User-Agent`` and ``X-DataRobot-*`` headers are ignored."""
    for headers in (
        {"User-Agent": ""},
        {"User-Agent": "DataRobotPythonClient/9.9 (\xe9)"},
        {"X-DataRobot-Api-Consumer-Trace": "a.b-c", "X-DataRobot-Skip-Redirect": "1", "Accept": "text/html"},
        {"Accept": "application/vnd.something+json", "Accept-Encoding": "br, gzip", "Cookie": "a=b"},
    ):
        answer = await ask(shared_server, "GET", "/version/", more=headers)
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        assert "content-encoding" not in answer.headers


async def test_a_deleted_workload_is_gone_at_once(shared_server: ServerProcess) -> None:
    """After ``DELETE /workloads/{id}``, ``GET`` answers 404 at once, even while teardown goes on behind it."""
    made = await workload(shared_server)
    path = f"/workloads/{made['id']}"
    answer = await ask(shared_server, "DELETE", path)
    assert (answer.status, answer.body) == (204, b"")
    for part in ("", "/", "/settings", "/events", "/protons", f"/protons/{made['protonId']}", "/history", "/stats"):
        refused(await ask(shared_server, "GET", path + part), 404)
    refused(await ask(shared_server, "DELETE", path), 404)
    refused(await ask(shared_server, "GET", f"/endpoints{path}/"), 404)
    assert (await got(shared_server, f"/workloads?ids={made['id']}"))["data"] == []


async def test_artifacts_of_agents(shared_server: ServerProcess) -> None:
    """Type ``agent``; its spec may bear ``templateId`` and ``a2aEnabled``, which come back as sent."""
    sent = {**container(), "templateId": "t-1", "a2aEnabled": True}
    made = await artifact(shared_server, type="agent", spec=sent)
    assert made["type"] == "agent"
    assert (made["spec"]["templateId"], made["spec"]["a2aEnabled"]) == ("t-1", True)
    answer = await ask(shared_server, "PATCH", f"/artifacts/{made['id']}", {"spec": {**sent, "a2aEnabled": False}})
    assert (answer.status, answer.json["spec"]["a2aEnabled"]) == (200, False)
    plain = await artifact(shared_server, type="agent")
    assert not {"templateId", "a2aEnabled"} & set(plain["spec"])
    runs = await ask(shared_server, "POST", "/workloads", {"name": "agent", "artifactId": made["id"]})
    assert (runs.status, runs.json["type"]) == (201, "agent")


@pytest.mark.parametrize("name", [{}, {"name": "TOKEN"}])
async def test_variables_of_source_api_key(shared_server: ServerProcess, name: Json) -> None:
    """Name optional; expected back as sent."""
    variables = [{"source": "api-key", **name}, {"name": "A", "value": "1", "source": "string"}]
    made = await artifact(shared_server, spec=container(environmentVars=variables))
    [one] = made["spec"]["containerGroups"][0]["containers"]
    assert json.dumps(one["environmentVars"]) == json.dumps(variables)


async def test_what_was_sent_comes_back_in_form_and_order(shared_server: ServerProcess) -> None:
    """The keys of each object in the order in which they came, numbers as they were written."""
    spec = {
        "containerGroups": [
            {
                "containers": [
                    {
                        "readinessProbe": {"port": 9000, "httpHeaders": {"Z": "1", "A": "2"}, "path": "/z"},
                        "entrypoint": ["sleep", "1000"],
                        "environmentVars": [
                            {"value": "2", "name": "B", "source": "string"},
                            {"name": "A", "source": "string", "value": "1"},
                        ],
                        "port": 8080,
                        "primary": True,
                        "name": "z",
                        "imageUri": "example.test/z:1",
                    },
                    {"imageUri": "example.test/a:1", "name": "a", "entrypoint": ["sleep", "1000"]},
                ],
                "name": "default",
            }
        ]
    }
    made = await artifact(shared_server, spec=spec)

    def same(sent: Any, shown: Any) -> None:
        if isinstance(sent, dict):
            assert [key for key in shown if key in sent] == list(sent)
            for key, value in sent.items():
                same(value, shown[key])
        elif isinstance(sent, list):
            assert len(sent) == len(shown)
            for one, other in zip(sent, shown, strict=True):
                same(one, other)
        else:
            assert (type(sent), sent) == (type(shown), shown)

    same(spec, made["spec"])
    same(spec, (await got(shared_server, f"/artifacts/{made['id']}/"))["spec"])
    runtime = {
        "containerGroups": [
            {
                "containers": [
                    {"resourceAllocation": {"memory": 1000, "cpu": 0.5}, "name": "z"},
                    {"name": "a", "resourceAllocation": {"cpu": 2}},
                ],
                "replicaCount": 1,
                "name": "default",
            }
        ]
    }
    running = await workload(shared_server, artifact={"name": "o", "spec": spec}, runtime=runtime)
    same(runtime, running["runtime"])


@pytest.mark.parametrize(
    ("sent", "amount"),
    [
        (1000, 1000), ("1000", 1000), ("1KB", 1000), ("512MB", 512_000_000), ("1.5GiB", 1_610_612_736),
        ("2 GB", 2_000_000_000), ("1MiB", 1_048_576), ("7B", 7), ("1KiB", 1024),
    ],
)  # fmt: skip
async def test_memory_is_an_integer_of_bytes(shared_server: ServerProcess, sent: Any, amount: int) -> None:
    """Memory alone is turned into bytes; in answers it is always an integer."""
    override = {"name": "idle", "resourceAllocation": {"memory": sent, "cpu": 1}}
    made = await workload(shared_server, runtime={"containerGroups": [{"name": "default", "containers": [override]}]})
    for shown in (made, await got(shared_server, f"/workloads/{made['id']}/settings")):
        [one] = shown["runtime"]["containerGroups"][0]["containers"]
        memory = one["resourceAllocation"]["memory"]
        assert (type(memory), memory) == (int, amount)


async def test_a_new_version_of_a_locked_line(shared_server: ServerProcess) -> None:
    """``POST /artifacts`` with that ``artifactRepositoryId`` and ``status: "locked"``: its answer shows both."""
    first = await artifact(shared_server, status="locked")
    for version in (2, 3):
        repository = first["artifactRepositoryId"]
        made = await artifact(shared_server, artifactRepositoryId=repository, status="locked")
        assert (made["status"], made["version"], made["artifactRepositoryId"]) == ("locked", version, repository)
        found = await got(shared_server, f"/artifactRepositories/{repository}")
        assert (found["lastVersionNumber"], found["numArtifacts"]) == (version, version)


@pytest.fixture(autouse=True)
async def nothing_keeps_running(shared_server: ServerProcess) -> AsyncIterator[None]:
    """Take down what a test has made: replicas of many tests at once would slow one another."""
    yield
    for each in (await got(shared_server, "/workloads?limit=100"))["data"]:
        assert (await ask(shared_server, "DELETE", f"/workloads/{each['id']}")).status == 204
