"""One model over one dataset: plan, environment, worker, store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

import duckdb

from ingest.failures import Killed, RunError
from ingest.layout import Layout, escape_glob
from ingest.limits import Limits
from ingest.runs.errors import RequestError, ShardError
from ingest.runs.folder import Run, lock_run
from ingest.runs.load import load, load_failure
from ingest.runs.plan import Request, plan, why_inapplicable
from ingest.runs.progress import Progress
from ingest.runs.recovery import relieve
from ingest.runs.store.access import CheckpointError
from ingest.runs.store.waiting import PATIENCE, SHORT_PATIENCE
from ingest.runtimes.protocol import Runtime
from schemas.errors import StoreError, StoreLocked
from zoo.files import is_disk_full
from zoo.weights.errors import WeightsError
from zoo.weights.local import LocalWeights, download_weights
from zoo.worker.errors import DiskFullError

SHOWN = 3  # reasons of each kind in a summary
REASONS = """
SELECT status, reason, count(*) AS n FROM read_parquet(?, hive_partitioning = false)
WHERE status != 'ok' GROUP BY ALL ORDER BY status, n DESC, reason
"""


def say(text: str) -> None:
    """Each line as it comes, also where the output goes into a file."""
    print(text, flush=True)


def _say_more(text: str) -> None:
    say(f"  {text}")


def _say_nothing(text: str) -> None:
    """Stay silent about a wait that is short."""


@dataclass(frozen=True)
class Computed:
    """A run whose vectors are all computed and not yet in the store."""

    model_id: str
    run: Run
    seconds: float


@dataclass(frozen=True)
class Failed:
    """A run that ended early and is not yet in the table `runs`."""

    run: Run
    reason: str
    began: datetime


@dataclass
class Ingest:
    """Ingests requests one after another. An environment that cannot be built is tried once.

    What cannot be loaded because others use the store is kept in `computed` and `failed`, tried again after the next
    load, and once more by `finish`.
    """

    layout: Layout
    runtime: Runtime
    limits: Limits = Limits()
    unbuildable: dict[str, str] = field(default_factory=dict)
    computed: list[Computed] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)

    def __call__(
        self, request: Request, place: str = "", *, patience: float = SHORT_PATIENCE
    ) -> None:
        """Bring the store to hold what is wished for, or leave the load to `finish`.

        place: which of how many requests this is, said before the model's name. patience: how many seconds to wait for a
        store that others use. Raises RunError, ShardError, StoreError, RequestError.
        """
        name = f"{place}{request.selection.model_id} on {request.dataset.dataset}"
        reason = why_inapplicable(request.selection, request.dataset)
        if reason is not None:
            say(f"{name}: skipped, {reason}")
            return
        planned = plan(self.layout, request, patience)
        if planned.run is None:
            say(
                f"{name}: {planned.wanted} of {planned.wanted} systems already stored; nothing to do"
            )
            return
        stored = planned.wanted - planned.sent
        say(
            f"{name}: {planned.sent} systems on {request.device}"
            + (f" ({stored} more already stored)" if stored else "")
        )
        with lock_run(planned.run):
            started = monotonic()
            if planned.run.finished:
                say(f"  computed by an earlier start, {planned.run.folder}")
            else:
                with self._recorded(request, planned.run):
                    weights = self._fetch(request, planned.run)
                    self._ensure(request, planned.run)
                    started = monotonic()
                    self._compute(request, planned.run, weights)
            computed = Computed(request.selection.model_id, planned.run, monotonic() - started)
            try:
                self._load(computed, patience)
            except StoreLocked as error:
                self.computed.append(computed)
                say(f"  computed; it is loaded at the end, since {error}")
                return
        self._load_rest()

    def finish(self) -> dict[str, str]:
        """Load what could not be loaded before, waiting for a store that others use. Returns {model_id: why not}."""
        faults = {}
        patience = PATIENCE
        waiting, self.computed = self.computed, []
        for computed in waiting:
            try:
                with lock_run(computed.run):
                    self._load(computed, patience)
            except (StoreError, ShardError, RequestError) as error:
                faults[computed.model_id] = str(error)
                patience = 0.0  # who has waited once in vain need not wait for each
        self._load_failed()
        for failed in self.failed:
            say(
                f"the failure of run {failed.run.run_id} is not in the table runs, since others use the store"
            )
        return faults

    def _load_rest(self) -> None:
        """Load, at once or not yet, what could not be loaded before."""
        waiting, self.computed = self.computed, []
        for computed in waiting:
            try:
                with lock_run(computed.run):
                    self._load(computed, 0.0)
            except (StoreError, ShardError, RequestError):
                self.computed.append(computed)  # `finish` tells, if it is still so then
        self._load_failed()

    def _load_failed(self) -> None:
        waiting, self.failed = self.failed, []
        for failed in waiting:
            self._record(failed)

    @contextmanager
    def _recorded(self, request: Request, run: Run) -> Iterator[None]:
        """Note in the store why a run ended early."""
        began = datetime.now(UTC)
        try:
            yield
        except RunError as error:
            self._record(
                Failed(run, self.unbuildable.get(request.selection.family.name, str(error)), began)
            )
            raise

    def _record(self, failed: Failed) -> None:
        try:
            load_failure(self.layout, failed.run, failed.reason, failed.began)
        except StoreLocked:
            self.failed.append(failed)
        except (StoreError, OSError) as fault:
            say(f"  (this failure is not in the table runs: {fault})")

    def _fetch(self, request: Request, run: Run) -> LocalWeights | None:
        """Have the weights at hand, verified. First of all: it asks for no gigabytes of an environment."""
        run.write("runtime.json", {"runtime": self.runtime.name, "image": None})
        try:
            return download_weights(request.selection, lambda text: say(f"  {text}"))
        except WeightsError as error:
            raise RunError(str(error)) from error

    def _ensure(self, request: Request, run: Run) -> None:
        """Have the environment ready, and note in the run's folder what it runs in."""
        family = request.selection.family
        if family.name in self.unbuildable:
            raise RunError(f"the environment of {family.name} could not be made ready, see above")
        try:
            image = self.runtime.ensure(family, lambda text: say(f"  {text}"))
        except RunError as error:
            self.unbuildable[family.name] = str(error)
            raise
        run.write("runtime.json", {"runtime": self.runtime.name, "image": image})

    def _compute(self, request: Request, run: Run, weights: LocalWeights | None) -> None:
        """Have the worker write the shards; go on in another way where it is killed."""
        while True:
            try:
                self._work(request, run, weights)
                return
            except Killed as killed:
                say(f"  {relieve(run, self.limits, killed)}")

    def _work(self, request: Request, run: Run, weights: LocalWeights | None) -> None:
        representations = len(run.read("job/job.json")["representations"])
        with Progress(request.selection.model_id, representations) as progress:
            self.runtime.run(
                request.selection.family, run.job, run.out, weights, progress, self.limits
            )

    def _load(self, computed: Computed, patience: float) -> None:
        run, layout = computed.run, self.layout
        try:
            counts = load(
                layout,
                run,
                patience=patience,
                log=_say_more if patience == PATIENCE else _say_nothing,
            )
        except (StoreLocked, CheckpointError):
            raise
        except OSError as error:
            if not is_disk_full(error):
                raise
            raise StoreError(f"{DiskFullError(error, layout.data)}") from error
        except StoreError as error:
            raise StoreError(
                f"{error}. All vectors are computed: repeat the command and they land at once"
            ) from error
        outcome = f"{counts.ok} ok, {counts.failed} failed, {counts.not_applicable} not applicable"
        say(f"  {computed.model_id}: {outcome} in {computed.seconds:.1f} s -> {layout.store}")
        for line in reasons(run):
            say(f"    {line}")


def reasons(run: Run) -> list[str]:
    """Why systems have no vector: the commonest reasons of each kind."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            REASONS, [[escape_glob(shard) for shard in run.shards]]
        ).fetchall()
    lines = []
    for status in dict.fromkeys(row[0] for row in rows):
        mine = [(reason, count) for kind, reason, count in rows if kind == status]
        lines += [f"{status}, {count} times: {reason}" for reason, count in mine[:SHOWN]]
        if len(mine) > SHOWN:
            lines.append(
                f"{status}, {sum(count for _, count in mine[SHOWN:])} more: see table failures"
            )
    return lines
