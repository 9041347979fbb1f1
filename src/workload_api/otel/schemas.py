"""Logs, metrics and traces of one workload as answers bear them (§7)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from workload_api.http.models import AnswerModel, UtcDatetime

LogLevel = Literal["DEBUG", "INFO", "WARN", "ERROR", "CRITICAL"]


class LogEntry(AnswerModel):
    """One entry of a log."""

    timestamp: UtcDatetime = Field(description="When the line was captured.")
    level: LogLevel = Field(description="As far as it can be told from the line; INFO where it says nothing.")
    message: str = Field(description="The line; of a JSON line its message; of a traceback the exception.")
    proton_id: str
    replica: str
    container: str
    stacktrace: str | None = Field(default=None, description="The whole traceback; only where there is one.")
    attributes: dict[str, Any] | None = Field(
        default=None, description="The other fields of a JSON line; only where there are any."
    )

    @model_serializer(mode="wrap")
    def _without_what_is_not_there(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = handler(self)
        return {name: value for name, value in found.items() if value is not None}


class LogList(AnswerModel):
    """A part of a log, the newest entry first."""

    data: list[LogEntry]
    count: int = Field(description="How many are on this page.")
    next: str | None = Field(description="URL of the page with older entries, if there are any.")
    previous: str | None = Field(description="URL of the page with newer entries, if there are any.")


class AutocollectedValue(AnswerModel):
    """What was last seen of one metric."""

    otel_name: str
    display_name: str
    current_value: float | int
    unit: str
    level: Literal["workload"] = Field(description="What the value is of: all running replicas of the workload.")


class AutocollectedValues(AnswerModel):
    """What is measured of a workload without its help."""

    data: list[AutocollectedValue]


class TraceSummary(AnswerModel):
    """One trace; times in nanoseconds."""

    trace_id: str
    root_span_name: str
    root_service_name: str
    duration: int
    spans_count: int
    error_spans_count: int


class Trace(TraceSummary):
    """One trace with its spans."""

    spans: list[dict[str, Any]]
