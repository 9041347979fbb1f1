"""``GET /version/`` and ``GET /account/info/``: what clients ask before anything else (§11, §12)."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter
from pydantic import Field

from workload_api.http.context import Authenticated, Context
from workload_api.http.models import AnswerModel
from workload_api.http.responses import refusals

router = APIRouter(tags=["account"])

API_MAJOR, API_MINOR = 2, 40
"""The version of the published API that clients compare theirs with."""


class VersionAnswer(AnswerModel):
    """The version of the API and of this program."""

    major: int
    minor: int
    version_string: str
    release: str
    server: str = Field(examples=["0.1.0"])


class AccountLimits(AnswerModel):
    """The account's limits; 0 is no limit."""

    max_concurrent_workloads: int
    max_workload_replicas: int


class AccountAnswer(AnswerModel):
    """The caller."""

    uid: str
    username: str
    email: str
    first_name: str
    last_name: str
    tenant_id: str
    org_id: str
    limits: AccountLimits


@router.get("/version", summary="Read the API's version", responses=refusals())
async def read_version(_caller: Authenticated) -> VersionAnswer:
    """The version of the API, and of this program."""
    text = f"{API_MAJOR}.{API_MINOR}.0"
    return VersionAnswer(
        major=API_MAJOR, minor=API_MINOR, version_string=text, release=text, server=version("workload-api")
    )


@router.get("/account/info", summary="Read the caller's account", responses=refusals())
async def read_account(context: Context, caller: Authenticated) -> AccountAnswer:
    """Who the token belongs to, and the account's limits."""
    return AccountAnswer(
        uid=caller.user_id,
        username=caller.username,
        email=caller.email or caller.username,
        first_name=caller.first_name,
        last_name=caller.last_name,
        tenant_id=caller.tenant_id,
        org_id=caller.organization_id,
        limits=AccountLimits(
            max_concurrent_workloads=context.settings.workload_limit,
            max_workload_replicas=context.settings.replica_limit,
        ),
    )
