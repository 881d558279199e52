"""Land runs in the store, each in one transaction."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from shutil import copyfile
from typing import Any, TextIO

import duckdb

from ingest.integrity import Damaged, check_file, forget_stamps, ignore_full_disk
from ingest.layout import Layout, escape_glob
from ingest.runs.check import Counts, check, count_rows, refused
from ingest.runs.errors import DatasetDamaged, ShardError
from ingest.runs.folder import Run
from ingest.runs.store.memory import memory_limit
from ingest.runs.waiting import patiently
from ingest.systems.materialized import MaterializedDataset, check_materialized, read_materialized
from schemas.message import one_line
from schemas.store import StoreError, StoreLocked, connect, in_use, process
from zoo.encoder import ENERGY, SYMBOLS
from zoo.worker import appear

# Hill's order: carbon, then hydrogen, then the alphabet; the alphabet alone where there is no carbon.
SYSTEM_ROWS = """
SELECT system_id, $dataset AS dataset, content_hash,
    list_aggregate(list_transform(
        list_sort(list_transform(map_entries(list_histogram(numbers)), lambda e: {
            'rank': CASE WHEN list_contains(numbers, 6) THEN coalesce(list_position([6, 1], e.key), 3) END,
            'symbol': $symbols[e.key],
            'count': e.value})),
        lambda e: e.symbol || CASE WHEN e.count = 1 THEN '' ELSE e.count::VARCHAR END), 'string_agg', '') AS formula,
    len(numbers) AS n_atoms, numbers, positions, cell, pbc, charge, spin, smiles, sequence, backbone
