"""Make the store again from the runs beside it."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, field

import duckdb

from ingest.integrity import Damaged, forget_stamps
from ingest.layout import Layout
from ingest.maintenance.exchange import discard_store, exchange_store, new_store, store_state
from ingest.runs.errors import ShardError
from ingest.runs.folder import LOADED, LOADING, Run, list_runs
from ingest.runs.store.access import lock_store, open_locked, transaction
from ingest.runs.store.run_tables import put_failed_run, put_finished_run
from ingest.runs.store.sequence import next_number, note_loaded, read_number
from ingest.runs.store.waiting import PATIENCE
from schemas.errors import StoreBroken, StoreError
from schemas.message import one_line
from schemas.store import connect


@dataclass(frozen=True)
class _Before:
    """The store that is to be replaced.

    Attributes:
        broken: Whether it cannot be read.
        runs: The ids of the runs that it holds, if it can be read.
    """

    broken: bool
    runs: frozenset[str] = frozenset()


@dataclass
class _Outcome:
    """What comes of the runs.

    Attributes:
        loaded: Those that are in the new store.
        left_out: Why a run is not, by its id.
    """

    loaded: list[Run] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


def rebuild(layout: Layout, log: Callable[[str], None] = print) -> int:
    """Make the store again from the folder beside it. The old one stays until the new one is whole.

    Runs are loaded in the order in which they were loaded before, so that the contents are the
    same. A sound store stays if it would lose a run. A broken one is kept beside the new one, which
    gets all runs that can be loaded.

    Args:
        layout: The store and the files beside it.
        log: Gets a line per run.

    Returns:
        The number of runs in the new store.

    Raises:
        StoreError: The store is as it was, or some runs are left out of the new one; the message
            says which, and why.
    """
    outcome = _Outcome()
    with lock_store(layout, PATIENCE, log):
        forget_stamps()
        runs = _list_in_order(layout, outcome)
        if not runs and not outcome.left_out:
            raise StoreError(
                f"{layout.data} holds no run, so there is nothing to make a store from"
            )
        _replace(layout, runs, outcome, log)
        _note_loads(layout, outcome.loaded)
    if outcome.left_out:
        count = len(outcome.loaded)
        whole = f"{count} of {count + len(outcome.left_out)} runs"
        raise StoreError(
            f"{layout.store} is made again from {whole}; left out:{_describe(outcome)}"
        )
    return len(outcome.loaded)


def _replace(
    layout: Layout, runs: list[Run], outcome: _Outcome, log: Callable[[str], None]
) -> None:
    """Fill a new store and put it in the place of the old one, unless that would lose runs."""
    before = _examine(layout, runs, outcome)
    state = store_state(layout.store)
    new = Layout(new_store(layout.store))
    try:
        _fill(layout, new, runs, outcome, log)
        lost = outcome.left_out.keys() & before.runs
        broken = before.broken or _is_unreadable(layout, lost)
        if lost and not broken:
            raise StoreError(_describe_loss(layout, before, outcome, lost))
        if not outcome.loaded:
            raise StoreError(_describe_nothing(layout, outcome, broken))
        _refuse_other_writer(layout, state, broken)
        keep = "broken" if broken else "before" if outcome.left_out else None
        kept = exchange_store(layout.store, new.store, keep)
    finally:
        discard_store(new.store)
    if kept is not None:
        log(f"the store that was there is kept as {kept}")


def _fill(
    layout: Layout, new: Layout, runs: list[Run], outcome: _Outcome, log: Callable[[str], None]
) -> None:
    """Load into a new store all runs that can be loaded."""
    with open_locked(new, spill=layout.spill) as connection:
        for number, run in enumerate(runs, start=1):
            log(f"{number}/{len(runs)} {run.run_id}")
            try:
                _put(connection, layout, run)
            except ShardError as error:
                outcome.left_out[run.run_id] = error.fault
            except Damaged as error:
                outcome.left_out[run.run_id] = str(error)
            else:
                outcome.loaded.append(run)
        connection.execute("CHECKPOINT")


def _put(connection: duckdb.DuckDBPyConnection, layout: Layout, run: Run) -> None:
    if run.finished or run.loaded:
        put_finished_run(connection, layout, run)
        return
    with transaction(connection):
        try:
            put_failed_run(connection, run)
        except (LookupError, TypeError, ValueError, duckdb.Error) as error:
            if isinstance(error, duckdb.OutOfMemoryException | duckdb.InterruptException):
                raise
            reason = f"{type(error).__name__}: {one_line(error)}"
            raise Damaged(
                f"what {run.folder} says of the failed run cannot be read ({reason})"
            ) from error


def _list_in_order(layout: Layout, outcome: _Outcome) -> list[Run]:
    """List finished and failed runs in the order of their loads; those never loaded come last.

    A run that was loaded, and has lost its job.json or run.json since, is among them, so that it is
    reported and not passed over.
    """
    found = []
    for run in list_runs(layout):
        if run.finished or run.loaded or run.failed:
            try:
                found.append((_place(run), run))
            except Damaged as error:
                outcome.left_out[run.run_id] = (
                    f"{error}; its place in the order of loads is not known. Restore that file"
                )
    return [run for _, run in sorted(found, key=lambda pair: (pair[0], pair[1].run_id))]


def _place(run: Run) -> tuple[int, int, str]:
    """Return the number of a run's load; before there were numbers, the time."""
    for name in (LOADING, LOADED):
        if (run.folder / name).exists():
            number = read_number(run, name)
            return (0, 0, _read_time(run, name, "landed")) if number is None else (1, number, "")
    if not run.finished:
        return 0, 0, _read_time(run, "failed.json", "finished")
    return 2, 0, _read_time(run, "out/run.json", "finished")


