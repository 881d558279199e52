"""Remove what was submitted to a cluster, or begun in strips, and is over: only what is named."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence

from ingest.executors.shared.submission import (
    Submission,
    find_submission,
    job_names,
    list_submissions,
    lock_submissions,
)
from ingest.executors.slurm.claims import may_be_hidden
from ingest.executors.slurm.engine import SlurmError, hides_jobs, live_jobs
from ingest.executors.slurm.overview import chunk_states
from ingest.executors.slurm.strips import StripJobs, list_matrices
from ingest.layout import Layout
from ingest.maintenance.confirm import confirm
from ingest.maintenance.disk import size_on_disk
from ingest.runs.errors import RequestError
from ingest.users import user_name
from zoo.command_line import split_names
from zoo.files import LockHeldError, file_lock
from zoo.terminal import megabytes, plural

EVERY = "all"  # stands for every submission of this user whose jobs are over
OUTDATED = "outdated"  # stands for every matrix that nobody asks for any more


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
        hidden = [submission for submission in over if _may_be_hidden(submission)]
        lines = [_describe(submission, submission in hidden) for submission in over]
        if len(over) > 1 or hidden:
            confirm(lines, f"This would remove {plural(len(over), 'submission')}", yes)
        for submission in over:
            shutil.rmtree(submission.folder)
    return lines


def clean_matrices(
    layout: Layout, keys: str, find_outdated: Callable[[], Container[str]], *, yes: bool
) -> list[str]:
    """Remove matrices that were begun or found in strips, and ask first if that is more than one.

    Args:
        layout: The store and the files beside it.
        keys: Keys of matrices separated by commas, or outdated: those that nobody asks for any
            more.
        find_outdated: Returns the keys of such; it is called only for `outdated`.
        yes: Whether the user has agreed already.

    Returns:
        What was removed, as lines to report.

    Raises:
        RequestError: None is named, there is none of a key, somebody is at one, or the user did not
            agree.
        SlurmError: Slurm does not answer, so nobody knows whether a job is at one.
        StoreError: The store cannot be opened, so nobody knows what is out of date.
    """
    named = split_names(keys)
    there = {matrix.key for matrix in list_matrices(layout)}
    there |= {file.stem for file in layout.matrices.glob("[!.]*.parquet")}
    if named == [OUTDATED]:
        outdated = find_outdated()
        named = sorted(key for key in there if key in outdated)
        if not named:
            raise RequestError(f"no matrix of {layout.store} is out of date")
    unknown = [key for key in named if key not in there]
    if unknown or not named:
        raise RequestError(
            f"{layout.store} has no matrix {', '.join(unknown) or repr(keys)}; expected keys as "
            "`matterzoo du` shows them, or outdated. Nothing was removed"
        )
    chosen = [StripJobs(layout, key) for key in named]
    with lock_submissions(layout):  # nobody submits their strips meanwhile
        for matrix in chosen:
            _refuse_at_work(matrix)
        hidden = [matrix for matrix in chosen if _may_have_hidden_jobs(matrix)]
        lines = [_describe_matrix(matrix, matrix in hidden) for matrix in chosen]
        if len(chosen) > 1 or hidden:
            confirm(lines, f"This would remove {len(chosen)} of the matrices", yes)
        for matrix in chosen:
            matrix.kept.unlink(missing_ok=True)
            if matrix.folder.exists():
                shutil.rmtree(matrix.folder)
    return lines


def _refuse_at_work(matrix: StripJobs) -> None:
    """Refuse to remove what processes or jobs are at."""
    try:
        for lock in (matrix.folder / "locks").rglob("*.lock"):
            with file_lock(lock, wait=0):
                pass
    except LockHeldError as error:
        raise RequestError(
            f"{error.holder} is at matrix {matrix.key}; wait until it is done, or end it. "
            "Nothing was removed"
        ) from error
    if matrix.is_on_slurm and live_jobs(matrix.names):
        raise RequestError(
            f"matrix {matrix.key} has jobs that are not over; `matterzoo cancel {matrix.key}` ends "
            "them. Nothing was removed"
        )


def _may_have_hidden_jobs(matrix: StripJobs) -> bool:
    """Return whether another user has submitted strips, whose jobs squeue may not show this one."""
    if not matrix.is_on_slurm or matrix.is_kept:
        return False
    return _submitter(matrix) != user_name() and hides_jobs()


def _submitter(matrix: StripJobs) -> str:
    return user_name((matrix.folder / "array.sbatch").stat().st_uid)


def _describe_matrix(matrix: StripJobs, is_hidden: bool) -> str:
    """Return a matrix's folder and size. is_hidden: Slurm may not show this user jobs at it."""
    about = megabytes(sum(_sizes(matrix)))
    if is_hidden:
        about += f"; whether {_submitter(matrix)} has a job left, Slurm does not show you"
    return f"{matrix.folder} ({about})"


def _sizes(matrix: StripJobs) -> Iterator[int]:
    yield from (size_on_disk(path) for path in (matrix.folder, matrix.kept) if path.exists())


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


def _may_be_hidden(submission: Submission) -> bool:
    return submission.engine == "slurm" and may_be_hidden(submission)


def _describe(submission: Submission, is_hidden: bool) -> str:
    """Return a submission's folder, its size, and what became of its chunks.

    is_hidden: Slurm may not show this user jobs of it.
    """
    size = megabytes(size_on_disk(submission.folder))
    if submission.fault is not None:
        return f"{submission.folder} ({size}; {submission.fault.partition(';')[0]})"
    states = Counter(state for _, state, _ in chunk_states(submission, []))
    chunks = ", ".join(f"{count} {state}" for state, count in states.items())
    about = f"{size}; {plural(sum(states.values()), 'chunk')}: {chunks}"
    if is_hidden:
        about += f"; whether {submission.user} has a job left, Slurm does not show you"
    return f"{submission.folder} ({about})"
