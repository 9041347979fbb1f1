"""The request statistics of a workload (§8)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.db.models import WorkloadRow
from workload_api.http.context import Authenticated, Context, ServerContext
from workload_api.http.json_route import JsonRoute
from workload_api.http.models import MOST_INTEGER, Moment
from workload_api.http.preconditions import IfMatch
from workload_api.http.responses import refusals
from workload_api.identity.targets import require_workload
from workload_api.protons.queries import get_proton
from workload_api.settings import Settings
from workload_api.statistics.queries import Metrics, request_metrics
from workload_api.statistics.schemas import (
    OtelMetricResolution,
    Period,
    ProtonRequestMetricOverTime,
    ProtonRequestStats,
    RequestMetrics,
    Summary,
    WorkloadStatsMetricName,
)
from workload_api.statistics.series import metric_series
from workload_api.statistics.service import refuse_backward, reset_statistics

router = APIRouter(prefix="/workloads/{workload_id}/stats", tags=["statistics"], route_class=JsonRoute)

WorkloadId = Annotated[str, Path(description="Id of the workload.")]
ProtonId = Annotated[str | None, Query(alias="protonId", description="One proton; by default the active one.")]
StartTime = Annotated[Moment | None, Query(alias="startTime", description="By its minute; by default the last reset.")]
EndTime = Annotated[Moment | None, Query(alias="endTime", description="By its minute; by default now.")]


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which requests an answer is about, and how it looks at them."""

    proton_id: str | None
    start: datetime | None
    end: datetime | None
    quantile: float
    slow_threshold: int

    async def of(self, session: AsyncSession, workload: WorkloadRow, context: ServerContext) -> dict[str, Any]:
        """The same as arguments of the queries, for a workload that has the proton."""
        if self.proton_id is not None:
            await get_proton(session, workload.id, self.proton_id)
        return {
            **asdict(self),
            "retention": _retention(workload, context.settings),
            "concurrent": context.requests_in_flight().get(self.proton_id or workload.proton_id, 0),
        }


def _asked(
    proton_id: ProtonId = None,
    start_time: StartTime = None,
    end_time: EndTime = None,
    quantile: Annotated[
        float, Query(alias="responseTimeQuantile", ge=0, le=1, description="Which quantile `responseTime` is.")
    ] = 0.5,
    slow_threshold: Annotated[
        int,
        Query(
            alias="slowRequestsThreshold",
            ge=0,
            le=MOST_INTEGER,
            description="Milliseconds over which a request is slow.",
        ),
    ] = 2000,
) -> _Asked:
    refuse_backward(start_time, end_time)
    return _Asked(proton_id, start_time, end_time, quantile, slow_threshold)


Asked = Annotated[_Asked, Depends(_asked)]


@router.get("", summary="Read a workload's request statistics", responses=refusals(400, 404))
async def read_statistics(
    context: Context, caller: Authenticated, workload_id: WorkloadId, asked: Asked
) -> ProtonRequestStats:
    """What was measured at the endpoint of one proton, by default since the last reset."""
    await context.flush_statistics()
    async with context.database.read() as session:
        workload = await require_workload(session, caller, workload_id)
        metrics = await request_metrics(session, workload, **await asked.of(session, workload, context))
    return _answer(metrics)


@router.get("/{metric_name}", summary="Read one metric over time", responses=refusals(400, 404))
async def read_metric(
    context: Context,
    caller: Authenticated,
    workload_id: WorkloadId,
    metric_name: Annotated[WorkloadStatsMetricName, Path(description="Which metric.")],
    asked: Asked,
    resolution: Annotated[OtelMetricResolution, Query(description="How long a bucket is; cut in UTC.")] = "P1D",
) -> ProtonRequestMetricOverTime:
    """One metric of one proton, bucket by bucket; weeks begin on Mondays. `requestsOverN`: over the threshold."""
    await context.flush_statistics()
    async with context.database.read() as session:
        workload = await require_workload(session, caller, workload_id)
        arguments = await asked.of(session, workload, context)
        found = await metric_series(session, workload, metric_name, resolution, **arguments)
    return ProtonRequestMetricOverTime(
        metric=metric_name,
        summary=Summary(proton_id=found.proton_id, period=Period(start=found.start, end=found.end)),
        buckets=[
            {"period": Period(start=each.start, end=each.end).model_dump(mode="json"), "value": each.value}
            for each in found.buckets
        ],
    )


@router.delete(
    "",
    summary="Reset a workload's request statistics",
    status_code=204,
    response_class=Response,
    responses=refusals(400, 404, 412),
)
async def delete_statistics(
    context: Context,
    caller: Authenticated,
    workload_id: WorkloadId,
    expected: IfMatch,
    proton_id: Annotated[str | None, Query(alias="protonId", description="Only those of one proton.")] = None,
    start_time: Annotated[Moment | None, Query(alias="startTime", description="Only from this minute on.")] = None,
    end_time: Annotated[Moment | None, Query(alias="endTime", description="Only up to this minute.")] = None,
) -> None:
    """Start the statistics again from zero, or clear a part of them. `If-Match` takes the workload's `ETag`."""
    # What was counted so far belongs to what is cleared.
    await context.flush_statistics()
    async with context.database.write() as session:
        await reset_statistics(session, caller, workload_id, proton_id, start_time, end_time, expected)


def _retention(workload: WorkloadRow, settings: Settings) -> timedelta:
    is_draft = workload.draft_artifact_id is not None
    return settings.draft_statistics_retention if is_draft else settings.locked_statistics_retention


def _answer(metrics: Metrics) -> ProtonRequestStats:
    return ProtonRequestStats(
        period=Period(start=metrics.start, end=metrics.end),
        metrics=RequestMetrics(
            total_requests=metrics.total_requests,
            requests_per_minute=metrics.requests_per_minute,
            concurrent_requests=metrics.concurrent_requests,
            response_time=metrics.response_time,
            slow_requests=metrics.slow_requests,
            user_errors=metrics.user_errors,
            server_errors=metrics.server_errors,
            user_error_rate=metrics.user_error_rate,
            server_error_rate=metrics.server_error_rate,
            total_error_rate=metrics.total_error_rate,
        ),
    )
