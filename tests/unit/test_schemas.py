"""What requests may say, how answers are written, and what the OpenAPI document shows of both."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, ValidationError

from workload_api.artifacts.schemas import ArtifactCloneRequest, ArtifactFormatted, InputArtifact, UpdateArtifactRequest
from workload_api.artifacts.spec_rules import refuse_parts_of_other_types
from workload_api.domain.errors import FieldError
from workload_api.domain.scaling import initial_replicas, replica_bounds, runtime_as_answered
from workload_api.events.schemas import WorkloadEvent, WorkloadEventsResponse
from workload_api.http.models import ErrorBody
from workload_api.identity.schemas import (
    GrantAccessControlWithId,
    GrantAccessControlWithUsername,
    SharedRolesUpdateRequest,
)
from workload_api.protons.runtime_schemas import WorkloadRuntime
from workload_api.replacements.schemas import Replacement, StartReplacementRequest
from workload_api.workloads.schemas import (
    CreateWorkloadRequest,
    RelatedEntitiesResponse,
    RelatedItem,
    RelatedItemID,
    UpdateWorkloadRequest,
    WorkloadFormatted,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
WEB: dict[str, Any] = {"imageUri": "web:1", "port": 8080}
SIDE: dict[str, Any] = {"imageUri": "side:1"}
CPU: dict[str, Any] = {"scalingMetric": "cpuAverageUtilization", "target": 50}


def problems(model: type[BaseModel], value: Any) -> list[tuple[tuple[str | int, ...], str]]:
    """Where and why a request is refused; empty if it is not."""
    try:
        model.model_validate(value)
    except ValidationError as error:
        return [(problem["loc"], problem["msg"].removeprefix("Value error, ")) for problem in error.errors()]
    return []


def only_problem(model: type[BaseModel], value: Any) -> tuple[tuple[str | int, ...], str]:
    found = problems(model, value)
    assert len(found) == 1, found
    return found[0]


def artifact(*containers: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "a", "spec": {"containerGroups": [{"containers": list(containers)}]}, **fields}


def runtime(*groups: dict[str, Any]) -> dict[str, Any]:
    return {"containerGroups": list(groups)}


class TestStrictness:
    @pytest.mark.parametrize("port", ["8080", 8080.0, True, 1023, 65536, [8080]])
    def test_a_port_is_an_integer_in_its_bounds(self, port: Any) -> None:
        assert problems(InputArtifact, artifact({**WEB, "port": port}))

    @pytest.mark.parametrize("primary", [1, "true", "yes", 0.0])
    def test_a_boolean_is_a_boolean(self, primary: Any) -> None:
        assert problems(InputArtifact, artifact({**WEB, "primary": primary}))

    def test_only_the_names_of_the_contract_are_known(self) -> None:
        where, _ = only_problem(InputArtifact, artifact({**WEB, "image_uri": "x"}))
        assert where[-1] == "image_uri"
        assert problems(CreateWorkloadRequest, {"name": "w", "artifact_id": "a"})
        assert problems(UpdateWorkloadRequest, {"status": "running"})
        assert problems(InputArtifact, artifact(WEB, typo=1)) == [(("typo",), "Extra inputs are not permitted")]

    def test_names_have_1_to_5000_characters(self) -> None:
        for model in (ArtifactCloneRequest, UpdateArtifactRequest, UpdateWorkloadRequest):
            assert not problems(model, {"name": "x" * 5000})
            for name in ("", "x" * 5001, "x" * 10_000, 5):
                assert only_problem(model, {"name": name})[0] == ("name",)

    @pytest.mark.parametrize("body", [None, [], "text", 5, True, [{}]])
    def test_a_body_is_an_object(self, body: Any) -> None:
        assert only_problem(UpdateWorkloadRequest, body) == ((), "This must be a JSON object.")

    def test_null_is_told_from_absent(self) -> None:
        assert UpdateWorkloadRequest.model_validate({}).model_fields_set == set()
        assert UpdateWorkloadRequest.model_validate({"description": None}).model_fields_set == {"description"}
        where, sentence = only_problem(CreateWorkloadRequest, {"name": "w", "artifactId": "a", "runtime": None})
        assert (where, sentence) == (("runtime",), "This may be left out, but not be null.")

    @pytest.mark.parametrize("text", ["a\0b", "\ud800", "\udc00x"])
    def test_text_that_cannot_be_stored_is_refused_wherever_it_stands(self, text: str) -> None:
        variable = {"source": "dr-credential", "name": "N", "drCredentialId": "c", "key": "k"}
        for body, place in (
            (artifact(WEB, name=text), ("name",)),
            (artifact({**WEB, "entrypoint": ["a", text]}), (*_CONTAINER, "entrypoint", 1)),
            (artifact({**WEB, "readinessProbe": {"path": "/", "httpHeaders": {"h": text}}}), None),
            (artifact({**WEB, "readinessProbe": {"path": "/", "httpHeaders": {text: "h"}}}), None),
            (artifact({**WEB, "environmentVars": [{**variable, "more": [{"deep": text}]}]}), None),
            ({**artifact(WEB), text: 1}, ()),
            (artifact(WEB, type=text), ("type",)),
        ):
            where, sentence = only_problem(InputArtifact, body)
            assert "NUL character" in sentence or "surrogate pair" in sentence
            assert place is None or where == place
        assert problems(CreateWorkloadRequest, {"name": "w", "artifact": artifact(WEB, description=text)})

    def test_all_other_text_is_taken(self) -> None:
        text = "emoji 🚀, عربي, tab\t, \x01 and \x7f, \u202e, \ufffe"
        assert InputArtifact.model_validate(artifact(WEB, name=text)).name == text

    @pytest.mark.parametrize("number", [float("inf"), float("nan"), 10**400, 2**63])
    def test_numbers_that_nobody_can_store_are_refused(self, number: Any) -> None:
        allocation = {"containers": [{"name": "c", "resourceAllocation": {"cpu": number}}]}
        assert problems(WorkloadRuntime, runtime(allocation))
        variable = {"source": "api-key", "more": number}
        assert problems(InputArtifact, artifact({**WEB, "environmentVars": [variable]}))

    def test_deep_nesting_is_refused(self) -> None:
        deep: Any = 1
        for _ in range(5000):
            deep = [deep]
        variable = {"source": "api-key", "more": deep}
        _, sentence = only_problem(InputArtifact, artifact({**WEB, "environmentVars": [variable]}))
        assert "levels deep" in sentence

    def test_a_body_is_checked_after_one_that_was_refused(self) -> None:
        assert problems(ArtifactCloneRequest, {"name": "\0"})
        assert problems(ArtifactCloneRequest, {"name": "\0"})
        assert not problems(ArtifactCloneRequest, {"name": "fine"})


_CONTAINER = ("spec", "containerGroups", 0, "containers", 0)


class TestSpec:
    def test_what_runs_is_taken(self) -> None:
        assert not problems(InputArtifact, artifact(WEB))
        assert not problems(InputArtifact, artifact({**WEB, "primary": False}))
        assert not problems(InputArtifact, artifact({**WEB, "primary": True}, SIDE, SIDE))
        two = {"containerGroups": [{"name": "a", "containers": [WEB]}, {"name": "b", "containers": [WEB]}]}
        assert not problems(InputArtifact, {"name": "a", "spec": two})
        assert not problems(InputArtifact, artifact({"imageBuildConfig": {}, "port": 8080}))

    @pytest.mark.parametrize(
        ("spec", "place", "words"),
        [
            ({}, ("containerGroups",), "at least one container group"),
            ({"containerGroups": []}, ("containerGroups",), "at least one container group"),
            ({"containerGroups": [{}]}, ("containerGroups", 0, "containers"), "at least one container"),
            (
                {"containerGroups": [{"containers": [WEB]}, {"name": "default", "containers": [WEB]}]},
                ("containerGroups", 1, "name"),
                "Two container groups",
            ),
        ],
    )
    def test_groups(self, spec: dict[str, Any], place: tuple[str | int, ...], words: str) -> None:
        where, sentence = only_problem(InputArtifact, {"name": "a", "spec": spec})
        assert where == ("spec", *place)
        assert words in sentence
        where, sentence = only_problem(UpdateArtifactRequest, {"spec": spec})
        assert where == ("spec", *place)
        assert words in sentence

    @pytest.mark.parametrize(
        ("containers", "place", "words"),
        [
            ([WEB, SIDE], (), "it has 0"),
            ([{**WEB, "primary": True}, {**SIDE, "primary": True}], (), "it has 2"),
            ([SIDE], (0, "port"), "needs a port"),
            ([{**WEB, "primary": True}, WEB], (1, "port"), "Only the primary"),
            ([{"port": 8080}], (0, "imageUri"), "imageUri or imageBuildConfig"),
            ([{"imageUri": "", "port": 8080}], (0, "imageUri"), "imageUri or imageBuildConfig"),
            ([{**WEB, "primary": True, "name": "x"}, {**SIDE, "name": "x"}], (1, "name"), "Two containers"),
            ([{**WEB, "primary": True, "name": "container-1"}, SIDE], (1, "name"), "Two containers"),
        ],
    )
    def test_containers(self, containers: list[Any], place: tuple[str | int, ...], words: str) -> None:
        where, sentence = only_problem(InputArtifact, artifact(*containers))
        assert where == ("spec", "containerGroups", 0, "containers", *place)
        assert words in sentence

    @pytest.mark.parametrize(
        ("variables", "words"),
        [
            ([{"name": "", "value": "v"}], "cannot be empty"),
            ([{"name": "A=B", "value": "v"}], "cannot hold '='"),
            ([{"name": "A", "value": "v"}, {"name": "A", "value": "w"}], "twice"),
            ([{"source": "api-key"}, {"name": "DATAROBOT_API_TOKEN", "value": "v"}], "twice"),
            ([{"source": "vault", "name": "A"}], "one of string, dr-credential, api-key"),
            ([{"source": ["string"], "name": "A"}], "one of string, dr-credential, api-key"),
            ([{"name": "A"}], "required"),
            ([{"name": "A", "value": 1}], "valid string"),
            (["A=B"], "must be a JSON object"),
        ],
    )
    def test_environment_variables(self, variables: list[Any], words: str) -> None:
        where, sentence = only_problem(InputArtifact, artifact({**WEB, "environmentVars": variables}))
        assert where[: len(_CONTAINER) + 1] == (*_CONTAINER, "environmentVars")
        assert words in sentence

    def test_the_type_in_a_spec_is_ignored_and_the_artifacts_own_counts(self) -> None:
        for kind in ("service", "nim", "agent"):
            for said in ("service", "nim", "agent"):
                body = artifact(WEB, type=kind)
                body["spec"]["type"] = said
                assert InputArtifact.model_validate(body).type == kind
                assert not problems(UpdateArtifactRequest, {"spec": body["spec"]})

    @pytest.mark.parametrize(
        ("part", "value", "kind"),
        [("storage", {"mode": "nimCache"}, "nim"), ("templateId", "t", "agent"), ("a2aEnabled", True, "agent")],
    )
    def test_parts_of_other_types_are_refused(self, part: str, value: Any, kind: str) -> None:
        body = artifact(WEB)
        body["spec"][part] = value
        for other in ("service", "nim", "agent"):
            assert bool(problems(InputArtifact, {**body, "type": other})) == (other != kind)
            if other == kind:
                refuse_parts_of_other_types(other, body["spec"])
            else:
                with pytest.raises(FieldError, match=part):
                    refuse_parts_of_other_types(other, body["spec"])
        assert not problems(UpdateArtifactRequest, {"spec": body["spec"]})

    def test_a_bad_type_is_one_problem(self) -> None:
        assert only_problem(InputArtifact, artifact(WEB, type="job"))[0] == ("type",)


class TestRuntime:
    def test_both_spellings_of_bounds_mean_the_same(self) -> None:
        in_policies = {"policies": [{**CPU, "minCount": 2, "maxCount": 5}]}
        on_top = {"policies": [CPU], "minReplicaCount": 2, "maxReplicaCount": 5}
        for autoscaling in (in_policies, on_top, {**in_policies, **on_top, "policies": in_policies["policies"]}):
            stored = WorkloadRuntime.model_validate(runtime({"autoscaling": autoscaling})).as_sent()
            group = stored["containerGroups"][0]
            assert replica_bounds(group) == (2, 5)
            assert initial_replicas(group) == 2
            answered = runtime_as_answered(stored)["containerGroups"][0]["autoscaling"]
            assert answered["policies"] == autoscaling["policies"]
            assert (answered["minReplicaCount"], answered["maxReplicaCount"]) == (2, 5)
            assert stored["containerGroups"][0] is group
            assert group["autoscaling"] == {**autoscaling, "enabled": True}

    @pytest.mark.parametrize(
        ("group", "bounds", "first"),
        [
            ({}, (1, 1), 1),
            ({"replicaCount": 3}, (3, 3), 3),
            ({"replicaCount": None}, (1, 1), 1),
            ({"replicaCount": 2, "autoscaling": {"enabled": False, "maxReplicaCount": 9}}, (2, 2), 2),
            ({"autoscaling": {"policies": [CPU]}}, (1, 1), 1),
            ({"autoscaling": {"policies": [CPU], "minReplicaCount": 0, "maxReplicaCount": 4}}, (0, 4), 1),
            ({"autoscaling": {"policies": [{**CPU, "minCount": 3}]}}, (3, 3), 3),
            ({"autoscaling": {"policies": [{**CPU, "minCount": 1}, {**CPU, "minCount": 2, "maxCount": 7}]}}, (2, 7), 2),
        ],
    )
    def test_replicas(self, group: dict[str, Any], bounds: tuple[int, int], first: int) -> None:
        assert not problems(WorkloadRuntime, runtime(group))
        assert replica_bounds(group) == bounds
        assert initial_replicas(group) == first

    @pytest.mark.parametrize(
        ("group", "place", "words"),
        [
            ({"replicaCount": 0}, ("replicaCount",), "greater than or equal to 1"),
            ({"replicaCount": 2, "autoscaling": {"policies": [CPU]}}, ("replicaCount",), "enabled"),
            ({"autoscaling": {}}, ("autoscaling", "policies"), "at least one policy"),
            (
                {"autoscaling": {"policies": [{**CPU, "minCount": 1}], "minReplicaCount": 2}},
                ("autoscaling", "minReplicaCount"),
                "contradicts",
            ),
            (
                {"autoscaling": {"policies": [{**CPU, "maxCount": 9}], "maxReplicaCount": 8}},
                ("autoscaling", "maxReplicaCount"),
                "contradicts",
            ),
            (
                {"autoscaling": {"policies": [CPU], "minReplicaCount": 3, "maxReplicaCount": 2}},
                ("autoscaling", "maxReplicaCount"),
                "greater than the greatest",
            ),
            (
                {"autoscaling": {"policies": [{**CPU, "minCount": 3, "maxCount": 2}]}},
                ("autoscaling", "policies", 0, "minCount"),
                "greater than maxCount",
            ),
            (
                {"autoscaling": {"policies": [{**CPU, "minCount": 0, "maxCount": 0}]}},
                ("autoscaling", "maxReplicaCount"),
                "at least 1",
            ),
            (
                {"autoscaling": {"policies": [{**CPU, "minCount": None}]}},
                ("autoscaling", "policies", 0, "minCount"),
                "not be null",
            ),
            ({"containers": [{"name": "c"}, {"name": "c"}]}, ("containers", 1, "name"), "have the name 'c'"),
            (
                {"containers": [{"name": "c", "resourceAllocation": {"memory": "12 parsecs"}}]},
                ("containers", 0, "resourceAllocation", "memory"),
                "'parsecs' is not a unit",
            ),
            (
                {"containers": [{"name": "c", "resourceAllocation": {"gpuMemory": True}}]},
                ("containers", 0, "resourceAllocation", "gpuMemory"),
                "integer of bytes",
            ),
            (
                {"containers": [{"name": "c", "resourceAllocation": {"cpu": -1}}]},
                ("containers", 0, "resourceAllocation", "cpu"),
                "greater than or equal to 0",
            ),
        ],
    )
    def test_refusals(self, group: dict[str, Any], place: tuple[str | int, ...], words: str) -> None:
        where, sentence = only_problem(WorkloadRuntime, runtime(group))
        assert where == ("containerGroups", 0, *place)
        assert words in sentence

    def test_places_are_those_of_the_body(self) -> None:
        body = {"name": "w", "artifactId": "a", "runtime": runtime({"name": 5})}
        assert only_problem(CreateWorkloadRequest, body)[0] == ("runtime", "containerGroups", 0, "name")
        dockerfile = {"imageBuildConfig": {"dockerfile": {"path": 5}}, "port": 8080}
        where, _ = only_problem(InputArtifact, artifact(dockerfile))
        assert where == (*_CONTAINER, "imageBuildConfig", "dockerfile", "path")
        policy = {**CPU, "maxCount": "many"}
        where, _ = only_problem(WorkloadRuntime, runtime({"autoscaling": {"policies": [policy]}}))
        assert where == ("containerGroups", 0, "autoscaling", "policies", 0, "maxCount")

    def test_group_names_are_unique(self) -> None:
        where, sentence = only_problem(WorkloadRuntime, runtime({}, {"name": "default"}))
        assert where == ("containerGroups", 1, "name")
        assert "Two container groups" in sentence

    def test_autoscaling_that_is_off_needs_nothing(self) -> None:
        group = {"autoscaling": {"enabled": False}, "replicaCount": 2}
        assert not problems(WorkloadRuntime, runtime(group))
        answered = runtime_as_answered(runtime(group))["containerGroups"][0]
        assert answered == {
            "autoscaling": {"enabled": False, "minReplicaCount": 2, "maxReplicaCount": 2},
            "replicaCount": 2,
        }

    def test_a_runtime_without_autoscaling_is_answered_as_it_is(self) -> None:
        assert runtime_as_answered({}) == {}
        assert runtime_as_answered({"enclaves": None}) == {"enclaves": None}
        assert runtime_as_answered(runtime({"autoscaling": None})) == runtime({"autoscaling": None})


class TestRequests:
    def test_a_workload_has_exactly_one_artifact(self) -> None:
        assert not problems(CreateWorkloadRequest, {"name": "w", "artifactId": "a"})
        assert not problems(CreateWorkloadRequest, {"name": "w", "artifact": artifact(WEB), "artifactId": None})
        for body in ({"name": "w"}, {"name": "w", "artifactId": "a", "artifact": artifact(WEB)}):
            assert only_problem(CreateWorkloadRequest, body)[0] == ("artifactId",)

    def test_a_replacement_needs_artifact_and_strategy(self) -> None:
        body = {"artifactId": "a", "strategy": "rolling", "config": {"keepOldVersionMinutes": 5}, "runtime": None}
        assert StartReplacementRequest.model_validate(body).config.keep_old_version_minutes == 5
        assert problems(StartReplacementRequest, {**body, "strategy": "blue-green"})
        assert problems(StartReplacementRequest, {"artifactId": "a"})
        assert problems(StartReplacementRequest, {**body, "config": {"warmupDurationMinutes": -1}})

    def test_roles_in_any_letter_case(self) -> None:
        body = {
            "operation": "updateRoles",
            "roles": [
                {"username": "ann", "role": "Owner", "shareRecipientType": "user"},
                {"id": "1", "role": "no_role", "shareRecipientType": "organization"},
            ],
        }
        first, second = SharedRolesUpdateRequest.model_validate(body).roles
        assert isinstance(first, GrantAccessControlWithUsername)
        assert isinstance(second, GrantAccessControlWithId)
        assert (first.role, second.role) == ("OWNER", "NO_ROLE")

    @pytest.mark.parametrize(
        "roles",
        [
            [],
            [{"id": "1", "role": "USER", "shareRecipientType": "user"}] * 101,
            [{"role": "USER", "shareRecipientType": "user"}],
            [{"id": "1", "username": "a", "role": "USER", "shareRecipientType": "user"}],
            [{"id": "1", "role": "KING", "shareRecipientType": "user"}],
            [{"id": "1", "role": 5, "shareRecipientType": "user"}],
            [{"id": "1", "role": "USER", "shareRecipientType": "planet"}],
            ["USER"],
        ],
    )
    def test_grants_that_are_none(self, roles: list[Any]) -> None:
        assert only_problem(SharedRolesUpdateRequest, {"operation": "updateRoles", "roles": roles})


class TestAnswers:
    def test_times_are_utc_with_z_and_microseconds(self) -> None:
        east = NOW.astimezone(timezone(timedelta(hours=5)))
        event = WorkloadEvent(
            id="1", workload_id="2", timestamp=east, event_type="a.b", reason="Made", message="It was made."
        )
        assert event.model_dump(mode="json") == {
            "id": "1",
            "workloadId": "2",
            "timestamp": "2026-01-02T03:04:05.000006Z",
            "eventType": "a.b",
            "type": "Normal",
            "reason": "Made",
            "message": "It was made.",
            "actorId": None,
            "details": None,
        }

    def test_a_time_without_a_zone_is_no_time(self) -> None:
        with pytest.raises(ValidationError):
            WorkloadEvent(
                id="1",
                workload_id="2",
                timestamp=NOW.replace(tzinfo=None),
                event_type="a",
                reason="Made",
                message="It was made.",
            )

    def test_stored_specs_and_runtimes_are_given_as_they_are(self) -> None:
        spec = {"containerGroups": [{"containers": [{"port": 8080, "imageUri": None}]}], "type": "service"}
        answer = ArtifactFormatted(
            id="1", name="a", artifact_repository_id="2", spec=spec, created_at=NOW, updated_at=NOW
        )
        assert answer.spec is spec
        assert answer.model_dump(mode="json")["spec"] == spec
        workload = WorkloadFormatted(id="1", name="w", created_at=NOW, updated_at=NOW, runtime={"enclaves": ["x"]})
        written = workload.model_dump(mode="json")
        assert written["runtime"] == {"enclaves": ["x"]}
        assert written["statusDetails"] == {"logTail": [], "conditions": []}
        assert (written["replacement"], written["owners"], written["tags"]) == (None, [], [])

    def test_a_page_is_made_with_python_names(self) -> None:
        page = WorkloadEventsResponse(count=0, total_count=3, data=[], next="https://a/b", previous=None)
        assert page.model_dump(mode="json") == {
            "count": 0,
            "totalCount": 3,
            "data": [],
            "next": "https://a/b",
            "previous": None,
        }

    def test_related_items_keep_all_they_have(self) -> None:
        item = RelatedItem(id="1", name="n", type="artifact", created_at=NOW, updated_at=NOW)
        answer = RelatedEntitiesResponse(count=2, data=[item, RelatedItemID(id="2", type="proton")])
        written = answer.model_dump(mode="json")["data"]
        assert written[0]["createdAt"] == "2026-01-02T03:04:05.000006Z"
        assert written[1] == {"id": "2", "type": "proton"}

    def test_a_word_that_the_contract_does_not_have_is_no_answer(self) -> None:
        with pytest.raises(ValidationError):
            WorkloadFormatted(id="1", name="w", created_at=NOW, updated_at=NOW, status="warm")


def _document() -> dict[str, Any]:
    app = FastAPI()

    def create(body: CreateWorkloadRequest) -> WorkloadFormatted:
        raise NotImplementedError

    def change(body: UpdateArtifactRequest) -> ArtifactFormatted:
        raise NotImplementedError

    def replace(body: StartReplacementRequest) -> Replacement:
        raise NotImplementedError

    refusals: dict[int | str, dict[str, Any]] = {422: {"model": ErrorBody}}
    app.add_api_route("/workloads", create, methods=["POST"], responses=refusals)
    app.add_api_route("/artifacts", change, methods=["PATCH"], responses=refusals)
    app.add_api_route("/replacement", replace, methods=["POST"], responses=refusals)
    return app.openapi()


class TestDocument:
    def test_requests_and_answers_share_their_components(self) -> None:
        components = _document()["components"]["schemas"]
        assert not [name for name in components if name.endswith(("-Input", "-Output"))]
        specs = ("ServiceArtifactSpec", "NimArtifactSpec", "AgentArtifactSpec")
        shown = [{"$ref": f"#/components/schemas/{name}"} for name in specs]
        assert components["ArtifactFormatted"]["properties"]["spec"]["anyOf"] == shown
        assert components["InputArtifact"]["properties"]["spec"]["anyOf"] == shown
        runtime_reference = "#/components/schemas/WorkloadRuntime"
        assert components["WorkloadFormatted"]["properties"]["runtime"]["$ref"] == runtime_reference
        assert components["CreateWorkloadRequest"]["properties"]["runtime"]["$ref"] == runtime_reference

    def test_what_may_be_left_out_shows_no_null(self) -> None:
        components = _document()["components"]["schemas"]
        assert components["AutoscalingPolicy"]["properties"]["minCount"] == {
            "type": "integer",
            "minimum": 0,
            "title": "Mincount",
        }
        assert components["CreateWorkloadRequest"]["required"] == ["name"]

    def test_memory_shows_its_forms(self) -> None:
        memory = _document()["components"]["schemas"]["ResourceAllocation"]["properties"]["memory"]
        assert [form["type"] for form in memory["anyOf"]] == ["integer", "string", "null"]
