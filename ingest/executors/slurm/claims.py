"""Find out what jobs that are not over compute and load."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from ingest.executors.shared.claims import Claims
from ingest.executors.shared.starts import Starts
from ingest.executors.shared.submission import Submission, job_names, list_submissions
from ingest.executors.slurm.engine import LiveJob, live_jobs
from ingest.integrity import Damaged
from ingest.layout import Layout
from ingest.runs.folder import Run


def find_claims(layout: Layout) -> Claims:
    """Return what live jobs compute and load.

    Args:
        layout: The store and the files beside it.

    Raises:
        SlurmError: Slurm does not answer, so nobody knows what its jobs are at.
    """
    submissions = [each for each in list_submissions(layout) if each.engine == "slurm"]
    by_name: dict[str, list[LiveJob]] = {}
    for job in live_jobs(job_names(submissions)):
        by_name.setdefault(job.name, []).append(job)
    claims = Claims()
    for submission in submissions:
        tasks = by_name.get(submission.job_name, [])
        loads = by_name.get(submission.load_name, [])
        if tasks or loads:
            own = _computing(submission, tasks)
            claims.computing |= own
            for run in _loading(submission, own, claims.computing) if loads else ():
                claims.loading[run] = loads[0].job_id
    return claims


def _computing(submission: Submission, tasks: Sequence[LiveJob]) -> dict[Run, int]:
    """Return the chunks that live tasks compute, without those that they have given up."""
    chunks = submission.tasks
    return {
        run: job.job_id
        for job in tasks
        if job.task is not None
        for run in chunks[job.task]
        if not _is_settled(submission, run)
    }


def _loading(
    submission: Submission, own: Container[Run], computing: Container[Run]
) -> Iterator[Run]:
    """Yield the chunks that a live load job is going to find finished."""
    given = {submission.run(run_id) for run_id in submission.content["load"]}
    for run in submission.runs:
        comes = run.finished or run in own or (run in given and run in computing)
        if comes and not _is_settled(submission, run):
            yield run


def _is_settled(submission: Submission, run: Run) -> bool:
    """Return whether the jobs of a submission do nothing more for a chunk."""
    try:
        return Starts.of(submission, run).failed or bool(submission.outcome(run))
    except Damaged:  # the jobs can read it no more than this process
        return True
