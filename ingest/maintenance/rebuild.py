"""Make the store again from the runs beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ingest.integrity import Damaged, forget_stamps
from ingest.layout import Layout
from ingest.runs.errors import ShardError
from ingest.runs.folder import Run, list_runs
from ingest.runs.store.access import lock_store, open_locked, transaction
from ingest.runs.store.sequence import next_number, note_loaded, read_number
from ingest.runs.store.tables import put_failed_run, put_finished_run
from ingest.runs.store.waiting import PATIENCE
from schemas.errors import StoreBroken, StoreError, StoreOld
from schemas.message import one_line
from schemas.store import connect
from zoo.files import fsync

Reasons = dict[str, str]  # why a run is left out, by its name


@dataclass(frozen=True)
class Before:
    """The store that is to be replaced: is it broken, and if not, which runs does it hold?"""

    broken: bool
    runs: frozenset[str] = frozenset()


def rebuild(layout: Layout, say: Callable[[str], None] = print) -> int:
    """Make the store again from the folder beside it. The old one stays until the new one is whole.

    Returns the number of runs. Runs land in the order in which they landed before, so the contents are the same. A
    store that is sound stays where it would lose a run. A broken one is kept beside the new one, which has all runs
    that can land; the StoreError at the end says which do not, and why.
    """
    with lock_store(layout, PATIENCE, say):
        forget_stamps()
        left: Reasons = {}
        runs = _in_order(layout, left)
        if not runs and not left:
            raise StoreError(
                f"{layout.data} holds no run, so there is nothing to make a store from"
            )
        before = _guard(layout, runs, left)
        written = _state(layout.store)
        new = Layout(layout.store.with_name(f".{layout.store.name}.{os.getpid()}.new"))
        try:
            there = _fill(layout, new, runs, left, say)
            broken = before.broken or _unreadable(layout, left.keys() & before.runs)
            if not broken:
                _refuse_loss(layout, before, left)
            if not there:
                raise StoreError(_no_run(layout, left, broken))
            _refuse_other_writer(layout, written, broken)
            kept = _exchange(
                layout.store, new.store, "broken" if broken else "before" if left else None
            )
        finally:
            _discard(new.store)
        _note(layout, there)
        if kept is not None:
            say(f"the store that was there is kept as {kept}")
    if left:
        whole = f"{len(there)} of {len(there) + len(left)} runs"
        raise StoreError(f"{layout.store} is made again from {whole}; left out:{_listed(left)}")
    return len(there)


def _fill(
    layout: Layout, new: Layout, runs: list[Run], left: Reasons, say: Callable[[str], None]
) -> list[Run]:
    """Land all that can land in a new store. Returns the runs that did; adds the others to left."""
    there = []
    with open_locked(new, spill=layout.spill) as connection:
        for number, run in enumerate(runs, start=1):
            say(f"{number}/{len(runs)} {run.run_id}")
            try:
                _put(connection, layout, run)
            except (ShardError, Damaged) as error:
                left[run.run_id] = error.fault if isinstance(error, ShardError) else str(error)
            else:
                there.append(run)
        connection.execute("CHECKPOINT")
    return there


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
                f"what {run.folder} tells of the failed run cannot be read ({reason})"
            ) from error


def _in_order(layout: Layout, left: Reasons) -> list[Run]:
    """Finished and failed runs, in the order in which they landed; those that never did come last.

    A run that has landed, and whose job.json or run.json is gone since, is among them: it is told of, not passed over.
    """
    found = []
    for run in list_runs(layout):
        if run.finished or run.loaded or (run.folder / "failed.json").exists():
            try:
                found.append((_when(run), run))
            except Damaged as error:
                left[run.run_id] = (
                    f"{error}; its place in the order of landings is not known. Restore that file"
                )
    return [run for _, run in sorted(found, key=lambda pair: (pair[0], pair[1].run_id))]


def _when(run: Run) -> tuple[int, int, str]:
    """By the number of its landing; before there were numbers, by the clock."""
    for name in ("landing.json", "landed.json"):
        if (run.folder / name).exists():
            number = read_number(run, name)
            return (0, 0, _time(run, name, "landed")) if number is None else (1, number, "")
    if not run.finished:
        return 0, 0, _time(run, "failed.json", "finished")
    return 2, 0, _time(run, "out/run.json", "finished")


def _time(run: Run, name: str, key: str) -> str:
    note = run.read(name)
    if key not in note:
        raise Damaged(f"{run.folder / name} does not say when the run {key}")
    return str(note[key])


def _guard(layout: Layout, runs: list[Run], left: Reasons) -> Before:
    """Refuse to replace a store that others use, or that newer code made. Returns what is known of it.

    Runs that it holds and whose folders are gone cannot land again; they are added to left.
    """
    if not layout.store.exists():
        return Before(broken=False)
    try:
        connect(layout.store, read_only=True).close()  # finds that it is cut off, too
    except StoreBroken:
        return Before(broken=True)
    except StoreOld:
        pass
    try:
        with connect(layout.store) as connection:
            stored = dict(connection.execute("SELECT run_id, status FROM runs").fetchall())
    except StoreBroken:
        return Before(broken=True)
    except duckdb.Error:  # damage beyond the parts that are read when it is opened
        return Before(broken=True)
    finished = {run_id for run_id, status in stored.items() if status == "ok"}
    gone = finished - {run.run_id for run in runs} - left.keys()
    left |= {
        run_id: f"the store holds it, and {Run.of(layout, run_id).folder} is not there any more"
        for run_id in gone
    }
    return Before(broken=False, runs=frozenset(stored))


def _unreadable(layout: Layout, lost: Set[str]) -> bool:
    """Is there damage in the store, where it matters, as it holds runs that would be lost? Reads all of it."""
    if not lost:
        return False
    try:
        with connect(layout.store, read_only=True) as connection:
            for (table,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
                connection.execute(f"SELECT bit_xor(hash(t)) FROM {table} AS t").fetchall()
    except (StoreBroken, duckdb.Error):
        return True
    return False


def _refuse_loss(layout: Layout, before: Before, left: Reasons) -> None:
    """Leave a sound store as it is where the new one would have fewer of its runs."""
    if lost := left.keys() & before.runs:
        raise StoreError(
            f"{layout.store} is sound and stays as it was: made again now, it would lose {len(lost)} of its "
            f"{len(before.runs)} runs:{_listed(left)}\nMend that and repeat, or move the store away to have one "
            "without them"
        )


def _no_run(layout: Layout, left: Reasons, broken: bool) -> str:
    """Say why no run can be loaded. `make ingest`, which may mend that, does not open a broken store."""
    first = (
        f"\nMove {layout.store} away, as it is broken, do what is said above, and repeat"
        if broken
        else ""
    )
    return f"{layout.store} is as it was, as no run can be loaded:{_listed(left)}{first}"


def _state(store: Path) -> list[tuple[int, int, int]]:
    """What tells that a store's file, or its WAL, has been written."""
    files = [file for file in (store, _wal(store)) if file.exists()]
    return [
        (status.st_ino, status.st_size, status.st_mtime_ns)
        for status in (file.stat() for file in files)
    ]


