"""A process runtime on a directory of its own, which leaves no process behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.runtimes.process_support import APP, Bench, left_over
from tests.support.waiting import until
from workload_api.runtimes.process import ProcessRuntime


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    (tmp_path / "app.py").write_text(APP)
    bench = Bench(tmp_path, ProcessRuntime(tmp_path / "state", backoff_initial=0.2, log_limit_bytes=200_000))
    await bench.runtime.start()
    try:
        yield bench
    finally:
        try:
            for proton_id in {*bench.protons, *await bench.runtime.known()}:
                await bench.runtime.remove(proton_id, 0)
            await bench.runtime.close()
            # Supervisors let go of their lock a moment before they are gone.
            await until(lambda: not left_over(bench.state_dir), 5, what="nothing left running")
        finally:
            for process in left_over(bench.state_dir):
                process.kill()