def _read_time(run: Run, name: str, key: str) -> str:
    note = run.read(name)
    if key not in note:
        raise Damaged(f"{run.folder / name} has no {key!r}, the time by which runs are ordered")
    return str(note[key])


def _examine(layout: Layout, runs: list[Run], outcome: _Outcome) -> _Before:
    """Refuse to replace a store that others use, or that newer code made; say what it holds.

    Runs that it holds and that have lost their folders cannot be loaded; they are left out.
    """
    if not layout.store.exists():
        return _Before(broken=False)
    try:
        with connect(layout.store) as connection:
            stored = dict(connection.execute("SELECT run_id, status FROM runs").fetchall())
    except (StoreBroken, duckdb.Error):  # damage beyond the parts that are read on opening
        return _Before(broken=True)
    finished = {run_id for run_id, status in stored.items() if status == "ok"}
    gone = finished - {run.run_id for run in runs} - outcome.left_out.keys()
    for run_id in gone:
        folder = Run.of(layout, run_id).folder
        outcome.left_out[run_id] = f"the store holds it, and {folder} is not there any more"
    return _Before(broken=False, runs=frozenset(stored))


def _is_unreadable(layout: Layout, lost: Set[str]) -> bool:
    """Return whether a store that holds runs that would be lost is damaged; reads all of it."""
    if not lost:
        return False
    try:
        with connect(layout.store, read_only=True) as connection:
            for (table,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
                connection.execute(f"SELECT bit_xor(hash(t)) FROM {table} AS t").fetchall()
    except (StoreBroken, duckdb.Error):
        return True
    return False


def _refuse_other_writer(layout: Layout, before: list[tuple[int, int, int]], broken: bool) -> None:
    """Refuse to lose what another program has written into the store meanwhile."""
    if layout.store.exists() and not broken:
        connect(layout.store, read_only=True).close()  # raises if a program is writing right now
    if store_state(layout.store) != before:
        raise StoreError(
            f"{layout.store} was written by another program while it was made again; it stays. "
            "Repeat"
        )


def _note_loads(layout: Layout, loaded: list[Run]) -> None:
    """Give the runs that were loaded for the first time their place in the order of loads."""
    for run in loaded:
        loading = (run.folder / LOADING).exists()
        if run.finished and (not run.loaded or loading):
            if not loading:
                run.write(LOADING, {"sequence": next_number(layout)})
            note_loaded(run)


def _describe(outcome: _Outcome) -> str:
    """Return each reason once, with the run that it is of, or how many runs there are."""
    by_reason: dict[str, list[str]] = {}
    for run_id, reason in sorted(outcome.left_out.items()):
        by_reason.setdefault(reason, []).append(run_id)
    return "".join(
        f"\n  {ids[0] if len(ids) == 1 else f'{len(ids)} runs'}: {reason}"
        for reason, ids in by_reason.items()
    )


def _describe_loss(layout: Layout, before: _Before, outcome: _Outcome, lost: Set[str]) -> str:
    return (
        f"{layout.store} is sound and stays as it was: made again now, it would lose {len(lost)} "
        f"of its {len(before.runs)} runs:{_describe(outcome)}\nMend that and repeat, or move the "
        "store away to have one without them"
    )


def _describe_nothing(layout: Layout, outcome: _Outcome, broken: bool) -> str:
    """Say why no run can be loaded; `ingest`, which may mend that, opens no broken store."""
    first = ""
    if broken:
        first = f"\nMove {layout.store} away, as it is broken, do what is said above, and repeat"
    return f"{layout.store} is as it was, as no run can be loaded:{_describe(outcome)}{first}"
