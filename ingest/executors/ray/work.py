"""What a task of Ray does on a node: compute its chunks, as long as whoever started it is there."""

from __future__ import annotations

import os
import signal
import threading
import time

from ingest.executors.shared.late import await_file
from ingest.executors.shared.submission import Submission, find_submission
from ingest.executors.shared.work import GRACE, compute_task
from ingest.layout import Layout


def work_tied(layout: Layout, name: str, task: int) -> int:
    """Compute the chunks of a task; end as by SIGTERM when standard input ends.

    Args:
        layout: The store and the files beside it.
        name: The submission's name.
        task: The number of the task.

    Returns:
        The exit code: 0 if every chunk is finished.

    Raises:
        RunError: The submission is not seen on this node, or names a runtime that is not here.
    """
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    await_file(Submission(layout, name).folder / "submission.json")
    submission = find_submission(layout, name)
    compute_task(submission, task)
    return 0 if all(run.finished for run in submission.tasks[task]) else 1


def _end_with_standard_input() -> None:
    while os.read(0, 65_536):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(2 * GRACE)
    os.kill(os.getpid(), signal.SIGKILL)
