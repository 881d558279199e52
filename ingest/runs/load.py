"""Load runs into the store, each in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ingest.integrity import Damaged, forget_stamps
from ingest.layout import Layout
from ingest.runs.check import Counts
from ingest.runs.errors import ShardError
from ingest.runs.folder import LOADING, Run
from ingest.runs.store.access import checkpoint, lock_store, open_locked, open_store, transaction
from ingest.runs.store.run_tables import put_failed_run, put_finished_run
from ingest.runs.store.sequence import interrupted_loads, next_number, note_loaded, read_number
from schemas.errors import StoreLocked


def load(
    layout: Layout, run: Run, *, patience: float = 0.0, log: Callable[[str], None] = print
) -> Counts:
    """Check a finished run and put it into the store: all of it, or nothing.

    That is its dataset, its model, its vectors and its failures. To load a run twice is the same
    as to load it once. Loads that were interrupted are finished first.

    Args:
        layout: The store and the files beside it.
        run: A finished run.
        patience: How many seconds to wait for a store that other processes use.
        log: Gets lines about waits and about interrupted loads.

    Returns:
        How many vectors and failures the run has.

    Raises:
        ShardError: The run is not what it says it is.
        StoreError: The store cannot be written; it is as it was.
    """
    with lock_store(layout, patience, log):
        for interrupted in interrupted_loads(layout):
            if interrupted != run:
                _finish(layout, interrupted, patience, log)
        return _load_as_latest(layout, run, patience, log)


def finish_interrupted_loads(layout: Layout, log: Callable[[str], None] = print) -> None:
    """Finish loads that were cut off, unless a process is at work on the store.

    Args:
        layout: The store and the files beside it.
        log: Gets one line per load.
    """
    if not interrupted_loads(layout):
        return
    try:
        with lock_store(layout, 0.0, log):
            for run in interrupted_loads(layout):
                _finish(layout, run, 0.0, log)
    except StoreLocked:
        return


def load_failure(layout: Layout, run: Run, reason: str, started: datetime) -> None:
    """Record that a run ended early, why, and how far it came; nothing else changes.

    Args:
        layout: The store and the files beside it.
        run: The run, which has a job.
        reason: Why it ended.
        started: When its worker was about to start.
    """
    note_failure(run, reason, started)
    load_noted_failure(layout, run)


def note_failure(run: Run, reason: str, started: datetime) -> None:
    """Note in a run's folder that it ended early; the store is not touched.

    Args:
        run: The run, which has a job.
        reason: Why it ended.
        started: When its worker was about to start.
    """
    times = {"started": started.isoformat(), "finished": datetime.now(UTC).isoformat()}
    run.write("failed.json", {"reason": reason} | times)


def load_noted_failure(layout: Layout, run: Run, patience: float = 0.0) -> None:
    """Record in the store what `note_failure` has noted.

    Args:
        layout: The store and the files beside it.
        run: A run with failed.json.
        patience: How many seconds to wait for a store that other processes use.
    """
    with open_store(layout, patience) as connection, transaction(connection):
        put_failed_run(connection, run)


def _load_as_latest(
    layout: Layout, run: Run, patience: float, log: Callable[[str], None]
) -> Counts:
    """Load a run as the latest of all.

    LOADING is written before the transaction, and LOADED once the run is in the store's own file:
    whatever ends this process in between, the next process finds LOADING and loads the run again,
    which changes nothing if that was done.
    """
    forget_stamps()
    run.remove_leftovers()
    with open_locked(layout, patience, log) as connection:
        begun = read_number(run, LOADING)
        run.write(LOADING, {"sequence": begun or next_number(layout)})
        try:
            counts = put_finished_run(connection, layout, run)
        except Exception:
            if begun is None:  # else it may be in the store already
                (run.folder / LOADING).unlink(missing_ok=True)
            raise
        checkpoint(connection, layout)
    note_loaded(run)
    return counts


def _finish(layout: Layout, run: Run, patience: float, log: Callable[[str], None]) -> None:
    log(f"loading {run.run_id}, which was cut off")
    try:
        _load_as_latest(layout, run, patience, log)
    except (ShardError, Damaged) as error:
        log(f"error: {error}")
