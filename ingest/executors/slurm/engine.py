"""The commands of Slurm, and what they answer."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.users import user_name
from zoo.errors import MatterzooError

TIMEOUT = 120.0  # s that a command of Slurm may take; a busy controller needs many
FORMAT = "%j|%F|%K|%T|%r|%N|%u"
MOST_NAMES = 1000  # that squeue is asked for at once: a word of a command line has its limits
NO_NAME = "matterzoo"  # no job has it
# Variables that would have sbatch pass over what our scripts say.
OVERRIDING = {
    f"SBATCH_{name}"
    for name in (
        *("JOB_NAME", "ARRAY_INX", "OUTPUT", "OPEN_MODE", "SIGNAL", "REQUEUE", "NO_REQUEUE"),
        *("CLUSTERS", "WAIT"),
    )
}
USUAL_ARRAY_SIZE = 1001  # Slurm's default of MaxArraySize


class SlurmError(MatterzooError):
    """A command of Slurm is missing or has failed; the message has its answer."""

    exit_code = 1


class Unsure(SlurmError):
    """Slurm does not say whether it has taken a job."""


@dataclass(frozen=True)
class LiveJob:
    """A job, or a task of an array, that is not over.

    Attributes:
        name: The job's name.
        job_id: Its number; of a task, its array's.
        task: The task's number; None if the job is no array.
        state: Such as PENDING or RUNNING.
        reason: Why it does not run; 'None' if it does.
        node: Where it runs; empty if it does not.
        user: Whose it is.
    """

    name: str
    job_id: int
    task: int | None
    state: str
    reason: str
    node: str
    user: str


def submit(script: Path, name: str, *options: str) -> int:
    """Submit a script.

    Args:
        script: A script for sbatch.
        name: The name of the job, which no other has.
        options: Options for sbatch, which come before those in the script.

    Returns:
        The number of the job.

    Raises:
        SlurmError: Slurm does not take it.
        Unsure: It may have taken it.
    """
    try:
        answer = _ask(["sbatch", "--parsable", f"--job-name={name}", *options, str(script)])
        found = re.findall(r"^(\d+)(?:;.*)?$", answer, re.MULTILINE)
        if found:
            return int(found[-1])
        fault = SlurmError(f"sbatch has answered {answer!r}, and not the number of a job")
    except SlurmError as error:
        fault = error
    try:  # only the answer may have been lost
        live = live_jobs([name])
    except SlurmError as error:
        raise Unsure(f"{fault}; nor is it known whether there is a job {name}: {error}") from error
    if not live:
        raise fault
    return live[0].job_id


def live_jobs(names: Sequence[str]) -> list[LiveJob]:
    """Return the jobs of some names that are not over, with a line per task of an array.

    Args:
        names: Names of jobs, which may be other users'.

    Raises:
        SlurmError: Slurm does not answer; it is asked also if there is no name.
    """
    jobs = []
    for first in range(0, len(names) or 1, MOST_NAMES):
        some = ",".join(names[first : first + MOST_NAMES]) or NO_NAME
        options = ["--all", "--noheader", "--array", f"--name={some}", f"--format={FORMAT}"]
        lines = _ask(["squeue", *options]).splitlines()
        jobs += [_parse(line) for line in lines if line.count("|") == FORMAT.count("|")]
    return jobs


def cancel(job_id: int, user: str) -> None:
    """Cancel a job, or all tasks of an array that are not over.

    Args:
        job_id: Its number.
        user: Whose it is.

    Raises:
        SlurmError: Slurm does not answer, or does not let this user cancel it.
    """
    try:
        _ask(["scancel", str(job_id)])
    except SlurmError as error:
        if user == user_name():
            raise
        raise SlurmError(
            f"job {job_id} is {user}'s; {user}, or an operator of Slurm, can cancel it: {error}"
        ) from error


def requeue_this() -> None:
    """Have the job that this process is part of end now, and start again later.

    Raises:
        SlurmError: This cluster does not allow it.
    """
    task = os.environ.get("SLURM_ARRAY_TASK_ID")
    array = f"{os.environ.get('SLURM_ARRAY_JOB_ID')}_{task}"
    _ask(["scontrol", "requeue", str(os.environ.get("SLURM_JOB_ID")) if task is None else array])


def max_array_size() -> int:
    """Return how many tasks an array of this cluster may have.

    Raises:
        SlurmError: Slurm does not answer.
    """
    found = _setting("MaxArraySize")
    return int(found) if found.isdecimal() else USUAL_ARRAY_SIZE


def hides_jobs() -> bool:
    """Return whether squeue may show this user no jobs of others.

    An operator of Slurm sees them all the same, but no command tells a user to be one.

    Raises:
        SlurmError: Slurm does not answer.
    """
    private = {word.strip() for word in _setting("PrivateData").lower().split(",")}
    return os.geteuid() != 0 and bool(private & {"jobs", "all"})


def _setting(name: str) -> str:
    """Return a setting of this cluster; empty if it has none of that name."""
    answer = _ask(["scontrol", "show", "config"])
    found = re.search(rf"^{name}\s*=\s*(.*?)\s*$", answer, re.MULTILINE)
    return found[1] if found else ""


def _ask(command: list[str]) -> str:
    """Return what a command prints."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT, env=_variables()
        )
    except FileNotFoundError:
        raise SlurmError(
            f"there is no {command[0]} here: --on slurm needs a machine from which jobs are "
            "submitted, with Slurm's commands in its PATH"
        ) from None
    except subprocess.TimeoutExpired:
        raise SlurmError(
            f"{command[0]} has not answered for {TIMEOUT:.0f} s; repeat when Slurm answers"
        ) from None
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
        raise SlurmError(f"Slurm refuses `{' '.join(command)}`: {said}")
    return done.stdout.strip()


def _variables() -> dict[str, str]:
    """Return this process's variables, but those that change what is asked of Slurm."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in OVERRIDING and not name.startswith(("SQUEUE_", "SCANCEL_"))
    }


def _parse(line: str) -> LiveJob:
    name, job_id, task, *rest = line.split("|")
    number = int(task) if task.isdecimal() else None
    return LiveJob(name, int(job_id), number, *rest)
