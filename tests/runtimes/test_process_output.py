"""The output of containers: kept, rotated, merged, read."""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.runtimes.process_support import Bench
from tests.support.waiting import until
from workload_api.runtimes.process.logs import last_lines, read_lines
from workload_api.runtimes.process.supervisor import MAX_LINE_BYTES, LineSplitter, LogFile
from workload_api.runtimes.protocol import LogLine


async def test_lines_are_kept_with_time_stream_and_source(bench: Bench) -> None:
    began = datetime.now(UTC)
    # What the containers run: they stay until they are stopped, the test does not sleep.
    script = "import os, time; os.write(1, b'out\\n'); os.write(2, b'err\\n'); time.sleep(600)"
    side = bench.container(
        name="side",
        primary=False,
        entrypoint=(
            sys.executable,
            "-S",
            "-c",
            "import os, time; os.write(1, b'caf\\xc3\\xa9 \\xff\\nlast'); time.sleep(600)",
        ),
    )
    proton = bench.proton(bench.container(entrypoint=(sys.executable, "-S", "-c", script)), side)
    await bench.runtime.apply(proton)

    async def enough() -> bool:
        return len(await bench.runtime.tail(proton.proton_id, 100)) == 3

    await until(enough)
    await bench.runtime.remove(proton.proton_id, 0)
    lines = await bench.runtime.logs(proton.proton_id, {}, 100)
    for source in {line.source for line in lines}:
        times = [line.timestamp for line in lines if line.source == source]
        assert times == sorted(times)
    assert all(began < line.timestamp < datetime.now(UTC) for line in lines)
    assert {line.replica for line in lines} == {f"{proton.proton_id}-default-0"}
    found = [(line.container, line.stream, line.text) for line in lines]
    assert ("main", "stdout", "out") in found
    assert ("main", "stderr", "err") in found
    assert ("side", "stdout", "café \N{REPLACEMENT CHARACTER}") in found
    assert ("side", "stdout", "last") in found  # Without a line end.
    for line in lines:
        # After each line come those after it in its source, and all of other sources.
        later = await bench.runtime.logs(proton.proton_id, {line.source: line.position}, 100)
        place = [each for each in lines if each.source == line.source].index(line)
        own = [each for each in lines if each.source == line.source][place + 1 :]
        assert [each for each in later if each.source == line.source] == own
        assert [each for each in later if each.source != line.source] == [
            each for each in lines if each.source != line.source
        ]
    assert len(await bench.runtime.logs(proton.proton_id, {}, 1)) == 2
    newest = sorted(lines, key=lambda line: line.timestamp)[-2:]
    assert await bench.runtime.tail(proton.proton_id, 2) == [line.text for line in newest]


async def test_much_output_is_rotated_and_the_newest_kept(bench: Bench) -> None:
    # The container stays after its last line; the test does not sleep.
    script = "import time\nfor at in range(20000): print('line', at)\nprint('end', flush=True)\ntime.sleep(600)"
    proton = bench.proton(bench.container(entrypoint=(sys.executable, "-S", "-c", script)))
    await bench.runtime.apply(proton)

    async def all_there() -> bool:
        return await bench.runtime.tail(proton.proton_id, 1) == ["end"]

    await until(all_there)
    files = sorted(bench.state_dir.glob("*/logs/*/*/*/output.log*"))
    assert [path.name for path in files] == ["output.log", "output.log.1"]
    assert sum(path.stat().st_size for path in files) <= 200_000
    lines: list[LogLine] = []
    while more := await bench.runtime.logs(proton.proton_id, {line.source: line.position for line in lines[-1:]}, 700):
        lines += more
    texts = [line.text for line in lines]
    assert texts[-1] == "end"
    # What was given up before it was read is said in its place.
    assert re.fullmatch(r"\[\d+ bytes of output were given up here: .*\]", texts.pop(0))
    numbers = [int(text.removeprefix("line ")) for text in texts[:-1]]
    assert numbers == list(range(20000 - len(numbers), 20000))
    assert 0 < len(numbers) < 20000
    assert await bench.runtime.tail(proton.proton_id, 1000) == texts[-1000:]


