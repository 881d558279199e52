"""Execute requests: plan, weights, environment, worker, load; one model over one dataset each."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

import duckdb

from ingest.failures import Killed, RunError
from ingest.layout import Layout
from ingest.limits import Limits
from ingest.runs.cost import seconds_of
from ingest.runs.folder import Run, lock_run
from ingest.runs.job_folder import set_device
from ingest.runs.pending import Computed, Failed, PendingLoads
from ingest.runs.plan import Plan, plan
from ingest.runs.recovery import recover
from ingest.runs.reporting import WorkerProgress, report_step
from ingest.runs.request import Request, why_inapplicable
from ingest.runs.store.waiting import SHORT_PATIENCE
from ingest.runs.vectors.files import reopen_damaged
from ingest.runtimes.family_worker import FamilyWorker
from ingest.runtimes.neighbors import Neighbors
from ingest.runtimes.protocol import Runtime
from ingest.runtimes.worker import JobPlaces
from schemas.errors import StoreLocked
from zoo.command_line import print_now
from zoo.errors import MatterzooError
from zoo.weights.errors import WeightsError
from zoo.weights.local import LocalWeights, download_weights, find_weights, needed_files


@dataclass(frozen=True)
class Turn:
    """A request that is planned and has its turn later.

    Attributes:
        request: What is asked for.
        skipped: Why the model can take no system of the dataset; None if it can.
        planned: What is to be done; None if nothing is, or if that could not be found out.
        fault: Why the request cannot be planned; None if it can.
        place: Which of how many requests this is; '' if it is the only one.
    """

    request: Request
    skipped: str | None = None
    planned: Plan | None = None
    fault: MatterzooError | duckdb.Error | OSError | None = None
    place: str = ""

    @property
    def seconds(self) -> float:
        """How long the request takes, without a start; 0 if that is not known."""
        if self.planned is None or all(run.finished for run in self.planned.runs):
            return 0.0
        return seconds_of(self.request.selection, self.planned.sent) or 0.0

    @property
    def name(self) -> str:
        """The model and the dataset, as the first line about the request names them."""
        request = self.request
        return f"{self.place}{request.selection.model_id} on {request.dataset.dataset}"

    @property
    def runs(self) -> tuple[Run, ...]:
        """What is to be computed or loaded; empty if there is nothing."""
        return self.planned.runs if self.planned else ()

    @property
    def jobs(self) -> list[JobPlaces]:
        """The jobs that a worker is to do, as far as the files that they need are here."""
        weights = find_weights(self.request.selection)
        if self.planned is None or (needed_files(self.request.selection) and weights is None):
            return []
        runs = [run for run in self.planned.runs if not run.finished]
        return [JobPlaces(run.job, run.out, weights) for run in runs]


@dataclass
class Execution:
    """Executes requests with one runtime. Threads may share it.

    Attributes:
        layout: The store that is to hold the vectors.
        runtime: What starts the workers.
        limits: What a worker may use.
        pending: What is computed, or has failed, and is not in the store because others use it.
    """

    layout: Layout
    runtime: Runtime
    limits: Limits = Limits()
    pending: PendingLoads = field(init=False)
    _unbuildable: dict[str, str] = field(default_factory=dict)  # why, by the family's name
    _preparing: dict[str, threading.Lock] = field(default_factory=dict)  # one builds, others wait
    _kept: dict[Run, Request] = field(default_factory=dict)  # what `pending` has computed runs of

    def __post_init__(self) -> None:
        self.pending = PendingLoads(self.layout)

    def prepare(self, request: Request, patience: float) -> Turn:
        """Plan a request. If that fails, `execute` raises the error when it is its turn.

        Args:
            request: What is asked for.
            patience: How many seconds to wait for a store that others use.
        """
        reason = why_inapplicable(request.selection, request.dataset)
        if reason is not None:
            return Turn(request, skipped=reason)
        try:
            return Turn(request, planned=plan(self.layout, request, patience))
        except duckdb.InterruptException:
            raise
        except (MatterzooError, duckdb.Error, OSError) as error:
            return Turn(request, fault=error)

    def worker(self, turns: Sequence[Turn], neighbors: Neighbors | None = None) -> FamilyWorker:
        """Return the worker for some requests, a context manager. It starts with the first job.

        Args:
            turns: Requests for one device, whose models are of one family.
            neighbors: The workers that run beside it; None if there are none.
        """
        jobs = [job for turn in turns for job in turn.jobs]
        family = turns[0].request.selection.family
        parts = self.runtime, family, jobs, self.limits, report_step
        return FamilyWorker(*parts) if neighbors is None else neighbors.add(*parts)

    def execute(self, turn: Turn, worker: FamilyWorker, patience: float = SHORT_PATIENCE) -> None:
        """Bring the store to hold what is asked for, or leave the load to `finish`.

        An environment that cannot be built is tried only once.

        Args:
            turn: What is asked for, and what is to be done for it.
            worker: The worker for this request, among others.
            patience: How many seconds to wait for a store that others use.

        Raises:
            RunError: The weights, the environment or the worker failed.
            ShardError: What the worker wrote is not what it says.
            StoreError: The store cannot be read or written.
            RequestError: Another process works on the same run.
        """
        if turn.fault is not None:
            raise turn.fault
        print_now(_describe(turn))
        for run in turn.runs:
            self._execute_run(turn.request, run, worker, patience)

    def finish(self) -> list[tuple[Request, str]]:
        """Load what could not be loaded before, waiting for a store that others use.

        Returns:
            The requests whose vectors are still not in the store, each with the reason.
        """
        return [(self._kept[run], fault) for run, fault in self.pending.finish().items()]

    def _execute_run(
        self, request: Request, run: Run, worker: FamilyWorker, patience: float
    ) -> None:
        """Have a run finished and loaded, or leave the load to `finish`."""
        with lock_run(run):
            seconds = self._compute(request, run, worker)
            computed = Computed(request.selection.model_id, run, seconds)
            try:
                self.pending.load(computed, patience)
            except StoreLocked as error:
                self.pending.add(computed)
                self._kept[run] = request
                print_now(
                    f"  {request.selection.model_id}: computed; it is loaded at the end, since "
                    f"{error}"
                )
                return
        self.pending.retry()

    def _compute(self, request: Request, run: Run, worker: FamilyWorker) -> float:
        """Have the run finished; return how many seconds the worker took."""
        started = monotonic()
        if reopen_damaged(run):
            print_now(f"  computed again, since a file of its vectors is damaged, {run.folder}")
        if run.finished:
            print_now(f"  computed by an earlier start, {run.folder}")
        else:
            with self._recorded(request, run, worker):
                weights = self._fetch_weights(request, run)
                self._ensure_environment(request, run, worker)
                started = monotonic()
                set_device(run, request.device, request.batch)
                finish_run(run, worker, JobPlaces(run.job, run.out, weights), self.limits)
        return monotonic() - started

    @contextmanager
    def _recorded(self, request: Request, run: Run, worker: FamilyWorker) -> Iterator[None]:
        """Note in the store why a run ended early, unless it was interrupted."""
        began = datetime.now(UTC)
        try:
            yield
        except RunError as error:
            if worker.ending:
                raise KeyboardInterrupt from error
            reason = self._unbuildable.get(request.selection.family.name, str(error))
            self.pending.record_failure(Failed(run, reason, began))
            raise

    def _fetch_weights(self, request: Request, run: Run) -> LocalWeights | None:
        """Have the weights here and verified, before an environment takes gigabytes."""
        run.write("runtime.json", {"runtime": self.runtime.name, "image": None})
        try:
            return download_weights(request.selection, report_step)
        except WeightsError as error:
            raise RunError(str(error)) from error

    def _ensure_environment(self, request: Request, run: Run, worker: FamilyWorker) -> None:
        """Have the environment ready, and note in the run's folder what the worker runs in."""
        family = request.selection.family
        name = family.name
        with self._preparing.setdefault(name, threading.Lock()):
            if name in self._unbuildable:
                raise RunError(f"the environment of {name} could not be made ready, see above")
            if not self.runtime.ready(family):
                worker.end()  # it would keep the environment from being built again
            try:
                image = self.runtime.ensure(family, report_step)
            except RunError as error:
                if not worker.ending:
                    self._unbuildable[name] = str(error)
                raise
        run.write("runtime.json", {"runtime": self.runtime.name, "image": image})


