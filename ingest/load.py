"""Land runs in the store, each in one transaction; and make the store again from the runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from ingest.layout import Layout, Run, memory_limit
from ingest.patience import patiently
from ingest.shards import Counts, ShardError, check, count_rows
from ingest.systems import Materialised, read_materialised
from schemas.store import StoreBroken, StoreError, connect
from zoo.encoder import ENERGY, SYMBOLS

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
FROM read_parquet($systems)
"""
SAME_SYSTEM = "SELECT 1 FROM dataset_systems AS d WHERE d.system_id = t.system_id AND d.content_hash = t.content_hash"
SAME_ROW = """
SELECT 1 FROM shards AS s WHERE s.system_id = t.system_id AND s.representation = t.representation
"""
# A model's predictions have its id as their source; nothing else in `labels` has the id of a model of the store.
NAMESAKES = """
SELECT source FROM read_parquet($labels) WHERE source = $model_id OR source IN (SELECT model_id FROM models)
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
OF_ANOTHER_CARD = "run_id IN (SELECT run_id FROM runs WHERE card_hash != $card_hash AND model_id = $model_id)"


def land(layout: Layout, run: Run, *, patience: float = 0.0, say: Callable[[str], None] = print) -> Counts:
    """Check a finished run and put it into the store: its dataset, model, vectors and failures, or nothing at all.

    Twice is once. `patience`: how many seconds to wait for a store that others use. Raises ShardError, StoreError.
    """
    with opened(layout, patience, say) as connection:
        counts = _land(connection, layout, run)
    run.write("landed.json", {"landed": datetime.now(UTC).isoformat()})
    (run.folder / "failed.json").unlink(missing_ok=True)
    return counts


def land_failure(layout: Layout, run: Run, reason: str, started: datetime) -> None:
    """Record that a run ended early, why, and how far it came; nothing else changes."""
    run.write(
        "failed.json", {"reason": reason, "started": started.isoformat(), "finished": datetime.now(UTC).isoformat()}
    )
    with opened(layout) as connection, transaction(connection):
        _put_failed_run(connection, run)


def rebuild(layout: Layout, say: Callable[[str], None] = print) -> int:
    """Make the store again from the folder beside it. The old one stays until the new one is whole.

    Returns the number of runs. Runs land in the order in which they landed before, so the contents are the same.
    """
    runs = _in_order(layout)
    if not runs:
        raise StoreError(f"{layout.data} holds no run, so there is nothing to make a store from")
    new = Layout(layout.store.with_name(f".{layout.store.name}.new"))
    _discard(new.store)
    broken = _guard(layout)
    try:
        with opened(new, spill=layout.spill) as connection:
            for number, run in enumerate(runs, start=1):
                say(f"{number}/{len(runs)} {run.run_id}")
                if run.finished:
                    _land(connection, layout, run)
                else:
                    with transaction(connection):
                        _put_failed_run(connection, run)
        if broken:
            layout.store.replace(layout.store.with_name(f"{layout.store.name}.broken"))
        new.store.replace(layout.store)
    finally:
        _discard(new.store)
    return len(runs)


@contextmanager
def opened(
    layout: Layout, patience: float = 0.0, say: Callable[[str], None] = print, spill: Path | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """The store, open for writing, with DuckDB's memory bounded."""
    connection = patiently(lambda: connect(layout.store), layout.store, patience, say)
    try:
        _bound_memory(connection)
        connection.execute("SET threads = 2")  # each holds row groups of its own
        connection.execute("SET temp_directory = ?", [str(spill or layout.spill)])
        connection.execute("SET preserve_insertion_order = false")  # else whole row groups wait for their turn
        yield connection
    except duckdb.InterruptException:
        raise
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise StoreError(f"{layout.store} could not be written and is as it was: {reason}") from error
    finally:
        connection.close()


def _bound_memory(connection: duckdb.DuckDBPyConnection, more: int = 0, dimension: int = 0) -> None:
    """Enough for the systems that the store holds and some more, with vectors of that dimension."""
    ((stored,),) = connection.execute("SELECT count(*) FROM systems").fetchall()
    connection.execute(f"SET memory_limit = '{memory_limit(stored + more, dimension)}'")


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _land(connection: duckdb.DuckDBPyConnection, layout: Layout, run: Run) -> Counts:
    job = run.read("job/job.json")
    dataset = read_materialised(layout.dataset(job["dataset"]))
    if dataset is None:
        raise ShardError(f"run {run.run_id} needs the dataset {job['dataset']}, and {layout.data} does not hold it")
    dimensions = [r["dimension"] for r in job["model"]["representation"] if r["name"] in job["representations"]]
    _bound_memory(connection, dataset.n_systems, max(dimensions))
    counts = check(connection, run)
    with transaction(connection):
        _refuse_namesakes(connection, dataset, run)
        _put_dataset(connection, dataset)
        _put_model(connection, run)
        _put_run(connection, run, counts)
        _put_rows(connection, job)
    return counts


def _refuse_namesakes(connection: duckdb.DuckDBPyConnection, dataset: Materialised, run: Run) -> None:
    """A dataset's labels whose source is called like a model would pass for what that model predicts."""
    values = {"labels": str(dataset.labels), "model_id": run.read("job/job.json")["model_id"]}
    found = connection.execute(NAMESAKES, values).fetchall()
    if found:
        raise ShardError(
            f"run {run.run_id} does not land: a dataset's labels have the source {found[0][0]!r}, which is also the "
            "name of a model, so they could not be told from its predictions. Give the dataset's file or the model "
            "another name"
        )


