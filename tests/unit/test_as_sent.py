"""What a client sent comes back in the same form and order; scalar defaults alone are added (§12)."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workload_api.artifacts.schemas import InputArtifact, UpdateArtifactRequest
from workload_api.domain.scaling import runtime_as_answered
from workload_api.http.as_sent import Keep
from workload_api.http.models import RequestModel
from workload_api.protons.runtime_schemas import WorkloadRuntime
from workload_api.replacements.schemas import StartReplacementRequest
from workload_api.workloads.schemas import CreateWorkloadRequest


def artifact(spec: dict[str, Any], kind: str = "service") -> InputArtifact:
    return InputArtifact.model_validate({"name": "web", "type": kind, "spec": spec})


def groups(container: dict[str, Any]) -> dict[str, Any]:
    return {"containerGroups": [{"name": "g", "containers": [container]}]}


def kept_container(container: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = artifact(groups(container)).spec.as_sent()["containerGroups"][0]["containers"][0]
    return kept


def kept_group(group: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = WorkloadRuntime.model_validate({"containerGroups": [group]}).as_sent()["containerGroups"][0]
    return kept


def test_a_small_spec_gets_its_scalar_defaults_and_nothing_else() -> None:
    kept = artifact({"containerGroups": [{"containers": [{"imageUri": "web:1", "port": 8080}]}]}).spec.as_sent()
    assert kept == {
        "containerGroups": [
            {
                "containers": [{"imageUri": "web:1", "port": 8080, "description": "", "primary": False}],
                "name": "default",
            }
        ]
    }


def test_order_nulls_and_numbers_stay_and_defaults_come_last() -> None:
    sent = {
        "readinessProbe": {"port": 9000, "path": "/ready", "host": None},
        "securityContext": None,
        "port": 8080,
        "environmentVars": [{"value": "2", "name": "B"}, {"name": "A", "source": "string", "value": ""}],
        "name": None,
        "entrypoint": ["python", "-m", "web"],
        "imageUri": "web:1",
        "primary": None,
    }
    kept = kept_container(sent)
    assert list(kept) == [*sent, "description"]
    assert list(kept["readinessProbe"].items()) == [
        ("port", 9000),
        ("path", "/ready"),
        ("host", None),
        ("scheme", "HTTP"),
        ("initialDelaySeconds", 30),
        ("periodSeconds", 30),
        ("timeoutSeconds", 30),
        ("failureThreshold", 3),
        ("successThreshold", 1),
    ]
    assert [list(variable.items()) for variable in kept["environmentVars"]] == [
        [("value", "2"), ("name", "B"), ("source", "string")],
        [("name", "A"), ("source", "string"), ("value", "")],
    ]
    assert kept["primary"] is None
    assert kept["securityContext"] is None
    assert kept["name"] is None


def test_ignored_fields_are_left_out() -> None:
    spec = groups(
        {
            "imageUri": "web:1",
            "port": 8080,
            "build": {"artifactImageBuildId": "b", "status": "COMPLETED", "createdAt": "2026-01-01T00:00:00Z"},
            "resourceRequest": {"cpu": 1},
        }
    )
    kept = artifact({"type": "nim", **spec}).spec.as_sent()
    assert list(kept) == ["containerGroups"]
    assert list(kept["containerGroups"][0]["containers"][0]) == ["imageUri", "port", "description", "primary"]
    change = UpdateArtifactRequest.model_validate({"spec": {"type": "service", **spec}, "artifactRepositoryId": "0123"})
    assert change.spec is not None
    assert change.spec.as_sent() == kept
    assert change.as_sent() == {"spec": kept}


def test_what_was_read_can_be_sent_back() -> None:
    first = artifact(groups({"imageUri": "web:1", "port": 8080, "livenessProbe": {"path": "/"}})).spec.as_sent()
    second = artifact({**first, "type": "service"}).spec.as_sent()
    assert json.dumps(second) == json.dumps(first)


def test_an_image_build_keeps_its_form() -> None:
    config: dict[str, dict[str, Any]] = {
        "codeRef": {"datarobot": {"catalogVersionId": "v", "catalogId": "c"}},
        "dockerfile": {"executionEnvironmentVersionId": "v", "executionEnvironmentId": "e", "entrypoint": ["a"]},
    }
    kept = kept_container({"imageBuildConfig": config, "port": 8080})["imageBuildConfig"]
    assert kept == {
        "codeRef": {**config["codeRef"], "type": "datarobot", "provider": "datarobot"},
        "dockerfile": {**config["dockerfile"], "source": "generated"},
    }
    assert list(kept["codeRef"]["datarobot"]) == ["catalogVersionId", "catalogId"]
    assert kept_container({"imageBuildConfig": {"dockerfile": {}}, "port": 8080})["imageBuildConfig"] == {
        "dockerfile": {"source": "provided", "path": "./Dockerfile"}
    }


def test_open_objects_keep_what_the_contract_does_not_name() -> None:
    variables = [
        {"source": "dr-credential", "name": "A", "drCredentialId": "c", "key": "token", "more": {"x": [1, None]}},
        {"source": "api-key"},
    ]
    kept = kept_container({"imageUri": "web:1", "port": 8080, "environmentVars": variables})
    assert kept["environmentVars"] == variables


def test_agents_and_nims_keep_their_own_parts() -> None:
    inner = groups({"imageUri": "web:1", "port": 8080})
    agent = artifact({"a2aEnabled": True, **inner, "templateId": None}, "agent").spec.as_sent()
    assert list(agent) == ["a2aEnabled", "containerGroups", "templateId"]
    nim = artifact({"storage": {"pvcSize": "10Gi"}, **inner}, "nim").spec.as_sent()
    assert nim["storage"] == {"pvcSize": "10Gi", "mode": "dedicatedPvc"}


def test_memory_becomes_bytes_and_numbers_keep_their_form() -> None:
    allocation = {"gpuType": "A100", "gpuMemory": "1GB", "cpu": 1, "memory": " 1.5 GiB", "gpu": None}
    kept = kept_group({"containers": [{"name": "c", "resourceAllocation": allocation}], "name": "g"})
    assert list(kept["containers"][0]["resourceAllocation"].items()) == [
        ("gpuMemory", 10**9),
        ("cpu", 1),
        ("memory", 3 * 2**29),
        ("gpu", None),
    ]
    assert isinstance(kept["containers"][0]["resourceAllocation"]["cpu"], int)
    assert list(kept) == ["containers", "name", "replicaCount", "bundleSelectionPolicy"]


@pytest.mark.parametrize("fields", [{}, {"memory": None}, {"memory": 5}])
def test_no_resource_fields_are_added(fields: dict[str, Any]) -> None:
    container = {"name": "c", "resourceAllocation": fields}
    assert kept_group({"containers": [container]})["containers"] == [container]


def test_items_of_lists_that_programs_compare_stay_as_they_are() -> None:
    policies = [{"target": 50, "scalingMetric": "cpuAverageUtilization", "priority": None}]
    kept = kept_group({"autoscaling": {"policies": policies, "maxReplicaCount": 3}, "resourceBundles": ["small"]})
    assert kept == {
        "autoscaling": {"policies": policies, "maxReplicaCount": 3, "enabled": True},
        "resourceBundles": ["small"],
        "name": "default",
        "bundleSelectionPolicy": "availability",
    }
    runtime = {"enclaves": ["b", "a"], "enclaveSelectionPolicy": "any"}
    assert list(WorkloadRuntime.model_validate(runtime).as_sent().items()) == list(runtime.items())


def test_nothing_is_filled_in_inside_what_is_kept_exactly() -> None:
    class Item(RequestModel):
        weight: int = 1

    class Whole(RequestModel):
        items: Annotated[list[Item], Keep.EXACTLY]
        others: list[Item]

    sent = {"others": [{}], "items": [{}, {"weight": 2}]}
    assert Whole.model_validate(sent).as_sent() == {"others": [{"weight": 1}], "items": [{}, {"weight": 2}]}


def test_a_replica_count_is_filled_in_unless_autoscaling_says_how_many() -> None:
    assert kept_group({})["replicaCount"] == 1
    assert kept_group({"autoscaling": {"enabled": False}})["replicaCount"] == 1
    assert kept_group({"autoscaling": None})["replicaCount"] == 1
    assert kept_group({"replicaCount": None})["replicaCount"] is None
    scaled = {"policies": [{"scalingMetric": "cpuAverageUtilization", "target": 1, "minCount": 1, "maxCount": 2}]}
    assert "replicaCount" not in kept_group({"autoscaling": scaled})


def test_a_runtime_that_was_read_can_be_sent_back() -> None:
    policies = [{"scalingMetric": "httpRequestsConcurrency", "target": 5, "minCount": 2, "maxCount": 4}]
    for group in ({"autoscaling": {"policies": policies}}, {"autoscaling": {"enabled": False}, "replicaCount": 3}):
        read = runtime_as_answered({"containerGroups": [kept_group(group)]})
        again = runtime_as_answered(WorkloadRuntime.model_validate(read).as_sent())
        assert json.dumps(again) == json.dumps(read)


def test_what_is_not_sent_is_not_there() -> None:
    assert WorkloadRuntime.model_validate({}).as_sent() == {}
    assert WorkloadRuntime.model_validate({"containerGroups": []}).as_sent() == {"containerGroups": []}
    whole = CreateWorkloadRequest.model_validate({"artifactId": "a", "name": "w"})
    assert whole.runtime is None
    assert whole.as_sent() == {"artifactId": "a", "name": "w", "importance": "low"}
    replacement = StartReplacementRequest.model_validate({"artifactId": "a", "strategy": "rolling"})
    assert replacement.as_sent() == {"artifactId": "a", "strategy": "rolling"}
    assert (replacement.config.warmup_duration_minutes, replacement.config.keep_old_version_minutes) == (0, 0)


def test_it_shares_nothing_with_what_was_read() -> None:
    sent = {"containerGroups": [{"resourceBundles": ["a"], "containers": [{"name": "c"}]}], "enclaves": ["x"]}
    before = deepcopy(sent)
    kept = WorkloadRuntime.model_validate(sent).as_sent()
    kept["enclaves"].append("y")
    kept["containerGroups"][0]["resourceBundles"].append("b")
    kept["containerGroups"][0]["containers"][0]["name"] = "other"
    assert sent == before


PROBES = st.fixed_dictionaries(
    {"path": st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"))},
    optional={
        "port": st.integers(1, 65535),
        "scheme": st.sampled_from(["HTTP", "HTTPS"]),
        "host": st.none() | st.just("localhost"),
        "httpHeaders": st.dictionaries(st.sampled_from("abc"), st.just("v")),
        "periodSeconds": st.integers(0, 100),
    },
)
CONTAINERS = st.fixed_dictionaries(
    {"imageUri": st.just("web:1"), "port": st.integers(1024, 65535)},
    optional={
        "name": st.none() | st.just("c"),
        "description": st.just("words"),
        "primary": st.none() | st.booleans(),
        "entrypoint": st.none() | st.lists(st.sampled_from(["a", "$(PORT)"])),
        "environmentVars": st.lists(st.just({"name": "N", "value": "v"}), max_size=1),
        "readinessProbe": st.none() | PROBES,
        "securityContext": st.none() | st.just({"capabilities": {"drop": ["ALL"], "add": None}}),
    },
)


@given(CONTAINERS, st.randoms())
def test_whatever_was_sent_stands_there_unchanged_and_in_order(container: dict[str, Any], random: Any) -> None:
    pairs = list(container.items())
    random.shuffle(pairs)
    sent = dict(pairs)
    _assert_grown(sent, kept_container(deepcopy(sent)))


def _assert_grown(sent: Any, kept: Any) -> None:
    """Everything sent is kept in its order; what was added is a scalar, and behind it."""
    if isinstance(sent, dict):
        assert list(kept)[: len(sent)] == list(sent)
        assert all(isinstance(kept[key], str | int) for key in list(kept)[len(sent) :])
        for key in sent:
            _assert_grown(sent[key], kept[key])
    elif isinstance(sent, list):
        assert len(sent) == len(kept)
        for one, other in zip(sent, kept, strict=True):
            _assert_grown(one, other)
    else:
        assert type(sent) is type(kept)
        assert sent == kept
