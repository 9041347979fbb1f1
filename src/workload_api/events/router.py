"""The events of a workload, as a list and as they happen (§7)."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession

from workload_api.domain.errors import FieldError
from workload_api.domain.ids import is_id
from workload_api.events import queries
from workload_api.events.answers import event_answer
from workload_api.events.followers import PASSING, Followers
from workload_api.events.schemas import StreamEnd, WorkloadEventsResponse
from workload_api.http.context import Authenticated, Context
from workload_api.http.json_route import JsonRoute
from workload_api.http.paging import Paged
from workload_api.http.responses import refusals
from workload_api.http.server_sent_events import HEARTBEAT, EventStream, Write, comment, place, sent_event
from workload_api.identity.rights import Caller
from workload_api.identity.targets import require_workload

router = APIRouter(prefix="/workloads/{workload_id}", tags=["events"], route_class=JsonRoute)

_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "A page of events; with `follow`, a stream of server-sent events.",
        "content": {
            "text/event-stream": {
                "schema": {"type": "string"},
                "example": "id: 0193af0e5c1b8f2a4d6e9b3c\nevent: workload.promoted\ndata: {…}\n\n",
            }
        },
    }
}


def _followers(request: Request) -> Followers:
    followers: Followers = request.app.state.followers
    return followers


@router.get(
    "/events",
    summary="Read or follow a workload's events",
    response_model=WorkloadEventsResponse,
    responses={**refusals(400, 404), **_STREAM},
)
async def read_events(
    context: Context,
    caller: Authenticated,
    followers: Annotated[Followers, Depends(_followers)],
    workload_id: Annotated[str, Path(description="Id of the workload.")],
    paging: Paged,
    follow: Annotated[
        bool, Query(description="Keep the connection and send each event as it happens (`text/event-stream`).")
    ] = False,
    last_event_id: Annotated[
        str | None,
        Query(alias="lastEventId", description="With `follow`: for clients that cannot set `Last-Event-ID`."),
    ] = None,
    last_event_id_header: Annotated[
        str | None,
        Header(alias="Last-Event-ID", description="With `follow`: first send all that came after this event."),
    ] = None,
) -> WorkloadEventsResponse | EventStream:
    """What happened to the workload, who did it and why; the newest first.

    With `follow=true` each event comes as a server-sent event as soon as it has happened: `id` is its id, `event` its
    `eventType`, `data` the same object as in the list. `Last-Event-ID` (or `lastEventId`; the header counts if both are
    there) names the last event that you have: all later ones come first, oldest first, none twice and none left out.
    Without it the stream begins with what happens from now on; to have all, read the list and follow from its first
    item. An id that is none of this workload's events is answered with 422. `offset` and `limit` are for the list.

    Comments come every 15 seconds. A last event `end` (without an id) says why there will be no more: the token was
    revoked, the workload deleted, or may not be viewed any more. A stream that ends without it can be taken up again
    at once.
    """
    if not follow:
        async with context.database.read() as session:
            await require_workload(session, caller, workload_id)
            found, total = await queries.list_events(session, workload_id, paging)
        return WorkloadEventsResponse(**paging.page([event_answer(row) for row in found], total))
    # A browser that connects again sends the header, and its address still bears the query of the first time.
    in_header = bool(last_event_id_header)
    given = last_event_id_header if in_header else last_event_id
    where = ("header", "last-event-id") if in_header else ("query", "lastEventId")
    async with context.database.read() as session:
        await require_workload(session, caller, workload_id)
        newest, head = await queries.newest_event(session, workload_id)
        position = await _position(session, workload_id, given, where) if given else head
    followers.refuse_more()
    return _stream(followers, workload_id, caller, position, head, given or newest)


async def _position(session: AsyncSession, workload_id: str, event_id: str, where: tuple[str, str]) -> int:
    position = await queries.position_of(session, workload_id, event_id) if is_id(event_id) else None
    if position is None:
        raise FieldError(
            f"The workload {workload_id} has no event {event_id[:100]!r}; leave this out, or give the id of one of "
            "its events.",
            where,
            event_id,
        )
    return position


def _stream(
    followers: Followers, workload_id: str, caller: Caller, position: int, head: int, last_id: str | None
) -> EventStream:
    async def produce(write: Write) -> None:
        with followers.follow(workload_id, caller, position, head) as follower:
            await write(comment(f"events of the workload {workload_id}"))
            if last_id is not None:
                await write(place(last_id))
            async for piece in follower.pieces():
                await write(piece or HEARTBEAT)
            assert follower.ended is not None
            if follower.ended in PASSING:
                await write(comment(follower.ended.message))
            else:
                end = StreamEnd(code=follower.ended.code, message=follower.ended.message)
                await write(sent_event(end.model_dump_json(by_alias=True), event="end"))

    return EventStream(produce)
