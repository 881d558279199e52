"""Say how far submissions are, and cancel them. What is said comes from folders and from squeue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ingest.executors.shared.starts import Starts
from ingest.executors.shared.submission import (
    FAILED,
    LOADED,
    UNREADABLE,
    Submission,
    find_submission,
    job_names,
    list_submissions,
)
from ingest.executors.slurm.claims import may_be_hidden
from ingest.executors.slurm.engine import LiveJob, SlurmError, cancel, live_jobs
from ingest.integrity import Damaged
from ingest.layout import Layout
from ingest.runs.folder import Run
from ingest.users import user_name
from zoo.errors import MatterzooError
from zoo.terminal import plural

SHOWN = 5  # chunks with a reason that are shown per submission
COMPUTED, BEGUN, WAITING = "computed", "begun", "not begun"
RUNNING, QUEUED = "running", "queued"


def describe_submissions(layout: Layout, names: Sequence[str] = ()) -> Iterator[str]:
    """Say how far submissions are.

    Args:
        layout: The store and the files beside it.
        names: Names of submissions; none are all that have a job or a chunk that is not loaded,
            and the latest.

    Yields:
        Lines.
    """
    every = list(list_submissions(layout))
    live, fault = _find_live(every)
    known = fault is None
    if fault is not None:
        yield f"Slurm does not answer, so what follows is from folders alone: {fault}"
    if names:
        chosen = [find_submission(layout, name) for name in names]
    else:
        chosen = [s for s in every if s == every[-1] or _is_open(s, live)]
    if not chosen:
        yield f"nothing was submitted for {layout.store}"
    for submission in chosen:
        try:
            yield from list(_describe(submission, live, known))
        except Damaged as error:
            yield from _describe_damaged(submission, error, live)


def cancel_submissions(layout: Layout, names: Sequence[str] = ()) -> Iterator[str]:
    """Cancel the arrays of submissions. What is computed stays, and their load jobs load it.

    Args:
        layout: The store and the files beside it.
        names: Names of submissions; none are all of this user.

    Yields:
        Lines.

    Raises:
        SlurmError: Slurm does not answer, or does not let this user cancel an array.
        StoreError: There is no submission of a name.
    """
    chosen = [find_submission(layout, name) for name in names] or list(list_submissions(layout))
    mine = [submission for submission in chosen if submission.engine == "slurm"]
    live = live_jobs(job_names(mine)) if mine else []
    yield from _describe_commands([each for each in chosen if each not in mine])
    found = False
    for submission in mine:
        arrays = {job.job_id: job.user for job in live if job.name == submission.job_name}
        loads = {job.job_id for job in live if job.name == submission.load_name}
        for job_id, user in arrays.items():
            found = True
            what = f"{submission.name}: array {job_id}"
            if not names and user != user_name():
                named = f"`matterzoo cancel {submission.name}`"
                yield f"{what} is {user}'s and goes on; {named} is for {user}"
                continue
            cancel(job_id, user)
            after = "".join(f"; load job {load} loads what is computed" for load in loads)
            yield f"{what} is canceled{after}"
    if not found:
        yield "nothing to cancel: no array of this store is queued or running"


def _describe_commands(submissions: Sequence[Submission]) -> Iterator[str]:
    """Say which commands are at work on submissions: those have no array, and end with them."""
    for submission in submissions:
        if (holder := submission.holder) is not None:
            yield f"{submission.name} ends with its command: {holder}"


def _find_live(submissions: Sequence[Submission]) -> tuple[list[LiveJob], str | None]:
    """Return the live jobs, or why they are not known; Slurm is not asked about Ray alone."""
    mine = [submission for submission in submissions if submission.engine == "slurm"]
    if not mine:
        return [], None
    try:
        return live_jobs(job_names(mine)), None
    except SlurmError as error:
        return [], str(error)


def _is_open(submission: Submission, live: Sequence[LiveJob]) -> bool:
    """Return whether a submission has a job that is not over, or a chunk that is not loaded."""
    return (
        bool(_jobs_of(submission, live)) or submission.fault is not None or _lacks_any(submission)
    )


def _jobs_of(submission: Submission, live: Sequence[LiveJob]) -> list[LiveJob]:
    return [job for job in live if job.name in (submission.job_name, submission.load_name)]


def _lacks_any(submission: Submission) -> bool:
    """Return whether a chunk is not loaded, by this submission or by whatever came after it."""
    return any(
        _outcome(submission, run) != LOADED and run.folder.exists() and not run.loaded
        for run in submission.runs
    )


def _outcome(submission: Submission, run: Run) -> str | None:
    """Return what became of a chunk; None if nothing is noted, UNREADABLE if that is damaged."""
    try:
        return submission.outcome(run).get("outcome")
    except Damaged:
        return UNREADABLE


def _describe_damaged(
    submission: Submission, error: Damaged, live: Sequence[LiveJob]
) -> Iterator[str]:
    """Say what is wrong with a submission, and whether it has jobs."""
    yield f"{submission.name}{_whose(submission)}: {error}"
    if jobs := _jobs_of(submission, live):
        ends = f"`matterzoo cancel {submission.name}` ends its array"
        yield f"  {plural(len(jobs), 'job')} of it not over; {ends}"


def _whose(submission: Submission) -> str:
    mine = submission.user in (None, user_name())
    return "" if mine else f", of user {submission.user}"


def _describe(submission: Submission, live: Sequence[LiveJob], known: bool) -> Iterator[str]:
    """Say how far a submission is.

    known: Whether Slurm has said which jobs live.
    """
    jobs = submission.jobs
    array = (
        f"array {jobs['array']} of {plural(len(submission.tasks), 'task')}"
        if "array" in jobs
        else ""
    )
    load = f"load job {jobs['load']}" if "load" in jobs else "no load job was submitted"
    if submission.engine == "ray":
        array, load = f"{plural(len(submission.tasks), 'task')} of Ray", ""
    yield f"{submission.name}: {', '.join(filter(None, (array, load)))}{_whose(submission)}"
    counts: Counter[str] = Counter()
    remarks = []
    for run, state, remark in chunk_states(submission, live):
        counts[state] += 1
        if remark:
            remarks.append(f"  {run.run_id}: {state}: {remark}")
    yield f"  {plural(len(submission.runs), 'chunk')}: " + ", ".join(
        f"{n} {s}" for s, n in counts.items()
    )
    yield from remarks[:SHOWN]
    if len(remarks) > SHOWN:
        yield f"  and {len(remarks) - SHOWN} more; see {submission.folder / 'logs'}"
    yield from (f"  {line}" for line in _describe_jobs(submission, live, known))


def chunk_states(
    submission: Submission, live: Sequence[LiveJob]
) -> Iterator[tuple[Run, str, str | None]]:
    """Say how far each chunk of a submission is.

    Args:
        submission: The submission.
        live: Jobs that are not over, its own and others.

    Yields:
        The chunk, its state in a word or two, and what is to be said about it.
    """
    states = {job.task: job for job in live if job.name == submission.job_name}
    for number, run in _numbered(submission):
        yield run, *_state(submission, run, states.get(number))


def _describe_jobs(submission: Submission, live: Sequence[LiveJob], known: bool) -> Iterator[str]:
    """Say what the submission's jobs wait for, or that all of them are over."""
    mine = _jobs_of(submission, live)
    waiting = Counter(job.reason for job in mine if job.state == "PENDING")
    if waiting:
        yield "waiting: " + ", ".join(f"{n} for {reason}" for reason, n in waiting.items())
    holder = submission.holder
    if holder is not None:
        yield f"its command is at work: {holder}"
    elif not mine and _lacks_any(submission):
        again = f"`{submission.content['command']}` submits what is missing"
        on_slurm = submission.engine == "slurm"
        if on_slurm and known and may_be_hidden(submission):
            yield f"{submission.user}'s jobs are not shown to you (PrivateData=jobs)"
        elif known or not on_slurm:
            yield f"no job is left; {again}"


def _numbered(submission: Submission) -> Iterator[tuple[int | None, Run]]:
    """Yield every chunk with the number of its task; None if it is only to be loaded."""
    for run_id in submission.content["load"]:
        yield None, submission.run(run_id)
    for number, runs in enumerate(submission.tasks):
        for run in runs:
            yield number, run


def _state(submission: Submission, run: Run, job: LiveJob | None) -> tuple[str, str | None]:
    """Return how far a chunk is, in a word or two, and what is to be said about it."""
    try:
        noted = submission.outcome(run)
        starts = Starts.of(submission, run)
    except MatterzooError as error:
        return UNREADABLE, str(error)
    if noted:
        return str(noted["outcome"]), noted["reason"]
    if run.finished:
        return COMPUTED, None
    if starts.failed:
        return FAILED, starts.reason
    if job is not None and job.state != "PENDING":
        return RUNNING, None
    if job is not None:
        return QUEUED, starts.reason
    return (BEGUN if starts.nodes or run.shards else WAITING), starts.reason
