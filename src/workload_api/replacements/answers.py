"""How replacements are shown."""

from __future__ import annotations

from workload_api.db.models import ReplacementRow
from workload_api.protons.runtime_schemas import runtime_as_answered
from workload_api.replacements.schemas import Replacement, ReplacementConfig


def replacement_answer(row: ReplacementRow, tenant_id: str) -> Replacement:
    """One entry of a workload's history, or the replacement that stands."""
    return Replacement(
        id=row.id,
        name=row.name,
        created_at=row.created_at,
        updated_at=row.updated_at,
        user_id=row.user_id,
        tenant_id=tenant_id,
        workload_id=row.workload_id,
        candidate_artifact_id=row.artifact_id,
        artifact_id=row.artifact_id,
        candidate_proton_ids=row.candidate_proton_ids,
        previous_proton_ids=row.previous_proton_ids,
        config=ReplacementConfig(**row.config),
        runtime=runtime_as_answered(row.runtime),
        status=row.status,
        strategy=row.strategy,
        message=row.message,
        reason=row.reason,
        deployed_at=row.deployed_at,
        retired_at=row.retired_at,
        switched_at=row.switched_at,
        deleted_at=row.deleted_at,
        is_deleted=row.deleted_at is not None,
    )
