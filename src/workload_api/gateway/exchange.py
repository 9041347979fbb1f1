"""One request on its way to a replica and its answer on the way back; neither is ever held whole (§9)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Final, Literal

import structlog
from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientHandlerType,
    ClientOSError,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ConnectionTimeoutError,
    ServerDisconnectedError,
)
from starlette.types import Receive, Scope, Send
from yarl import URL

from workload_api.gateway.headers import has_body, is_bodiless, request_headers, response_headers
from workload_api.gateway.refusals import refuse
from workload_api.gateway.replicas import Replicas

log = structlog.get_logger(__name__)

CLIENT_HUNG_UP: Final = 499
"""The status under which a request counts whose client did not wait for the answer."""
_WATCH_AFTER_SECONDS: Final = 0.005
"""Most requests have ended by then and need nobody to watch whether their client hangs up."""
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class BrokenOff(Exception):
    """The app broke off its answer: the client's connection must break as well, never end as if all were well."""


class _LostBeforeAnswer(Exception):
    """A connection to a replica was lost before it began to answer."""


class _BodyCutOff(Exception):
    """The client hung up within its request's body: the replica must not take the part for the whole."""


async def no_silent_repeat(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Keep the client session from sending a request a second time by itself; when that is right is decided here."""
    try:
        return await handler(request)
    except ClientConnectorError:
        raise
    except (ClientOSError, ServerDisconnectedError) as error:
        raise _LostBeforeAnswer(str(error)) from error


class Exchange:
    """Forwards one request.

    Args:
        session: The client that knows the replicas' connections.
        replicas: Chooses among them.
        response_timeout: Until a replica begins to answer, from the last that it was sent.
        scope: The client's request.
        receive: ASGI's.
        send: ASGI's.
    """

    __slots__ = (
        "_aborted",
        "_body_complete",
        "_body_started",
        "_ended",
        "_last_sent_at",
        "_limit",
        "_limit_timer",
        "_loop",
        "_receive",
        "_replicas",
        "_scope",
        "_send",
        "_session",
        "_task",
        "_waits_for_client",
        "_watch_timer",
        "_watcher",
    )

    def __init__(
        self,
        session: ClientSession,
        replicas: Replicas,
        response_timeout: timedelta,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self._session = session
        self._replicas = replicas
        self._limit = response_timeout.total_seconds()
        self._scope = scope
        self._receive = receive
        self._send = send
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None, "an ASGI server runs each request in a task"
        self._task: asyncio.Task[object] = task
        self._aborted: Literal["hung_up", "too_slow"] | None = None
        self._body_started = False
        self._body_complete = not has_body(scope["headers"])
        self._ended = False
        self._waits_for_client = False
        self._last_sent_at = self._loop.time()
        self._watcher: asyncio.Task[None] | None = None
        self._watch_timer: asyncio.TimerHandle | None = None
        self._limit_timer: asyncio.TimerHandle | None = None

    async def run(self, addresses: Sequence[str], target: str, prefix: str) -> int:
        """Forward the request to one of these replicas and send its answer to the client.

        Args:
            addresses: The ready replicas, as ``host:port``; at least one.
            target: Path and query as the replica shall see them.
            prefix: The part of the path that was stripped.

        Returns:
            The status under which the request counts.

        Raises:
            BrokenOff: The app broke off in the middle of its answer.
        """
        if self._body_complete:
            self._watch_timer = self._loop.call_later(_WATCH_AFTER_SECONDS, self._watch)
        self._limit_timer = self._loop.call_later(self._limit, self._look_at_limit)
        status: int | None = None
        try:
            status = await self._forward(addresses, target, prefix)
        except asyncio.CancelledError:
            # Only we ourselves cancel with a reason; any other cancellation is the server's.
            if self._aborted is None or self._task.uncancel() > 0:
                raise
        finally:
            self._end_watching()
        if self._aborted == "hung_up":
            return CLIENT_HUNG_UP
        if self._aborted == "too_slow":
            message = f"The app did not begin to answer within {self._limit:g} seconds."
            await refuse(self._send, 504, "UPSTREAM_TIMEOUT", message)
            return 504
        if status is None:
            message = "The app could not be reached, or broke the connection off before it answered."
            await refuse(self._send, 502, "UPSTREAM_UNREACHABLE", message)
            return 502
        return status

    async def _forward(self, addresses: Sequence[str], target: str, prefix: str) -> int | None:
        method: str = self._scope["method"]
        headers = request_headers(self._scope, prefix)
        bodiless = self._body_complete
        may_repeat = bodiless and method in _SAFE
        tried: set[str] = set()
        while (address := self._replicas.choose(addresses, tried)) is not None:
            tried.add(address)
            self._replicas.begin(address)
            try:
                response = await self._session.request(
                    method,
                    URL(f"http://{address}{target}", encoded=True),
                    headers=headers,
                    data=None if bodiless else self._body(),
                    allow_redirects=False,
                )
            except (ClientConnectorError, ConnectionTimeoutError) as error:
                # It never reached a replica: nothing of the body was taken yet, so another one can have it.
                self._replicas.failed(address)
                log.warning("replica_not_reached", address=address, error=str(error))
                if self._body_started:
                    break
            except _LostBeforeAnswer as error:
                self._replicas.failed(address)
                log.warning("replica_lost", address=address, error=str(error))
                if not may_repeat:
                    break
                # Once: a request that ends the app must not go round all its replicas.
                may_repeat = False
                if len(addresses) == 1:
                    tried.clear()
            except ClientError as error:
                log.warning("replica_not_understood", address=address, error=str(error))
                break
            else:
                return await self._answer(response, method)
            finally:
                self._replicas.end(address)
        return None

    async def _answer(self, response: ClientResponse, method: str) -> int:
        status, raw = response.status, response.raw_headers
        if self._limit_timer is not None:
            self._limit_timer.cancel()
        whole = False
        try:
            headers = response_headers(status, raw)
            left = None if is_bodiless(method, status) else response.content_length
            ends_here = is_bodiless(method, status) or left == 0
            send, content = self._send, response.content
            await send({"type": "http.response.start", "status": status, "headers": headers})
            if ends_here:
                await send({"type": "http.response.body", "body": b""})
                whole = True
                return status
            while True:
                try:
                    chunk = await content.readany()
                except (ClientError, OSError) as error:
                    raise BrokenOff(f"the app broke off its answer: {error}") from None
                at_end = content.at_eof()
                # Whoever has the last byte may look at the statistics at once: send it as the last one, without
                # waiting for the replica's end of file.
                if left is None:
                    more = not at_end
                else:
                    left -= len(chunk)
                    more = left > 0
                    if more and at_end:
                        raise BrokenOff("the app broke off its answer: it is shorter than its Content-Length")
                await send({"type": "http.response.body", "body": chunk, "more_body": more})
                if not more:
                    whole = True
                    return status
        finally:
            if whole and self._body_complete:
                response.release()
            else:
                response.close()

    async def _body(self) -> AsyncIterator[bytes]:
        self._body_started = True
        while True:
            self._waits_for_client = True
            message = await self._receive()
            self._waits_for_client = False
            self._last_sent_at = self._loop.time()
            if message["type"] == "http.disconnect":
                self._abort("hung_up")
                raise _BodyCutOff
            if chunk := message.get("body"):
                yield chunk
            if not message.get("more_body"):
                break
        self._body_complete = True
        self._last_sent_at = self._loop.time()
        self._watch()

    def _watch(self) -> None:
        if not self._ended:
            self._watcher = self._loop.create_task(self._await_hang_up())

    async def _await_hang_up(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._abort("hung_up")

    def _look_at_limit(self) -> None:
        # The time runs from the last that the replica was sent, and not while the client keeps us waiting.
        since = self._loop.time() if self._waits_for_client else self._last_sent_at
        left = since + self._limit - self._loop.time()
        if left > 0.001:
            self._limit_timer = self._loop.call_later(left, self._look_at_limit)
        else:
            self._abort("too_slow")

    def _abort(self, reason: Literal["hung_up", "too_slow"]) -> None:
        if self._aborted is None:
            self._aborted = reason
            self._task.cancel()

    def _end_watching(self) -> None:
        self._ended = True
        if self._watch_timer is not None:
            self._watch_timer.cancel()
        if self._limit_timer is not None:
            self._limit_timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
