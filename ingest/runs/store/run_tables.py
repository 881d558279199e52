"""Put a run into the store's tables: finished, with all that it holds, or failed, as one row."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import duckdb

from ingest.integrity import Damaged
from ingest.layout import Layout
from ingest.runs.check import Counts, check_run, count_rows, refusal
from ingest.runs.errors import ShardError
from ingest.runs.folder import Run
from ingest.runs.store.access import bound_resources, transaction
from ingest.runs.store.dataset_tables import (
    put_dataset,
    read_dataset,
    refuse_namesakes,
    restore_systems,
)
from ingest.runs.store.inserts import insert_row, replace_row
from ingest.runs.store.vector_tables import (
    forget_earlier,
    live_keys,
    register,
    supersede_outdated,
)
from ingest.runs.vectors.conversion import convert, discard_shards
from ingest.runs.vectors.files import has_shards, put_in_place
from schemas.message import one_line
from schemas.paths import escape_glob
from schemas.vectors import list_vector_files
from zoo.encoder import ENERGY

SAME_ROW = """
SELECT 1 FROM outcomes AS o
WHERE o.system_id = t.system_id AND o.representation = t.representation
"""
OF_ANOTHER_CARD = """
run_id IN (SELECT run_id FROM runs WHERE card_hash != $card_hash AND model_id = $model_id)
"""
# A system that has left the dataset, or has changed in it since the run was planned, has no place
# in the store.
CURRENT = """
FROM outcomes SEMI JOIN (SELECT system_id, content_hash FROM systems)
USING (system_id, content_hash)
"""
# All of them have one, where the run was sent the whole dataset as it is.
ALL_CURRENT = "FROM outcomes"
FAILURES = """
INSERT INTO failures BY NAME
SELECT system_id, $dataset AS dataset, $model_id AS model_id, representation, content_hash,
    $run_id AS run_id, status, reason
{current} WHERE status != 'ok'
"""
# A prediction stays as long as a vector of that model and system does.
ORPHANS = """
DELETE FROM labels AS l WHERE source = $model_id AND NOT EXISTS (
    SELECT 1 FROM ({rows}) AS e WHERE e.system_id = l.system_id
)
"""
PREDICTIONS = f"""
INSERT OR REPLACE INTO labels BY NAME
SELECT DISTINCT system_id, $property AS property, {ENERGY} AS value, 'eV' AS unit,
    $model_id AS source
{{current}} WHERE status = 'ok' AND {ENERGY} IS NOT NULL
"""
FAILED_BEFORE = "SELECT 1 FROM failures WHERE model_id = $model_id LIMIT 1"
PREDICTING = """
SELECT DISTINCT source FROM labels WHERE source IN (SELECT model_id FROM models)
AND (source = $model_id OR ($all AND starts_with(system_id, $dataset || '/')))
"""
# What DuckDB raises for a row that does not fit its table.
OF_A_ROW = (duckdb.DataError, duckdb.IntegrityError, duckdb.ProgrammingError)
# What JSON of another shape than expected leads to.
DAMAGES = (LookupError, TypeError, ValueError, AttributeError, *OF_A_ROW)
JOB_COLUMNS = ("run_id", "model_id", "dataset", "representations", "device", "dtype")
HASH_COLUMNS = ("untrained_seed", "card_hash", "encoder_hash", "lock_hash")
# What DuckDB may take, as multiples of what most datasets need, until a run goes in.
MEMORY_TIMES = (1, 4, 16)
RESULT_COLUMNS = ("device", "device_name", "driver", "started", "finished")


def put_finished_run(connection: duckdb.DuckDBPyConnection, layout: Layout, run: Run) -> Counts:
    """Check a run and put all that it holds into the store, in one transaction.

    Args:
        connection: The open store.
        layout: The store and the files beside it.
        run: A finished run.

    Returns:
        How many vectors and failures the run has.

    Raises:
        ShardError: The run is not what it says it is; the store has not changed.
    """
    try:
        for times in MEMORY_TIMES[:-1]:
            with suppress(duckdb.OutOfMemoryException):
                return _put_checked(connection, layout, run, times)
        return _put_checked(connection, layout, run, MEMORY_TIMES[-1])
    except Damaged as error:
        raise refusal(run, str(error)) from error
    except DAMAGES as error:
        reason = f"its JSON files do not hold what they should ({type(error).__name__}: {error})"
        raise refusal(run, one_line(reason)) from error


def put_failed_run(connection: duckdb.DuckDBPyConnection, run: Run) -> None:
    """Put the row of a run that ended early into the store.

    Args:
        connection: The open store, within a transaction.
        run: A run with failed.json.
    """
    representations = len(run.read("job/job.json")["representations"])
    query = "SELECT count(*) FROM read_parquet(?, hive_partitioning = false)"
    ((systems,),) = connection.execute(query, [escape_glob(run.systems)]).fetchall()
    counts = vars(count_rows(connection, run)) | {"sent": systems * representations}
    outcome = {"status": "failed", **counts} | run.read("failed.json")
    replace_row(connection, "runs", _run_row(run) | outcome)


def runtime_of(run: Run) -> dict[str, Any]:
    """Return what started a run's worker, and in which image: runtime, image, maybe origin.

    Args:
        run: Any run.
    """
    if (run.folder / "runtime.json").exists():
        return run.read("runtime.json")
    # Imported vectors, and runs of before there were images: those all were in local environments.
    return {"runtime": run.read("model.json").get("runtime", "venv"), "image": None}


def _put_checked(
    connection: duckdb.DuckDBPyConnection, layout: Layout, run: Run, times: int
) -> Counts:
    job = run.read("job/job.json")
    dataset = read_dataset(layout, job["dataset"])
    dimensions = [
        representation["dimension"]
        for representation in job["model"]["representation"]
        if representation["name"] in job["representations"]
    ]
    bound_resources(connection, dataset, max(dimensions), times)
    restore_systems(dataset, run, job)
    _convert(run)
    counts = check_run(connection, run)
    put_in_place(run)
    with transaction(connection):
        refuse_namesakes(connection, dataset, run)
        changed = put_dataset(connection, dataset)
        if changed:
            supersede_outdated(connection, layout, dataset.dataset)
        _put_model(connection, run)
        _put_run(connection, run, counts)
        all_current = (dataset.files or {}).get(dataset.systems.name) == job.get("sent", 0)
        _put_results(connection, layout, run, all_current=all_current, changed=changed)
    return counts


def _convert(run: Run) -> None:
    """Bring the vectors of a run of an earlier version into the form of today."""
    try:
        if has_shards(run):
            convert(run)
    except ShardError as error:
        raise refusal(run, str(error)) from error
    discard_shards(run)  # those that a conversion left when it was killed


def _put_model(connection: duckdb.DuckDBPyConnection, run: Run) -> None:
    rows = run.read("model.json")
    model = rows["model"]
    replace_row(connection, "models", model | {"card": json.dumps(model["card"])})
    connection.execute("DELETE FROM scores WHERE model_id = ?", [model["model_id"]])
    for score in rows["scores"]:
        name = {"model_id": model["model_id"], "score": score.pop("name")}
        insert_row(connection, "scores", name | score)
    # What another version of the card made is not of this model: side by side, they would mislead.
    values = {"model_id": model["model_id"], "card_hash": model["card_hash"]}
    connection.execute(
        f"DELETE FROM failures WHERE model_id = $model_id AND {OF_ANOTHER_CARD}", values
    )


def _put_run(connection: duckdb.DuckDBPyConnection, run: Run, counts: Counts) -> None:
    result = run.read("out/run.json")
    made = {name: result[name] for name in RESULT_COLUMNS} | {
        "status": "ok",
        "weights": json.dumps(result["weights"]),
        "versions": json.dumps(result["versions"]),
        "seconds": result["seconds"]["total"],
        "peak_memory": result["peak_memory_bytes"],
    }
    replace_row(connection, "runs", _run_row(run) | made | vars(counts))


def _run_row(run: Run) -> dict[str, Any]:
    """Return what the host knew of a run before it began."""
    job = run.read("job/job.json")
    return {name: job[name] for name in JOB_COLUMNS + HASH_COLUMNS} | runtime_of(run)


def _put_results(
    connection: duckdb.DuckDBPyConnection,
    layout: Layout,
    run: Run,
    *,
    all_current: bool,
    changed: bool,
) -> None:
    """Put vectors, failures and energies of a run in the place of the same model's earlier ones.

    Energies go if their system has no vector left. Imported vectors are all that there are of their
    model on the dataset, so that those of an earlier file go.
    """
    job, card_hash = run.read("job/job.json"), run.read("model.json")["model"]["card_hash"]
    model, dataset = {"model_id": job["model_id"]}, {"dataset": job["dataset"]}
    replaces_all = bool(job.get("replaces_all"))
    forget_earlier(connection, layout, run, card_hash=card_hash, replaces_all=replaces_all)
    earlier, values = f"EXISTS ({SAME_ROW})", model
    if replaces_all:
        earlier, values = "starts_with(t.system_id, $dataset || '/')", model | dataset
    if connection.execute(FAILED_BEFORE, model).fetchone() is not None:
        connection.execute(
            f"DELETE FROM failures AS t WHERE model_id = $model_id AND {earlier}", values
        )
    predicting = connection.execute(PREDICTING, model | dataset | {"all": changed}).fetchall()
    for (source,) in predicting:
        files = list_vector_files(connection, layout.store, source, nodes=None)
        orphans = ORPHANS.format(rows=live_keys(layout, files))
        connection.execute(orphans, {"model_id": source})
    register(connection, layout, run, all_current=all_current)
    current = ALL_CURRENT if all_current else CURRENT
    failed = FAILURES.format(current=current)
    connection.execute(failed, model | {"run_id": run.run_id} | dataset)
    if job["model"].get(ENERGY) is not None:
        predictions = PREDICTIONS.format(current=current)
        connection.execute(predictions, model | {"property": ENERGY})
