"""Credentials as requests and answers bear them (§11)."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, WithJsonSchema, WrapValidator

from workload_api.domain.words import CredentialType
from workload_api.http.models import AbsentOr, AnswerModel, Page, RequestModel, UtcDatetime, absent
from workload_api.http.models import problem as problem_at

CredentialName = Annotated[str, StringConstraints(min_length=1, max_length=255)]

SecretText = Annotated[
    str, StringConstraints(min_length=1), Field(json_schema_extra={"format": "password", "writeOnly": True})
]
Secret = Annotated[SecretText, Field(repr=False)]
"""A value that no answer, log line or message shows."""


def _key_text(value: Any, _handler: Any) -> str:
    if isinstance(value, dict) and value:
        return json.dumps(value)
    if isinstance(value, str) and value:
        return value
    raise ValueError("The key is a JSON object, as Google gives it, or its text.")


GcpKey = Annotated[
    str,
    WrapValidator(_key_text),
    WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "string", "minLength": 1}], "writeOnly": True}),
    Field(description="The JSON object, or its text; filled into variables as text."),
]


class CreateCredential(RequestModel):
    """What all types of credentials have."""

    name: CredentialName = Field(description="Unique among the credentials of its user.")
    description: str | None = None
    credential_type: CredentialType


class CreateS3Credential(CreateCredential):
    """An access key of Amazon S3, or of what speaks its language."""

    credential_type: Literal["s3"]
    aws_access_key_id: Secret
    aws_secret_access_key: Secret
    aws_session_token: SecretText | None = Field(default=None, repr=False)


class CreateBasicCredential(CreateCredential):
    """A user and a password."""

    credential_type: Literal["basic"]
    user: Secret
    password: Secret


class CreateApiTokenCredential(CreateCredential):
    """An API token."""

    credential_type: Literal["api_token"]
    api_token: Secret


class CreateBearerCredential(CreateCredential):
    """A bearer token."""

    credential_type: Literal["bearer"]
    token: Secret


class CreateOAuthCredential(CreateCredential):
    """Tokens of OAuth."""

    credential_type: Literal["oauth"]
    token: Secret
    refresh_token: SecretText | None = Field(default=None, repr=False)


class CreateGcpCredential(CreateCredential):
    """A key of a Google Cloud service account."""

    credential_type: Literal["gcp"]
    gcp_key: GcpKey = Field(repr=False)


class CreateAzureCredential(CreateCredential):
    """A connection string of Azure."""

    credential_type: Literal["azure"]
    azure_connection_string: Secret


class CreateAzureServicePrincipalCredential(CreateCredential):
    """A service principal of Azure."""

    credential_type: Literal["azure_service_principal"]
    azure_tenant_id: Secret
    client_id: Secret
    client_secret: Secret


class CreateDatabricksAccessTokenCredential(CreateCredential):
    """An access token of Databricks."""

    credential_type: Literal["databricks_access_token_account"]
    databricks_access_token: Secret


class CreateSnowflakeKeyPairCredential(CreateCredential):
    """A key pair of a Snowflake user."""

    credential_type: Literal["snowflake_key_pair_user_account"]
    user: Secret
    private_key_str: Secret
    passphrase: SecretText | None = Field(default=None, repr=False)


class CreateAzureSasCredential(CreateCredential):
    """A shared access signature of Azure."""

    credential_type: Literal["azure_sas"]
    sas_token: Secret


class CreateClientIdAndSecretCredential(CreateCredential):
    """A client of OAuth."""

    credential_type: Literal["client_id_and_secret"]
    client_id: Secret
    client_secret: Secret


class CreateBoxJwtCredential(CreateCredential):
    """An application of Box."""

    credential_type: Literal["box_jwt"]
    enterprise_id: Secret
    public_key_id: Secret


TYPES: Final[dict[CredentialType, type[CreateCredential]]] = {
    "s3": CreateS3Credential,
    "basic": CreateBasicCredential,
    "api_token": CreateApiTokenCredential,
    "bearer": CreateBearerCredential,
    "oauth": CreateOAuthCredential,
    "gcp": CreateGcpCredential,
    "azure": CreateAzureCredential,
    "azure_service_principal": CreateAzureServicePrincipalCredential,
    "databricks_access_token_account": CreateDatabricksAccessTokenCredential,
    "snowflake_key_pair_user_account": CreateSnowflakeKeyPairCredential,
    "azure_sas": CreateAzureSasCredential,
    "client_id_and_secret": CreateClientIdAndSecretCredential,
    "box_jwt": CreateBoxJwtCredential,
}
"""What a new credential of each type has to bear."""


def _of_its_type(value: Any, _handler: Any) -> CreateCredential:
    if not isinstance(value, dict):
        return CreateCredential.model_validate(value)
    word = value.get("credentialType")
    if not isinstance(word, str) or word not in TYPES:
        raise problem_at(f"The type of a credential is one of {', '.join(TYPES)}.", ("credentialType",))
    return TYPES[word].model_validate(value)


AnyNewCredential = Annotated[
    CreateS3Credential
    | CreateBasicCredential
    | CreateApiTokenCredential
    | CreateBearerCredential
    | CreateOAuthCredential
    | CreateGcpCredential
    | CreateAzureCredential
    | CreateAzureServicePrincipalCredential
    | CreateDatabricksAccessTokenCredential
    | CreateSnowflakeKeyPairCredential
    | CreateAzureSasCredential
    | CreateClientIdAndSecretCredential
    | CreateBoxJwtCredential,
    WrapValidator(_of_its_type),
]
"""A new credential of any type."""


def keys_of(credential_type: CredentialType) -> dict[str, bool]:
    """The keys that a type has, each with whether it must be there."""
    return {
        field.alias or name: field.is_required()
        for name, field in TYPES[credential_type].model_fields.items()
        if name not in CreateCredential.model_fields
    }


class UpdateCredential(RequestModel):
    """A change of a credential: what is given is changed. Keys must be those of its type."""

    name: AbsentOr[CredentialName] = Field(default_factory=absent)
    description: str | None = None
    credential_type: AbsentOr[CredentialType] = Field(
        default_factory=absent, description="It cannot be changed; accepted where it says what is there."
    )
    aws_access_key_id: SecretText | None = Field(default=None, repr=False)
    aws_secret_access_key: SecretText | None = Field(default=None, repr=False)
    aws_session_token: SecretText | None = Field(default=None, repr=False)
    user: SecretText | None = Field(default=None, repr=False)
    password: SecretText | None = Field(default=None, repr=False)
    api_token: SecretText | None = Field(default=None, repr=False)
    token: SecretText | None = Field(default=None, repr=False)
    refresh_token: SecretText | None = Field(default=None, repr=False)
    gcp_key: GcpKey | None = Field(default=None, repr=False)
    azure_connection_string: SecretText | None = Field(default=None, repr=False)
    azure_tenant_id: SecretText | None = Field(default=None, repr=False)
    client_id: SecretText | None = Field(default=None, repr=False)
    client_secret: SecretText | None = Field(default=None, repr=False)
    databricks_access_token: SecretText | None = Field(default=None, repr=False)
    private_key_str: SecretText | None = Field(default=None, repr=False)
    passphrase: SecretText | None = Field(default=None, repr=False)
    sas_token: SecretText | None = Field(default=None, repr=False)
    enterprise_id: SecretText | None = Field(default=None, repr=False)
    public_key_id: SecretText | None = Field(default=None, repr=False)


def values_in(body: CreateCredential | UpdateCredential) -> dict[str, str | None]:
    """The values that a request gives, by their keys; ``None`` where it says ``null``."""
    own = CreateCredential.model_fields.keys()
    return {
        field.alias or name: getattr(body, name)
        for name, field in type(body).model_fields.items()
        if name not in own and name in body.model_fields_set
    }


class CredentialFormatted(AnswerModel):
    """A credential; its values are never shown."""

    credential_id: str
    name: str
    description: str | None
    credential_type: CredentialType
    creation_date: UtcDatetime


class CredentialListResponse(Page[CredentialFormatted]):
    """A page of credentials."""
