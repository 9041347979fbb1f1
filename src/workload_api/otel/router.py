"""Logs, metrics and traces of a workload (§7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field

from workload_api.domain.errors import FieldError, NotFound
from workload_api.domain.severity import LEVELS, severity_of
from workload_api.http.context import Authenticated, Context
from workload_api.http.json_route import JsonRoute
from workload_api.http.models import MOST_INTEGER, Moment, Page
from workload_api.http.paging import Paged, client_base_url
from workload_api.http.responses import refusals
from workload_api.identity.targets import require_workload
from workload_api.otel.metrics import autocollected_values
from workload_api.otel.queries import Cursor, LogFilter, LogPart, log_part
from workload_api.otel.schemas import AutocollectedValues, LogEntry, LogList, Trace, TraceSummary
from workload_api.statistics.service import refuse_backward

router = APIRouter(prefix="/otel/workload/{workload_id}", tags=["telemetry"], route_class=JsonRoute)

MAX_LOG_LIMIT: Final = 1000
_MOST_TEXTS: Final = 50
_SEARCH_KEYS: Final = ("level", "proton_id", "replica", "container")

_Text = Annotated[str, Field(max_length=1000)]
WorkloadId = Annotated[str, Path(description="Id of the workload.")]


def _severity(word: str, location: Sequence[str | int]) -> int:
    severity = severity_of(word)
    if severity is None:
        known = ", ".join(level.lower() for level in LEVELS.values())
        raise FieldError(f"{word[:100]!r} is no level; the levels are {known}.", location, word)
    return severity


def _filter(
    level: Annotated[
        str | None,
        Query(description="Entries of this level and worse: debug, info, warn, error, critical; in any letter case."),
    ] = None,
    start_time: Annotated[Moment | None, Query(alias="startTime", description="Not before this moment.")] = None,
    end_time: Annotated[Moment | None, Query(alias="endTime", description="Not after this moment.")] = None,
    includes: Annotated[
        list[_Text] | None,
        Query(max_length=_MOST_TEXTS, description="Texts that an entry holds, each of them; in any letter case."),
    ] = None,
    excludes: Annotated[
        list[_Text] | None,
        Query(max_length=_MOST_TEXTS, description="Texts of which an entry holds none; in any letter case."),
    ] = None,
    search_keys: Annotated[
        list[str] | None,
        Query(
            alias="searchKeys",
            description="What is compared with `searchValues`, one by one: `level` (that level alone), `proton_id`, "
            "`replica`, `container`. Of values for the same key one has to fit.",
        ),
    ] = None,
    search_values: Annotated[list[str] | None, Query(alias="searchValues", description="A value for each key.")] = None,
) -> LogFilter:
    refuse_backward(start_time, end_time)
    keys, values = search_keys or [], search_values or []
    if len(keys) != len(values):
        raise FieldError(
            f"There are {len(keys)} searchKeys and {len(values)} searchValues; give one value for each key.",
            ("query", "searchValues"),
            values,
        )
    asked: dict[str, list[str]] = {}
    severities: list[int] = []
    for number, (key, value) in enumerate(zip(keys, values, strict=True)):
        if key not in _SEARCH_KEYS:
            known = ", ".join(_SEARCH_KEYS)
            raise FieldError(
                f"{key[:100]!r} is no search key; there are {known}.", ("query", "searchKeys", number), key
            )
        if key == "level":
            severities.append(_severity(value, ("query", "searchValues", number)))
        else:
            asked.setdefault(key, []).append(value)
    return LogFilter(
        least_severity=None if level is None else _severity(level, ("query", "level")),
        severities=severities or None,
        proton_ids=asked.get("proton_id"),
        replicas=asked.get("replica"),
        containers=asked.get("container"),
        start=start_time,
        end=end_time,
        includes=[text for text in includes or () if text],
        excludes=[text for text in excludes or () if text],
    )


def _cursor(
    cursor: Annotated[str | None, Query(description="A place in the log, from `next` or `previous`.")] = None,
) -> Cursor | None:
    try:
        return None if cursor is None else Cursor.read(cursor)
    except ValueError:
        raise FieldError(
            "This is no place in a log; take it from `next` or `previous`, or leave it out.",
            ("query", "cursor"),
            cursor,
        ) from None


@router.get("/logs", summary="Read a workload's log", responses=refusals(400, 404))
async def read_logs(
    request: Request,
    context: Context,
    caller: Authenticated,
    workload_id: WorkloadId,
    wanted: Annotated[LogFilter, Depends(_filter)],
    cursor: Annotated[Cursor | None, Depends(_cursor)],
    offset: Annotated[int, Query(ge=0, le=MOST_INTEGER, description="How many entries to pass over.")] = 0,
    limit: Annotated[
        int, Query(ge=1, le=MOST_INTEGER, description="How many to give; above 1000 it is taken as 1000.")
    ] = 10,
) -> LogList:
    """What the workload's containers wrote, the newest first. A traceback is one entry with `stacktrace`.

    `next` and `previous` hold a place in the log: what is written meanwhile shifts no page, and each costs the same.
    """
    limit = min(limit, MAX_LOG_LIMIT)
    async with context.database.read() as session:
        workload = await require_workload(session, caller, workload_id)
        part = await log_part(session, workload.id, wanted, cursor, offset, limit)
    data = [
        LogEntry(
            timestamp=entry.at,
            level=LEVELS[entry.severity],
            message=entry.message,
            proton_id=entry.proton_id,
            replica=entry.replica,
            container=entry.container,
            stacktrace=entry.stacktrace,
            attributes=entry.attributes,
        )
        for entry in part.entries
    ]
    following, preceding = _neighbours(request, part, offset, limit)
    return LogList(data=data, count=len(data), next=following, previous=preceding)


def _neighbours(request: Request, part: LogPart, offset: int, limit: int) -> tuple[str | None, str | None]:
    """The URLs of the pages with older and with newer entries."""
    if not part.entries:
        back: dict[str, Any] = {"offset": offset - limit} if offset > limit else {}
        return None, _at(request, limit, **back) if part.has_newer else None
    newest, oldest = part.entries[0], part.entries[-1]
    return (
        _at(request, limit, cursor=Cursor("older", oldest.at, oldest.id)) if part.has_older else None,
        _at(request, limit, cursor=Cursor("newer", newest.at, newest.id)) if part.has_newer else None,
    )


def _at(request: Request, limit: int, **place: Any) -> str:
    kept = [(k, v) for k, v in request.query_params.multi_items() if k not in ("offset", "limit", "cursor")]
    query = urlencode([*kept, *place.items(), ("limit", limit)])
    return f"{client_base_url(request)}{request.scope['client_path']}?{query}"


@router.get("/metrics/autocollectedValues", summary="Read what a workload uses", responses=refusals(400, 404))
async def read_autocollected_values(
    context: Context, caller: Authenticated, workload_id: WorkloadId
) -> AutocollectedValues:
    """Replicas, CPU, memory and restarts of the active proton, as last seen; zeros while nothing of it runs."""
    async with context.database.read() as session:
        workload = await require_workload(session, caller, workload_id)
        return AutocollectedValues(data=await autocollected_values(session, workload))


@router.get("/traces", summary="List a workload's traces", responses=refusals(400, 404))
async def list_traces(
    context: Context, caller: Authenticated, workload_id: WorkloadId, paging: Paged
) -> Page[TraceSummary]:
    """None: traces are not taken in yet."""
    async with context.database.read() as session:
        await require_workload(session, caller, workload_id)
    return Page[TraceSummary](**paging.page([], 0))


@router.get("/traces/{trace_id}", summary="Read a trace", responses=refusals(400, 404))
async def read_trace(
    context: Context,
    caller: Authenticated,
    workload_id: WorkloadId,
    trace_id: Annotated[str, Path(description="Id of the trace.")],
) -> Trace:
    """There is none: traces are not taken in yet."""
    async with context.database.read() as session:
        await require_workload(session, caller, workload_id)
    raise NotFound(f"The workload {workload_id} has no trace {trace_id[:100]!r}.", code="TRACE_NOT_FOUND")
