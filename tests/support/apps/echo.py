"""A small HTTP application that workloads of the tests run. Standard library only; listens on ``PORT``.

==================  ====================================================================================
``/``, ``/health``  JSON {pid, workload_id, proton_id, version}; ``/health`` is 503 after ``POST /unhealthy``
``/slow?ms=N``      the same after N milliseconds
``/status/N``       answers N
``/echo``           JSON {method, path, query, headers, body, pid}; header names as sent, in order
``/count``          how long the body is, and its SHA-256: for bodies too large to echo
``/bytes/N``        N zero bytes with their length
``/stream?n=&ms=``  n lines ("0", "1", …) in chunks, one each ms milliseconds; as server-sent events where asked for
``/environment``    the environment as a JSON object
``/print?text=``    prints a line (``&stderr=1``: on standard error)
``/spawn``          starts a child process that sleeps; its pid
``/unhealthy``      POST: ``/health`` fails from now on; DELETE: it is well again
``/crash?code=N``   ends at once
==================  ====================================================================================

Variables: ``VERSION`` (shown), ``START_DELAY`` (seconds before it listens), ``IGNORE_SIGTERM=1`` (has to be killed),
``EXIT_AT_START=N`` (ends with N instead of listening).
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_unhealthy = False


def identity() -> dict[str, Any]:
    """Who answers."""
    return {
        "pid": os.getpid(),
        "workload_id": os.environ.get("WORKLOAD_ID"),
        "proton_id": os.environ.get("PROTON_ID"),
        "version": os.environ.get("VERSION"),
    }


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave in one packet
    query: dict[str, str]
    body_was_read: bool

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the tests print what they want to see."""

    def handle_one(self) -> None:
        """Answer one request of any method."""
        address = urlsplit(self.path)
        self.body_was_read = False
        self.query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        first, _, rest = address.path.lstrip("/").partition("/")
        answer = getattr(self, f"on_{first or 'root'}", None)
        if answer is None:
            self.send_json({"error": "no such path", "path": address.path}, 404)
        else:
            answer(rest)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = handle_one

    def body(self) -> Iterator[bytes]:
        """The request's body, piece by piece. It must be read to its end, or the connection cannot be used again."""
        if self.body_was_read:
            return
        self.body_was_read = True
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left and (piece := self.rfile.read(min(left, 65536))):
            left -= len(piece)
            yield piece

    def send_json(self, content: Any, status: int = 200) -> None:
        """Answer with JSON, after the body has been read."""
        self.send_bytes(json.dumps(content).encode(), "application/json", status)

    def send_bytes(self, content: bytes, media_type: str, status: int = 200) -> None:
        """Answer, after the body has been read."""
        for _ in self.body():
            pass
        self.send_response(status)
        if status not in (204, 304):
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(content)
        self.wfile.flush()

    def on_root(self, _rest: str) -> None:
        """Answer ``/``."""
        self.send_json(identity())

    def on_health(self, _rest: str) -> None:
        """Answer ``/health``."""
        self.send_json(identity(), 503 if _unhealthy else 200)

    def on_unhealthy(self, _rest: str) -> None:
        """Answer ``/unhealthy``."""
        global _unhealthy
        _unhealthy = self.command != "DELETE"
        self.send_json({"unhealthy": _unhealthy})

    def on_slow(self, _rest: str) -> None:
        """Answer ``/slow``."""
        time.sleep(float(self.query.get("ms", "0")) / 1000)
        self.send_json(identity())

    def on_status(self, rest: str) -> None:
        """Answer ``/status/N``."""
        self.send_json({"status": int(rest)}, int(rest))

    def on_echo(self, _rest: str) -> None:
        """Answer ``/echo`` and everything below it."""
        address = urlsplit(self.path)
        self.send_json(
            {
                "method": self.command,
                "path": unquote(address.path),
                "raw_path": address.path,
                "query": address.query,
                "headers": [[name, value] for name, value in self.headers.items()],
                "body": b"".join(self.body()).decode("latin-1"),
                "pid": os.getpid(),
            }
        )

    def on_count(self, _rest: str) -> None:
        """Answer ``/count``."""
        digest, length = hashlib.sha256(), 0
        for piece in self.body():
            digest.update(piece)
            length += len(piece)
        self.send_json({"length": length, "sha256": digest.hexdigest()})

    def on_bytes(self, rest: str) -> None:
        """Answer ``/bytes/N``."""
        self.send_bytes(bytes(int(rest)), "application/octet-stream")

    def on_stream(self, _rest: str) -> None:
        """Answer ``/stream``."""
        events = "text/event-stream" in self.headers.get("Accept", "")
        for _ in self.body():
            pass
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if events else "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(int(self.query.get("n", "3"))):
            line = (f"data: {number}\n\n" if events else f"{number}\n").encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.flush()
            time.sleep(float(self.query.get("ms", "0")) / 1000)
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def on_environment(self, _rest: str) -> None:
        """Answer ``/environment``."""
        self.send_json(dict(os.environ))

    def on_print(self, _rest: str) -> None:
        """Answer ``/print``."""
        print(self.query.get("text", ""), file=sys.stderr if "stderr" in self.query else sys.stdout, flush=True)
        self.send_json({})

    def on_spawn(self, _rest: str) -> None:
        """Answer ``/spawn``."""
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        self.send_json({"pid": child.pid})

    def on_crash(self, _rest: str) -> None:
        """Answer ``/crash`` by not answering."""
        print("crashing because I was told to", flush=True)
        os._exit(int(self.query.get("code", "1")))


class Server(ThreadingHTTPServer):
    """A thread per connection."""

    daemon_threads = True
    request_queue_size = 256


def main() -> None:
    """Serve until told to end."""
    if code := os.environ.get("EXIT_AT_START"):
        print(f"ending with {code} because I was told to", file=sys.stderr, flush=True)
        sys.exit(int(code))
    if os.environ.get("IGNORE_SIGTERM") == "1":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(float(os.environ.get("START_DELAY", "0")))
    server = Server(("127.0.0.1", int(os.environ["PORT"])), Handler)
    print(f"listening on {server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