async def test_only_the_output_of_two_generations_is_kept(bench: Bench) -> None:
    proton_id = None
    for generation in (1, 2, 3):
        container = bench.container("say-term=1", f"print={generation}")
        proton = bench.proton(container, generation=generation, proton_id=proton_id)
        proton_id = proton.proton_id
        await bench.runtime.apply(proton)
        await bench.ready(proton)
    assert proton_id is not None
    assert sorted(await bench.runtime.tail(proton_id)) == ["2", "3", "goodbye"]


@pytest.mark.parametrize("pieces", [[b"a\nbc", b"", b"d\n\ne"], [b"a\nbcd\n\ne"], [b"a", b"\n", b"bcd\n\n", b"e"]])
def test_pieces_become_lines(pieces: list[bytes]) -> None:
    splitter = LineSplitter()
    assert [line for piece in pieces for line in splitter.feed(piece)] == [b"a", b"bcd", b""]
    assert splitter.finish() == [b"e"]
    assert splitter.finish() == []


def test_long_lines_are_cut_and_lose_nothing() -> None:
    splitter = LineSplitter()
    whole = b"x" * (2 * MAX_LINE_BYTES + 5)
    lines = [*splitter.feed(whole), *splitter.feed(b"y\nz")]
    assert [len(line) for line in lines] == [MAX_LINE_BYTES, MAX_LINE_BYTES, 6]
    assert splitter.finish() == [b"z"]


def test_a_log_that_cannot_be_written_counts_what_it_lost(tmp_path: Path) -> None:
    source = tmp_path / "proton" / "logs" / "1" / "default-0" / "main"
    source.mkdir(parents=True)
    (source / "about.json").write_text('{"replica": "r", "container": "main"}')
    blocked = source / "output.log"
    blocked.mkdir()  # Stands for a full disk: opening fails.
    log = LogFile(source, 1000)
    log.write("stdout", [b"lost", b"too"])
    blocked.rmdir()
    log.write("stdout", [b"kept"])
    log.write("stderr", [b"more\r"])
    lines = read_lines(tmp_path / "proton", {}, 100)
    assert [(line.stream, line.text) for line in lines] == [
        ("stderr", "[2 lines of output were lost: the log could not be written]"),
        ("stdout", "kept"),
        ("stderr", "more"),
    ]
    assert last_lines(tmp_path / "proton", 2) == ["kept", "more"]


def test_positions_hold_over_rotations(tmp_path: Path) -> None:
    """Read in small pieces while it is written and rotated: each line once, in order, also over a new start."""
    source = tmp_path / "proton" / "logs" / "1" / "default-0" / "main"
    source.mkdir(parents=True)
    (source / "about.json").write_text('{"replica": "r", "container": "main"}')
    found: list[LogLine] = []
    for start in range(3):
        log = LogFile(source, 4000)
        for number in range(100):
            log.write("stdout", [f"{start} {number} {'x' * 20}".encode()])
            if number % 7 == 0:
                found += read_lines(tmp_path / "proton", {line.source: line.position for line in found[-1:]}, 10)
    found += read_lines(tmp_path / "proton", {line.source: line.position for line in found[-1:]}, 1000)
    assert [line.text.split()[:2] for line in found] == [[str(s), str(n)] for s in range(3) for n in range(100)]
    assert len({line.position for line in found}) == len(found)


def test_output_of_before_there_were_positions_is_read(tmp_path: Path) -> None:
    """Files without a head follow upon one another."""
    source = tmp_path / "proton" / "logs" / "1" / "default-0" / "main"
    source.mkdir(parents=True)
    (source / "about.json").write_text('{"replica": "r", "container": "main"}')
    line = "2026-01-01T00:00:00.000000Z stdout {}\n"
    (source / "output.log.1").write_text(line.format("a") + line.format("b"))
    (source / "output.log").write_text(line.format("c"))
    first, *rest = read_lines(tmp_path / "proton", {}, 10)
    assert [first.text, *(each.text for each in rest)] == ["a", "b", "c"]
    assert read_lines(tmp_path / "proton", {first.source: first.position}, 10) == rest
