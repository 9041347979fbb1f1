"""Those who follow the events of workloads, and the one look at the database for all of them.

A process looks twice a second while somebody follows, and at once when it has changed a followed workload itself: how
far do the events of the followed workloads go, are they there still, are the followers' tokens good, what roles do
they have. New events are read once for all followers of a workload and kept until a hundred newer ones are there. A
follower is no more than a position: what it has not yet taken in and is not kept any more it reads page by page from
the database. Between looks nobody holds a session.

Positions (``db/models/events.py``) see to it that none is missed or sent twice, whatever the clocks say.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

from workload_api.db.engine import Database
from workload_api.db.models import EventRow
from workload_api.domain.errors import TryAgain
from workload_api.events import queries
from workload_api.events.answers import event_answer
from workload_api.http.server_sent_events import sent_event
from workload_api.identity.authentication import Authenticator
from workload_api.identity.rights import Caller, rights_of

log = structlog.get_logger(__name__)

LOOK_SECONDS: Final = 0.5
"""How often to look for what other processes have written."""
GAP_SECONDS: Final = 0.1
"""How long to wait after a look at the least, however much this process changes."""
HEARTBEAT_SECONDS: Final = 15.0
PAGE: Final = 100
"""Events that are read at once, and kept of each workload for all its followers."""
LIMIT: Final = 1000
"""Followers of one process."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An event as it goes over the wire, made once for all followers."""

    position: int
    piece: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a follower hears no more; a stable code, and a sentence for a person."""

    code: str
    message: str


TOKEN_REVOKED: Final = Ended("TOKEN_REVOKED", "The token has been revoked.")
WORKLOAD_DELETED: Final = Ended("WORKLOAD_DELETED", "The workload has been deleted.")
RIGHT_LOST: Final = Ended("RIGHT_LOST", "The workload may not be viewed with this token any more.")
STOPPING: Final = Ended("STOPPING", "The server stops; connect again.")
INTERRUPTED: Final = Ended("INTERRUPTED", "The database was lost for a moment; connect again.")
PASSING: Final = frozenset({STOPPING, INTERRUPTED})
"""Ends after which a client connects again and goes on where it was."""


@dataclass(slots=True, eq=False)
class _Feed:
    """What is known of the events of one followed workload."""

    workload_id: str
    head: int
    """Position of the newest event as of the last look."""
    floor: int
    """All events behind this position, up to the head, are kept."""
    kept: deque[Sent] = field(default_factory=deque)
    followers: set[Follower] = field(default_factory=set)

    def take_in(self, rows: Sequence[EventRow]) -> None:
        """Keep newly read events: all that came since the last look, or the newest of them."""
        if len(rows) >= PAGE:
            # There may be more between what was kept and these; whoever needs them reads them.
            self.kept.clear()
            self.floor = rows[0].position - 1
        for row in rows:
            self.kept.append(as_sent(row))
            self.head = row.position
        while len(self.kept) > PAGE:
            self.floor = self.kept.popleft().position

    def wake(self) -> None:
        """Let all followers look at what there is."""
        for follower in self.followers:
            follower.news.set()


class Follower:
    """One who follows a workload's events.

    Args:
        feed: The workload's.
        caller: Whose token and roles count.
        position: Up to where it has them all.
        database: Where it reads what is not kept.
    """

    def __init__(self, feed: _Feed, caller: Caller, position: int, database: Database) -> None:
        self.caller = caller
        self.ended: Ended | None = None
        self.news = asyncio.Event()
        self._feed = feed
        self._position = position
        self._database = database

    async def pieces(self) -> AsyncIterator[bytes | None]:
        """All that comes, oldest first, until :attr:`ended`; ``None`` where nothing has come for a while."""
        while True:
            self.news.clear()
            while not self._cut_off() and self._position < self._feed.head:
                for sent in await self._next():
                    if self._cut_off():
                        break
                    self._position = sent.position
                    yield sent.piece
            if self.ended is not None:
                return
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await self.news.wait()
            except TimeoutError:
                yield None

    def end(self, why: Ended) -> None:
        """Tell it that it hears no more."""
        self.ended = self.ended or why
        self.news.set()

    def _cut_off(self) -> bool:
        """Whether it may not even hear what there is already. Of a deleted workload it hears all up to the end."""
        return self.ended is not None and self.ended is not WORKLOAD_DELETED

    async def _next(self) -> list[Sent]:
        feed = self._feed
        if self._position >= feed.floor:
            return [sent for sent in feed.kept if sent.position > self._position]
        try:
            async with self._database.read() as session:
                rows = await queries.events_after(session, feed.workload_id, self._position, PAGE)
        except TryAgain:
            self.end(INTERRUPTED)
            return []
        if not rows:
            # They went with the workload.
            self._position = feed.head
        return [as_sent(row) for row in rows]


class Followers:
    """All followers of one server process.

    Args:
        database: Where events are.
        authenticator: Knows whether tokens are still good.
    """

    def __init__(self, database: Database, authenticator: Authenticator) -> None:
        self._database = database
        self._authenticator = authenticator
        self._feeds: dict[str, _Feed] = {}
        self._count = 0
        self._stopping = False
        self._some = asyncio.Event()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        database.changes.subscribe(self._changed)

    def start(self) -> None:
        """Begin to look, whenever somebody follows."""
        self._task = asyncio.create_task(self._run(), name="followers")

    def stop(self) -> None:
        """End all followers, so that none keeps the server from stopping; new ones are refused."""
        self._stopping = True
        for feed in self._feeds.values():
            for follower in feed.followers:
                follower.end(STOPPING)

    async def close(self) -> None:
        """Look no more."""
        self.stop()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def refuse_more(self) -> None:
        """Let through one more follower.

        Raises:
            TryAgain: There are as many as one process may have, or it stops.
        """
        if self._stopping:
            raise TryAgain("The server stops; connect again.")
        if self._count >= LIMIT:
            raise TryAgain(f"{LIMIT} clients follow events here already; try again, or read the list.", after_seconds=5)

    @contextmanager
    def follow(self, workload_id: str, caller: Caller, position: int, head: int) -> Iterator[Follower]:
        """Follow a workload's events as long as the block runs.

        Args:
            workload_id: Which; the caller has the right to view it.
            caller: Whose token and roles count from now on.
            position: Of the last event that the client has.
            head: Of the newest event that there is.
        """
        feed = self._feeds.get(workload_id)
        if feed is None:
            feed = self._feeds[workload_id] = _Feed(workload_id, head, head)
        follower = Follower(feed, caller, position, self._database)
        feed.followers.add(follower)
        self._count += 1
        self._some.set()
        if self._stopping:
            follower.end(STOPPING)
        try:
            yield follower
        finally:
            self._count -= 1
            feed.followers.discard(follower)
            if not feed.followers:
                self._feeds.pop(workload_id, None)
            if not self._feeds:
                self._some.clear()

    async def _changed(self, workload_ids: Collection[str]) -> None:
        if not self._feeds.keys().isdisjoint(workload_ids):
            self._woken.set()

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            self._woken.clear()
            try:
                await self._look()
            except TryAgain as error:
                log.warning("events_not_read", reason=error.message)
            except Exception:
                # One bad look must not end the loop: the next begins anew from the database.
                log.exception("events_not_read")
            await asyncio.sleep(GAP_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS - GAP_SECONDS):
                    await self._woken.wait()

    async def _look(self) -> None:
        """See what is new, in a number of statements that does not depend on how many follow."""
        # Who comes while we look is looked after the next time.
        watched = [(feed, tuple(feed.followers)) for feed in self._feeds.values()]
        ids = [feed.workload_id for feed, _ in watched]
        callers = await self._authenticator.still_known(
            {follower.caller.token_id for _, followers in watched for follower in followers}
        )
        async with self._database.read() as session:
            # Roles before the rest: they go together with their workload, and then it is the workload that is gone.
            roles = await queries.roles_on(session, ids)
            heads = await queries.heads(session, ids)
            for feed, _ in watched:
                head = heads.get(feed.workload_id)
                if head is not None and head.position > feed.head:
                    feed.take_in(await queries.newest_after(session, feed.workload_id, feed.head, PAGE))
        for feed, followers in watched:
            head = heads.get(feed.workload_id)
            for follower in followers:
                caller = callers.get(follower.caller.token_id)
                if caller is None:
                    follower.end(TOKEN_REVOKED)
                elif head is None or head.deleted:
                    follower.end(WORKLOAD_DELETED)
                elif not _may_view(roles, feed.workload_id, caller):
                    follower.end(RIGHT_LOST)
            feed.wake()


def as_sent(row: EventRow) -> Sent:
    """An event as it goes over the wire: its ``data`` is what the list shows."""
    data = event_answer(row).model_dump_json(by_alias=True)
    return Sent(row.position, sent_event(data, event=row.event_type, event_id=row.id))


def _may_view(roles: dict[tuple[str, str], str], workload_id: str, caller: Caller) -> bool:
    held = (roles.get((workload_id, subject)) for subject in caller.subjects)
    return "view" in rights_of(",".join(role for role in held if role))