def finish_run(run: Run, worker: FamilyWorker, places: JobPlaces, limits: Limits) -> None:
    """Have a worker do the job of a run; start another, with less to do, if it is killed.

    Args:
        run: A run that this process has locked.
        worker: The worker for it.
        places: Where the job lies.
        limits: What the worker may use.

    Raises:
        RunError: The job cannot be finished.
    """
    representations = len(run.read("job/job.json")["representations"])
    while True:
        try:
            with WorkerProgress(run.model_id, representations) as progress:
                worker.run(places, progress)
            return
        except Killed as killed:
            print_now(f"  {run.model_id}: {recover(run, limits, killed)}")


def _describe(turn: Turn) -> str:
    """Return the line that says what is going to be done for a request."""
    planned = turn.planned
    if planned is None:
        return f"{turn.name}: skipped, {turn.skipped}"
    if not planned.runs:
        done = f"{planned.wanted} of {planned.wanted} systems already stored"
        return f"{turn.name}: {done}; nothing to do"
    stored = planned.wanted - planned.sent
    more = f" ({stored} more already stored)" if stored else ""
    runs = f" in {len(planned.runs)} runs" if len(planned.runs) > 1 else ""
    return f"{turn.name}: {planned.sent} systems{runs} on {turn.request.device}{more}"
