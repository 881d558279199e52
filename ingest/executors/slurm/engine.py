"""The commands of Slurm, and what they answer."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from zoo.errors import MatterzooError

TIMEOUT = 120.0  # s that a command of Slurm may take; a busy controller needs many
FORMAT = "%j|%F|%K|%T|%r|%N"
USUAL_ARRAY_SIZE = 1001  # Slurm's default of MaxArraySize


class SlurmError(MatterzooError):
    """A command of Slurm is missing or has failed; the message has its answer."""

    exit_code = 1


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
    """

    name: str
    job_id: int
    task: int | None
    state: str
    reason: str
    node: str


def submit(script: Path, *options: str) -> int:
    """Submit a script.

    Args:
        script: A script for sbatch.
        options: Options for sbatch, which come before those in the script.

    Returns:
        The number of the job.

    Raises:
        SlurmError: Slurm does not take it.
    """
    return int(_ask(["sbatch", "--parsable", *options, str(script)]).split(";")[0])


def live_jobs() -> list[LiveJob]:
    """Return this user's jobs that are not over, with a line per task of an array.

    Raises:
        SlurmError: Slurm does not answer.
    """
    answer = _ask(["squeue", "--me", "--noheader", "--array", f"--format={FORMAT}"])
    return [_parse(line) for line in answer.splitlines() if line.count("|") == FORMAT.count("|")]


def cancel(job_id: int) -> None:
    """Cancel a job, or all tasks of an array that are not over.

    Args:
        job_id: Its number.

    Raises:
        SlurmError: Slurm does not answer.
    """
    _ask(["scancel", str(job_id)])


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
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _ask(["scontrol", "show", "config"]), re.M)
    return int(found[1]) if found else USUAL_ARRAY_SIZE


def node_name() -> str:
    """Return the name of the node that this process runs on."""
    return os.environ.get("SLURMD_NODENAME") or os.uname().nodename


def _ask(command: list[str]) -> str:
    """Return what a command prints."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT)
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


def _parse(line: str) -> LiveJob:
    name, job_id, task, state, reason, node = line.split("|")
    number = int(task) if task.isdecimal() else None
    return LiveJob(name, int(job_id), number, state, reason, node)