FROM read_parquet($systems, hive_partitioning = false)
"""
SAME_SYSTEM = "SELECT 1 FROM dataset_systems AS d WHERE d.system_id = t.system_id AND d.content_hash = t.content_hash"
SAME_ROW = """
SELECT 1 FROM shards AS s WHERE s.system_id = t.system_id AND s.representation = t.representation
"""
# A model's predictions have its id as their source; nothing else in `labels` has the id of a model of the store.
NAMESAKES = """
SELECT source FROM read_parquet($labels, hive_partitioning = false)
WHERE source = $model_id OR source IN (SELECT model_id FROM models)
UNION
SELECT source FROM labels WHERE source = $model_id AND $model_id NOT IN (SELECT model_id FROM models)
"""
# A prediction stays as long as a vector of that model and system does.
ORPHANS = """
DELETE FROM labels AS l WHERE source IN (SELECT model_id FROM models)
AND (source = $model_id OR starts_with(system_id, $dataset || '/'))
AND NOT EXISTS (SELECT 1 FROM embeddings AS e WHERE e.system_id = l.system_id AND e.model_id = l.source)
"""
PREDICTIONS = """
INSERT OR REPLACE INTO labels BY NAME
SELECT DISTINCT system_id, $property AS property, energy AS value, 'eV' AS unit, $model_id AS source
FROM shards SEMI JOIN dataset_systems USING (system_id, content_hash)
WHERE status = 'ok' AND energy IS NOT NULL
"""
# What DuckDB raises for a row that does not fit its table.
OF_A_ROW = (duckdb.DataError, duckdb.IntegrityError, duckdb.ProgrammingError)
DAMAGES = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    *OF_A_ROW,
)  # what JSON of another shape leads to
# DuckDB's run-length encoding takes -0.0 for 0.0, so that which of them is stored would depend on the order of rows.
POSITIVE_ZEROS = "list_transform(vector, lambda x: x + 0::FLOAT)"
OF_ANOTHER_CARD = (
    "run_id IN (SELECT run_id FROM runs WHERE card_hash != $card_hash AND model_id = $model_id)"
)


class Unsettled(StoreError):
    """A change is committed and in the store's log; the store's own file could not take it over yet."""


def land(
    layout: Layout, run: Run, *, patience: float = 0.0, say: Callable[[str], None] = print
) -> Counts:
    """Check a finished run and put it into the store: its dataset, model, vectors and failures, or nothing at all.

    Twice is once. `patience`: how many seconds to wait for a store that others use. Raises ShardError, StoreError.
    """
    with alone(layout, patience, say):
        for earlier in _cut_off(layout):
            if earlier != run:
                _finish_or_say(layout, earlier, patience, say)
        return _land_next(layout, run, patience, say)


def complete(layout: Layout, say: Callable[[str], None] = print) -> None:
    """Finish landings that a kill has cut off, unless a process is at work on the store."""
    if not _cut_off(layout):
        return
    try:
        with alone(layout, 0.0, say):
            for run in _cut_off(layout):
                _finish_or_say(layout, run, 0.0, say)
    except StoreLocked:
        return


def load_failure(layout: Layout, run: Run, reason: str, started: datetime) -> None:
    """Record that a run ended early, why, and how far it came; nothing else changes."""
    run.write(
        "failed.json",
        {
            "reason": reason,
            "started": started.isoformat(),
            "finished": datetime.now(UTC).isoformat(),
        },
    )
    with opened(layout) as connection, transaction(connection):
        put_failed_run(connection, run)


def _land_next(layout: Layout, run: Run, patience: float, say: Callable[[str], None]) -> Counts:
    """Land a run as the latest of all.

    landing.json says so before the transaction, and landed.json after it is in the store's own file: whatever ends this
    process in between, the next one finds landing.json and does it again, which changes nothing if it was done.
    """
    forget_stamps()
    run.remove_left_overs()
    with session(layout, patience, say) as connection:
        begun = sequence_of(run, "landing.json")
        run.write("landing.json", {"sequence": begun or next_sequence(layout)})
        try:
            counts = put_finished_run(connection, layout, run)
        except Exception:
            if begun is None:  # else it may be in the store already
                (run.folder / "landing.json").unlink(missing_ok=True)
            raise
        settle(connection, layout)
    note_landed(run)
    return counts


def _finish_or_say(layout: Layout, run: Run, patience: float, say: Callable[[str], None]) -> None:
    say(f"landing {run.run_id}, which was cut off")
    try:
        _land_next(layout, run, patience, say)
    except (ShardError, Damaged) as error:
        say(f"error: {error}")


def _cut_off(layout: Layout) -> list[Run]:
    """Runs whose landing began and did not end, in the order in which it began."""
    runs = [Run(note.parent) for note in (layout.data / "runs").glob("*/landing.json")]
    return sorted(runs, key=lambda run: (sequence_of(run, "landing.json") or 0, run.run_id))


def note_landed(run: Run) -> None:
    """Note in the run's folder that it is in the store, and at which place in the order of landings."""
    sequence = sequence_of(run, "landing.json")
    run.write("landed.json", {"landed": datetime.now(UTC).isoformat(), "sequence": sequence})
    (run.folder / "failed.json").unlink(missing_ok=True)
    (run.folder / "landing.json").unlink(missing_ok=True)


def next_sequence(layout: Layout) -> int:
    """The number of the next landing. Only who is alone on the store asks for it; no clock is looked at."""
    runs = [Run(folder) for folder in (layout.data / "runs").glob("*")]
    known = [sequence_of(run, name) for run in runs for name in ("landed.json", "landing.json")]
    return 1 + max((number for number in known if number is not None), default=0)


def sequence_of(run: Run, name: str) -> int | None:
    """The place in the order of landings that a note of a run holds; None where there is none, as before there were."""
    try:
        found = run.read(name).get("sequence")
    except Damaged:
        return None
    return found if isinstance(found, int) else None


@contextmanager
def alone(
    layout: Layout, patience: float = 0.0, say: Callable[[str], None] = print
) -> Iterator[None]:
    """Be the one that writes to the store, also while its file is put in the place of another.

    DuckDB's own lock goes with the file: who waits for it would write into the one that has been replaced.
    """
    layout.claim()
    with (layout.data / ".lock").open("a+") as lock:
        _wait(lambda: _lock(layout, lock), patience, say)
        lock.truncate(0)
        with ignore_full_disk():  # unbuffered: else closing the file would try again
            os.write(lock.fileno(), str(os.getpid()).encode())
        yield


def _lock(layout: Layout, lock: TextIO) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        raise in_use(layout.store, process(lock.read() or "?"), True) from None


@contextmanager
def opened(
    layout: Layout, patience: float = 0.0, say: Callable[[str], None] = print
) -> Iterator[duckdb.DuckDBPyConnection]:
    """The store, open for writing by this process alone, with DuckDB's memory bounded."""
    with alone(layout, patience, say), session(layout, patience, say) as connection:
        yield connection


