"""HTTP as bytes, for requests that no client library would send."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from tests.support.server import ServerProcess


@dataclass(frozen=True)
class RawAnswer:
    """What came back until the server closed the connection or said nothing more."""

    text: str

    @property
    def statuses(self) -> list[int]:
        """The status codes of all answers, in order."""
        lines = self.text.split("HTTP/1.1 ")[1:]
        return [int(line[:3]) for line in lines]

    @property
    def body(self) -> str:
        """What follows the headers of the first answer; empty if there is nothing."""
        return self.text.partition("\r\n\r\n")[2]


def request(
    server: ServerProcess, method: str, path: str, body: bytes = b"", *, length: object = None, more: str = ""
) -> bytes:
    """A request of the administrator.

    Args:
        server: Whose address and token.
        method: HTTP method.
        path: Behind ``/api/v2``.
        body: What follows the headers.
        length: What ``Content-Length`` says; the truth if not given, no such header if empty text.
        more: More header lines, each with its line end.
    """
    said = len(body) if length is None else length
    lines = "" if said == "" else f"Content-Length: {said}\r\n"
    head = (
        f"{method} /api/v2{path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Authorization: Bearer {server.token}\r\nContent-Type: application/json\r\n{lines}{more}\r\n"
    )
    return head.encode("latin-1") + body


async def exchange(
    server: ServerProcess, *pieces: bytes, half_close: bool = False, hang_up: bool = False, timeout: float = 20
) -> RawAnswer:
    """Send bytes on a connection of its own and read until the server closes it, or has said nothing for half a second.

    Args:
        server: Where to.
        pieces: What to send.
        half_close: Tell the server that nothing more comes.
        hang_up: Close the connection at once instead of reading.
        timeout: Seconds until the first byte must have come.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    received = b""
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if hang_up:
            return RawAnswer("")
        if half_close:
            writer.write_eof()
        quiet = timeout
        while True:
            try:
                chunk = await asyncio.wait_for(reader.read(65536), quiet)
            except TimeoutError:
                break
            if not chunk:
                break
            received += chunk
            quiet = 0.5
    except (ConnectionResetError, BrokenPipeError):
        pass  # The server had enough; what came before counts.
    finally:
        writer.transport.abort() if hang_up else writer.close()
    return RawAnswer(received.decode("latin-1"))


@dataclass(frozen=True)
class Answer:
    """One answer, as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """What the body says."""
        assert self.headers["content-type"] == "application/json", self.headers
        return json.loads(self.body)


async def ask(
    server: ServerProcess,
    method: str,
    path: str,
    content: object = None,
    *,
    raw: bytes | None = None,
    more: dict[str, str] | None = None,
) -> Answer:
    """Send one request of the administrator on a connection of its own, and read the one answer.

    Whatever the answer is, it must be what clients rely on: HTTP/1.1, no redirect, one ``X-Request-Id``, each header
    once, a body of the length that was told, or none with 204.

    Args:
        server: Whose address and token.
        method: HTTP method.
        path: Behind ``/api/v2``.
        content: The body as a Python value; ``None`` for no body.
        raw: The body as bytes, instead.
        more: More headers, or others in place of ours; one with an empty value is left out.
    """
    body = raw if raw is not None else b"" if content is None else json.dumps(content).encode()
    headers = {
        "Host": f"127.0.0.1:{server.port}",
        "Authorization": f"Bearer {server.token}",
        "Connection": "close",
        "Content-Type": "application/json" if body else "",
        "Content-Length": str(len(body)) if body else "",
        **(more or {}),
    }
    lines = [f"{method} /api/v2{path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items() if value)]
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        received = await asyncio.wait_for(reader.read(), 30)
    finally:
        writer.close()
    head, _, rest = received.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    assert first.startswith("HTTP/1.1 "), first
    status = int(first[9:12])
    pairs = [(name.lower(), value.strip()) for name, _, value in (field.partition(":") for field in fields)]
    found = dict(pairs)
    assert len(found) == len(pairs), pairs
    assert not 300 <= status < 400, (status, found)
    assert "location" not in found, found
    assert found["x-request-id"], found
    if status == 204:
        assert rest == b"", rest
        assert not {"content-length", "transfer-encoding"} & found.keys(), found
    else:
        assert int(found["content-length"]) == len(rest), found
    return Answer(status, found, rest)
