"""The real server as a process of its own, for tests."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import psutil

from tests.support.cleanup import forget, kill_all, processes_of, remember
from tests.support.ports import free_port

_START_TIMEOUT = 40
_STOP_TIMEOUT = 30
_PREFIX = "WORKLOAD_API_"
_FAST = {
    "RECONCILE_INTERVAL": "0.1",
    "REAP_INTERVAL": "0.2",
    "STATISTICS_FLUSH_INTERVAL": "0.2",
    "LOG_COLLECT_INTERVAL": "0.2",
    "USAGE_INTERVAL": "0.5",
    "STOP_GRACE": "3",
}
"""What every server of the tests is told, so that nobody waits for its ticks; settings given by a test win."""


class ServerProcess:
    """One server (``python -m workload_api serve``) on a free loopback port.

    A context manager, which starts it and in the end removes everything: the server, and the replicas that it or
    servers before it on the same data directory left running. All methods block; where other coroutines of the test
    must go on meanwhile, call them through ``asyncio.to_thread``.

    Args:
        directory: A folder for the data directory and the log; servers that share a data directory share it.
        database_url: ``postgresql://…`` or ``sqlite:///…``; ``None`` for the embedded default.
        settings: More settings by name without prefix: ``{"DRAFT_TTL": "2s"}``.
        token: The administrator's token; ``None`` makes one.
        data_dir: The data directory; ``None`` for ``directory/data``.
        name: Tells servers in one directory apart (names the log).
    """

    def __init__(
        self,
        directory: Path,
        *,
        database_url: str | None = None,
        settings: dict[str, str] | None = None,
        token: str | None = None,
        data_dir: Path | None = None,
        name: str = "server",
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = token or f"test-{secrets.token_hex(16)}"
        self.data_dir = data_dir or directory / "data"
        self.log_path = directory / f"{name}.log"
        self.database_url = database_url
        self.settings = {
            **_FAST,
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "DATA_DIR": str(self.data_dir),
            "ADMIN_TOKEN": self.token,
            **({"DATABASE_URL": database_url} if database_url else {}),
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: list[int] = []

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The server's process, the last one if it was started several times."""
        assert self._process is not None, "the server was not started"
        return self._process

    @property
    def pid(self) -> int:
        """The process id of the server."""
        return self.process.pid

    @property
    def log(self) -> str:
        """Everything that the server has printed, over all its starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the server and of every other command on the same installation."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
        return {**kept, **{_PREFIX + name: value for name, value in self.settings.items()}}

    def command(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run another command with the server's settings: ``server.command("token", "list")``.

        Args:
            arguments: What comes after ``workload-api``.
            timeout: Seconds that it may take.

        Returns:
            Its exit code and output.
        """
        return subprocess.run(
            [sys.executable, "-m", "workload_api", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def migrate(self) -> None:
        """Bring the database up to date, as an operator does on PostgreSQL.

        Raises:
            AssertionError: The command failed.
        """
        done = self.command("migrate")
        assert done.returncode == 0, f"`migrate` failed with {done.returncode}:\n{done.stdout}{done.stderr}"

    def launch(self) -> None:
        """Start the process and return at once."""
        assert self._process is None or self._process.poll() is not None, "the server runs already"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "workload_api", "serve"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._groups.append(self._process.pid)
        remember(self._process.pid, self.data_dir)

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            AssertionError: It ended, or did not answer in time; the message bears the end of its log.
        """
        self.launch()
        self.wait_until_answering()

    def wait_until_answering(self) -> None:
        """Wait until the server that was launched answers.

        Raises:
            AssertionError: It ended, or did not answer in time; the message bears the end of its log.
        """
        deadline = time.monotonic() + _START_TIMEOUT
        with httpx.Client(base_url=self.url, headers=self.headers, timeout=5, trust_env=False) as client:
            while not self._answers(client):
                code = self.process.poll()
                if code is not None or time.monotonic() > deadline:
                    how = f"ended with {code}" if code is not None else f"did not answer within {_START_TIMEOUT} s"
                    if code is None:
                        self.kill()
                    raise AssertionError(f"the server {how}; its log ends:\n" + "\n".join(self.log.splitlines()[-60:]))
                time.sleep(0.05)

    @staticmethod
    def _answers(client: httpx.Client) -> bool:
        try:
            return any(client.get(path).status_code == 200 for path in ("/api/v2/version/", "/livez"))
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """Kill the server at once (``kill -9``); its replicas go on."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(_STOP_TIMEOUT)

    def terminate(self) -> int:
        """Ask the server to stop (SIGTERM) and wait until it has.

        Returns:
            Its exit code: 0, or minus SIGTERM where the server lets the signal end it once everything is closed.

        Raises:
            AssertionError: It did not stop in time; it is killed then.
        """
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"the server did not stop within {_STOP_TIMEOUT} s of SIGTERM; its log ends:\n"
                + "\n".join(self.log.splitlines()[-60:])
            ) from None

    def restart(self) -> None:
        """Stop the server gracefully and start it again."""
        self.terminate()
        self.start()

    @property
    def headers(self) -> dict[str, str]:
        """What makes a request the administrator's."""
        return {"Authorization": f"Bearer {self.token}"}

    def client(self, *, token: str | None = None, timeout: float = 30) -> httpx.AsyncClient:
        """A client of the API: paths are those of the contract, as in ``await client.get("/workloads")``.

        Args:
            token: Whose token; the administrator's if not given.
            timeout: Seconds that a request may take.
        """
        return httpx.AsyncClient(
            base_url=f"{self.url}/api/v2",
            headers={"Authorization": f"Bearer {token or self.token}"},
            timeout=timeout,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=200),
            trust_env=False,
        )

    def left_behind(self) -> list[psutil.Process]:
        """The processes other than the server itself that belong to its data directory: replicas and their keepers."""
        return processes_of(self.data_dir, self._groups)

    def close(self) -> None:
        """Stop the server and everything that was left behind on its data directory."""
        kill_all(self._groups, self.data_dir)
        if self._process is not None:
            self._process.wait(_STOP_TIMEOUT)
        for group in self._groups:
            forget(group, self.data_dir)
        self._groups.clear()

    def __enter__(self) -> Self:
        try:
            if self.database_url and self.database_url.startswith("postgres"):
                self.migrate()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if error is not None and isinstance(error, Exception):
            error.add_note("server log ends:\n" + "\n".join(self.log.splitlines()[-30:]))
