"""Free ports for the programs that tests start."""

from __future__ import annotations

import os
import random
import socket

# Below what Linux (32768) and macOS (49152) hand out by themselves, so no outgoing connection can take one in between.
_FIRST, _LAST = 20000, 32000
_random = random.Random(os.urandom(8))
_given: set[int] = set()


def free_port() -> int:
    """A loopback port that nothing listens on, never the same one twice in this process.

    Raises:
        RuntimeError: None was found.
    """
    for _ in range(200):
        port = _random.randrange(_FIRST, _LAST)
        if port in _given:
            continue
        _given.add(port)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise RuntimeError(f"no free port between {_FIRST} and {_LAST}")
