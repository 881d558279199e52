"""Two models compared node by node, against an alignment of the same vectors in memory.

All is measured in the processor's time, so that others may use the machine meanwhile.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import query
from query.metrics import align
from schemas.views import write_views
from tests.bench.report import Row
from tests.bench.stores import DATASET, create, vectors
from tests.vectors import Table, put_nodes

SYSTEMS, NODES, DIMENSIONS = 10_000, 20, 128  # nodes per system
ROWS = 4000
METRICS = ("mutual_knn", "cknna")  # this one looks for the neighbors of their neighbors, too


def run() -> Iterator[Row]:
    """Yield `node_alignment` from ROWS nodes against `align` from as many, per metric."""
    tables = [make_nodes(seed) for seed in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder) / "bench.duckdb", tables)
        for metric in METRICS:
            ours, rival = of_store(store, metric), of_arrays(tables, metric)
            measure = f"node_alignment by {metric}, rows := {ROWS} / align of arrays"
            note = (
                f"{SYSTEMS * NODES:,} nodes of {SYSTEMS:,} systems, {DIMENSIONS} dimensions, with "
                "null; processor time; a minute is what it may take"
            )
            yield Row(measure, ours, rival, "s", 1.5, note)


def make_nodes(seed: int) -> Table:
    """Return the vectors of all nodes of a model; those of one system are much alike."""
    centers = np.repeat(vectors(seed, SYSTEMS, DIMENSIONS), NODES, axis=0)
    own = np.random.default_rng(100 + seed)
    return centers + 2 * own.standard_normal(centers.shape, dtype=np.float32)


def make_store(path: Path, tables: list[Table]) -> Path:
    """Make a store of two models with vectors of nodes."""
    sizes = {f"{DATASET}/{i:07}": NODES for i in range(SYSTEMS)}
    with create(path, SYSTEMS) as connection:
        for model_id, table in zip("ab", tables, strict=True):
            put_nodes(connection, model_id, sizes, table, view=False)
            connection.execute(
                "INSERT INTO models VALUES (?, 'bench', 'bench', 'any', 'last', NULL, NULL, NULL, "
                "NULL, 'none', 'none', '{}', '')",
                [model_id],
            )
        write_views(connection, path)
    return path


def of_store(store: Path, metric: str) -> float:
    """Return the seconds that the table function takes."""
    how = f"dataset := '{DATASET}', metric := '{metric}', rows := {ROWS}"
    with query.connect(store) as connection:
        start = time.process_time()
        connection.execute(f"SELECT value FROM node_alignment('a', 'b', {how})").fetchall()
        return time.process_time() - start


def of_arrays(tables: list[Table], metric: str) -> float:
    """Return the seconds that the same estimate takes of arrays, with nodes drawn freely."""
    start = time.process_time()
    align(*tables, metric, rows=ROWS, permutations=100)
    return time.process_time() - start