@contextmanager
def session(
    layout: Layout,
    patience: float = 0.0,
    say: Callable[[str], None] = print,
    spill: Path | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """The store, open for writing, with DuckDB's memory bounded."""
    connection = patiently(lambda: connect(layout.store), layout.store, patience, say)
    try:
        _bound_memory(connection)
        connection.execute("SET threads = 2")  # each holds row groups of its own
        connection.execute("SET temp_directory = ?", [str(spill or layout.spill)])
        connection.execute(
            "SET preserve_insertion_order = false"
        )  # else whole row groups wait for their turn
        yield connection
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        reason = one_line(error)
        raise StoreError(
            f"{layout.store} could not be written and is as it was: {reason}"
        ) from error
    finally:
        connection.close()


def _wait(act: Callable[[], None], patience: float, say: Callable[[str], None]) -> None:
    """Call act() until nobody else uses the store."""
    end = time.monotonic() + patience
    told = False
    while True:
        try:
            return act()
        except StoreLocked as error:
            if time.monotonic() >= end:
                raise
            if not told:
                say(f"waiting up to {patience:.0f} s: {error}")
            told = True
            time.sleep(0.2)


def _bound_memory(connection: duckdb.DuckDBPyConnection, more: int = 0, dimension: int = 0) -> None:
    """Enough for the systems that the store holds and some more, with vectors of that dimension."""
    ((stored,),) = connection.execute("SELECT count(*) FROM systems").fetchall()
    connection.execute(f"SET memory_limit = '{memory_limit(stored + more, dimension)}'")


def settle(connection: duckdb.DuckDBPyConnection, layout: Layout) -> None:
    """Bring what is committed into the store's own file. Raises Unsettled; nothing is lost then."""
    try:
        connection.execute("CHECKPOINT")
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        raise Unsettled(
            f"the change of {layout.store} is committed and safe in {layout.store.name}.wal, but could not be taken "
            f"over into the file itself: {one_line(error)}. Leave both as they are, free space on their disk, and "
            "repeat the command: it goes on from there"
        ) from error


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def put_finished_run(connection: duckdb.DuckDBPyConnection, layout: Layout, run: Run) -> Counts:
    """Check a run and put all that is of it into the open store. Raises ShardError, and then nothing has changed."""
    try:
        return _put_finished_run(connection, layout, run)
    except Damaged as error:
        raise refused(run, str(error)) from error
    except DAMAGES as error:
        reason = f"its JSON files do not hold what they should ({type(error).__name__}: {error})"
        raise refused(run, one_line(reason)) from error


def _put_finished_run(connection: duckdb.DuckDBPyConnection, layout: Layout, run: Run) -> Counts:
    job = run.read("job/job.json")
    dataset = _dataset_of(layout, run, job["dataset"])
    dimensions = [
        r["dimension"]
        for r in job["model"]["representation"]
        if r["name"] in job["representations"]
    ]
    _bound_memory(connection, dataset.n_systems, max(dimensions))
    _restore_systems(dataset, run, job)
    counts = check(connection, run)
    with transaction(connection):
        _refuse_namesakes(connection, dataset, run)
        _put_dataset(connection, dataset)
        _put_model(connection, run)
        _put_run(connection, run, counts)
        _put_rows(connection, job)
    return counts


def _dataset_of(layout: Layout, run: Run, name: str) -> MaterializedDataset:
    """The dataset that a run embedded, whole. Raises ShardError."""
    try:
        dataset = read_materialized(layout.dataset(name))
        if dataset is not None:
            check_materialized(dataset)
            return dataset
    except Damaged as error:
        raise DatasetDamaged(f"{error}. No run needs to be computed again") from error
    raise DatasetDamaged(
        f"{layout.data} does not hold the dataset {name}: any `make ingest` over it makes it again"
    )


def _restore_systems(dataset: MaterializedDataset, run: Run, job: dict[str, Any]) -> None:
    """Give a run the dataset's systems again where it was sent all of them: both were one file, damaged as one."""
    sent = job.get("sent")
    if sent is None or (dataset.files or {}).get(dataset.systems.name) != sent:
        return
    try:
        check_file(run.systems, sent)
    except Damaged:
        appear(run.systems, partial(copyfile, dataset.systems))


def _refuse_namesakes(
    connection: duckdb.DuckDBPyConnection, dataset: MaterializedDataset, run: Run
) -> None:
    """A dataset's labels whose source is called like a model would pass for what that model predicts."""
    values = {
        "labels": escape_glob(dataset.labels),
        "model_id": run.read("job/job.json")["model_id"],
    }
    found = connection.execute(NAMESAKES, values).fetchall()
    if found:
        raise ShardError(
            f"run {run.run_id} was not loaded into the store: a dataset's labels have the source {found[0][0]!r}, "
            "which is also the name of a model, so they could not be told from its predictions. Give the dataset's "
            "file or the model another name"
        )


def _put_dataset(connection: duckdb.DuckDBPyConnection, dataset: MaterializedDataset) -> None:
    """Make systems, labels and unreadable entries of a dataset what its folder says; what fits already stays."""
    name = {"dataset": dataset.dataset}
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE dataset_systems (system_id VARCHAR, content_hash VARCHAR)"
    )
    copy = "INSERT INTO dataset_systems SELECT system_id, content_hash FROM read_parquet(?, hive_partitioning = false)"
    connection.execute(copy, [escape_glob(dataset.systems)])
    for table, mine in (
        ("systems", "t.dataset = $dataset"),
        ("embeddings", "starts_with(t.system_id, $dataset || '/')"),
        ("failures", "t.dataset = $dataset AND t.status != 'unreadable'"),
    ):
        connection.execute(
            f"DELETE FROM {table} AS t WHERE {mine} AND NOT EXISTS ({SAME_SYSTEM})", name
        )
    rows = f"{SYSTEM_ROWS} WHERE system_id NOT IN (SELECT system_id FROM systems WHERE dataset = $dataset)"
    connection.execute(
        f"INSERT INTO systems BY NAME {rows}",
        name | {"systems": escape_glob(dataset.systems), "symbols": list(SYMBOLS)},
    )
    own = "starts_with(system_id, $dataset || '/') AND source NOT IN (SELECT model_id FROM models)"
    connection.execute(f"DELETE FROM labels WHERE {own}", name)
    labels = "INSERT INTO labels BY NAME FROM read_parquet(?, hive_partitioning = false)"
    connection.execute(labels, [escape_glob(dataset.labels)])
    connection.execute(
        "DELETE FROM failures WHERE dataset = $dataset AND status = 'unreadable'", name
    )
    connection.execute(
        "INSERT INTO failures BY NAME SELECT system_id, $dataset AS dataset, 'unreadable' AS status, reason "
        "FROM read_parquet($unreadable, hive_partitioning = false)",
        name | {"unreadable": escape_glob(dataset.unreadable)},
    )
    _put_dataset_row(connection, dataset)


