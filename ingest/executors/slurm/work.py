"""What a task of an array does on a node: compute its chunks, and go back into the queue."""

from __future__ import annotations

from ingest.executors.shared.late import await_file
from ingest.executors.shared.submission import Submission, find_submission
from ingest.executors.shared.work import compute_task
from ingest.executors.slurm.engine import SlurmError, requeue_this
from ingest.layout import Layout
from ingest.runs.reporting import report_error
from zoo.command_line import print_now


def work_on_task(layout: Layout, name: str, task: int) -> int:
    """Compute the chunks of a task.

    Args:
        layout: The store and the files beside it.
        name: The submission's name.
        task: The number of the task.

    Returns:
        The exit code: 0 if every chunk is finished.

    Raises:
        RunError: The submission is not seen on this node, or names a runtime that is not here.
    """
    await_file(Submission(layout, name).folder / "submission.json")
    submission = find_submission(layout, name)
    if compute_task(submission, task):
        try:
            print_now("to go on in a new start of this task")
            requeue_this()
        except SlurmError as error:
            report_error(f"{error}. The same command submits again what is missing")
    return 0 if all(run.finished for run in submission.tasks[task]) else 1
