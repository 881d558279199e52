"""Progress is a bar on a terminal, and lines elsewhere."""

from __future__ import annotations

import io
import sys

import pytest

from ingest.runs.reporting import WorkerProgress, count_entries
from zoo import terminal

EVENTS = [
    {"event": "start", "sent": 40, "done": 4},
    {"event": "warning", "message": "out of memory; the batch budget is now 4"},
    {"event": "progress", "done": 20},
    {"event": "finish"},
]


def follow(monkeypatch: pytest.MonkeyPatch, *, isatty: bool) -> str:
    """Return what is shown of a run of 20 systems in two representations."""
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: isatty, raising=False)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(terminal, "LINE_SECONDS", 0.0)
    with WorkerProgress("toy", 2) as shown:
        for event in EVENTS:
            shown(event)
    return stream.getvalue()


def test_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = follow(monkeypatch, isatty=False).splitlines()
    assert lines[0] == "  toy: continuing from the 2 of 20 systems that an earlier start finished"
    assert lines[1] == "  toy: warning: out of memory; the batch budget is now 4"
    assert lines[2].startswith("  toy: 10 of 20 systems, ")
    assert lines[2].endswith(" s left")
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("total", "line"), [(40, "  qm9: 20 of 40 entries read"), (None, "  qm9: 20 entries read")]
)
def test_entries_are_counted(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], total: int | None, line: str
) -> None:
    monkeypatch.setattr(terminal, "LINE_SECONDS", 0.0)
    with count_entries("qm9", total) as move:
        move(10)
        move(20)
    assert capfd.readouterr().err.splitlines()[-1] == line


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = follow(monkeypatch, isatty=True)
    assert "toy:" in shown
    assert "2/20" in shown
    assert "warning: out of memory" in shown
    assert shown.endswith("\r")  # the bar is gone when the run is over