def _put_dataset_row(connection: duckdb.DuckDBPyConnection, dataset: MaterializedDataset) -> None:
    added = datetime.fromtimestamp((dataset.folder / "dataset.json").stat().st_mtime, UTC)
    row = {
        name: getattr(dataset, name)
        for name in ("dataset", "title", "source", "license", "n_systems")
    }
    more = {"n_unreadable": dataset.n_unreadable, "dataset_hash": dataset.dataset_hash}
    _put(
        connection,
        "datasets",
        row | more | {"versions": json.dumps(dataset.versions), "added": added},
    )


def _put_model(connection: duckdb.DuckDBPyConnection, run: Run) -> None:
    rows = run.read("model.json")
    model = rows["model"]
    _put(connection, "models", model | {"card": json.dumps(model["card"])})
    connection.execute("DELETE FROM scores WHERE model_id = ?", [model["model_id"]])
    for score in rows["scores"]:
        _insert(
            connection,
            "scores",
            {"model_id": model["model_id"], "score": score.pop("name")} | score,
        )
    # A vector made by another version of the card is not one of this model; side by side they would mislead.
    values = {"model_id": model["model_id"], "card_hash": model["card_hash"]}
    for table in ("embeddings", "failures"):
        connection.execute(
            f"DELETE FROM {table} WHERE model_id = $model_id AND {OF_ANOTHER_CARD}", values
        )


