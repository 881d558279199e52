"""What programs print: bars on a terminal, lines elsewhere, tables, sizes, durations, licenses."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from zoo import terminal
from zoo.terminal import (
    Progress,
    duration,
    format_table,
    gigabytes,
    log,
    megabytes,
    plural,
    print_table,
    short_count,
)

MOVE = """
from zoo.terminal import Progress
with Progress("counting", 10, done=2, unit=" systems") as progress:
    for i in range(3, 11):
        progress.move(i)
    progress.log("a line")
"""


def count_line(progress: Progress) -> str:
    return f"{progress.label}: {progress.done} of {progress.total}{progress.left}"


def test_a_log_line_is_indented_and_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    log("text")
    assert capsys.readouterr() == ("", "  text\n")


def test_progress_is_a_line_now_and_then_without_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Progress("a", 4, line=count_line) as progress:
        progress.move(1)
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(terminal, "LINE_SECONDS", 0.0)
        progress.move(2, 5)
        progress.log("other")
    assert capsys.readouterr().err == "  a: 2 of 5, about 0 s left\n  other\n"
    with Progress("silent") as progress:
        progress.move(1)
    assert capsys.readouterr().err == ""


def test_what_an_earlier_start_did_is_no_speed() -> None:
    progress = Progress("a", 10, done=5)
    assert (progress.rate, progress.left) == (0.0, "")
    progress.move(6)
    assert 0 < progress.rate <= 1 / 1e-9


def on_a_terminal(program: str) -> str:
    """Run a program with a terminal as its standard error, and return what it shows there."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", program], stderr=theirs):
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 1 << 16):
                shown += piece
        except OSError:  # how Linux says that the other end is closed
            pass
    os.close(ours)
    return shown.decode()


def test_progress_is_a_bar_on_a_terminal() -> None:
    shown = on_a_terminal(MOVE)
    assert "counting" in shown
    assert "2/10" in shown
    assert "  a line\r\n" in shown


def test_a_bar_waits_for_tasks_that_take_longer() -> None:
    assert on_a_terminal(MOVE.replace("done=2", "done=2, after=60")) == "  a line\r\n"


def test_no_bar_needs_no_tqdm() -> None:
    program = f"{MOVE}\nimport sys\nassert 'tqdm' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, stderr=subprocess.DEVNULL)


def test_a_line_is_printed_while_another_thread_imports_tqdm(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", ModuleType("tqdm"))  # as it is at first
    log("text")
    assert capsys.readouterr() == ("", "  text\n")


def test_tables_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("model", "n"), ("a", "1,000"), ("longer name", "")]
    assert list(format_table(rows)) == ["model        n", "a            1,000", "longer name"]
    print_table(rows)
    assert capsys.readouterr().out == "model        n\na            1,000\nlonger name\n"


def test_sizes_durations_and_counts() -> None:
    assert (megabytes(12_345_678), megabytes(1.2e9, 0)) == ("12.3 MB", "1,200 MB")
    assert gigabytes(12_345_678_900) == "12.3 GB"
    assert [plural(n, "chunk") for n in (0, 1, 1000)] == ["0 chunks", "1 chunk", "1,000 chunks"]
    assert [duration(s) for s in (40, 200, 9000)] == ["40 s", "3 min", "2.5 h"]
    counts = (0, 7, 1_500, 22_713_216, 15e9)
    assert [short_count(int(n)) for n in counts] == ["-", "7", "1.5 k", "22.7 M", "15 B"]


def test_the_terminal_needs_only_the_standard_library() -> None:
    program = "import sys; sys.path.insert(0, '.'); import zoo.terminal"
    root = Path(__file__).resolve().parents[2]
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True, cwd=root)
