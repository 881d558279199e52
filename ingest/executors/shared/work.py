"""What a task does on a node: compute its chunks one after another, with one worker.

It writes nothing but the folders of its runs and what it notes of their starts; the store is the
load job's. A task ends early when it is asked to: by USR1 before its time is up, by TERM when it
is preempted or canceled. The worker then keeps what it has.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import pyarrow as pa

from ingest.executors.shared.late import FilesUnseen, await_file, file_wait
from ingest.executors.shared.node import node_name
from ingest.executors.shared.starts import MOST_STARTS, Starts
from ingest.executors.shared.submission import Submission
from ingest.failures import RunError
from ingest.integrity import Damaged
from ingest.limits import Limits
from ingest.runs.errors import RunBusy
from ingest.runs.execute import finish_run
from ingest.runs.folder import Run, lock_run
from ingest.runs.job_folder import set_device
from ingest.runs.load import note_failure
from ingest.runs.reporting import report_error, report_step
from ingest.runtimes import choose_runtime
from ingest.runtimes.family_worker import FamilyWorker
from ingest.runtimes.protocol import Runtime
from ingest.runtimes.worker import JobPlaces
from zoo.cards.discovery import find_model
from zoo.command_line import print_now
from zoo.errors import MatterzooError
from zoo.terminal import plural
from zoo.weights.local import find_weights, needed_files

GRACE = 40.0  # s for a batch and a shard, twice before a worker is killed: USR1 comes 120 s early
# The variable that names the folder of what workers are started from.
FOLDERS = {"environment": "MATTERZOO_ENVS", "image": "MATTERZOO_IMAGE_FOLDER"}


class Ended(BaseException):
    """The task is asked to end.

    Attributes:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def compute_task(submission: Submission, number: int) -> bool:
    """Compute the chunks of a task, until all are or this process is asked to end.

    Args:
        submission: The submission.
        number: The number of the task.

    Returns:
        Whether another start of the task may help the chunks that are not finished.

    Raises:
        RunError: The submission names a runtime that is not here.
    """
    work = _Task(submission, number)
    chunks = plural(len(work.runs), "chunk")
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES")
    given = f" with CUDA_VISIBLE_DEVICES={gpus}" if gpus else ""
    print_now(f"task {number} of {submission.name}, on {node_name()}{given}: {chunks}")
    try:
        with _signals():
            return work.compute()
    except Ended as ended:
        print_now(f"ended by {ended}: what is computed is kept")
        return ended.number == signal.SIGUSR1


@contextmanager
def _signals() -> Iterator[None]:
    """Raise Ended when the first signal comes; the others are ignored."""
    numbers = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)

    def end(number: int, frame: Any) -> None:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise Ended(number)

    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)