def _put_run(connection: duckdb.DuckDBPyConnection, run: Run, counts: Counts) -> None:
    said = run.read("out/run.json")
    made = {name: said[name] for name in ("device", "device_name", "driver", "started", "finished")}
    more = {
        "status": "ok",
        "weights": json.dumps(said["weights"]),
        "versions": json.dumps(said["versions"]),
        "seconds": said["seconds"]["total"],
        "peak_memory": said["peak_memory_bytes"],
    }
    _put(connection, "runs", _run_row(run) | made | more | vars(counts))


def put_failed_run(connection: duckdb.DuckDBPyConnection, run: Run) -> None:
    """Put the row of a run that ended early into the store."""
    representations = len(run.read("job/job.json")["representations"])
    sent = "SELECT count(*) FROM read_parquet(?, hive_partitioning = false)"
    ((systems,),) = connection.execute(sent, [escape_glob(run.systems)]).fetchall()
    counts = count_rows(connection, run)
    came = {"status": "failed", **vars(counts), "sent": systems * representations}
    _put(connection, "runs", _run_row(run) | came | run.read("failed.json"))


def _run_row(run: Run) -> dict[str, Any]:
    """What the host knew of a run before it began."""
    job = run.read("job/job.json")
    names = [
        "run_id",
        "model_id",
        "dataset",
        "representations",
        "device",
        "dtype",
        "untrained_seed",
    ]
    names += ["card_hash", "encoder_hash", "lock_hash"]
    return {name: job[name] for name in names} | runtime_of(run)


def runtime_of(run: Run) -> dict[str, Any]:
    """What started its worker, and in which image."""
    if (run.folder / "runtime.json").exists():
        return run.read("runtime.json")
    # Vectors that a user brought; and runs of before there were images, which all were in local environments.
    return {"runtime": run.read("model.json").get("runtime", "venv"), "image": None}


def _put_rows(connection: duckdb.DuckDBPyConnection, job: dict[str, Any]) -> None:
    """Vectors and failures of the view `shards` take the place of those of the same model, system, representation.

    Energies come along, and go where a system has no vector left. Vectors a user brought are all there are of their
    model on the dataset: those of an earlier file go.
    """
    values = {"model_id": job["model_id"]}
    earlier = f"EXISTS ({SAME_ROW})"
    if job.get("replaces_all"):
        values["dataset"] = job["dataset"]
        earlier = "starts_with(t.system_id, $dataset || '/')"
    for table in ("embeddings", "failures"):
        connection.execute(
            f"DELETE FROM {table} AS t WHERE model_id = $model_id AND {earlier}", values
        )
    connection.execute(ORPHANS, {"model_id": job["model_id"], "dataset": job["dataset"]})
    # A system that has left the dataset, or changed in it, since the run was planned has no place in the store.
    current = "FROM shards SEMI JOIN dataset_systems USING (system_id, content_hash)"
    values = {"model_id": job["model_id"], "run_id": job["run_id"]}
    connection.execute(
        "INSERT INTO embeddings BY NAME SELECT system_id, $model_id AS model_id, representation, content_hash, "
        f"$run_id AS run_id, {POSITIVE_ZEROS} AS vector {current} WHERE status = 'ok'",
        values,
    )
    connection.execute(
        "INSERT INTO failures BY NAME SELECT system_id, $dataset AS dataset, $model_id AS model_id, representation, "
        f"content_hash, $run_id AS run_id, status, reason {current} WHERE status != 'ok'",
        values | {"dataset": job["dataset"]},
    )
    connection.execute(PREDICTIONS, {"model_id": job["model_id"], "property": ENERGY})


def _put(connection: duckdb.DuckDBPyConnection, table: str, row: dict[str, Any]) -> None:
    """Insert one row, in the place of the one with the same key, its first column."""
    key, value = next(iter(row.items()))
    connection.execute(f"DELETE FROM {table} WHERE {key} = ?", [value])
    _insert(connection, table, row)


def _insert(connection: duckdb.DuckDBPyConnection, table: str, row: dict[str, Any]) -> None:
    names, holes = ", ".join(row), ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({holes})", list(row.values()))
