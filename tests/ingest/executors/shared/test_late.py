"""Files that come late are waited for, for one time in all, and then named with the node."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.executors.shared.late import FilesUnseen, FileWait, await_file, await_vectors, file_wait
from ingest.layout import Layout
from ingest.runs.folder import Run
from ingest.runs.load import load
from ingest.runs.plan import Plan
from ingest.systems.materialized import MaterializedDataset

Finished = tuple[Run, Path]


@pytest.fixture
def finished(
    dataset: Callable[..., MaterializedDataset],
    planned: Callable[..., Plan],
    finish: Callable[..., Run],
) -> Finished:
    """A run that another node has finished, and its file of vectors."""
    run = finish(planned(dataset(5)).run)
    return run, run.out / "vectors-00000.parquet"


@pytest.mark.parametrize("given, seconds", [(None, 60.0), ("2.5", 2.5), ("soon", 60.0)])
def test_how_long(given: str | None, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MATTERZOO_FILE_WAIT", raising=False)
    if given is not None:
        monkeypatch.setenv("MATTERZOO_FILE_WAIT", given)
    assert file_wait() == seconds


def test_a_file_that_grows_late_is_waited_for(
    finished: Finished, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MATTERZOO_FILE_WAIT", "60")
    run, file = finished
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    timer = threading.Timer(0.3, file.write_bytes, [whole])
    timer.start()
    await_vectors(run, FileWait())
    timer.join()
    said = capfd.readouterr().out
    assert f"waiting up to 60 s; {file} has 100 bytes, not {len(whole)}" in said


def test_several_files_have_one_time_together(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATTERZOO_FILE_WAIT", "0.6")
    monkeypatch.setenv("SLURMD_NODENAME", "n7")
    run, file = finished
    file.unlink()
    wait, start = FileWait(), time.monotonic()
    with pytest.raises(FilesUnseen, match=rf"{file} is not seen on node n7 after 1 s, and another"):
        await_vectors(run, wait)
    assert time.monotonic() - start >= 0.6
    assert wait.end < time.monotonic()
    missing = tmp_path / "nowhere" / "run.json"  # nor is its folder
    with pytest.raises(FilesUnseen, match=rf"{missing} is not seen on node n7 .*MATTERZOO_FILE_W"):
        await_file(missing, wait)


def test_a_file_is_seen_also_where_an_earlier_load_has_put_it(
    finished: Finished, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATTERZOO_FILE_WAIT", "0")
    run, file = finished
    load(layout, run)
    assert not file.exists()
    await_vectors(run, FileWait())
    run.outcomes.unlink()
    with pytest.raises(FilesUnseen, match=rf"{run.outcomes} is not seen"):
        await_vectors(run, FileWait())
