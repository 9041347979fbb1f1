"""The tables, a file per aggregate. Rows are named ``…Row``; the bare nouns are the API's."""

from workload_api.db.models.artifacts import ArtifactRepositoryRow, ArtifactRow
from workload_api.db.models.audiences import AudienceCountRow, AudienceMemberRow, AudienceRow
from workload_api.db.models.base import Base
from workload_api.db.models.controllers import ControllerRow
from workload_api.db.models.credentials import CredentialRow
from workload_api.db.models.events import EventRow
from workload_api.db.models.gateways import RequestsUnderWayRow
from workload_api.db.models.idempotency import IdempotencyKeyRow
from workload_api.db.models.identity import (
    GroupMemberRow,
    GroupRow,
    OrganizationRow,
    SharedRoleRow,
    TokenRow,
    UserRow,
)
from workload_api.db.models.logs import LogLineRow, LogSourceRow, WorkloadLogRow
from workload_api.db.models.protons import ProtonRow, ProtonUsageRow
from workload_api.db.models.replacements import ReplacementRow
from workload_api.db.models.search import SearchTextRow
from workload_api.db.models.statistics import RequestCountRow, ResponseTimeRow
from workload_api.db.models.tags import TagRow
from workload_api.db.models.workloads import WorkloadRow

__all__ = [
    "ArtifactRepositoryRow",
    "ArtifactRow",
    "AudienceCountRow",
    "AudienceMemberRow",
    "AudienceRow",
    "Base",
    "ControllerRow",
    "CredentialRow",
    "EventRow",
    "GroupMemberRow",
    "GroupRow",
    "IdempotencyKeyRow",
    "LogLineRow",
    "LogSourceRow",
    "OrganizationRow",
    "ProtonRow",
    "ProtonUsageRow",
    "ReplacementRow",
    "RequestCountRow",
    "RequestsUnderWayRow",
    "ResponseTimeRow",
    "SearchTextRow",
    "SharedRoleRow",
    "TagRow",
    "TokenRow",
    "UserRow",
    "WorkloadLogRow",
    "WorkloadRow",
]
