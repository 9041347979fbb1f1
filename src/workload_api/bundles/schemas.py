"""Resource bundles as answers bear them."""

from __future__ import annotations

from pydantic import Field

from workload_api.http.models import AnswerModel, Page


class BundleFormatted(AnswerModel):
    """One resource bundle."""

    id: str
    name: str
    description: str
    cpu_count: float = Field(description="CPU cores.")
    memory_bytes: int
    gpu_count: int
    gpu_maker: str | None
    gpu_type_label: str | None


class BundleListResponse(Page[BundleFormatted]):
    """A page of resource bundles."""
