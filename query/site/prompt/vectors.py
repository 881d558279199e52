"""The vectors that a site has: of some systems, of the models that may be shared, as float16."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any, Protocol

import duckdb
import numpy as np
import pyarrow as pa

from query.reading.selection import find_source
from query.site.results import Results

SYSTEMS = 300  # of a dataset at most: the macros hold all n² inner products of them
MEGABYTES = 8.0  # of all vectors, so that 60 models fit 60 MB; with more of them systems are fewer
_BYTES = 2  # per element
_LARGEST = (
    14  # the power of two below which the largest element of a model is: float16 ends at 2^16
)
_MODEL = "SELECT family, license_weights, card FROM models WHERE model_id = ?"
_VECTORS = """
SELECT system_id, vector FROM embeddings SEMI JOIN (
    SELECT system_id, content_hash FROM systems WHERE list_contains($systems, system_id)
) USING (system_id, content_hash)
WHERE model_id = $model AND representation = $representation ORDER BY system_id
"""
SCHEMA = pa.schema(
    [("dataset", pa.string()), ("system_id", pa.string()), ("model_id", pa.string())]
    + [("vector", pa.list_(pa.float16()))]
)
SETS = pa.schema(
    [("dataset", pa.string()), ("model_id", pa.string()), ("systems", pa.int64())]
    + [("dimension", pa.int64()), ("factor", pa.float64()), ("left_out", pa.string())]
)


class WhyNotShared(Protocol):
    """Says why vectors may not be shared; see `ingest.share.permission.why_not_shared`."""

    def __call__(
        self, model_id: str, row: dict[str, Any], dataset: str, license: str
    ) -> str | None:
        """Return the reason, None if they may."""
        ...


def read_vectors(
    connection: duckdb.DuckDBPyConnection, results: Results, why_not_shared: WhyNotShared
) -> dict[str, pa.Table]:
    """Read the vectors of a site.

    Args:
        connection: A connection to a store.
        results: What the site shows.
        why_not_shared: Says which vectors may not be shared.

    Returns:
        By name, tables: `vector_sets` has a row per dataset and model, with `factor`, a power of
        two by which its vectors are multiplied so that float16 holds them, or why it has none
        (`left_out`); `vectors/<dataset>` has the vectors.
    """
    sets = [
        {"dataset": dataset["dataset"], "model_id": model, "left_out": reason}
        for dataset in results.datasets
        for model in _models_on(results, dataset["dataset"])
        for reason in [_reason(connection, model, dataset, why_not_shared)]
    ]
    shared = [row for row in sets if row["left_out"] is None]
    most = _systems_that_fit([results.models[row["model_id"]]["dimension"] for row in shared])
    found: dict[str, pa.Table] = {}
    for dataset in (row["dataset"] for row in results.datasets):
        systems = _draw(connection, dataset, most)
        here = [row for row in shared if row["dataset"] == dataset]
        parts = [_read(connection, row, systems) for row in here]
        if parts:
            found[f"vectors/{dataset}"] = pa.concat_tables(parts)
    return {"vector_sets": pa.Table.from_pylist(sets, SETS), **found}


def _models_on(results: Results, dataset: str) -> list[str]:
    return [row["model_id"] for row in results.rows("exposure", dataset=dataset)]


def _reason(
    connection: duckdb.DuckDBPyConnection,
    model: str,
    dataset: dict[str, Any],
    why_not_shared: WhyNotShared,
) -> str | None:
    found = connection.execute(_MODEL, [model]).fetchone()
    assert found is not None
    family, license, card = found
    row = {"family": family, "license_weights": license, "card": json.loads(card)}
    return why_not_shared(model, row, dataset["dataset"], dataset["license"])


def _systems_that_fit(dimensions: Sequence[int]) -> int:
    """Return how many systems of each dataset there is room for."""
    return min(SYSTEMS, int(MEGABYTES * 1e6 / (_BYTES * max(1, sum(dimensions)))))


def _draw(connection: duckdb.DuckDBPyConnection, dataset: str, most: int) -> list[str]:
    """Return systems of a dataset by the order of the hashes of their names: always the same."""
    found = connection.execute("SELECT system_id FROM systems WHERE dataset = ?", [dataset])
    names = [str(name) for (name,) in found.fetchall()]
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:most]


def _read(
    connection: duckdb.DuckDBPyConnection, row: dict[str, Any], systems: list[str]
) -> pa.Table:
    """Return the vectors of one model on one dataset, and note in the row what they are."""
    source = find_source(connection, row["model_id"])
    values = {"model": source.model_id, "representation": source.representation}
    table = connection.execute(_VECTORS, values | {"systems": systems}).to_arrow_table()
    lists = table.column("vector").combine_chunks()
    elements = lists.flatten().to_numpy().astype(np.float64)
    largest = float(np.abs(elements).max(initial=0.0))
    factor = 2.0 ** (_LARGEST - math.ceil(math.log2(largest))) if largest > 0 else 1.0
    row |= {"systems": len(table), "factor": factor}
    row["dimension"] = len(elements) // max(1, len(table))
    halved = pa.ListArray.from_arrays(
        lists.offsets, pa.array((elements * factor).astype(np.float16)), type=SCHEMA[-1].type
    )
    names = [pa.array([row[name]] * len(table)) for name in ("dataset", "model_id")]
    columns = [names[0], table.column("system_id"), names[1], halved]
    return pa.table(columns, schema=SCHEMA)
