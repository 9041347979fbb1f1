"""Every setting, with its default and unit. Environment prefix ``WORKLOAD_API_``; also options of ``serve``."""

from __future__ import annotations

import base64
import re
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(value: Any) -> Any:
    """Read a duration: seconds (``28800``, ``2.5``), a number with a unit (``8h``) or ISO 8601 (``PT8H``)."""
    if isinstance(value, str):
        text = value.strip()
        if short := re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", text):
            return timedelta(seconds=float(short[1]) * _UNITS[short[2] or "s"])
    elif isinstance(value, int | float) and not isinstance(value, bool):
        return timedelta(seconds=value)
    return value


Duration = Annotated[timedelta, BeforeValidator(_seconds), Field(gt=timedelta(0))]


class SettingsError(ValueError):
    """A setting is unusable; the message is one sentence that names it."""


class Settings(BaseSettings):
    """The server's settings. Durations: seconds, a number with a unit (``8h``) or ISO 8601 (``PT8H``)."""

    model_config = SettingsConfigDict(env_prefix="WORKLOAD_API_", extra="ignore", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    data_dir: Path = Field(Path("data"), description="Folder for the embedded database, keys and replicas' files.")
    database_url: SecretStr | None = Field(
        None, description="postgresql://… or sqlite:///…; unset: a SQLite file in the data folder."
    )
    database_pool_size: int = Field(10, ge=1, le=500, description="Connections that each server process may hold.")
    admin_token: SecretStr | None = Field(
        None, min_length=16, description="The administrator's API token; unset: one is made and kept in a 0600 file."
    )
    encryption_key: SecretStr | None = Field(
        None,
        description="Fernet keys for stored secrets, separated by commas: the first encrypts, all decrypt; "
        "unset: one is made and kept in a 0600 file in the data folder.",
    )
    bundles_file: Path | None = Field(
        None, description="YAML file with the resource bundles; unset: a few usual sizes."
    )
    public_url: str | None = Field(
        None, description="Address by which clients reach the server, for `endpoint`; unset: as the client called it."
    )
    runtime: Literal["process"] = Field("process", description="How replicas run.")
    allow_remote_process_runtime: bool = Field(
        False, description="Let the process runtime serve a non-loopback address: every user then runs commands here."
    )
    draft_ttl: Duration = Field(timedelta(hours=8), description="How long a workload on a draft artifact lives.")
    reap_interval: Duration = Field(timedelta(seconds=1), description="How often expired drafts are looked for.")
    reconcile_interval: Duration = Field(
        timedelta(seconds=0.5), description="How often replicas are compared with what should run."
    )
    retain_interval: Duration = Field(timedelta(minutes=1), description="How often old records are cleared away.")
    terminated_retention: Duration = Field(
        timedelta(hours=24), description="How long the record of an expired workload is kept."
    )
    draft_statistics_retention: Duration = Field(timedelta(hours=24), description="Statistics of draft workloads.")
    locked_statistics_retention: Duration = Field(timedelta(days=30), description="Statistics of locked workloads.")
    statistics_flush_interval: Duration = Field(
        timedelta(seconds=1), description="How often request counts are written; a crash can lose that much."
    )
    idempotency_retention: Duration = Field(timedelta(hours=24), description="How long an Idempotency-Key is kept.")
    lease: Duration = Field(
        timedelta(seconds=10), description="After how long without a heartbeat another controller takes over."
    )
    replica_limit: int = Field(
        100, ge=0, description="Most replicas of a workload, scaled up as far as it may be; 0 is no limit."
    )
    workload_limit: int = Field(
        0, ge=0, description="Most workloads of an organization that run at once; 0 is no limit."
    )
    stop_grace: Duration = Field(timedelta(seconds=10), description="Time between SIGTERM and SIGKILL for a replica.")
    replacement_settling: Duration = Field(
        timedelta(seconds=30), description="How long a completed replacement is still shown as the current one."
    )
    replacement_deadline: Duration = Field(
        timedelta(minutes=10), description="How long a replacement's candidate may take until it is ready."
    )
    drain_limit: Duration = Field(timedelta(seconds=30), description="How long requests under way may end.")
    gateway_connect_timeout: Duration = Field(timedelta(seconds=5), description="Connecting to a replica.")
    gateway_response_timeout: Duration = Field(timedelta(seconds=60), description="Until a replica begins to answer.")
    body_limit: int = Field(2_000_000, ge=1000, description="Largest body of an API request, in bytes.")
    body_timeout: Duration = Field(timedelta(seconds=10), description="How long a client may take to send a body.")
    log_limit: int = Field(5_000_000, ge=10_000, description="Output kept per container, in bytes.")
    log_collect_interval: Duration = Field(
        timedelta(seconds=1), description="How often new output of containers is taken into the logs of workloads."
    )
    log_retention: Duration = Field(timedelta(days=7), description="How long lines of a workload's log are kept.")
    log_lines: int = Field(1_000_000, ge=1000, description="Most lines kept of a workload's log: the newest.")
    log_characters: int = Field(
        1_000_000_000,
        ge=1_000_000,
        description="Most characters kept of a workload's log, so many of the newest lines.",
    )
    usage_interval: Duration = Field(
        timedelta(seconds=10), description="How often is measured what CPU and memory replicas use."
    )
    log_format: Literal["console", "json"] = Field("console", description="How the server's own log is written.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged.")
    workers: int = Field(1, ge=1, le=64, description="Server processes (PostgreSQL only).")
    controller: bool = Field(True, description="Run the controller in this server.")

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not re.match(r"(postgres(ql)?|sqlite)(\+\w+)?://", value.get_secret_value()):
            raise ValueError("must begin with postgresql:// or sqlite:///")
        return value

    @field_validator("encryption_key")
    @classmethod
    def _fernet_keys(cls, value: SecretStr | None) -> SecretStr | None:
        for key in () if value is None else value.get_secret_value().split(","):
            try:
                usable = len(base64.urlsafe_b64decode(key.strip())) == 32
            except ValueError:
                usable = False
            if not usable:
                raise ValueError(
                    "must hold Fernet keys (32 bytes in URL-safe base64), separated by commas; or leave it unset"
                )
        return value

    @field_validator("public_url")
    @classmethod
    def _absolute(cls, value: str | None) -> str | None:
        if value and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", value):
            raise ValueError("must be an absolute http or https URL")
        return value.rstrip("/") if value else None

    @model_validator(mode="after")
    def _fit_together(self) -> Settings:
        if self.workers > 1 and self.is_sqlite:
            raise ValueError("WORKERS over 1 needs PostgreSQL (DATABASE_URL=postgresql://…): SQLite has one writer")
        if not self.allow_remote_process_runtime and not is_loopback(self.host):
            raise ValueError(
                f"HOST {self.host} is not a loopback address, and the process runtime would let every user who reaches "
                "it run commands on this machine; use 127.0.0.1, or set ALLOW_REMOTE_PROCESS_RUNTIME=true if you "
                "trust them all"
            )
        return self

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is SQLite."""
        return self.database_url is None or self.database_url.get_secret_value().startswith("sqlite")

    @property
    def sqlite_path(self) -> Path | None:
        """The SQLite file, or ``None`` on PostgreSQL."""
        if not self.is_sqlite:
            return None
        if self.database_url is None:
            return self.data_dir / "workload-api.sqlite3"
        return Path(re.sub(r"^sqlite(\+\w+)?:///", "", self.database_url.get_secret_value()))

    @property
    def sqlalchemy_url(self) -> str:
        """The database's address with the asynchronous driver that we use for it."""
        if self.is_sqlite:
            return f"sqlite+aiosqlite:///{self.sqlite_path}"
        assert self.database_url is not None
        return re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql+asyncpg://", self.database_url.get_secret_value())


def is_loopback(host: str) -> bool:
    """Tell whether an address is reached from this machine alone."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment, with options of the command line on top.

    Raises:
        SettingsError: A value is unusable; the message names the setting in one sentence.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(part) for part in problem["loc"]).upper()
        reason = str(problem["msg"]).removeprefix("Value error, ")
        raise SettingsError(f"setting WORKLOAD_API_{name}: {reason}" if name else f"settings: {reason}") from None
