"""HTTP as bytes, for requests that no client library would send."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

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
