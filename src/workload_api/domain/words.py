"""The API's own words for states and kinds, as string types: what the contract calls enums."""

from __future__ import annotations

from typing import Final, Literal, get_args

ArtifactStatus = Literal["draft", "locked"]
ArtifactType = Literal["service", "nim", "agent"]
ProtonStatus = Literal[
    "unknown",
    "submitted",
    "initializing",
    "provisioning",
    "launching",
    "running",
    "warming",
    "draining",
    "stopping",
    "stopped",
    "errored",
    "terminated",
]
ProtonRole = Literal["active", "candidate"]
DesiredState = Literal["running", "stopped", "gone"]
Importance = Literal["critical", "high", "moderate", "low"]
ReplacementStatus = Literal[
    "unknown",
    "submitted",
    "initializing",
    "awaiting_promotion",
    "switching",
    "deleting",
    "completed",
    "errored",
    "cleaning_up",
]
ReplacementReason = Literal["promote", "replace", "settings"]
EventSeverity = Literal["Normal", "Warning"]
CredentialType = Literal[
    "s3",
    "basic",
    "api_token",
    "bearer",
    "oauth",
    "gcp",
    "azure",
    "azure_service_principal",
    "databricks_access_token_account",
    "snowflake_key_pair_user_account",
    "azure_sas",
    "client_id_and_secret",
    "box_jwt",
]
ResourceType = Literal["workload", "artifact", "artifact_repository"]
SubjectType = Literal["user", "group", "organization"]
SharingRole = Literal[
    "OWNER", "READ_WRITE", "EDITOR", "USER", "DATA_SCIENTIST", "ADMIN", "READ_ONLY", "CONSUMER", "OBSERVER"
]

UNFINISHED_REPLACEMENT: Final[frozenset[str]] = frozenset(
    {"unknown", "submitted", "initializing", "awaiting_promotion", "switching", "deleting", "cleaning_up"}
)


def values_of(words: object) -> tuple[str, ...]:
    """The words of one of the types above, in order."""
    return get_args(words)
