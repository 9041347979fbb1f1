"""Which ports a replica itself listens on, so that no foreign process is taken for it."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from .files import WORK, read_container
from .supervisor import descendants

_REACHABLE = frozenset({"127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1"})
CONNECT_SECONDS = 1.0


def listening_ports(replica: Path) -> frozenset[int]:
    """The TCP ports on which any process of a replica takes connections to 127.0.0.1.

    Args:
        replica: The replica's directory.
    """
    ports: set[int] = set()
    for directory in (path for path in replica.iterdir() if path.name != WORK and path.is_dir()):
        files = read_container(directory)
        if not files.running or files.state is None:
            continue
        for pid in _below(int(files.state["supervisor_pid"])):
            with suppress(psutil.Error):
                for connection in psutil.Process(pid).net_connections("tcp"):
                    if connection.status == psutil.CONN_LISTEN and connection.laddr.ip in _REACHABLE:
                        ports.add(connection.laddr.port)
    return frozenset(ports)


def _below(pid: int) -> list[int]:
    found: list[int] = []
    if sys.platform == "linux":
        found = descendants(pid)
    else:
        with suppress(psutil.Error):
            found = [process.pid for process in psutil.Process(pid).children(recursive=True)]
    return found


async def accepts_connections(port: int) -> bool:
    """Tell whether somebody takes connections on a port of 127.0.0.1."""
    with socket.socket() as connection:
        connection.setblocking(False)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        except OSError:  # Also TimeoutError.
            return False
    return True
