"""Containers as artifacts name them: image, entrypoint, port, environment, probes (§3).

These models are read from requests. Answers bear the stored JSON unchanged and show these models in the OpenAPI
document only.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, WrapValidator

from workload_api.http.as_sent import Keep
from workload_api.http.models import AbsentOr, DocumentedAs, RequestModel, UtcDatetime, absent

API_KEY_VARIABLE = "DATAROBOT_API_TOKEN"
"""The name of an environment variable of source ``api-key`` that has none of its own (§12)."""

Ignored = Annotated[Any, Keep.NOTHING, Field(default=None, deprecated=True, description="Accepted and ignored.")]


class ContainerBuildInfo(RequestModel):
    """The build of a container's image."""

    artifact_image_build_id: str
    status: str
    created_at: UtcDatetime


class DataRobotCodeRef(RequestModel):
    """A version of code in the catalog."""

    catalog_id: str
    catalog_version_id: str


class CodeRef(RequestModel):
    """Where the code for an image is."""

    type: Literal["datarobot"] = "datarobot"
    provider: Literal["datarobot"] = "datarobot"
    datarobot: DataRobotCodeRef


class ProvidedDockerfile(RequestModel):
    """A Dockerfile that stands beside the code."""

    source: Literal["provided"] = "provided"
    path: str = "./Dockerfile"


class GeneratedDockerfile(RequestModel):
    """A Dockerfile made from an execution environment."""

    source: Literal["generated"] = "generated"
    execution_environment_id: str
    execution_environment_version_id: str
    entrypoint: Annotated[list[str], Keep.EXACTLY] = Field(min_length=1)


def _dockerfile(value: Any, _handler: Any) -> ProvidedDockerfile | GeneratedDockerfile:
    generated = isinstance(value, dict) and (
        value.get("source") == "generated" or ("source" not in value and "executionEnvironmentId" in value)
    )
    model = GeneratedDockerfile if generated else ProvidedDockerfile
    return model.model_validate(value)


Dockerfile = Annotated[ProvidedDockerfile | GeneratedDockerfile, WrapValidator(_dockerfile)]


class ImageBuildConfig(RequestModel):
    """How to build a container's image."""

    code_ref: CodeRef | None = None
    dockerfile: AbsentOr[Dockerfile] = Field(default_factory=absent)


def _refuse_bad_variable_name(name: str) -> str:
    if not name:
        raise ValueError("The name of an environment variable cannot be empty.")
    if "=" in name:
        raise ValueError(f"The name of an environment variable cannot hold '=': {name!r}.")
    return name


VariableName = Annotated[
    str,
    AfterValidator(_refuse_bad_variable_name),
    WithJsonSchema({"type": "string", "minLength": 1, "pattern": "^[^=]+$"}),
]


class StringEnvironmentVariable(RequestModel):
    """An environment variable with its value."""

    model_config = ConfigDict(extra="allow")

    source: Literal["string"] = "string"
    name: VariableName
    value: str


class CredentialEnvironmentVariable(RequestModel):
    """An environment variable that is filled in from a stored credential when a proton starts."""

    model_config = ConfigDict(extra="allow")

    source: Literal["dr-credential"]
    name: VariableName
    dr_credential_id: str
    key: str = Field(description="Which of the credential's values.")


class ApiKeyEnvironmentVariable(RequestModel):
    """An environment variable that is filled in with an API token made for the workload."""

    model_config = ConfigDict(extra="allow")

    source: Literal["api-key"]
    name: VariableName | None = Field(default=None, description=f"`{API_KEY_VARIABLE}` if absent.")


AnyVariable = StringEnvironmentVariable | CredentialEnvironmentVariable | ApiKeyEnvironmentVariable
_VARIABLES: dict[Any, type[AnyVariable]] = {
    "string": StringEnvironmentVariable,
    "dr-credential": CredentialEnvironmentVariable,
    "api-key": ApiKeyEnvironmentVariable,
}


def _variable(value: Any, _handler: Any) -> AnyVariable:
    source = value.get("source", "string") if isinstance(value, dict) else "string"
    if not isinstance(source, str) or source not in _VARIABLES:
        raise ValueError(f"The source of an environment variable is one of {', '.join(_VARIABLES)}, not {source!r}.")
    return _VARIABLES[source].model_validate(value)


EnvironmentVariable = Annotated[AnyVariable, WrapValidator(_variable)]


class ProbeConfig(RequestModel):
    """An HTTP request that tells how a container is; times in seconds."""

    path: str
    port: int = Field(default=8080, ge=1, le=65535)
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    host: Annotated[str, Field(min_length=0)] | None = None
    http_headers: dict[str, str] = Field(default_factory=dict)
    initial_delay_seconds: int = 30
    period_seconds: int = 30
    timeout_seconds: int = 30
    failure_threshold: int = 3
    success_threshold: int = 1


class Capabilities(RequestModel):
    """Linux capabilities to add and to drop."""

    add: list[str] | None = None
    drop: list[str] | None = None


class SeccompProfile(RequestModel):
    """Which system calls are allowed."""

    type: Literal["RuntimeDefault", "Unconfined", "Localhost"]
    localhost_profile: str | None = None


class SecurityContext(RequestModel):
    """What a container's processes may do on their machine."""

    allow_privilege_escalation: bool | None = None
    capabilities: Capabilities | None = None
    read_only_root_filesystem: bool | None = None
    seccomp_profile: SeccompProfile | None = None


class Container(RequestModel):
    """One container of a group."""

    name: str | None = None
    description: str = ""
    image_uri: str | None = Field(default=None, description="This or `imageBuildConfig` is needed.")
    image_build_config: ImageBuildConfig | None = None
    entrypoint: Annotated[list[str] | None, Keep.EXACTLY] = None
    primary: bool | None = Field(
        default=False, description="The endpoint reaches this one. A lone container is primary if none says so."
    )
    port: Annotated[int, Field(ge=1024, le=65535)] | None = Field(
        default=None, description="The primary container needs one, the others have none."
    )
    environment_vars: list[EnvironmentVariable] = Field(default=[])
    readiness_probe: ProbeConfig | None = None
    liveness_probe: ProbeConfig | None = None
    startup_probe: ProbeConfig | None = None
    security_context: SecurityContext | None = None
    build: Annotated[
        Any,
        Keep.NOTHING,
        DocumentedAs(ContainerBuildInfo | None),
        Field(default=None, description="The image's build; ignored in requests."),
    ]
    resource_request: Ignored


class ContainerGroup(RequestModel):
    """Containers that run together: each replica is one of each."""

    name: str = "default"
    containers: list[Container] = Field(default=[], description="At least one.", json_schema_extra={"minItems": 1})
