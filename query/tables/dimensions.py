"""A measure of every model, by name: how many coordinates or directions the vectors in a store need."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import duckdb

from query import metrics
from query.metrics import Undefined
from query.reading.selection import Selection, Source, choose_sources
from query.reading.vectors import NO_VECTORS, read_keys, read_vectors
from query.tables.pairs import Row
from query.tables.questions import Names, datasets_of, select

# In this order, so that a terminal too narrow for all shows the value and its interval.
ROW = (
    "STRUCT(model_id VARCHAR, dataset VARCHAR, value DOUBLE, low DOUBLE, high DOUBLE, n BIGINT, n_distinct BIGINT, "
    "measure VARCHAR, method VARCHAR, normalization VARCHAR, k BIGINT, warning VARCHAR, reason VARCHAR)"
)
DEFAULT = "intrinsic_dimension"


def dimensions(
    connection: duckdb.DuckDBPyConnection,
    dataset: str | None,
    models: Names,
    measure: str | None,
    method: str | None,
    k: int | None,
    normalize: str | None,
    subsamples: int | None,
    seed: int | None,
    systems: Names,
) -> list[Row]:
    """One row of `ROW` a model and dataset. Raises ValueError on an option that makes no sense, even without models."""
    how: dict[str, Any] = {
        "measure": measure or DEFAULT,
        "method": method,
        "k": k,
        "normalize": normalize or "none",
        "subsamples": subsamples or 0,
        "seed": seed or 0,
    }
    metrics.measure(NO_VECTORS, **how)
    rows = []
    for name in datasets_of(connection, dataset, models):
        selection = select(name, systems)
        rows += [
            _row(connection, source, selection, how)
            for source in choose_sources(connection, models, name)
        ]
    return rows


def _row(
    connection: duckdb.DuckDBPyConnection, source: Source, selection: Selection, how: dict[str, Any]
) -> Row:
    n = read_keys(connection, [source], selection)[source].size
    reason = None if n else f"no vectors on {selection.dataset}"
    vectors = NO_VECTORS
    try:
        vectors = read_vectors(connection, source, selection)
    except Undefined as undefined:
        reason = str(undefined)
    found = metrics.measure(vectors, **how, name=source.label)
    row = {"model_id": source.label, "dataset": selection.dataset} | asdict(found)
    return row | {"n": n, "reason": reason or found.reason}
