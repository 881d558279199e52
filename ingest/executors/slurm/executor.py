"""Submit what is missing: an array that computes it, and a job that loads it."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence

from ingest.executors.protocol import Where
from ingest.executors.shared.grouping import group
from ingest.executors.shared.staging import Staging
from ingest.executors.shared.submission import Submission, lock_submissions
from ingest.executors.shared.work_left import Work, find_work
from ingest.executors.slurm.claims import find_claims
from ingest.executors.slurm.engine import SlurmError, Unsure, max_array_size, submit
from ingest.executors.slurm.script import (
    array_range,
    array_script,
    check_options,
    load_script,
    stated_options,
)
from ingest.integrity import write_json
from ingest.layout import Layout
from ingest.limits import Limits
from ingest.runs.request import Request, Settings
from ingest.runtimes.protocol import Runtime
from zoo.command_line import print_now
from zoo.files import write_atomically


class SlurmExecutor:
    """Submits requests to Slurm. It implements `ingest.executors.protocol.Executor`.

    Attributes:
        name: The name by which it is chosen.
        runtimes: Those that need no daemon on a node.
        schedules: The command only submits.
        takes: The options that it takes.
        reserves: Nothing: that is for options of sbatch.
    """

    name = "slurm"
    runtimes: tuple[str, ...] = ("venv", "apptainer")
    schedules = True
    takes: tuple[str, ...] = (
        *("--partition", "--account", "--time", "--at-once", "--per-task", "--sbatch"),
    )
    reserves = False

    def __init__(self, layout: Layout, runtime: Runtime, limits: Limits, where: Where) -> None:
        """Make an executor; see `Executor`."""
        self._layout, self._runtime, self._limits, self._where = layout, runtime, limits, where
        self._staging = Staging(layout, runtime)

    @staticmethod
    def check(where: Where, settings: Settings) -> None:
        """Refuse options; see `Executor`.

        Args:
            where: The options of the scheduler.
            settings: How the models are to be run.
        """
        check_options(where, settings)

    def run(self, requests: Sequence[Request], command: str = "") -> list[Request]:
        """Submit what is missing and what no job that is not over computes already.

        Args:
            requests: Requests, each of another model or over another dataset.
            command: The command that asks for the same again, which the scripts name.

        Returns:
            The requests of which nothing was submitted because something they need is not here.

        Raises:
            SlurmError: Slurm does not answer, or does not take the jobs.
            RequestError: Slurm takes no array of so many tasks.
        """
        with lock_submissions(self._layout):
            return self._submit(requests, command)

    def _submit(self, requests: Sequence[Request], command: str) -> list[Request]:
        work, failed = find_work(self._staging, requests, find_claims(self._layout))
        if not work.chunks and not work.load:
            print_now("nothing to submit")
            return failed
        submission, jobs = Submission.new(self._layout), dict[str, int]()
        try:
            self._write(submission, requests[0], work, command)
            self._start(submission, work, jobs)
        except Unsure:  # the folder is needed if there is a job
            raise
        except BaseException:
            if not jobs:
                shutil.rmtree(submission.folder, ignore_errors=True)
            raise
        finally:
            if jobs:
                write_json(submission.folder / "jobs.json", jobs)
        self._report(submission, jobs)
        return failed

    def _write(self, submission: Submission, request: Request, work: Work, command: str) -> None:
        """Write the folder of the submission, with its scripts; all requests have one device."""
        most = max_array_size() if work.chunks else 1
        tasks = group(work.chunks, most, self._where.per_task) if work.chunks else []
        (submission.folder / "logs").mkdir(parents=True)
        runtime, silence = self._runtime.name, self._limits.silence
        how = {"engine": self.name, "command": command, "runtime": runtime, "silence": silence}
        submission.write(request, tasks, work.load, **how)
        if tasks:
            script = array_script(submission, self._where, request.device, command)
            write_atomically(submission.folder / "array.sbatch", script)
        script = load_script(submission, self._where)
        write_atomically(submission.folder / "load.sbatch", script)

    def _start(self, submission: Submission, work: Work, jobs: dict[str, int]) -> None:
        """Submit both jobs; put their numbers into `jobs`."""
        after, stated = set(work.after), stated_options(self._where)
        if work.chunks:
            array = submission.folder / "array.sbatch"
            options = [array_range(submission, self._where), *stated]
            jobs["array"] = submit(array, submission.job_name, *options)
            after.add(jobs["array"])
        dependency = [f"--dependency=afterany:{':'.join(map(str, sorted(after)))}"] if after else []
        load = submission.folder / "load.sbatch"
        try:
            jobs["load"] = submit(load, submission.load_name, *dependency, *stated)
        except SlurmError as error:
            if not work.chunks:
                raise
            words = ["sbatch", f"--job-name={submission.load_name}", *dependency, str(load)]
            raise SlurmError(
                f"array {jobs['array']} is submitted, and the job that loads its chunks is not: "
                f"{error}. `{shlex.join(words)}` submits it"
            ) from error

    def _report(self, submission: Submission, jobs: dict[str, int]) -> None:
        for name in ("array", "load"):
            path = submission.folder / f"{name}.sbatch"
            if name in jobs:
                print_now(f"\n{path}:\n\n{path.read_text()}")
        array = f"array {jobs['array']}, then " if "array" in jobs else ""
        print_now(f"submitted {submission.name}: {array}load job {jobs['load']}")
        print_now("`matterzoo status` says how far it is; `matterzoo cancel` ends it")
