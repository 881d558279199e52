"""Put a dataset into the store: its systems, labels, unreadable entries and its own row."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from shutil import copyfile
from typing import Any

import duckdb

from ingest.integrity import Damaged, check_file
from ingest.layout import Layout
from ingest.runs.errors import DatasetDamaged, ShardError
from ingest.runs.folder import Run
from ingest.runs.store.inserts import replace_row
from ingest.systems.materialized import MaterializedDataset, check_materialized, read_materialized
from schemas.paths import escape_glob
from zoo.encoder import SYMBOLS
from zoo.files import write_atomically

# Hill's order of elements in a formula: carbon, then hydrogen, then the alphabet; the alphabet
# alone if there is no carbon.
SYSTEM_ROWS = """
SELECT system_id, $dataset AS dataset, content_hash,
    list_aggregate(list_transform(
        list_sort(list_transform(map_entries(list_histogram(numbers)), lambda e: {
            'rank': CASE WHEN list_contains(numbers, 6)
                THEN coalesce(list_position([6, 1], e.key), 3) END,
            'symbol': $symbols[e.key],
            'count': e.value})),
        lambda e: e.symbol || CASE WHEN e.count = 1 THEN '' ELSE e.count::VARCHAR END),
        'string_agg', '') AS formula,
    len(numbers) AS n_atoms, numbers, positions, cell, pbc, charge, spin, smiles, sequence, backbone
