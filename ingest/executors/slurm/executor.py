"""Submit what is missing: an array that computes it, and a job that loads it."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ingest.executors.protocol import Where
from ingest.executors.shared.claims import Claims
from ingest.executors.shared.grouping import Chunk, group
from ingest.executors.shared.staging import Staging
from ingest.executors.shared.submission import Submission
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
from ingest.runs.cost import find_speed
from ingest.runs.errors import explain_disk_error
from ingest.runs.folder import Run
from ingest.runs.reporting import report_error
from ingest.runs.request import Request, Settings, why_inapplicable
from ingest.runtimes.protocol import Runtime
from zoo.command_line import print_now
from zoo.errors import MatterzooError
from zoo.files import file_lock, write_atomically
from zoo.terminal import plural


@dataclass
class _Work:
    """What is to be submitted.

    Attributes:
        chunks: What the array is to compute.
        load: Runs that are to be loaded and that the array does not compute.
        after: Numbers of arrays that compute some of these.
    """

    chunks: list[Chunk] = field(default_factory=list)
    load: list[Run] = field(default_factory=list)
    after: set[int] = field(default_factory=set)

    def add(self, more: _Work) -> None:
        self.chunks += more.chunks
        self.load += more.load
        self.after |= more.after


class SlurmExecutor:
    """Submits requests to Slurm. It implements `ingest.executors.protocol.Executor`.

    Attributes:
        name: The name by which it is chosen.
        runtimes: Those that need no daemon on a node.
        schedules: It takes the options of a scheduler.
    """

    name = "slurm"
    runtimes: tuple[str, ...] = ("venv",)
    schedules = True

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
        folder = self._layout.submissions
        folder.mkdir(parents=True, exist_ok=True)
        waiting = "waiting for another command that submits for this store"
        with file_lock(folder / ".lock", on_wait=lambda holder: print_now(f"{waiting}: {holder}")):
            return self._submit(requests, command)

    def _submit(self, requests: Sequence[Request], command: str) -> list[Request]:
        claims, work = find_claims(self._layout), _Work()
        failed = [request for request in requests if not self._take(request, claims, work)]
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

    def _take(self, request: Request, claims: Claims, work: _Work) -> bool:
        """Add what is missing of a request to the work; return whether that was possible."""
        name = f"{request.selection.model_id} on {request.dataset.dataset}"
        reason = why_inapplicable(request.selection, request.dataset)
        if reason is not None:
            print_now(f"{name}: skipped, {reason}")
            return True
        more = _Work()
        try:
            planned = self._staging.stage(request, claims)
            speed = find_speed(self._layout, request.selection, request.device)
            for run in planned.runs:
                self._add(request, run, speed, claims, more)
        except duckdb.InterruptException:
            raise
        except (MatterzooError, duckdb.Error, pa.ArrowException) as error:
            report_error(f"{name}: {error}")
            return False
        except OSError as error:
            fault = explain_disk_error(error, self._layout)
            if fault is None:
                raise
            report_error(f"{name}: {fault}")
            return False
        work.add(more)
        computed, loaded = len(more.chunks), len(more.load)
        at_work = len(planned.runs) - computed - loaded
        print_now(f"{name}: {_describe(planned.wanted - planned.sent, computed, loaded, at_work)}")
        return True

    def _add(
        self, request: Request, run: Run, speed: float | None, claims: Claims, work: _Work
    ) -> None:
        """Add a chunk to the work, unless live jobs compute and load it."""
        computing, loading = run in claims.computing, run in claims.loading
        if loading and (computing or run.finished):
            return
        if computing:
            work.after.add(claims.computing[run])
        if computing or run.finished:
            work.load.append(run)
            return
        selection, systems = request.selection, pq.read_metadata(run.systems).num_rows
        names = selection.family.name, selection.model_id
        work.chunks.append(Chunk(run.run_id, *names, systems / speed if speed else None))

    def _write(self, submission: Submission, request: Request, work: _Work, command: str) -> None:
        """Write the folder of the submission, with its scripts; all requests have one device."""
        most = max_array_size() if work.chunks else 1
        tasks = group(work.chunks, most, self._where.per_task) if work.chunks else []
        (submission.folder / "logs").mkdir(parents=True)
        content = {
            "command": command,
            "runtime": self._runtime.name,
            "silence": self._limits.silence,
            "device": request.device,
            "batch": request.batch,
            "tasks": tasks,
            "load": [run.run_id for run in work.load],
        }
        write_json(submission.folder / "submission.json", content)
        if tasks:
            script = array_script(submission, self._where, request.device, command)
            write_atomically(submission.folder / "array.sbatch", script)
        script = load_script(submission, self._where)
        write_atomically(submission.folder / "load.sbatch", script)

    def _start(self, submission: Submission, work: _Work, jobs: dict[str, int]) -> None:
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


def _describe(stored: int, computed: int, loaded: int, at_work: int) -> str:
    """Return what is done for a request, by its chunks."""
    parts = {
        "to compute": computed,
        "computed before, to load": loaded,
        "in jobs that are not over": at_work,
    }
    said = [f"{plural(n, 'chunk')} {what}" for what, n in parts.items() if n]
    if stored:
        said.append(f"{stored} systems already stored")
    return ", ".join(said) or "nothing to do"
