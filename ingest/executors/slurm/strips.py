"""Submit the strips of a matrix: an array that finds them, and a job that puts them together.

What a strip is, `query.strips` knows. Here it is a file that a command writes, below the folder of
its matrix: `<store>.data/strips/<key>/`, with question.json, parts/…, and what is submitted.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

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
from ingest.integrity import Damaged, write_json
from ingest.layout import Layout
from ingest.users import user_name
from schemas.errors import StoreError
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

    @cached_property
    def question(self) -> dict[str, Any]:
        """What is asked for; Damaged, with what to do, is raised if that cannot be read."""
        path = self.folder / "question.json"
        try:
            content: dict[str, Any] = json.loads(path.read_bytes())
            return content | {"total": int(content["total"]), "command": str(content["command"])}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Damaged(
                f"{path} cannot be read ({type(error).__name__}: {error}); the `matterzoo matrix` "
                "command that began it writes it again and goes on, and "
                f"`matterzoo clean --matrices {self.key}` removes what is there"
            ) from error

    @property
    def total(self) -> int:
        """How many strips there are in all."""
        return int(self.question["total"])

    @property
    def command(self) -> str:
        """The command that asks for the same again."""
        return str(self.question["command"])

    @property
    def found(self) -> int:
        """How many strips are found."""
        return sum(1 for _ in (self.folder / "parts").glob("*/*/[!.]*.npz"))

    @property
    def is_on_slurm(self) -> bool:
        """Whether its jobs were ever to be submitted to Slurm."""
        return (self.folder / "array.sbatch").exists()

    @property
    def kept(self) -> Path:
        """The file of the matrix, once it is put together."""
        return self.layout.matrices / f"{self.key}.parquet"

    @property
    def is_kept(self) -> bool:
        """Whether the matrix is put together."""
        return self.kept.exists()


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


def describe_matrices(
    layout: Layout,
    keys: Sequence[str] = (),
    find_outdated: Callable[[], Container[str]] = frozenset,
) -> Iterator[str]:
    """Say how far matrices are that were begun in strips.

    Args:
        layout: The store and the files beside it.
        keys: Which; none are all that are not kept yet.
        find_outdated: Returns the keys of matrices that nobody asks for any more, since the vectors
            or the code have changed; called only if there is a matrix.

    Yields:
        Lines.
    """
    chosen = [jobs for jobs in list_matrices(layout) if jobs.key in keys]
    if not keys:
        chosen = [jobs for jobs in list_matrices(layout) if not jobs.is_kept]
    live = _live(chosen)
    outdated: Container[str] = ()
    try:
        outdated = find_outdated() if chosen else ()
    except StoreError as error:
        yield f"which matrices are out of date is not known: {error}"
    for jobs in chosen:
        try:
            yield from list(_describe(jobs, live, jobs.key in outdated))
        except Damaged as error:
            yield f"matrix {jobs.key}: {error}"


def _describe(jobs: StripJobs, live: Sequence[LiveJob] | None, is_outdated: bool) -> Iterator[str]:
    """Say how far a matrix is, and what goes on with it."""
    found = "kept" if jobs.is_kept else f"{jobs.found} of {plural(jobs.total, 'strip')} found"
    yield f"matrix {jobs.key}: {found}"
    mine = [job for job in live or () if job.name in jobs.names]
    for job in mine:
        what = "load job" if job.task is None and job.name != jobs.name else f"task {job.task}"
        yield f"  {what}: {job.state.lower()}" + (f" on {job.node}" if job.node else "")
    if is_outdated:
        yield (
            "  out of date, since vectors of the store, or code of matterzoo, have changed: "
            f"`{jobs.command}` begins anew, `matterzoo clean --matrices {jobs.key}` removes this"
        )
    elif not mine and not jobs.is_kept:
        left = "" if live is None else "no job is left; "
        yield f"  {left}`{jobs.command}` goes on"


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
            yield f"matrix {jobs.key}: canceled; what is found stays, and its command goes on"
        for user in set(users.values()) - set(mine.values()):
            named = f"`matterzoo cancel {jobs.key}`"
            yield f"matrix {jobs.key} is {user}'s and goes on; {named} is for {user}"


def list_matrices(layout: Layout) -> list[StripJobs]:
    """Return the matrices that were begun in strips, by their keys, and damaged ones, too.

    Args:
        layout: The store and the files beside it.
    """
    folders = sorted(folder for folder in layout.strips.glob("[!.]*") if folder.is_dir())
    return [StripJobs(layout, folder.name) for folder in folders]


def _live(chosen: Sequence[StripJobs]) -> list[LiveJob] | None:
    """Return the live jobs; None if nobody knows, or none was ever submitted."""
    submitted = [jobs for jobs in chosen if jobs.is_on_slurm]
    try:
        return live_jobs([name for jobs in submitted for name in jobs.names]) if submitted else None
    except SlurmError:
        return None


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
