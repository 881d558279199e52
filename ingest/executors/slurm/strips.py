"""Submit the strips of a matrix: an array that finds them, and a job that puts them together.

What a strip is, `query.strips` knows. Here it is a file that a command writes, below the folder of
its matrix: `<store>.data/strips/<key>/`, with question.json, parts/…, and what is submitted.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.executors.protocol import Where
from ingest.executors.shared.late import file_wait
from ingest.executors.shared.program import program
from ingest.executors.slurm.engine import LiveJob, SlurmError, cancel, live_jobs, submit
from ingest.executors.slurm.script import (
    job_script,
    load_options,
    stated_options,
    task_options,
)
from ingest.integrity import write_json
from ingest.layout import Layout
from ingest.users import user_name
from zoo.command_line import print_now
from zoo.files import file_lock, write_atomically
from zoo.terminal import plural

# Where the time is up, the strip that a task is at is lost, and the task goes on in a new start.
TASK = """trap 'kill $worker; wait $worker; exec scontrol requeue $SLURM_ARRAY_JOB_ID'\
'_$SLURM_ARRAY_TASK_ID' USR1
{command} & worker=$!
wait $worker"""


@dataclass(frozen=True)
class StripJobs:
    """The jobs of a matrix.

    Attributes:
        layout: The store and the files beside it.
        key: The matrix, by its question and vectors.
    """

    layout: Layout
    key: str

    @property
    def folder(self) -> Path:
        """The folder of the matrix."""
        return self.layout.strips / self.key

    @property
    def name(self) -> str:
        """The name of the array, which no other matrix or store has."""
        store = hashlib.sha256(str(self.layout.store).encode()).hexdigest()[:6]
        return f"matterzoo-matrix-{self.key[:12]}-{store}"

    @property
    def names(self) -> list[str]:
        """The names of both jobs."""
        return [self.name, f"{self.name}-load"]

    @property
    def total(self) -> int:
        """How many strips there are in all."""
        return int(json.loads((self.folder / "question.json").read_text())["total"])

    @property
    def found(self) -> int:
        """How many strips are found."""
        return sum(1 for _ in (self.folder / "parts").glob("*/*/[!.]*.npz"))

    @property
    def is_on_slurm(self) -> bool:
        """Whether its jobs were ever to be submitted to Slurm."""
        return (self.folder / "array.sbatch").exists()

    @property
    def is_kept(self) -> bool:
        """Whether the matrix is put together."""
        return (self.layout.matrices / f"{self.key}.parquet").exists()


def submit_strips(jobs: StripJobs, nodes: int, where: Where, device: str, command: str) -> None:
    """Submit what finds a matrix, unless jobs that are not over do.

    Args:
        jobs: The matrix, of which the question is written.
        nodes: How many tasks share its strips.
        where: The options of the scheduler.
        device: The device of all tasks, cpu or cuda.
        command: The command that asks for the same again, which the scripts name.

    Raises:
        SlurmError: Slurm does not answer, or does not take the jobs.
    """
    submissions = jobs.layout.submissions
    submissions.mkdir(parents=True, exist_ok=True)
    with file_lock(submissions / ".lock"):
        live = live_jobs(jobs.names)
        if live:
            print_now(f"matrix {jobs.key}: its strips are in jobs that are not over; nothing to do")
            return
        (jobs.folder / "logs").mkdir(parents=True, exist_ok=True)
        array, load = jobs.folder / "array.sbatch", jobs.folder / "load.sbatch"
        write_atomically(array, _array_script(jobs, nodes, where, device, command))
        write_atomically(load, _load_script(jobs, where))
        stated = stated_options(where)
        numbers = {"array": submit(array, jobs.name, f"--array=0-{nodes - 1}", *stated)}
        after = f"--dependency=afterany:{numbers['array']}"
        try:
            numbers["load"] = submit(load, jobs.names[1], after, *stated)
        except SlurmError as error:
            words = ["sbatch", f"--job-name={jobs.names[1]}", after, str(load)]
            raise SlurmError(
                f"array {numbers['array']} is submitted, and the job that puts its strips together "
                f"is not: {error}. `{shlex.join(words)}` submits it"
            ) from error
        finally:
            write_json(jobs.folder / "jobs.json", numbers)
    for script in (array, load):
        print_now(f"\n{script}:\n\n{script.read_text()}")
    print_now(f"submitted {jobs.key}: array {numbers['array']}, then load job {numbers['load']}")
    print_now("`matterzoo status` says how far it is; `matterzoo cancel` ends it")


def describe_matrices(layout: Layout, keys: Sequence[str] = ()) -> Iterator[str]:
    """Say how far matrices are that were begun in strips.

    Args:
        layout: The store and the files beside it.
        keys: Which; none are all that are not kept yet.

    Yields:
        Lines.
    """
    chosen = [jobs for jobs in list_matrices(layout) if jobs.key in keys]
    if not keys:
        chosen = [jobs for jobs in list_matrices(layout) if not jobs.is_kept]
    live = _live(chosen)
    for jobs in chosen:
        if jobs.is_kept:
            yield f"matrix {jobs.key}: kept"
            continue
        yield f"matrix {jobs.key}: {jobs.found} of {plural(jobs.total, 'strip')} found"
        mine = [job for job in live or () if job.name in jobs.names]
        for job in mine:
            what = "load job" if job.task is None and job.name != jobs.name else f"task {job.task}"
            yield f"  {what}: {job.state.lower()}" + (f" on {job.node}" if job.node else "")
        if live is not None and not mine:
            yield f"  no job is left; `{_command(jobs)}` goes on"


def cancel_matrices(layout: Layout, keys: Sequence[str] = ()) -> Iterator[str]:
    """Cancel the jobs of matrices. What is found stays.

    Args:
        layout: The store and the files beside it.
        keys: Which; none are all of this user.

    Yields:
        Lines.

    Raises:
        SlurmError: Slurm does not answer, or does not let this user cancel a job.
    """
    chosen = [jobs for jobs in list_matrices(layout) if not keys or jobs.key in keys]
    chosen = [jobs for jobs in chosen if jobs.is_on_slurm]
    names = [name for jobs in chosen for name in jobs.names]
    live = live_jobs(names) if names else []
    for jobs in chosen:
        users = {job.job_id: job.user for job in live if job.name in jobs.names}
        mine = {number: user for number, user in users.items() if keys or user == user_name()}
        for number, user in sorted(mine.items()):
            cancel(number, user)
        if mine:
            yield f"matrix {jobs.key}: canceled; `{_command(jobs)}` goes on with what is found"
        for user in set(users.values()) - set(mine.values()):
            named = f"`matterzoo cancel {jobs.key}`"
            yield f"matrix {jobs.key} is {user}'s and goes on; {named} is for {user}"


def list_matrices(layout: Layout) -> list[StripJobs]:
    """Return the matrices that were begun in strips.

    Args:
        layout: The store and the files beside it.
    """
    return [StripJobs(layout, file.parent.name) for file in layout.strips.glob("*/question.json")]


def _live(chosen: Sequence[StripJobs]) -> list[LiveJob] | None:
    """Return the live jobs; None if nobody knows, or none was ever submitted."""
    submitted = [jobs for jobs in chosen if jobs.is_on_slurm]
    try:
        return live_jobs([name for jobs in submitted for name in jobs.names]) if submitted else None
    except SlurmError:
        return None


def _command(jobs: StripJobs) -> str:
    return str(json.loads((jobs.folder / "question.json").read_text())["command"])


def _array_script(jobs: StripJobs, nodes: int, where: Where, device: str, command: str) -> str:
    about = [
        f"{plural(jobs.total, 'strip')} of a matrix, shared by {plural(nodes, 'task')}, for",
        f"{jobs.layout.store}. Submitted by",
        f"    {command}",
        "A task finds strips that no other has found or is at, until none is missing. What is",
        "found before a task is cut short is kept.",
    ]
    options = [f"--job-name={jobs.name}", f"--array=0-{nodes - 1}", *task_options(where, device)]
    options.append(f"--output={_logs(jobs)}/task-%a.log")
    words = [*program(), "matrix-work", jobs.key, "--store", str(jobs.layout.store)]
    words += ["--tasks", str(nodes)]
    return job_script(about, options, TASK.format(command=shlex.join(words)).splitlines())


def _load_script(jobs: StripJobs, where: Where) -> str:
    about = [
        f"Put the strips of matrix {jobs.key} together, once the array is over, however that",
        "ended (--dependency=afterany). Nothing else writes the matrix.",
    ]
    options = [f"--job-name={jobs.names[1]}", *load_options(where)]
    options.append(f"--output={_logs(jobs)}/load.log")
    words = [*program(), "matrix-load", jobs.key, "--store", str(jobs.layout.store)]
    words += ["--wait", f"{file_wait():g}"]
    return job_script(about, options, [f"exec {shlex.join(words)}"])


def _logs(jobs: StripJobs) -> str:
    return f"{jobs.folder}/logs".replace("%", "%%")
