"""The list of resource bundles (§11)."""

from __future__ import annotations

from fastapi import APIRouter

from workload_api.bundles.catalog import catalog
from workload_api.bundles.schemas import BundleFormatted, BundleListResponse
from workload_api.http.context import Authenticated, Context
from workload_api.http.paging import Paged
from workload_api.http.responses import refusals

router = APIRouter(prefix="/mlops/compute/bundles", tags=["bundles"])


@router.get("", summary="List resource bundles", responses=refusals(400))
async def list_bundles(context: Context, _caller: Authenticated, paging: Paged) -> BundleListResponse:
    """The sizes that `resourceBundles` of a workload's runtime may name, in the order of the settings file."""
    bundles = catalog(context.settings.bundles_file)
    part = bundles[paging.offset : paging.offset + paging.limit]
    return BundleListResponse(
        **paging.page([BundleFormatted.model_validate(bundle.model_dump()) for bundle in part], len(bundles))
    )
