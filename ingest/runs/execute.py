"""Execute requests: plan, weights, environment, worker, load; one model over one dataset each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

from ingest.failures import Killed, RunError
from ingest.layout import Layout
from ingest.limits import Limits
from ingest.runs.folder import Run, lock_run
from ingest.runs.pending import Computed, Failed, PendingLoads
from ingest.runs.plan import Plan, plan
from ingest.runs.recovery import recover
from ingest.runs.reporting import WorkerProgress, report_step
from ingest.runs.request import Request, why_inapplicable
from ingest.runs.store.waiting import SHORT_PATIENCE
from ingest.runtimes.protocol import Runtime
from schemas.errors import StoreLocked
from zoo.command_line import print_now
from zoo.weights.errors import WeightsError
from zoo.weights.local import LocalWeights, download_weights


@dataclass
class Execution:
    """Executes requests one after another with one runtime.

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

    def __post_init__(self) -> None:
        self.pending = PendingLoads(self.layout)

    def execute(
        self, request: Request, place: str = "", *, patience: float = SHORT_PATIENCE
    ) -> None:
        """Bring the store to hold what is asked for, or leave the load to `finish`.

        An environment that cannot be built is tried only once.

        Args:
            request: What is asked for.
            place: Which of how many requests this is; stands in front of the model's name.
            patience: How many seconds to wait for a store that others use.

        Raises:
            RunError: The weights, the environment or the worker failed.
            ShardError: What the worker wrote is not what it says.
            StoreError: The store cannot be read or written.
            RequestError: Another process works on the same run.
        """
        name = f"{place}{request.selection.model_id} on {request.dataset.dataset}"
        reason = why_inapplicable(request.selection, request.dataset)
        if reason is not None:
            print_now(f"{name}: skipped, {reason}")
            return
        planned = plan(self.layout, request, patience)
        print_now(_describe(name, request, planned))
        for run in planned.runs:
            self._execute_run(request, run, patience)

    def finish(self) -> dict[str, str]:
        """Load what could not be loaded before, waiting for a store that others use.

        Returns:
            Why a model's vectors are still not in the store, by the model's id.
        """
        return self.pending.finish()

    def _execute_run(self, request: Request, run: Run, patience: float) -> None:
        """Have a run finished and loaded, or leave the load to `finish`."""
        with lock_run(run):
            seconds = self._compute(request, run)
            computed = Computed(request.selection.model_id, run, seconds)
            try:
                self.pending.load(computed, patience)
            except StoreLocked as error:
                self.pending.add(computed)
                print_now(f"  computed; it is loaded at the end, since {error}")
                return
        self.pending.retry()

    def _compute(self, request: Request, run: Run) -> float:
        """Have the run finished; return how many seconds the worker took."""
        started = monotonic()
        if run.finished:
            print_now(f"  computed by an earlier start, {run.folder}")
        else:
            with self._recorded(request, run):
                weights = self._fetch_weights(request, run)
                self._ensure_environment(request, run)
                started = monotonic()
                self._work(request, run, weights)
        return monotonic() - started

    @contextmanager
    def _recorded(self, request: Request, run: Run) -> Iterator[None]:
        """Note in the store why a run ended early."""
        began = datetime.now(UTC)
        try:
            yield
        except RunError as error:
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

    def _ensure_environment(self, request: Request, run: Run) -> None:
        """Have the environment ready, and note in the run's folder what the worker runs in."""
        family = request.selection.family
        if family.name in self._unbuildable:
            raise RunError(f"the environment of {family.name} could not be made ready, see above")
        try:
            image = self.runtime.ensure(family, report_step)
        except RunError as error:
            self._unbuildable[family.name] = str(error)
            raise
        run.write("runtime.json", {"runtime": self.runtime.name, "image": image})

    def _work(self, request: Request, run: Run, weights: LocalWeights | None) -> None:
        """Have a worker write the shards; start another, with less to do, if it is killed."""
        while True:
            try:
                self._start_worker(request, run, weights)
                return
            except Killed as killed:
                print_now(f"  {recover(run, self.limits, killed)}")

    def _start_worker(self, request: Request, run: Run, weights: LocalWeights | None) -> None:
        representations = len(run.read("job/job.json")["representations"])
        with WorkerProgress(request.selection.model_id, representations) as progress:
            self.runtime.run(
                request.selection.family, run.job, run.out, weights, progress, self.limits
            )


def _describe(name: str, request: Request, planned: Plan) -> str:
    """Return the line that says what is going to be done for a request."""
    if not planned.runs:
        done = f"{planned.wanted} of {planned.wanted} systems already stored"
        return f"{name}: {done}; nothing to do"
    stored = planned.wanted - planned.sent
    more = f" ({stored} more already stored)" if stored else ""
    runs = f" in {len(planned.runs)} runs" if len(planned.runs) > 1 else ""
    return f"{name}: {planned.sent} systems{runs} on {request.device}{more}"
