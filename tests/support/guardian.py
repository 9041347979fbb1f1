"""Runs a program for as long as its own standard input is open: ``guardian.py USER DIRECTORY PROGRAM [ARGUMENT …]``.

The tests hold the other end. When they close it, or die in whatever way, the program gets SIGQUIT (for PostgreSQL: stop
at once), and the directory goes. USER may be empty: the program then runs as whoever runs the tests.
"""

from __future__ import annotations

import pwd
import shutil
import signal
import subprocess
import sys
import threading

_GRACE_SECONDS = 20


def main() -> int:
    """Guard one program; returns its exit code."""
    user, directory, *command = sys.argv[1:]
    # Ctrl-C in the terminal reaches us too, but it is for the tests to end first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    program = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        user=user or None,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
        cwd=directory,
        start_new_session=True,
    )

    def stop_at_the_end() -> None:
        while sys.stdin.buffer.read(1):
            pass
        program.send_signal(signal.SIGQUIT)
        try:
            program.wait(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            program.kill()

    threading.Thread(target=stop_at_the_end, daemon=True).start()
    code = program.wait()
    shutil.rmtree(directory, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
