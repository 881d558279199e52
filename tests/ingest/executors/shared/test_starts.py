"""A chunk that never gets on fails after three starts; one that gets on is started for ever."""

from __future__ import annotations

import json
from collections.abc import Callable

from ingest.executors.shared.starts import MOST_STARTS, Starts
from ingest.executors.shared.submission import Submission
from ingest.layout import Layout
from ingest.runs.folder import Run
from ingest.runs.plan import Plan
from ingest.systems.materialized import MaterializedDataset


def begin(submission: Submission, run: Run) -> bool:
    starts = Starts.of(submission, run)
    may = starts.begin(run)
    starts.write(submission, run)
    return may


def test_three_starts_that_leave_nothing_are_the_last(
    layout: Layout, dataset: Callable[..., MaterializedDataset], planned: Callable[..., Plan]
) -> None:
    run = planned(dataset()).run
    assert run is not None
    submission = Submission(layout, "20260101-000000-abcd")
    assert [begin(submission, run) for _ in range(MOST_STARTS + 1)] == [True, True, True, False]
    run.out.mkdir()
    (run.out / "current.json").write_text(json.dumps({"system_id": "s7", "size": "2 atoms"}))
    why = Starts.of(submission, run).explain(run)
    assert "started 3 times, on " in why
    assert "none left a word, as when a node is lost or a job is killed; the last was at s7" in why


def test_a_new_shard_lets_the_count_begin_again(
    layout: Layout, dataset: Callable[..., MaterializedDataset], planned: Callable[..., Plan]
) -> None:
    run = planned(dataset()).run
    assert run is not None
    run.out.mkdir()
    submission = Submission(layout, "20260101-000000-abcd")
    for number in range(10):
        assert begin(submission, run)
        (run.out / f"shard-{number:05}.parquet").touch()
