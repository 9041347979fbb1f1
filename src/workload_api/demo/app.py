"""The service that the demonstration runs: answers every GET with its process id, after ``?ms=`` milliseconds."""

from __future__ import annotations

import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_MOST_MS = 60_000


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Tell which process answers."""
        asked = parse_qs(urlsplit(self.path).query).get("ms", ["0"])[0]
        time.sleep(min(int(asked) if asked.isdigit() else 0, _MOST_MS) / 1000)
        body = json.dumps({"pid": os.getpid(), "workload": os.environ.get("WORKLOAD_ID")}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep quiet: the gateway counts."""


class Server(ThreadingHTTPServer):
    """Takes many connections at once."""

    request_queue_size = 256
    daemon_threads = True


if __name__ == "__main__":
    port = int(os.environ["PORT"])
    print(f"listening on {port}", flush=True)
    Server(("127.0.0.1", port), Handler).serve_forever()
