"""What is finished is loaded, once the task that has finished it, and the store, are free."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from ingest.executors.ray import drive
from ingest.executors.shared import loading
from ingest.executors.shared.late import FileWait
from ingest.executors.shared.loading import load_chunk, load_chunks
from ingest.executors.shared.submission import LOADED, UNREADABLE, Submission
from ingest.integrity import write_json
from ingest.layout import Layout
from ingest.runs.folder import Run, lock_run
from ingest.runs.plan import Plan
from ingest.runs.store.access import lock_store
from ingest.systems.materialized import MaterializedDataset


def test_a_task_that_still_holds_a_finished_chunk_is_waited_for(
    layout: Layout,
    dataset: Callable[..., MaterializedDataset],
    planned: Callable[..., Plan],
    finish: Callable[..., Run],
) -> None:
    """On Ray a chunk is seen finished while its task still notes that."""
    run = finish(planned(dataset(5)).run)
    submission = Submission(layout, "20260101-000000-abcd")
    with ExitStack() as held:
        held.enter_context(lock_run(run))
        timer = threading.Timer(0.3, held.close)
        timer.start()
        assert load_chunk(submission, run, FileWait()) == LOADED
        timer.join()


def test_a_store_that_others_use_is_waited_for_once(
    layout: Layout,
    dataset: Callable[..., MaterializedDataset],
    planned: Callable[..., Plan],
    finish: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """And while Ray computes, what is finished is tried again later, and only then given up."""
    monkeypatch.setattr(loading, "PATIENCE", 0.3)
    monkeypatch.setattr(drive, "SHORT_PATIENCE", 0.1)
    made = dataset(5)
    runs = [finish(planned(made, model).run) for model in ("toy", "toy-picky")]
    submission = Submission(layout, "20260101-000000-abcd")
    write_json(
        submission.folder / "submission.json",
        {"engine": "ray", "tasks": [[run.run_id] for run in runs], "load": []},
    )
    with lock_store(layout):
        found = [outcome for _, outcome in load_chunks(submission, runs, FileWait())]
        assert found == [UNREADABLE, UNREADABLE]
        said = capfd.readouterr()
        assert said.out.count("waiting up to ") == 1
        assert said.err.count(f"{layout.store} is being written by process ") == 2
        driven = drive.Drive(submission)
        driven.load_finished()
        driven.load_finished()
        assert driven.outcomes == {}
        said = capfd.readouterr()
        assert said.err == "" and said.out.count("finished chunks are loaded later: ") == 1
    driven.load_finished()
    assert driven.outcomes == dict.fromkeys(runs, LOADED)
    assert "2 of 2 chunks are in the store" in capfd.readouterr().out
