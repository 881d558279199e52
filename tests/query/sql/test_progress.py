"""How far a question is, on standard error: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest

import query
from query.sql import progress
from query.sql.progress import Progress
from tests.query import stores
from zoo import terminal


def test_what_takes_no_time_needs_no_words(capfd: pytest.CaptureFixture[str]) -> None:
    with Progress() as shown:
        shown.expect(100)
        for _ in range(100):
            shown.advance(1)
    assert capfd.readouterr() == ("", "")


def test_without_a_terminal_there_are_lines(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "LINE_SECONDS", 0.1)
    with Progress() as shown:
        shown.expect(1000)
        for _ in range(8):
            time.sleep(0.05)
            shown.advance(100)
    out, err = capfd.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert 2 <= len(lines) <= 4
    assert all(
        re.fullmatch(r"  comparing models: \d0 % done, about \d s left", line) for line in lines
    )


def test_the_start_tells_nothing_of_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "LINE_SECONDS", 0.1)
    with Progress() as shown:
        shown.expect(1000)
        for products in (10, 90):
            time.sleep(0.11)
            shown.advance(products)
    first, later = capfd.readouterr().err.splitlines()
    assert first == "  comparing models: 1 % done"
    assert re.fullmatch(r"  comparing models: 10 % done, about \d+ s left", later)


def test_on_a_terminal_there_is_a_bar_that_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PATIENCE", 0.1)
    master, slave = os.openpty()
    with os.fdopen(slave, "w") as screen, monkeypatch.context() as patched:
        patched.setattr("sys.stderr", screen)
        with Progress() as shown:
            shown.expect(100)
            for _ in range(50):
                time.sleep(0.01)
                shown.advance(1)
    drawn = read_all(master)
    assert re.search(r"comparing models: +\d\d% \|.+\| 00:00 so far, about 00:0\d left", drawn)
    assert drawn.endswith("\r")
    assert "?" not in drawn


def read_all(master: int) -> str:
    """All that was written to a terminal which is closed by now; Linux ends it with an error."""
    read = b""
    with os.fdopen(master, "rb", buffering=0) as screen, contextlib.suppress(OSError):
        while part := screen.read(4096):
            read += part
    return read.decode()


def test_what_was_announced_covers_what_comes() -> None:
    with Progress() as shown:
        shown.expect(100)
        shown.advance(40)
        shown.expect(50)
        assert (shown.done, shown.total) == (40, 100)
        shown.expect(80)
        assert shown.total == 120
        shown.advance(100)
        assert (shown.done, shown.total) == (140, 140)


@pytest.mark.parametrize("metric", ["cknna", "cka, distance_correlation", "information_imbalance"])
def test_a_question_expects_about_what_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: str
) -> None:
    told: list[Progress] = []

    class Remembered(Progress):
        def __init__(self) -> None:
            super().__init__()
            told.append(self)

    monkeypatch.setattr("query.sql.registration.Progress", Remembered)
    vectors = stores.tables(4, 300, 8)
    vectors["m3"][7] = np.nan
    path = stores.make(tmp_path / "matter.duckdb", vectors)
    with query.connect(path) as con:
        con.sql(f"FROM alignment_matrix(metric := '{metric}', permutations := 3)").fetchall()
    (shown,) = told
    assert 0.5 * shown.total < shown.done <= shown.total
