"""How users are shown."""

from __future__ import annotations

from workload_api.db.models import UserRow
from workload_api.identity.schemas import UserData


def user_data(user: UserRow) -> UserData:
    """A user as answers name its creator or owner."""
    full_name = " ".join(part for part in (user.first_name, user.last_name) if part)
    return UserData(
        id=user.id,
        email=user.email,
        full_name=full_name or None,
        userhash=None,
        username=user.username,
    )
