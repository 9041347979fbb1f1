"""Rows put straight into a database, for tests of what reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from workload_api.db.engine import Database
from workload_api.db.models import (
    ArtifactRepositoryRow,
    ArtifactRow,
    OrganizationRow,
    ProtonRow,
    SharedRoleRow,
    TokenRow,
    UserRow,
    WorkloadRow,
)
from workload_api.domain.ids import new_id
from workload_api.identity.rights import Caller
from workload_api.identity.tokens import digest, new_token
from workload_api.settings import Settings


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """A database by its address, as a server process has it."""
    database = Database(Settings.model_validate({"database_url": url}).sqlalchemy_url, 4)
    try:
        yield database
    finally:
        await database.close()


@dataclass(frozen=True)
class Person:
    """A user with a token, alone in an organization."""

    caller: Caller
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """What the user sends along."""
        return {"Authorization": f"Bearer {self.token}"}


async def add_person(database: Database, name: str = "somebody") -> Person:
    """A user of an organization of its own."""
    token = new_token()
    async with database.write() as session:
        organization = OrganizationRow(name=name)
        session.add(organization)
        await session.flush()
        user = UserRow(organization_id=organization.id, username=name)
        session.add(user)
        await session.flush()
        row = TokenRow(user_id=user.id, digest=digest(token))
        session.add(row)
        await session.flush()
        caller = Caller(user.id, organization.id, organization.tenant_id, name, None, "", "", row.id)
    return Person(caller, token)


async def add_colleague(database: Database, person: Person, name: str) -> Person:
    """Another user of a person's organization."""
    return await add_user(database, person.caller.organization_id, person.caller.tenant_id, name)


async def add_user(database: Database, organization_id: str, tenant_id: str, name: str) -> Person:
    """A user with a token, of an organization that is there."""
    token = new_token()
    async with database.write() as session:
        user = UserRow(organization_id=organization_id, username=name)
        session.add(user)
        await session.flush()
        row = TokenRow(user_id=user.id, digest=digest(token))
        session.add(row)
        await session.flush()
        caller = Caller(user.id, organization_id, tenant_id, name, None, "", "", row.id)
    return Person(caller, token)


@dataclass(frozen=True)
class Ids:
    """A workload and its active proton."""

    workload_id: str
    proton_id: str
    artifact_id: str
    repository_id: str = ""


def replica(address: str, *, ready: bool = True) -> dict[str, Any]:
    """A replica as the controller stores it."""
    return {"name": address, "group": "default", "ready": ready, "address": address, "containers": []}


async def add_workload(
    database: Database,
    person: Person,
    addresses: Sequence[str] = (),
    *,
    role: str | None = "OWNER",
    status: str = "running",
    **columns: Any,
) -> Ids:
    """A workload on a draft artifact whose active proton has ready replicas at these addresses."""
    caller = person.caller
    spec = {"containerGroups": [{"containers": [{"primary": True, "port": 8000}]}]}
    ids = Ids(new_id(), new_id(), new_id())
    async with database.write() as session:
        repository = ArtifactRepositoryRow(
            organization_id=caller.organization_id, creator_id=caller.user_id, name="a", type="service"
        )
        session.add(repository)
        await session.flush()
        session.add(
            ArtifactRow(
                id=ids.artifact_id,
                organization_id=caller.organization_id,
                creator_id=caller.user_id,
                repository_id=repository.id,
                name="a",
                type="service",
                spec=spec,
            )
        )
        await session.flush()
        session.add(
            WorkloadRow(
                **{
                    "id": ids.workload_id,
                    "organization_id": caller.organization_id,
                    "creator_id": caller.user_id,
                    "name": "w",
                    "type": "service",
                    "status": status,
                    "artifact_id": ids.artifact_id,
                    "draft_artifact_id": ids.artifact_id,
                    "proton_id": ids.proton_id,
                    "runtime": {},
                    **columns,
                }
            )
        )
        await session.flush()
        session.add(
            ProtonRow(
                id=ids.proton_id,
                workload_id=ids.workload_id,
                artifact_id=ids.artifact_id,
                creator_id=caller.user_id,
                name="w",
                role="active",
                status=status,
                desired_state="stopped" if status in ("stopping", "stopped") else "running",
                spec=spec,
                runtime={},
                replicas=[replica(address) for address in addresses],
            )
        )
        if role is not None:
            session.add(
                SharedRoleRow(
                    resource_type="workload",
                    resource_id=ids.workload_id,
                    subject_type="user",
                    subject_id=caller.user_id,
                    role=role,
                )
            )
    return ids
