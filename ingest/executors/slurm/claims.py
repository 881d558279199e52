"""What jobs that are not over compute and load, so that nothing is submitted twice."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest.executors.slurm.engine import LiveJob, live_jobs
from ingest.executors.slurm.submission import list_submissions
from ingest.layout import Layout
from ingest.runs.folder import Run


@dataclass
class Claims:
    """The chunks of live jobs, by their runs.

    Attributes:
        computing: The number of the array whose task computes a chunk.
        loading: The number of the load job that loads a chunk.
    """

    computing: dict[Run, int] = field(default_factory=dict)
    loading: dict[Run, int] = field(default_factory=dict)


def find_claims(layout: Layout) -> Claims:
    """Return what live jobs compute and load.

    Args:
        layout: The store and the files beside it.

    Raises:
        SlurmError: Slurm does not answer, so nobody knows what its jobs are at.
    """
    by_name: dict[str, list[LiveJob]] = {}
    for job in live_jobs():
        by_name.setdefault(job.name, []).append(job)
    claims = Claims()
    for submission in list_submissions(layout) if by_name else ():
        tasks = by_name.get(submission.job_name, ())
        loads = by_name.get(submission.load_name, ())
        for job in tasks:
            runs = submission.tasks[job.task] if job.task is not None else ()
            claims.computing |= dict.fromkeys(runs, job.job_id)
        for job in loads:
            claims.loading |= dict.fromkeys(submission.runs, job.job_id)
    return claims
