"""One model over one dataset: plan, environment, worker, store."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

import duckdb

from ingest.layout import Layout, Run
from ingest.load import land, land_failure
from ingest.plan import PlanError, Wish, not_for, plan
from ingest.progress import Progress
from ingest.runtimes import Limits, OutOfMemory, RunError, Runtime
from schemas.store import StoreError
from zoo.weights import Place, WeightsError, fetch

PATIENCE = 30.0  # s that a finished run waits for a store that others use
SHOWN = 3  # reasons of each kind in a summary
REASONS = """
SELECT status, reason, count(*) AS n FROM read_parquet(?)
WHERE status != 'ok' GROUP BY ALL ORDER BY status, n DESC, reason
"""


def say(text: str) -> None:
    """Each line as it comes, also where the output goes into a file."""
    print(text, flush=True)


@dataclass
class Ingest:
    """Ingests wishes one after another. An environment that cannot be built is tried once."""

    layout: Layout
    runtime: Runtime
    limits: Limits = Limits()
    unbuildable: dict[str, str] = field(default_factory=dict)

    def __call__(self, wish: Wish, place: str = "") -> None:
        """Bring the store to hold what is wished for. Raises RunError, ShardError, StoreError.

        place: which of how many wishes this is, said before the model's name.
        """
        name = f"{place}{wish.selection.model_id} on {wish.dataset.dataset}"
        reason = not_for(wish.selection, wish.dataset)
        if reason is not None:
            say(f"{name}: skipped, {reason}")
            return
        planned = plan(self.layout, wish)
        if planned.run is None:
            say(f"{name}: {planned.wanted} of {planned.wanted} systems already stored; nothing to do")
            return
        stored = planned.wanted - planned.sent
        say(f"{name}: {planned.sent} systems on {wish.device}" + (f" ({stored} more already stored)" if stored else ""))
        with working_on(planned.run):
            started = monotonic()
            if planned.run.finished:
                say(f"  computed by an earlier start, {planned.run.folder}")
            else:
                with self._recorded(wish, planned.run):
                    weights = self._fetch(wish, planned.run)
                    self._ensure(wish, planned.run)
                    started = monotonic()
                    self._compute(wish, planned.run, weights)
            self._land(planned.run, monotonic() - started)

    @contextmanager
    def _recorded(self, wish: Wish, run: Run) -> Iterator[None]:
        """Note in the store why a run ended early."""
        began = datetime.now(UTC)
        try:
            yield
        except RunError as error:
            reason = self.unbuildable.get(wish.selection.family.name, str(error))
            try:
                land_failure(self.layout, run, reason, began)
            except (StoreError, OSError) as fault:
                say(f"  (this failure is not in the table runs: {fault})")
            raise

    def _fetch(self, wish: Wish, run: Run) -> Place | None:
        """Have the weights at hand, verified. First of all: it asks for no gigabytes of an environment."""
        run.write("runtime.json", {"runtime": self.runtime.name, "image": None})
        try:
            return fetch(wish.selection, lambda text: say(f"  {text}"))
        except WeightsError as error:
            raise RunError(str(error)) from error

    def _ensure(self, wish: Wish, run: Run) -> None:
        """Have the environment ready, and note in the run's folder what it runs in."""
        family = wish.selection.family
        if family.name in self.unbuildable:
            raise RunError(f"the environment of {family.name} could not be made ready, see above")
        try:
            image = self.runtime.ensure(family, lambda text: say(f"  {text}"))
        except RunError as error:
            self.unbuildable[family.name] = str(error)
            raise
        run.write("runtime.json", {"runtime": self.runtime.name, "image": image})

    def _compute(self, wish: Wish, run: Run, weights: Place | None) -> None:
        """Have the worker write the shards; where memory runs out, go on with half the batch budget."""
        while True:
            try:
                self._work(wish, run, weights)
                return
            except OutOfMemory as error:
                budget = _halve(run)
                if budget is None:
                    raise RunError(
                        f"{error}\nThe batch budget is 1 already. More memory may help (MEMORY=, a larger machine), or "
                        "fewer systems (LIMIT=) where one of them is too large"
                    ) from error
                say(f"  memory ran out: going on from the finished shards with half the batch budget, {budget}")

    def _work(self, wish: Wish, run: Run, weights: Place | None) -> None:
        representations = len(run.read("job/job.json")["representations"])
        with Progress(wish.selection.model_id, representations) as progress:
            self.runtime.run(wish.selection.family, run.job, run.out, weights, progress, self.limits)

    def _land(self, run: Run, seconds: float) -> None:
        try:
            counts = land(self.layout, run, patience=PATIENCE, say=lambda text: say(f"  {text}"))
        except StoreError as error:
            raise StoreError(f"{error}. All vectors are computed: repeat the command and they land at once") from error
        outcome = f"{counts.ok} ok, {counts.failed} failed, {counts.not_applicable} not applicable"
        say(f"  {outcome} in {seconds:.1f} s -> {self.layout.store}")
        for line in reasons(run):
            say(f"    {line}")


def _halve(run: Run) -> int | None:
    """Halve the batch budget of a run's job, not below 1. Returns the new one, None where it is 1 already."""
    job = run.read("job/job.json")
    budget: int = job["batch"] or job["model"]["compute"]["batch"]
    if budget == 1:
        return None
    run.write("job/job.json", job | {"batch": budget // 2})
    return budget // 2


@contextmanager
def working_on(run: Run) -> Iterator[None]:
    """Keep two processes from the same run."""
    with (run.folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PlanError(f"another process is working on run {run.run_id}; wait until it is done") from None
        yield


def reasons(run: Run) -> list[str]:
    """Why systems have no vector: the commonest reasons of each kind."""
    with duckdb.connect() as connection:
        rows = connection.execute(REASONS, [[str(shard) for shard in run.shards]]).fetchall()
    lines = []
    for status in dict.fromkeys(row[0] for row in rows):
        mine = [(reason, count) for kind, reason, count in rows if kind == status]
        lines += [f"{status}, {count} times: {reason}" for reason, count in mine[:SHOWN]]
        if len(mine) > SHOWN:
            lines.append(f"{status}, {sum(count for _, count in mine[SHOWN:])} more: see table failures")
    return lines
