"""How credentials are shown (§11): without their values."""

from __future__ import annotations

from workload_api.credentials.schemas import CredentialFormatted
from workload_api.db.models import CredentialRow


def credential_answer(row: CredentialRow) -> CredentialFormatted:
    """A credential as the API shows it."""
    return CredentialFormatted(
        credential_id=row.id,
        name=row.name,
        description=row.description,
        credential_type=row.credential_type,
        creation_date=row.created_at,
    )
