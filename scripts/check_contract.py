"""Runs a program on the address of a running server's OpenAPI document: ``check_contract.py PROGRAM [ARGUMENT …]``.

For comparing the document with a contract. The server is started for it and stopped afterwards; the exit code is the
program's.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.server import ServerProcess


def main() -> int:
    """Start the server, run the program, stop the server; returns the program's exit code."""
    program, *arguments = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory, ServerProcess(Path(directory)) as server:
        command = [sys.executable, program, f"{server.url}/api/v2/openapi.json", *arguments]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
