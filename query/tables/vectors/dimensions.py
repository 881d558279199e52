"""dimensions(dataset, …): in how many directions each model's vectors vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import duckdb

from query import metrics
from query.metrics import Undefined
from query.reading.layers import find_depths
from query.reading.selection import Source, choose_sources
from query.reading.vectors import NO_VECTORS, StoredVectors
from query.tables.shared.declare import Parameter, TableFunction
from query.tables.shared.parameters import DATASET, DRAWN, MODELS, SEED, SYSTEMS
from query.tables.shared.rows import Notes
from query.tables.shared.selecting import Names, datasets_of, select


@dataclass(frozen=True)
class _Measured:
    """A measure of a model."""

    model_id: Annotated[str, "the model; model#representation if not its default one"]
    dataset: Annotated[str, "the dataset whose systems it saw"]
    value: Annotated[float | None, "the measure; NULL where it is undefined"]
    low: Annotated[float | None, "lower end of the 95 % interval, from subsamples"]
    high: Annotated[float | None, "upper end of the 95 % interval"]
    n: Annotated[int, "systems"]
    n_distinct: Annotated[int | None, "distinct vectors"]
    measure: Annotated[str, "the measure"]
    method: Annotated[str | None, "its method"]
    normalization: Annotated[str, "how vectors were normalized"]
    k: Annotated[int | None, "neighbors per system, of a measure that has them"]
    standard_error: Annotated[float | None, "the error of an estimate from rows; NULL if exact"]
    rows: Annotated[int, "systems whose neighbors were found: n if exact"]
    depth: Annotated[float | None, "0 for the first layer, 1 for the last; NULL if it is none"]


@dataclass(frozen=True)
class Row(Notes, _Measured):
    """A measure of a model on a dataset, and what to know before it is believed."""


def dimensions(
    connection: duckdb.DuckDBPyConnection,
    dataset: str | None = None,
    models: Names = None,
    measure: str = "intrinsic_dimension",
    method: str | None = None,
    k: int | None = None,
    normalize: str = "none",
    subsamples: int = 0,
    seed: int = 0,
    systems: Names = None,
    drawn: int | None = None,
) -> Sequence[Row]:
    """Measure every model.

    Args:
        connection: A connection to a store.
        dataset: The dataset; None is every one on which the models have vectors.
        models: The models, or 'model#layers' for all layers of one; None is all that have vectors
            there.
        measure: The measure's name.
        method: The measure's method; None is its default.
        k: Neighbors per system; None is the measure's default.
        normalize: How vectors are normalized.
        subsamples: How many subsets the interval is from; 0 gives none.
        seed: The seed of the subsets and of the drawn systems.
        systems: Ids of systems; None is all.
        drawn: How many systems are drawn for an estimate, each with its neighbors among all; None
            is exact.

    Returns:
        One row per dataset and model, or layer of a model.

    Raises:
        ValueError: If an option makes no sense, even without models, or if the store has no such
            model or dataset.
    """
    options: dict[str, Any] = {
        "measure": measure,
        "method": method,
        "k": k,
        "normalize": normalize,
        "subsamples": subsamples,
        "seed": seed,
        "rows": drawn,
    }
    metrics.measure(NO_VECTORS, **options)
    rows = []
    for name in datasets_of(connection, dataset, models):
        sources = choose_sources(connection, models, name)
        stored = StoredVectors(connection, select(name, systems))
        keys, depths = stored.read_keys(sources), find_depths(connection, sources)
        for source in sources:
            found = _measure(stored, source, keys[source].size, name, options)
            rows.append(Row(depth=depths[source], **found))
    return rows


def _measure(
    stored: StoredVectors, source: Source, n: int, dataset: str, options: dict[str, Any]
) -> dict[str, Any]:
    """Return the columns of a row, apart from its depth."""
    reason = None if n else f"no vectors on {dataset}"
    vectors = NO_VECTORS
    try:
        vectors = stored.read(source)
    except Undefined as undefined:
        reason = str(undefined)
    found = asdict(metrics.measure(vectors, **options, name=source.label))
    known = {"n": n, "reason": reason or found["reason"]}
    return {"model_id": source.label, "dataset": dataset, **found, **known}


TABLE_FUNCTION = TableFunction(
    "In how many directions each model's vectors vary, by any measure of one model; "
    "low to high from subsamples",
    Row,
    (
        DATASET,
        MODELS,
        Parameter("measure", "VARCHAR", "intrinsic_dimension", "the measure of one model"),
        Parameter("method", "VARCHAR", None, "the measure's method; NULL is its default"),
        Parameter("k", "BIGINT", None, "neighbors per system; NULL is the measure's default"),
        Parameter("normalize", "VARCHAR", "none", "how vectors are normalized"),
        Parameter("subsamples", "BIGINT", 0, "subsets that the interval is from; 0 gives none"),
        SEED,
        SYSTEMS,
        DRAWN,
    ),
    dimensions,
)