@dataclass
class _Task:
    """The chunks of a task.

    Attributes:
        submission: The submission.
        number: The task's number.
    """

    submission: Submission
    number: int
    _worker: FamilyWorker | None = None

    @property
    def runs(self) -> list[Run]:
        return self.submission.tasks[self.number]

    @cached_property
    def runtime(self) -> Runtime:
        runtime, _ = choose_runtime(self.submission.content["runtime"], ())
        return runtime

    @cached_property
    def limits(self) -> Limits:
        return Limits(silence=self.submission.content["silence"], grace=GRACE)

    def compute(self) -> bool:
        """Compute all chunks; return whether another start may help those that are not finished."""
        print_now(f"runtime {self.runtime.name}")  # without it, no chunk can be started
        again = False
        try:
            for run in self.runs:
                again |= self._try(run)
        finally:
            if self._worker is not None:
                self._worker.end()
        return again

    def _try(self, run: Run) -> bool:
        """Compute a chunk; return whether another start may help."""
        try:
            starts = Starts.of(self.submission, run)
        except Damaged as error:
            report_error(f"{run.run_id}: {error}")
            return False
        if starts.failed or self._finished(run, starts):
            return False
        with ExitStack() as held:
            try:
                await_file(run.job / "job.json")
                held.enter_context(lock_run(run, file_wait()))  # of a task on a node that is lost
            except (FilesUnseen, RunBusy) as error:
                starts.reason = str(error)
                starts.write(self.submission, run)
                report_error(f"{run.run_id}: {error}")
                return False
            return self._start(run, starts)

    def _start(self, run: Run, starts: Starts) -> bool:
        """Compute a chunk that this process has locked; return whether another start may help."""
        began = datetime.now(UTC)
        if not starts.begin(run):
            self._fail(run, starts, began)
            return False
        starts.write(self.submission, run)
        try:
            self._set_device(run, starts)
            self._compute(run)
        except Ended as ended:
            self._take_back(run, starts, ended)
            raise
        except (MatterzooError, pa.ArrowException) as error:
            starts.reason = str(error)
            report_error(f"{run.run_id}: {error}")
            if len(starts.nodes) >= MOST_STARTS:
                self._fail(run, starts, began)
            starts.write(self.submission, run)
            return not starts.failed
        self._finished(run, starts)
        return False

    def _set_device(self, run: Run, starts: Starts) -> None:
        """Have the job name the device and the batch budget with which it was submitted.

        Other commands may have named others since. A budget that was halved after an earlier start
        stays.
        """
        content = self.submission.content
        if len(starts.nodes) == 1 or run.read("job/job.json").get("device") != content["device"]:
            set_device(run, content["device"], content["batch"])

    def _compute(self, run: Run) -> None:
        selection = find_model(run.model_id)
        weights = find_weights(selection)
        if weights is None and needed_files(selection):
            raise RunError(
                f"the weights of {run.model_id} are not seen on node {node_name()}: is the hub's "
                "cache (HF_HOME) on a file system that all nodes share?"
            )
        if not self.runtime.ready(selection.family):
            basis = self.runtime.basis
            raise RunError(
                f"the {basis} of {selection.family.name} is not seen on node {node_name()}: is its "
                f"folder ({FOLDERS[basis]}) on a file system that all nodes share?"
            )
        print_now(f"{run.run_id}: {plural(len(run.shards), 'shard')} from earlier starts")
        if self._worker is None:  # tasks are of one family
            parts = self.runtime, selection.family, self._foresee(), self.limits, report_step
            self._worker = FamilyWorker(*parts)
        finish_run(run, self._worker, JobPlaces(run.job, run.out, weights), self.limits)

    def _foresee(self) -> list[JobPlaces]:
        """Return the jobs that can be done, as far as that is known."""
        jobs = []
        for run in self.runs:
            with suppress(MatterzooError):  # which is said when it is the chunk's turn
                if not run.finished:
                    weights = find_weights(find_model(run.model_id))
                    jobs.append(JobPlaces(run.job, run.out, weights))
        return jobs

    def _finished(self, run: Run, starts: Starts) -> bool:
        """Note that a chunk is finished, if it is; return whether it is."""
        if run.finished and not starts.finished:
            starts.finished = True
            starts.write(self.submission, run)
            print_now(f"{run.run_id}: finished")
        return run.finished

    def _take_back(self, run: Run, starts: Starts, ended: Ended) -> None:
        """Not count a start that was ended from outside; one whose time was up counts."""
        if ended.number == signal.SIGUSR1:
            starts.reason = "its time was up; a longer --time may help"
        else:
            starts.reason = f"its task was ended by {ended} on {starts.nodes.pop()}"
        starts.write(self.submission, run)

    def _fail(self, run: Run, starts: Starts, began: datetime) -> None:
        """Record that a chunk is not started again, and why."""
        reason = starts.explain(run)
        report_error(f"{run.run_id} has failed: {reason}")
        note_failure(run, reason, began)
        starts.failed = True
        starts.write(self.submission, run)
