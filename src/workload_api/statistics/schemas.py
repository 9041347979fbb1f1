"""Request statistics of one workload as answers bear them (§8)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from workload_api.http.models import AnswerModel, UtcDatetime

WorkloadStatsMetricName = Literal[
    "totalRequests", "requestsOverN", "requestsPerMinute", "concurrentRequests", "responseTime", "totalErrorRate"
]
OtelMetricResolution = Literal["PT1M", "PT5M", "PT1H", "P1D", "P7D", "P1M"]


class Period(AnswerModel):
    """From when to when."""

    start: UtcDatetime | None = None
    end: UtcDatetime | None = None


class RequestMetrics(AnswerModel):
    """What was measured at the endpoint; times in milliseconds, rates as parts of 1."""

    total_requests: int = 0
    requests_per_minute: int = 0
    concurrent_requests: int = 0
    response_time: int = Field(default=0, description="At `responseTimeQuantile`.")
    slow_requests: int = Field(default=0, description="Over `slowRequestsThreshold`.")
    user_errors: int = Field(default=0, description="Answers 4xx.")
    server_errors: int = Field(default=0, description="Answers 5xx.")
    user_error_rate: float = 0.0
    server_error_rate: float = 0.0
    total_error_rate: float = 0.0


class ProtonRequestStats(AnswerModel):
    """The metrics of a period."""

    metrics: RequestMetrics = Field(default_factory=RequestMetrics)
    period: Period | None = None


class Summary(AnswerModel):
    """What buckets are about."""

    proton_id: str
    period: Period


class ProtonRequestMetricOverTime(AnswerModel):
    """One metric in buckets of time: `{"period": {"start", "end"}, "value"}` each, also where there was no request."""

    metric: WorkloadStatsMetricName
    summary: Summary
    buckets: list[dict[str, Any]] = Field(default_factory=list)
