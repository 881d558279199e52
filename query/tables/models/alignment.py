"""alignment(model_a, model_b, …): how alike two models see a dataset."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from query.reading.selection import choose_datasets, find_source
from query.tables.shared.declare import TableFunction
from query.tables.shared.options import Options
from query.tables.shared.pairs import align_pairs
from query.tables.shared.parameters import DATASET, METRIC, MODEL_A, MODEL_B, REST, SYSTEMS, K
from query.tables.shared.rows import Aligned
from query.tables.shared.selecting import Names, select


def alignment(
    connection: duckdb.DuckDBPyConnection,
    model_a: str,
    model_b: str,
    dataset: str | None = None,
    systems: Names = None,
    options: Options | None = None,
) -> Sequence[Aligned]:
    """Align two models.

    Args:
        connection: A connection to a store.
        model_a: A model, or model#representation.
        model_b: The other one.
        dataset: The dataset; None is every one that either has seen.
        systems: Ids of systems; None is all that both have vectors of.
        options: How to compare.

    Returns:
        One row per dataset and metric.

    Raises:
        ValueError: If the store has no such model or dataset.
    """
    pair = (find_source(connection, model_a), find_source(connection, model_b))
    datasets = choose_datasets(connection, dataset, pair)
    chosen = {select(name, systems): [pair] for name in datasets}
    return align_pairs(connection, chosen, options or Options())


TABLE_FUNCTION = TableFunction(
    "How alike two models see a dataset; without one, every dataset that either has seen",
    Aligned,
    (MODEL_A, MODEL_B, DATASET, METRIC, K, *REST, SYSTEMS),
    alignment,
)
