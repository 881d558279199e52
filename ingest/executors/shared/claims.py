"""What others compute and load who are not done, so that nothing is submitted twice."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest.executors.shared.starts import Starts
from ingest.executors.shared.submission import Submission, list_submissions
from ingest.integrity import Damaged
from ingest.layout import Layout
from ingest.runs.folder import Run


@dataclass
class Claims:
    """The chunks that jobs, or commands that stay, are still going to compute and load.

    Attributes:
        computing: The number of the array whose task computes a chunk; None if that is not known,
            or if a command that stays has it computed.
        loading: The number of the load job that loads a chunk; None as above.
    """

    computing: dict[Run, int | None] = field(default_factory=dict)
    loading: dict[Run, int | None] = field(default_factory=dict)


def claims_of_commands(layout: Layout) -> Claims:
    """Return what commands that stay until all is done, as with Ray, compute and load.

    Args:
        layout: The store and the files beside it.
    """
    claims = Claims()
    for submission in list_submissions(layout):
        if submission.holder is not None and submission.fault is None:
            unsettled = [run for run in submission.runs if not is_settled(submission, run)]
            claims.computing |= dict.fromkeys(run for run in unsettled if not run.finished)
            claims.loading |= dict.fromkeys(unsettled)
    return claims


def is_settled(submission: Submission, run: Run) -> bool:
    """Return whether nothing more is done for a chunk within a submission.

    Args:
        submission: The submission.
        run: One of its chunks.
    """
    try:
        return Starts.of(submission, run).failed or bool(submission.outcome(run))
    except Damaged:  # nobody else can read it either
        return True
