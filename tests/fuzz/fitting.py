"""Makes generated bodies keep the rules that no schema can say, so that many of them get as far as the database.

What JSON Schema says is left as it was generated; only what stands against a rule between several values is changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.fuzz.prepared import Prepared

Json = dict[str, Any]


def fit(sent: Json, prepared: Prepared, path: dict[str, str]) -> Json:
    """A body that fits the rules, of one that fits its schema.

    Args:
        sent: The body.
        prepared: What is there.
        path: The path parameters of its request; what only drafts take is sent to one that stays a draft.
    """
    body: Json = _storable(sent)
    artifact = body.get("artifact")
    if isinstance(artifact, dict):
        body.pop("artifactId", None)
    elif "artifactId" in body:
        body["artifactId"] = prepared.locked_artifact_id
        body.pop("runtime", None)
    if "credential_id" in path:
        own = ("user", "password") if path["credential_id"] in prepared.kept["credential_id"] else ()
        body = {name: body[name] for name in ("name", "description", *own) if name in body}
    if isinstance(body.get("gcpKey"), str):
        body["gcpKey"] = json.dumps({"type": body["gcpKey"]})
    if "artifact_id" in path and not body.keys().isdisjoint({"spec", "status"}):
        path["artifact_id"] = prepared.draft_artifact_id
        body |= {name: value for name, value in (("status", "draft"), ("type", "service")) if name in body}
        for part_of_other_types in ("storage", "templateId", "a2aEnabled"):
            (body.get("spec") or {}).pop(part_of_other_types, None)
    for part in (body, artifact):
        if isinstance(part, dict):
            part.pop("artifactRepositoryId", None)
            if isinstance(part.get("spec"), dict):
                _fit_spec(part["spec"])
    if isinstance(body.get("runtime"), dict):
        _fit_runtime(body["runtime"])
    if isinstance(body.get("roles"), list):
        body["roles"] = [
            {"role": role["role"], "shareRecipientType": "user", "id": prepared.user_id} for role in body["roles"]
        ]
        del body["roles"][1:]
    if isinstance(body.get("tags"), list):
        body["tags"] = list({tag["name"]: tag for tag in body["tags"]}.values())
    return body


def _storable(value: Any) -> Any:
    """A copy without NUL characters and integers beyond 64 bits."""
    if isinstance(value, str):
        return value.replace("\0", "0")
    if isinstance(value, list):
        return [_storable(one) for one in value]
    if isinstance(value, dict):
        return {_storable(key): _storable(one) for key, one in value.items()}
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-(2**63) + 1, min(value, 2**63 - 1))
    return value


def _fit_spec(spec: Json) -> None:
    groups = spec.setdefault("containerGroups", [])
    if not groups:
        groups.append({})
    for group in _named(groups, "group"):
        containers = group.setdefault("containers", [])
        if not containers:
            containers.append({})
        for number, container in enumerate(_named(containers, "container")):
            container["primary"] = number == 0
            container["port"] = (container.get("port") or 8080) if number == 0 else None
            if not container.get("imageUri") and not container.get("imageBuildConfig"):
                container["imageUri"] = "example.test/generated:1"
            variables = container.get("environmentVars")
            if variables:
                unique = {
                    variable["name"]: variable
                    for variable in variables
                    if variable.get("name") and "drCredentialId" not in variable
                }
                container["environmentVars"] = list(unique.values())


def _fit_runtime(runtime: Json) -> None:
    # What is fitted above always has a first group with a first container.
    groups = runtime.get("containerGroups", [])
    del groups[1:]
    for group in _named(groups, "group"):
        containers = group.get("containers", [])
        del containers[1:]
        _named(containers, "container")
        group.pop("resourceBundles", None)
        scaling = group.get("autoscaling")
        if not isinstance(scaling, dict):
            continue
        for bound in ("minReplicaCount", "maxReplicaCount"):
            scaling.pop(bound, None)
        for policy in scaling.get("policies", []):
            policy |= {"minCount": 1, "maxCount": 2}
        if not scaling.get("policies"):
            scaling["enabled"] = False
        if scaling.get("enabled", True):
            group.pop("replicaCount", None)


def _named(parts: Iterable[Json], noun: str) -> list[Json]:
    found = list(parts)
    for number, part in enumerate(found):
        part["name"] = f"{noun}-{number}"
    return found