def _put_dataset(connection: duckdb.DuckDBPyConnection, dataset: Materialised) -> None:
    """Make systems, labels and unreadable entries of a dataset what its folder says; what fits already stays."""
    name = {"dataset": dataset.dataset}
    connection.execute("CREATE OR REPLACE TEMP TABLE dataset_systems (system_id VARCHAR, content_hash VARCHAR)")
    copy = "INSERT INTO dataset_systems SELECT system_id, content_hash FROM read_parquet(?)"
    connection.execute(copy, [str(dataset.systems)])
    for table, mine in (
        ("systems", "t.dataset = $dataset"),
        ("embeddings", "starts_with(t.system_id, $dataset || '/')"),
        ("failures", "t.dataset = $dataset AND t.status != 'unreadable'"),
    ):
        connection.execute(f"DELETE FROM {table} AS t WHERE {mine} AND NOT EXISTS ({SAME_SYSTEM})", name)
    rows = f"{SYSTEM_ROWS} WHERE system_id NOT IN (SELECT system_id FROM systems WHERE dataset = $dataset)"
    connection.execute(
        f"INSERT INTO systems BY NAME {rows}", name | {"systems": str(dataset.systems), "symbols": list(SYMBOLS)}
    )
    own = "starts_with(system_id, $dataset || '/') AND source NOT IN (SELECT model_id FROM models)"
    connection.execute(f"DELETE FROM labels WHERE {own}", name)
    connection.execute("INSERT INTO labels BY NAME FROM read_parquet(?)", [str(dataset.labels)])
    connection.execute("DELETE FROM failures WHERE dataset = $dataset AND status = 'unreadable'", name)
    connection.execute(
        "INSERT INTO failures BY NAME SELECT system_id, $dataset AS dataset, 'unreadable' AS status, reason "
        "FROM read_parquet($unreadable)",
        name | {"unreadable": str(dataset.unreadable)},
    )
    _put_dataset_row(connection, dataset)


def _put_dataset_row(connection: duckdb.DuckDBPyConnection, dataset: Materialised) -> None:
    added = datetime.fromtimestamp((dataset.folder / "dataset.json").stat().st_mtime, UTC)
    row = {name: getattr(dataset, name) for name in ("dataset", "title", "source", "licence", "n_systems")}
    more = {"n_unreadable": dataset.n_unreadable, "dataset_hash": dataset.dataset_hash}
    _put(connection, "datasets", row | more | {"versions": json.dumps(dataset.versions), "added": added})


def _put_model(connection: duckdb.DuckDBPyConnection, run: Run) -> None:
    rows = run.read("model.json")
    model = rows["model"]
    _put(connection, "models", model | {"card": json.dumps(model["card"])})
    connection.execute("DELETE FROM scores WHERE model_id = ?", [model["model_id"]])
    for score in rows["scores"]:
        _insert(connection, "scores", {"model_id": model["model_id"], "score": score.pop("name")} | score)
    # A vector made by another version of the card is not one of this model; side by side they would mislead.
    values = {"model_id": model["model_id"], "card_hash": model["card_hash"]}
    for table in ("embeddings", "failures"):
        connection.execute(f"DELETE FROM {table} WHERE model_id = $model_id AND {OF_ANOTHER_CARD}", values)


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


def _put_failed_run(connection: duckdb.DuckDBPyConnection, run: Run) -> None:
    representations = len(run.read("job/job.json")["representations"])
    ((systems,),) = connection.execute("SELECT count(*) FROM read_parquet(?)", [str(run.systems)]).fetchall()
    counts = count_rows(connection, run)
    came = {"status": "failed", **vars(counts), "sent": systems * representations}
    _put(connection, "runs", _run_row(run) | came | run.read("failed.json"))


def _run_row(run: Run) -> dict[str, Any]:
    """What the host knew of a run before it began."""
    job = run.read("job/job.json")
    names = ["run_id", "model_id", "dataset", "representations", "device", "dtype", "untrained_seed"]
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
        connection.execute(f"DELETE FROM {table} AS t WHERE model_id = $model_id AND {earlier}", values)
    connection.execute(ORPHANS, {"model_id": job["model_id"], "dataset": job["dataset"]})
    # A system that has left the dataset, or changed in it, since the run was planned has no place in the store.
    current = "FROM shards SEMI JOIN dataset_systems USING (system_id, content_hash)"
    values = {"model_id": job["model_id"], "run_id": job["run_id"]}
    connection.execute(
        "INSERT INTO embeddings BY NAME SELECT system_id, $model_id AS model_id, representation, content_hash, "
        f"$run_id AS run_id, vector {current} WHERE status = 'ok'",
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


def _in_order(layout: Layout) -> list[Run]:
    """Finished and failed runs, in the order in which they landed; those that never did come last."""

    def landed(run: Run) -> tuple[bool, str]:
        for name, key, late in (("landed.json", "landed", False), ("failed.json", "finished", False)):
            if (run.folder / name).exists():
                return late, str(run.read(name)[key])
        return True, str(run.read("out/run.json")["finished"])

    ended = [run for run in layout.runs() if run.finished or (run.folder / "failed.json").exists()]
    return sorted(ended, key=landed)


def _guard(layout: Layout) -> bool:
    """Refuse to replace a store that others use, or that newer code made. Returns whether it is a broken one."""
    if not layout.store.exists():
        return False
    try:
        connect(layout.store).close()
    except StoreBroken:
        return True
    return False


def _discard(store: Path) -> None:
    for path in (store, store.with_name(store.name + ".wal")):
        path.unlink(missing_ok=True)