FROM read_parquet($systems, hive_partitioning = false)
WHERE system_id NOT IN (SELECT system_id FROM systems WHERE dataset = $dataset)
"""
UNREADABLE_ROWS = """
SELECT system_id, $dataset AS dataset, 'unreadable' AS status, reason
FROM read_parquet($unreadable, hive_partitioning = false)
"""
# Rows of systems that have left the dataset, or have another content in it now.
OUTDATED = """
DELETE FROM {table} AS t WHERE {of_dataset} AND NOT EXISTS (
    SELECT 1 FROM dataset_systems AS d
    WHERE d.system_id = t.system_id AND d.content_hash = t.content_hash
)
"""
OF_DATASET = {
    "systems": "t.dataset = $dataset",
    "failures": "t.dataset = $dataset AND t.status != 'unreadable'",
}
# A model's predictions have the model's id as their source. Nothing else in `labels` may have the
# id of a model of the store.
NAMESAKES = """
SELECT source FROM read_parquet($labels, hive_partitioning = false)
WHERE source = $model_id OR source IN (SELECT model_id FROM models)
UNION
SELECT source FROM labels
WHERE source = $model_id AND $model_id NOT IN (SELECT model_id FROM models)
"""


def read_dataset(layout: Layout, name: str) -> MaterializedDataset:
    """Return the dataset that a run embedded, after a check that its files are whole.

    Args:
        layout: The store and the files beside it.
        name: The dataset's name.

    Raises:
        DatasetDamaged: The dataset is missing or damaged.
    """
    try:
        dataset = read_materialized(layout.dataset(name))
        if dataset is not None:
            check_materialized(dataset)
            return dataset
    except Damaged as error:
        raise DatasetDamaged(f"{error}. No run needs to be computed again") from error
    raise DatasetDamaged(
        f"{layout.data} does not hold the dataset {name}: "
        "any `matterzoo ingest` over it makes it again"
    )


def restore_systems(dataset: MaterializedDataset, run: Run, job: dict[str, Any]) -> None:
    """Give a run the dataset's systems again, if it was sent all of them and its own are damaged.

    Both are links to one file, so that they are damaged together, and the dataset is made again.

    Args:
        dataset: The dataset, whole.
        run: A run over that dataset.
        job: The run's job.
    """
    sent = job.get("sent")
    if sent is None or (dataset.files or {}).get(dataset.systems.name) != sent:
        return
    try:
        check_file(run.systems, sent)
    except Damaged:
        write_atomically(run.systems, partial(copyfile, dataset.systems))


def refuse_namesakes(
    connection: duckdb.DuckDBPyConnection, dataset: MaterializedDataset, run: Run
) -> None:
    """Refuse labels whose source has a model's name: they would pass for that model's predictions.

    Args:
        connection: The open store.
        dataset: The dataset of the run.
        run: The run that is going to be loaded.

    Raises:
        ShardError: There are such labels in the dataset or in the store.
    """
    model_id = run.read("job/job.json")["model_id"]
    values = {"labels": escape_glob(dataset.labels), "model_id": model_id}
    found = connection.execute(NAMESAKES, values).fetchall()
    if found:
        raise ShardError(
            f"run {run.run_id} was not loaded into the store: a dataset's labels have the source "
            f"{found[0][0]!r}, which is also the name of a model, so they could not be told from "
            "its predictions. Give the dataset's file or the model another name"
        )


def put_dataset(connection: duckdb.DuckDBPyConnection, dataset: MaterializedDataset) -> bool:
    """Make systems, labels and unreadable entries of a dataset what its folder says.

    Rows that fit already stay.

    Args:
        connection: The open store, within a transaction.
        dataset: The dataset, whole.

    Returns:
        Whether anything had to be changed: False if the store has had this very dataset.
    """
    row = _dataset_row(dataset)
    if _has_row(connection, row):
        return False
    _put_systems(connection, dataset)
    _put_labels(connection, dataset)
    _put_unreadable(connection, dataset)
    replace_row(connection, "datasets", row)
    return True


def _has_row(connection: duckdb.DuckDBPyConnection, row: dict[str, Any]) -> bool:
    """Return whether the store has a row, which also says when the dataset was written."""
    same = " AND ".join(f"{name} IS NOT DISTINCT FROM ${name}" for name in row)
    query = f"SELECT 1 FROM datasets WHERE {same}"
    return connection.execute(query, row).fetchone() is not None


def _put_systems(connection: duckdb.DuckDBPyConnection, dataset: MaterializedDataset) -> None:
    name, systems = {"dataset": dataset.dataset}, escape_glob(dataset.systems)
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE dataset_systems (system_id VARCHAR, content_hash VARCHAR)"
    )
    connection.execute(
        "INSERT INTO dataset_systems SELECT system_id, content_hash "
        "FROM read_parquet(?, hive_partitioning = false)",
        [systems],
    )
    for table, of_dataset in OF_DATASET.items():
        connection.execute(OUTDATED.format(table=table, of_dataset=of_dataset), name)
    connection.execute(
        f"INSERT INTO systems BY NAME {SYSTEM_ROWS}",
        name | {"systems": systems, "symbols": list(SYMBOLS)},
    )


def _put_labels(connection: duckdb.DuckDBPyConnection, dataset: MaterializedDataset) -> None:
    connection.execute(
        "DELETE FROM labels WHERE starts_with(system_id, $dataset || '/') "
        "AND source NOT IN (SELECT model_id FROM models)",
        {"dataset": dataset.dataset},
    )
    connection.execute(
        "INSERT INTO labels BY NAME FROM read_parquet(?, hive_partitioning = false)",
        [escape_glob(dataset.labels)],
    )


def _put_unreadable(connection: duckdb.DuckDBPyConnection, dataset: MaterializedDataset) -> None:
    name = {"dataset": dataset.dataset}
    connection.execute(
        "DELETE FROM failures WHERE dataset = $dataset AND status = 'unreadable'", name
    )
    connection.execute(
        f"INSERT INTO failures BY NAME {UNREADABLE_ROWS}",
        name | {"unreadable": escape_glob(dataset.unreadable)},
    )


def _dataset_row(dataset: MaterializedDataset) -> dict[str, Any]:
    written = (dataset.folder / "dataset.json").stat().st_mtime
    return {
        "dataset": dataset.dataset,
        "title": dataset.title,
        "source": dataset.source,
        "license": dataset.license,
        "n_systems": dataset.n_systems,
        "n_unreadable": dataset.n_unreadable,
        "dataset_hash": dataset.dataset_hash,
        "versions": json.dumps(dataset.versions),
        "added": datetime.fromtimestamp(written, UTC),
    }
