"""What the tests of the process runtime share: a small app, specs for it, and a look at what is left running."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil

from tests.support.waiting import until
from workload_api.domain.ids import new_id
from workload_api.runtimes.process import ProcessRuntime
from workload_api.runtimes.protocol import (
    ContainerObservation,
    ContainerSpec,
    GroupSpec,
    HttpProbe,
    ProtonSpec,
    ReplicaObservation,
)

APP = """
import http.server, json, os, signal, subprocess, sys, time

options = dict(option.split("=", 1) for option in sys.argv[1:])
if "pids" in options:
    with open(options["pids"], "a") as file:
        file.write(f"{os.getpid()}\\n")
if "ignore-term" in options:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
elif "say-term" in options:
    def goodbye(*_):
        print("goodbye", flush=True)
        if options["say-term"] == "1":
            os._exit(0)
    signal.signal(signal.SIGTERM, goodbye)
# These are programs that replicas run, not the test: they stay until they are stopped.
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
for session in options.get("fork", "").split():
    child = subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=session == "apart")
    with open(options["pids"], "a") as file:
        file.write(f"{child.pid}\\n")
for text in options.get("print", "").split(","):
    print(text, flush=True)
if "exit-file" in options and not os.path.exists(options["exit-file"]):
    open(options["exit-file"], "w").close()
    sys.exit(3)
if "exit" in options:
    sys.exit(int(options["exit"]))
if "eat" in options:
    eaten = bytearray(int(options["eat"]))
    for at in range(0, len(eaten), 4096):
        eaten[at] = 1
if "idle" in options:
    time.sleep(600)
if "late" in options:
    time.sleep(float(options["late"]))

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({
            "pid": os.getpid(), "environment": dict(os.environ), "arguments": sys.argv[1:], "directory": os.getcwd(),
            "headers": dict(self.headers), "files": os.listdir("/proc/self/fd"),
        }).encode()
        status = 200
        if self.path.startswith("/record?"):
            with open(options["record"], "w") as file:
                json.dump([self.path, dict(self.headers)], file)
        if self.path == "/quit":
            os._exit(7)
        if self.path == "/health":
            try:
                status = int(open(options["health"]).read())
            except (KeyError, OSError):
                status = 503
        self.send_response(status)
        self.send_header("Location", "/health")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

class Server(http.server.ThreadingHTTPServer):
    allow_reuse_address = True

Server(("127.0.0.1", int(options.get("port") or os.environ["PORT"])), Handler).serve_forever()
"""


@dataclass(slots=True)
class Bench:
    """A runtime on a fresh state directory, and the app for it."""

    path: Path
    runtime: ProcessRuntime
    protons: list[str] = field(default_factory=list)

    @property
    def state_dir(self) -> Path:
        return self.path / "state"

    @property
    def pids_file(self) -> Path:
        return self.path / "pids"

    def pids(self) -> list[int]:
        """The processes that the app (and what it forked) wrote down, oldest first."""
        return [int(line) for line in self.pids_file.read_text().split()] if self.pids_file.exists() else []

    def container(self, *options: str, name: str = "main", primary: bool = True, **fields: Any) -> ContainerSpec:
        """A container that runs the app with options like ``exit=1``."""
        given: dict[str, Any] = {
            "image": "registry.example/app:1",
            "entrypoint": (sys.executable, "-S", str(self.path / "app.py"), f"pids={self.pids_file}", *options),
            "port": None,
        }
        return ContainerSpec(name=name, primary=primary, **(given | fields))

    def proton(
        self,
        *containers: ContainerSpec,
        replicas: int = 1,
        generation: int = 1,
        proton_id: str | None = None,
        grace_seconds: float = 5.0,
        further: tuple[GroupSpec, ...] = (),
    ) -> ProtonSpec:
        """A proton with one group ``default`` of these containers."""
        proton_id = proton_id or new_id()
        self.protons.append(proton_id)
        group = GroupSpec("default", replicas, containers or (self.container(),))
        return ProtonSpec(proton_id, "w" + proton_id[1:], generation, (group, *further), grace_seconds)

    async def replicas(
        self, proton: ProtonSpec, runtime: ProcessRuntime | None = None
    ) -> tuple[ReplicaObservation, ...]:
        seen = await (runtime or self.runtime).observe([proton.proton_id])
        return seen[proton.proton_id].replicas

    async def first(self, proton: ProtonSpec, runtime: ProcessRuntime | None = None) -> ReplicaObservation:
        """The only replica, for use within ``until``."""
        replicas = await self.replicas(proton, runtime)
        assert len(replicas) == 1, replicas
        return replicas[0]

    async def ready(
        self, proton: ProtonSpec, count: int = 1, runtime: ProcessRuntime | None = None
    ) -> tuple[ReplicaObservation, ...]:
        """Wait until so many replicas are there, all of this generation and ready."""

        async def all_ready() -> tuple[ReplicaObservation, ...]:
            replicas = await self.replicas(proton, runtime)
            assert len(replicas) == count, replicas
            assert all(replica.ready and replica.generation == proton.generation for replica in replicas), replicas
            return replicas

        return await until(all_ready, what="replicas ready")

    async def container_when(self, proton: ProtonSpec, **wanted: Any) -> ContainerObservation:
        """Wait until the first container of the first replica looks like this."""

        async def looks() -> ContainerObservation:
            replicas = await self.replicas(proton)
            assert replicas
            container = replicas[0].containers[0]
            assert {name: getattr(container, name) for name in wanted} == wanted, container
            return container

        return await until(looks, what=str(wanted))

    def directory(self, proton: ProtonSpec, container: str = "main", index: int = 0) -> Path:
        """Where the files of a container are."""
        return self.state_dir / proton.proton_id / str(proton.generation) / f"default-{index}" / container


def ask(address: str, path: str = "/") -> dict[str, Any]:
    """Have the app at an address say what it is."""
    with urlopen(f"http://{address}{path}", timeout=5) as response:
        answer: dict[str, Any] = json.load(response)
        return answer


def alive(pid: int) -> bool:
    """Tell whether a process lives (a zombie does not)."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def left_over(state_dir: Path) -> list[psutil.Process]:
    """Every process that has to do with a state directory: supervisors, commands, and what those started."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if any(str(state_dir) in text for text in [*process.cmdline(), process.environ().get("HOME", "")]):
                found.append(process)
        except psutil.Error:
            continue
    return found


def probe(path: str = "/health", port: int = 1, **fields: Any) -> HttpProbe:
    """A probe without waiting."""
    quick: dict[str, Any] = {"initial_delay_seconds": 0, "period_seconds": 1, "timeout_seconds": 2}
    return HttpProbe(path=path, port=port, **(quick | fields))


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
