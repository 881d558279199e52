"""A worker's output is sorted, and its silence is noticed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from ingest.runtimes import watch as module
from ingest.runtimes.watch import Watch, count_oom_kills


@pytest.fixture
def log(tmp_path: Path) -> Iterator[BinaryIO]:
    (tmp_path / "worker.log").write_text("of an earlier start\n")
    with (tmp_path / "worker.log").open("ab", buffering=0) as file:
        yield file


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_events_are_passed_on_and_the_rest_is_kept(log: BinaryIO) -> None:
    heard: list[dict[str, Any]] = []
    with Watch(heard.append, log, 60, lambda: pytest.fail("it is not silent")) as watch:
        for line in (
            b'{"event": "start", "sent": 2}\n',
            b"a warning\n",
            b"\n",
            b'{"event": torn\n',
        ):
            watch.take_line(line)
        assert watch.fatal is None
        watch.take_line(b'{"event": "error", "message": "no such weights"}\n')
    assert heard == [
        {"event": "start", "sent": 2},
        {"event": "error", "message": "no such weights"},
    ]
    assert Path(log.name).read_text() == 'of an earlier start\na warning\n{"event": torn\n'
    assert watch.fatal == watch.explain("exit code 1") == "no such weights"


def test_an_end_without_a_word_is_told_with_the_end_of_this_start_s_log(log: BinaryIO) -> None:
    with Watch(print, log, 60, lambda: None) as watch:
        assert (
            watch.explain("exit code 3")
            == f"the worker ended early (exit code 3); its output is in {log.name}"
        )
        for number in range(20):
            watch.take_line(f"line {number}\n".encode())
    message = watch.explain("exit code 3").splitlines()
    assert message[0].endswith(f"its output is in {log.name}, last:")
    assert message[1:] == [f"  line {number}" for number in range(12, 20)]


def test_silence_is_noticed_once(log: BinaryIO) -> None:
    killed: list[float] = []
    with Watch(print, log, 1.0, lambda: killed.append(time.monotonic())) as watch:
        for _ in range(6):
            time.sleep(0.2)
            watch.take_line(b"still here\n")
        last = time.monotonic()
        assert not killed and not watch.hung
        wait_for(lambda: bool(killed))
    assert len(killed) == 1 and killed[0] - last >= 0.99
    assert watch.hung
    expected = (
        "the worker ended early (no sign of life for 1 s: counted as hung and ended; "
        "--timeout allows more); "
    )
    assert watch.explain("killed by SIGTERM").startswith(expected)


def test_a_log_that_cannot_be_written_does_not_end_the_run(
    small_disk: Path, fill: Callable[[Path, int], Path]
) -> None:
    with (small_disk / "worker.log").open("ab", buffering=0) as log:
        fill(small_disk, 0)
        heard: list[dict[str, Any]] = []
        with Watch(heard.append, log, 60, lambda: None) as watch:
            watch.take_line(b"a warning\n")
            watch.take_line(b'{"event": "error", "message": "no space left"}\n')
        assert watch.explain("exit code 1") == "no space left"
    assert (small_disk / "worker.log").read_bytes() == b""


def test_the_kernel_s_count_is_read_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "VMSTAT", tmp_path / "vmstat")
    assert count_oom_kills() == 0
    (tmp_path / "vmstat").write_text("pgmigrate_success 4\noom_kill 7\noom_kill_more 9\n")
    assert count_oom_kills() == 7
