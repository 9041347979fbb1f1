"""``/livez`` and ``/readyz``: open without a token."""

from __future__ import annotations

from fastapi import APIRouter, Response
from sqlalchemy import text

from workload_api.domain.errors import TryAgain
from workload_api.http.context import Context

router = APIRouter(include_in_schema=False)


@router.get("/livez")
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def ready(context: Context, response: Response) -> dict[str, str]:
    """The database answers as well; 503 with the reason where it does not."""
    try:
        async with context.database.read() as session:
            await session.execute(text("SELECT 1"))
    except TryAgain as error:
        response.status_code = error.status
        return {"status": "unavailable", "database": error.message}
    return {"status": "ok", "database": "ok"}