def _refuse_other_writer(layout: Layout, before: list[tuple[int, int, int]], broken: bool) -> None:
    """What another program has written into the store meanwhile would be lost."""
    if layout.store.exists() and not broken:
        connect(layout.store, read_only=True).close()  # raises where somebody writes right now
    if _state(layout.store) != before:
        raise StoreError(
            f"{layout.store} was written by another program while it was made again; it stays. Repeat"
        )


def _exchange(store: Path, new: Path, keep: str | None) -> Path | None:
    """Put the new store in the place of the old, which is kept beside it where `keep` names how.

    A WAL is part of its store: beside another, DuckDB would replay it into that one.
    """
    kept = None
    if store.exists() and (keep or _wal(store).exists()):
        kept = _free(store, keep or "before")
        try:
            os.link(store, kept)
        except OSError:  # a file system without hard links
            store.rename(kept)
    if _wal(store).exists():
        _wal(store).rename(_wal(kept or _free(store, "broken")))
    new.replace(store)
    fsync(store.parent)
    return kept


def _free(store: Path, word: str) -> Path:
    """store.broken, or store.broken.2, …: what was kept before stays."""
    first = store.with_name(f"{store.name}.{word}")
    number, path = 2, first
    while path.exists() or _wal(path).exists():
        number, path = number + 1, first.with_name(f"{first.name}.{number}")
    return path


def _note(layout: Layout, there: list[Run]) -> None:
    """Those that have landed now for the first time keep their place from here on."""
    for run in there:
        if run.finished and (not run.loaded or (run.folder / "landing.json").exists()):
            if not (run.folder / "landing.json").exists():
                run.write("landing.json", {"sequence": next_number(layout)})
            note_loaded(run)


def _listed(left: Reasons) -> str:
    """Each reason once, with the run that it is of, or how many they are."""
    of: dict[str, list[str]] = {}
    for run_id, reason in sorted(left.items()):
        of.setdefault(reason, []).append(run_id)
    names = {reason: ids[0] if len(ids) == 1 else f"{len(ids)} runs" for reason, ids in of.items()}
    return "".join(f"\n  {name}: {reason}" for reason, name in names.items())


def _wal(store: Path) -> Path:
    return store.with_name(f"{store.name}.wal")


def _discard(store: Path) -> None:
    for path in (store, _wal(store)):
        path.unlink(missing_ok=True)
