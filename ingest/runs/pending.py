"""Load what is computed, now or as soon as other processes leave the store free."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime

import duckdb

from ingest.layout import Layout
from ingest.runs.errors import RequestError, ShardError
from ingest.runs.folder import Run, lock_run
from ingest.runs.load import load, load_failure
from ingest.runs.reporting import report_step
from ingest.runs.store.access import CheckpointError
from ingest.runs.store.waiting import PATIENCE
from schemas.errors import StoreError, StoreLocked
from schemas.paths import escape_glob
from zoo.command_line import print_now
from zoo.files import is_disk_full
from zoo.worker.errors import DiskFullError

SHOWN = 3  # reasons of each kind in a summary
REASONS = """
SELECT status, reason, count(*) AS n FROM read_parquet(?, hive_partitioning = false)
WHERE status != 'ok' GROUP BY ALL ORDER BY status, n DESC, reason
"""


@dataclass(frozen=True)
class Computed:
    """A run with all vectors computed.

    Attributes:
        model_id: The model.
        run: The run.
        seconds: How long its worker took.
    """

    model_id: str
    run: Run
    seconds: float


@dataclass(frozen=True)
class Failed:
    """A run that ended early.

    Attributes:
        run: The run.
        reason: Why it ended.
        began: When its worker was about to start.
    """

    run: Run
    reason: str
    began: datetime


@dataclass
class PendingLoads:
    """What is to be loaded into one store, kept while other processes use it.

    Threads may share it: one of them loads at a time.

    Attributes:
        layout: The store and the files beside it.
    """

    layout: Layout
    _computed: list[Computed] = field(default_factory=list)
    _failed: list[Failed] = field(default_factory=list)
    _writer: threading.RLock = field(default_factory=threading.RLock)

    def add(self, computed: Computed) -> None:
        """Keep a run that could not be loaded.

        Args:
            computed: A run that is not in the store.
        """
        self._computed.append(computed)

    def load(self, computed: Computed, patience: float) -> None:
        """Load a run, and report its outcome.

        Args:
            computed: A run that this process has locked.
            patience: How many seconds to wait for a store that others use.

        Raises:
            StoreLocked: Others used the store all the time.
            StoreError: The store cannot be written.
            ShardError: The run is not what it says it is.
        """
        log = report_step if patience == PATIENCE else _ignore  # a short wait is not worth a line
        try:
            with self._writer:
                counts = load(self.layout, computed.run, patience=patience, log=log)
        except (StoreLocked, CheckpointError):
            raise
        except OSError as error:
            if not is_disk_full(error):
                raise
            raise StoreError(str(DiskFullError(error, self.layout.data))) from error
        except StoreError as error:
            raise StoreError(
                f"{error}. All vectors are computed: repeat the command to load them at once"
            ) from error
        outcome = f"{counts.ok} ok, {counts.failed} failed, {counts.not_applicable} not applicable"
        took = f"in {computed.seconds:.1f} s -> {self.layout.store}"
        reasons = [f"    {line}" for line in summarize_reasons(computed.run)]
        print_now("\n".join([f"  {computed.model_id}: {outcome} {took}", *reasons]))

    def record_failure(self, failed: Failed) -> None:
        """Record in the store why a run ended early, or keep that if others use the store.

        Args:
            failed: A run that ended early.
        """
        try:
            with self._writer:
                load_failure(self.layout, failed.run, failed.reason, failed.began)
        except StoreLocked:
            self._failed.append(failed)
        except (StoreError, OSError) as fault:
            print_now(f"  (this failure is not in the table runs: {fault})")

    def retry(self) -> None:
        """Load what was kept, as far as that is possible without waiting."""
        waiting, self._computed = self._computed, []
        for computed in waiting:
            try:
                with lock_run(computed.run):
                    self.load(computed, 0.0)
            except (StoreError, ShardError, RequestError):
                self._computed.append(computed)  # `finish` reports it, if it is still so then
        self._record_failures()

    def finish(self) -> dict[Run, str]:
        """Load what was kept, waiting for a store that others use.

        Returns:
            Why the vectors of a run are still not in the store.
        """
        faults = {}
        patience = PATIENCE
        waiting, self._computed = self._computed, []
        for computed in waiting:
            try:
                with lock_run(computed.run):
                    self.load(computed, patience)
            except (StoreError, ShardError, RequestError) as error:
                faults[computed.run] = str(error)
                patience = 0.0  # after one wait in vain, the others need not wait again
        self._record_failures()
        for failed in self._failed:
            print_now(
                f"the failure of run {failed.run.run_id} is not in the table runs, "
                "since others use the store"
            )
        return faults

    def _record_failures(self) -> None:
        waiting, self._failed = self._failed, []
        for failed in waiting:
            self.record_failure(failed)


def summarize_reasons(run: Run) -> list[str]:
    """Return why systems have no vector: the commonest reasons of each kind.

    Args:
        run: A finished run.

    Returns:
        One line per reason, and one for the others of its kind.
    """
    with duckdb.connect() as connection:
        rows = connection.execute(REASONS, [escape_glob(run.outcomes)]).fetchall()
    lines = []
    for status in dict.fromkeys(row[0] for row in rows):
        of_kind = [(reason, count) for kind, reason, count in rows if kind == status]
        lines += [f"{status}, {count} times: {reason}" for reason, count in of_kind[:SHOWN]]
        if len(of_kind) > SHOWN:
            more = sum(count for _, count in of_kind[SHOWN:])
            lines.append(f"{status}, {more} more: see table failures")
    return lines


def _ignore(text: str) -> None:
    """Report nothing about a wait that is short."""
