"""Remove the folders of submissions to a cluster whose jobs are over."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence

from ingest.executors.shared.submission import (
    Submission,
    find_submission,
    job_names,
    list_submissions,
    lock_submissions,
)
from ingest.executors.slurm.engine import SlurmError, live_jobs
from ingest.executors.slurm.overview import chunk_states
from ingest.layout import Layout
from ingest.maintenance.confirm import confirm
from ingest.maintenance.disk import size_on_disk
from ingest.runs.errors import RequestError
from ingest.users import user_name
from zoo.command_line import split_names
from zoo.terminal import megabytes, plural

EVERY = "all"  # stands for every submission of this user whose jobs are over


def clean_submissions(layout: Layout, names: str, *, yes: bool) -> list[str]:
    """Remove the folders of submissions, and ask first if that is more than one.

    What they have computed stays, whether it is loaded or not: it lies in the folders of runs.

    Args:
        layout: The store and the files beside it.
        names: Names of submissions separated by commas, or all: those of this user whose jobs are
            over. Slurm may hide other users' jobs, so theirs are removed only by name.
        yes: Whether the user has agreed already.

    Returns:
        What was removed, as lines to report.

    Raises:
        RequestError: None is named, one has a job that is not over, or the user did not agree.
        SlurmError: Slurm does not answer, so nobody knows whether a job is left.
        StoreError: There is no submission of a name.
    """
    named = split_names(names)
    if not named:
        raise RequestError(f"no submission is named in {names!r}; `matterzoo status` lists them")
    if not layout.submissions.exists():
        raise RequestError(f"nothing was submitted for {layout.store}")
    with lock_submissions(layout):
        every = named == [EVERY]
        found = list_submissions(layout) if every else (find_submission(layout, n) for n in named)
        chosen = [each for each in found if not every or each.user in (None, user_name())]
        over = _without_live_jobs(chosen)
        live = [submission.name for submission in chosen if submission not in over]
        if live and not every:
            raise RequestError(
                f"{', '.join(live)}: a job is not over, and needs its folder; `matterzoo cancel` "
                "ends an array. Nothing was removed"
            )
        if not over:
            raise RequestError(f"no submission of yours for {layout.store} has all its jobs over")
        lines = [_describe(submission) for submission in over]
        if len(over) > 1:
            confirm(lines, f"This would remove {plural(len(over), 'submission')}", yes)
        for submission in over:
            shutil.rmtree(submission.folder)
    return lines


def _without_live_jobs(submissions: Sequence[Submission]) -> list[Submission]:
    """Return the submissions that have no job left."""
    on_slurm = [submission for submission in submissions if submission.engine == "slurm"]
    try:
        names = {job.name for job in live_jobs(job_names(on_slurm))} if on_slurm else set()
    except SlurmError as error:
        raise SlurmError(
            f"whether their jobs are over is not known, so nothing was removed: {error}"
        ) from error
    return [
        each
        for each in submissions
        if each.holder is None and not names & {each.job_name, each.load_name}
    ]


def _describe(submission: Submission) -> str:
    """Return a submission's folder, its size, and what became of its chunks."""
    states = Counter(state for _, state, _ in chunk_states(submission, []))
    chunks = ", ".join(f"{count} {state}" for state, count in states.items())
    size = megabytes(size_on_disk(submission.folder))
    return f"{submission.folder} ({size}; {plural(sum(states.values()), 'chunk')}: {chunks})"
