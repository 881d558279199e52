"""What is finished is loaded, also while the task that has finished it still holds it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack

from ingest.executors.shared.late import FileWait
from ingest.executors.shared.loading import load_chunk
from ingest.executors.shared.submission import LOADED, Submission
from ingest.layout import Layout
from ingest.runs.folder import Run, lock_run
from ingest.runs.plan import Plan
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
