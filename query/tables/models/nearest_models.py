"""nearest_models(model, …): the models that see a dataset most as one model does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated

import duckdb

from query.metrics import find_metric
from query.reading.selection import choose_datasets, choose_sources, find_source
from query.tables.shared.declare import Parameter, TableFunction
from query.tables.shared.options import Options
from query.tables.shared.pairs import align_pairs
from query.tables.shared.parameters import DATASET, METRIC, MODEL, MODELS, REST, K
from query.tables.shared.rows import Aligned, Notes, Value
from query.tables.shared.selecting import Names, select

_DIGITS = 12  # of values that are compared: of models equally aligned the first by name comes first


@dataclass(frozen=True)
class _Ranked:
    """A model and its rank."""

    rank: Annotated[int | None, "1 is the closest; NULL without a value"]
    model_id: Annotated[str, "the other model"]


@dataclass(frozen=True)
class Row(Notes, Value, _Ranked):
    """A model, and its alignment with the one asked for."""


def nearest_models(
    connection: duckdb.DuckDBPyConnection,
    model: str,
    dataset: str | None = None,
    top: int = 10,
    models: Names = None,
    options: Options | None = None,
) -> Sequence[Row]:
    """Rank models by their alignment with one.

    Args:
        connection: A connection to a store.
        model: The model, or model#representation. Asymmetric metrics are taken from it to others.
        dataset: The dataset; None is every one on which the model has vectors.
        top: How many models are returned per dataset and metric.
        models: The others to consider; None is all that have vectors there.
        options: How to compare.

    Returns:
        The closest first, models without a value last.

    Raises:
        ValueError: If the store has no such model or dataset.
    """
    asked = find_source(connection, model)
    pairs = {}
    for name in choose_datasets(connection, dataset, [asked]):
        others = [source for source in choose_sources(connection, models, name) if source != asked]
        pairs[select(name, None)] = [(asked, other) for other in others]
    found = align_pairs(connection, pairs, options or Options())
    groups = groupby(found, lambda row: (row.dataset, row.metric))
    return [row for _, rows in groups for row in _closest(list(rows), top)]


def _closest(rows: list[Aligned], count: int) -> Iterator[Row]:
    """Yield the first few of the rows of one metric."""
    sign = 1 if find_metric(rows[0].metric).lower_is_closer else -1
    rows.sort(
        key=lambda row: (row.value is None, sign * round(row.value or 0.0, _DIGITS), row.model_b)
    )
    for place, row in enumerate(rows[:count], start=1):
        values = {name: value for name, value in vars(row).items() if name[:6] != "model_"}
        rank = None if row.value is None else place
        yield Row(rank=rank, model_id=row.model_b, **values)


TABLE_FUNCTION = TableFunction(
    "The models that see a dataset most like this one does, best first",
    Row,
    (
        MODEL,
        DATASET,
        METRIC,
        K,
        Parameter("top", "BIGINT", 10, "how many models per dataset and metric", least=1),
        MODELS,
        *REST,
    ),
    nearest_models,
)
