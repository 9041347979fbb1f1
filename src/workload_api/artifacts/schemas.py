"""Artifacts and their repositories as requests and answers bear them (§3)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)

from workload_api.artifacts.container_schemas import ContainerGroup
from workload_api.artifacts.spec_rules import check_groups
from workload_api.domain.words import ArtifactStatus as ArtifactStatus
from workload_api.domain.words import ArtifactType as ArtifactType
from workload_api.http.as_sent import Keep
from workload_api.http.models import AnswerModel, DocumentedAs, Name, Page, RequestModel, UtcDatetime
from workload_api.identity.schemas import ResourcePermissions, Tags, UserData

ArtifactSortQueryParams = Literal[
    "name", "-name", "createdAt", "-createdAt", "updatedAt", "-updatedAt", "status", "-status"
]
CommonSortQueryParams = Literal["name", "-name", "createdAt", "-createdAt", "updatedAt", "-updatedAt"]
ImageBuildExternalStatus = Literal["PENDING", "IN_PROGRESS", "BUILT", "COMPLETED", "CANCELLED", "FAILED", "UNKNOWN"]

_IGNORED_TYPE = "Ignored in requests; in answers the artifact's type."
_AnyType = WithJsonSchema({"type": "string", "enum": list(get_args(ArtifactType))})


class _Spec(RequestModel):
    """What all specs have."""

    container_groups: list[ContainerGroup] = Field(
        default=[], description="At least one.", json_schema_extra={"minItems": 1}
    )

    @model_validator(mode="after")
    def _keeps_the_rules(self) -> Self:
        check_groups(self.container_groups)
        return self


class NimStorageConfig(RequestModel):
    """Where a NIM keeps its model."""

    mode: Literal["dedicatedPvc", "nimCache"] = "dedicatedPvc"
    pvc_size: Annotated[str, Field(pattern=r"^\d+(\.\d+)?(Gi|Mi|Ti)$")] | None = None


def _any_type_as(own: ArtifactType) -> BeforeValidator:
    # Clients send back what they read, so any type passes; the artifact's own type counts (§12).
    return BeforeValidator(lambda value: own if value in ("service", "nim", "agent") else value)


class ServiceArtifactSpec(_Spec):
    """What a service runs."""

    type: Annotated[Literal["service"], _any_type_as("service"), _AnyType, Keep.NOTHING] = Field(
        default="service", description=_IGNORED_TYPE
    )


class NimArtifactSpec(_Spec):
    """What a NIM runs."""

    type: Annotated[Literal["nim"], _any_type_as("nim"), _AnyType, Keep.NOTHING] = Field(
        default="nim", description=_IGNORED_TYPE
    )
    storage: NimStorageConfig | None = None


class AgentArtifactSpec(_Spec):
    """What an agent runs: like a service."""

    type: Annotated[Literal["agent"], _any_type_as("agent"), _AnyType, Keep.NOTHING] = Field(
        default="agent", description=_IGNORED_TYPE
    )
    template_id: str | None = None
    a2a_enabled: bool | None = Field(default=None, alias="a2aEnabled")


class MultiContainerArtifactSpec(_Spec):
    """A spec in a change of an artifact, of whichever type that is."""

    # The request does not say the type: spec_rules.refuse_parts_of_other_types is asked once the artifact is known.

    type: Annotated[ArtifactType | None, Keep.NOTHING] = Field(default=None, description="Ignored.", deprecated=True)
    storage: NimStorageConfig | None = None
    template_id: str | None = None
    a2a_enabled: bool | None = Field(default=None, alias="a2aEnabled")


AnyArtifactSpec = ServiceArtifactSpec | NimArtifactSpec | AgentArtifactSpec
_SPEC_OF_TYPE: dict[ArtifactType, type[AnyArtifactSpec]] = {
    "service": ServiceArtifactSpec,
    "nim": NimArtifactSpec,
    "agent": AgentArtifactSpec,
}


def _spec(value: Any, _handler: Any, info: ValidationInfo) -> AnyArtifactSpec:
    # Where the type itself does not fit it is not here, and refused on its own.
    return _SPEC_OF_TYPE[info.data.get("type", "service")].model_validate(value)


def _spec_by_type(schema: dict[str, Any]) -> None:
    """Say in the OpenAPI document what the code above does: `type` decides which of the three specs it must be."""
    service, nim, agent = ({"properties": {"spec": one}} for one in schema["properties"]["spec"]["anyOf"])
    schema |= {"if": _is_of("nim"), "then": nim, "else": {"if": _is_of("agent"), "then": agent, "else": service}}


def _is_of(artifact_type: ArtifactType) -> dict[str, Any]:
    return {"properties": {"type": {"const": artifact_type}}, "required": ["type"]}


class InputArtifact(RequestModel):
    """A new artifact, or all of one that is replaced."""

    model_config = ConfigDict(json_schema_extra=_spec_by_type)

    name: Name
    description: str = ""
    type: ArtifactType = "service"
    spec: Annotated[AnyArtifactSpec, WrapValidator(_spec)]
    status: ArtifactStatus = Field(default="draft", description="`locked` makes and locks it in one step.")
    artifact_repository_id: str | None = Field(
        default=None, description="The repository to join; a new one is made if absent."
    )


class UpdateArtifactRequest(RequestModel):
    """A change of a draft: what is given is changed."""

    name: Name | None = None
    description: str | None = None
    spec: MultiContainerArtifactSpec | None = Field(default=None, description="Replaces the whole spec.")
    status: ArtifactStatus | None = Field(default=None, description="`locked` locks it as the next version.")
    artifact_repository_id: Annotated[Any, Keep.NOTHING] = Field(
        default=None, description="Accepted and ignored.", deprecated=True
    )


class ArtifactCloneRequest(RequestModel):
    """What a clone is called."""

    name: Name


class ArtifactFormatted(AnswerModel):
    """An artifact."""

    id: str
    name: str
    description: str = ""
    type: ArtifactType = "service"
    status: ArtifactStatus = "draft"
    version: int | None = Field(default=None, description="Its number in its repository; null for a draft.")
    artifact_repository_id: str | None
    spec: Annotated[dict[str, Any], DocumentedAs(AnyArtifactSpec)]
    created_at: UtcDatetime
    updated_at: UtcDatetime
    creator: UserData | None = None
    permissions: ResourcePermissions = Field(default_factory=list, description="What the caller may do.")
    tags: Tags = Field(default_factory=list)


class ArtifactListResponse(Page[ArtifactFormatted]):
    """A page of artifacts."""


class ArtifactRepositoryFormatted(AnswerModel):
    """An artifact repository: a line of versions."""

    id: str
    name: str
    type: ArtifactType = "service"
    last_version_number: int = 0
    num_artifacts: int = Field(default=0, ge=0)
    created_at: UtcDatetime
    updated_at: UtcDatetime
    creator: UserData | None = None
    permissions: ResourcePermissions = Field(default_factory=list, description="What the caller may do.")
    tags: Tags = Field(default_factory=list)


class ArtifactRepositoryListResponse(Page[ArtifactRepositoryFormatted]):
    """A page of artifact repositories."""


class ImageBuildFormatted(AnswerModel):
    """The build of an image."""

    id: str
    name: str
    artifact_id: str
    status: ImageBuildExternalStatus = "UNKNOWN"
    created_at: UtcDatetime
    updated_at: UtcDatetime
    creator: UserData | None = None


class ImageBuildFormattedList(Page[ImageBuildFormatted]):
    """A page of builds."""


class ImageBuildTriggerResponse(AnswerModel):
    """The builds that were begun."""

    build_ids: list[str]
