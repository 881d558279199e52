"""Find out what jobs that are not over compute and load."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from ingest.executors.shared.claims import Claims, claims_of_commands, is_settled
from ingest.executors.shared.submission import Submission, job_names, list_submissions
from ingest.executors.slurm.engine import LiveJob, SlurmError, hides_jobs, live_jobs
from ingest.layout import Layout
from ingest.runs.folder import Run
from ingest.users import user_name
from schemas.errors import StoreError
from zoo.command_line import print_now
from zoo.terminal import plural


def find_claims(layout: Layout) -> Claims:
    """Return what live jobs, and commands that have Ray compute, are still going to do.

    Args:
        layout: The store and the files beside it.

    Raises:
        SlurmError: Slurm does not answer, so nobody knows what its jobs are at.
        StoreError: What live jobs compute is not known, since their submission is damaged.
    """
    submissions = [each for each in list_submissions(layout) if each.engine == "slurm"]
    by_name: dict[str, list[LiveJob]] = {}
    for job in live_jobs(job_names(submissions)):
        by_name.setdefault(job.name, []).append(job)
    claims = claims_of_commands(layout)
    for submission in submissions:
        tasks = by_name.get(submission.job_name, [])
        loads = by_name.get(submission.load_name, [])
        if tasks or loads:
            _refuse_damaged(submission)
            own = _computing(submission, tasks)
            claims.computing |= own
            for run in _loading(submission, own, claims.computing) if loads else ():
                claims.loading[run] = loads[0].job_id
        elif may_be_hidden(submission):
            _claim_for_others(submission, claims)
    return claims


def find_claims_elsewhere(layout: Layout) -> Claims:
    """Return what jobs of Slurm are still going to do, for a command that computes without Slurm.

    Whoever computes a chunk there has it loaded, too. Slurm is asked only where it has something
    to do; where it does not answer, nothing is claimed, which is reported.

    Args:
        layout: The store and the files beside it.

    Raises:
        StoreError: What live jobs compute is not known, since their submission is damaged.
    """
    submissions = [each for each in list_submissions(layout) if each.engine == "slurm"]
    if not any(each.fault is not None or _unsettled(each) for each in submissions):
        return Claims()
    try:
        claims = find_claims(layout)
    except SlurmError as error:
        print_now(f"jobs of Slurm may be at some chunks, which are then waited for: {error}")
        return Claims()
    claims.loading = claims.computing | claims.loading
    return claims


def may_be_hidden(submission: Submission) -> bool:
    """Return whether jobs of a submission may live that squeue does not show this user.

    Args:
        submission: A submission to Slurm of which no job is seen.

    Raises:
        SlurmError: Slurm does not answer.
    """
    others = submission.user not in (None, user_name())
    return others and bool(_unsettled(submission)) and hides_jobs()


def _unsettled(submission: Submission) -> list[Run]:
    """Return the chunks for which its jobs have something to do, as far as its folder tells."""
    if submission.fault is not None:
        return []
    return [run for run in submission.runs if not is_settled(submission, run)]


def _claim_for_others(submission: Submission, claims: Claims) -> None:
    """Take another user's jobs that squeue may hide for alive, and say so."""
    unsettled, jobs = _unsettled(submission), submission.jobs
    for run in unsettled:
        if not run.finished:
            claims.computing[run] = jobs.get("array")
        claims.loading[run] = jobs.get("load")
    print_now(
        f"{submission.name} is {submission.user}'s, whose jobs Slurm does not show you "
        f"(PrivateData=jobs): {plural(len(unsettled), 'chunk')} may be in jobs that are not over, "
        f"and are not computed here. If {submission.user} has no job left, "
        f"`matterzoo clean --submissions {submission.name}` gives them free"
    )


def _refuse_damaged(submission: Submission) -> None:
    """Refuse to go on where live jobs compute nobody knows what."""
    if submission.fault is not None:
        raise StoreError(
            f"{submission.name} has jobs that are not over, and what they compute is not known: "
            f"first `matterzoo cancel {submission.name}`. {submission.fault}"
        )


def _computing(submission: Submission, tasks: Sequence[LiveJob]) -> dict[Run, int | None]:
    """Return the chunks that live tasks compute, without those that they have given up."""
    chunks = submission.tasks
    return {
        run: job.job_id
        for job in tasks
        if job.task is not None
        for run in chunks[job.task]
        if not is_settled(submission, run)
    }


def _loading(
    submission: Submission, own: Container[Run], computing: Container[Run]
) -> Iterator[Run]:
    """Yield the chunks that a live load job is going to find finished."""
    given = {submission.run(run_id) for run_id in submission.content["load"]}
    for run in submission.runs:
        comes = run.finished or run in own or (run in given and run in computing)
        if comes and not is_settled(submission, run):
            yield run
