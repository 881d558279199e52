"""model_tree(dataset, …): the neighbor-joining tree of models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated

import duckdb

from query.metrics import find_metric
from query.reading.selection import Selection, choose_sources, find_dataset
from query.tables.shared.declare import TableFunction
from query.tables.shared.options import Options
from query.tables.shared.pairs import align_pairs
from query.tables.shared.parameters import (
    DEVICE,
    ESTIMATOR,
    GIVEN,
    METRIC,
    MISSING,
    MODELS,
    NORMALIZE,
    ONE_DATASET,
    OPTION_SEED,
    ROWS,
    K,
)
from query.tables.shared.selecting import Names
from query.tables.shared.trees import grow_tree


@dataclass(frozen=True)
class Row:
    """A node of the tree, or a model that has no place in it."""

    node: Annotated[int | None, "its number, from 0, in the order of the drawing"]
    parent: Annotated[int | None, "the node that it hangs from; NULL for the root"]
    model_id: Annotated[str | None, "the model of a leaf"]
    branch_length: Annotated[float | None, "the length of the branch to the parent"]
    reason: Annotated[str | None, "why a model has no place in the tree"]
    newick: Annotated[str, "the whole tree as Newick text"]
    rows: Annotated[int | None, "the fewest systems whose neighbors a value is from: n if exact"]
    given: Annotated[str | None, "of what nothing linear is left in the models"]
    given_share: Annotated[float | None, "share of the model that the given explains"]


def model_tree(
    connection: duckdb.DuckDBPyConnection,
    dataset: str | None = None,
    models: Names = None,
    missing: str = "pairwise",
    options: Options | None = None,
) -> Sequence[Row]:
    """Join models by how differently they align with all others.

    The distance of two models is √JSD of their alignments with all models; see `neighbor_joining`.

    Args:
        connection: A connection to a store.
        dataset: The dataset.
        models: The models; None is all that have vectors there.
        missing: 'pairwise' or 'common'; see `align_pairs`.
        options: How to compare; the null and the interval are left out.

    Returns:
        The nodes, depth first, then the models that have no place in the tree.

    Raises:
        ValueError: If fewer than two models are aligned, the metric falls with likeness, there
            are several metrics, or the store has no such model or dataset.
    """
    name = find_dataset(connection, dataset)
    options = (options or Options()).without_null()
    metric = options.one_metric("model_tree")
    if find_metric(metric).lower_is_closer:
        raise ValueError(
            f"model_tree needs a metric that grows with likeness, and {metric} falls: "
            "take cknna, or cka"
        )
    sources = choose_sources(connection, models, name)
    pairs = list(product(sources, sources))
    aligned = align_pairs(connection, {Selection(name): pairs}, options, missing)
    tree = grow_tree(name, aligned)
    rows = min((row.rows for row in aligned if row.value is not None), default=None)
    common = tree.newick, rows, ", ".join(options.given_names) or None
    shares = {row.model_a: row.given_share_a for row in aligned if row.model_a == row.model_b}
    drawn = [
        Row(node.number, node.parent, node.name, node.branch_length, None, *common, share)
        for node in tree.nodes
        for share in [None if node.name is None else shares[node.name]]
    ]
    outside = [
        Row(None, None, label, None, reason, *common, shares[label])
        for label, reason in tree.left_out.items()
    ]
    return [*drawn, *outside]


TABLE_FUNCTION = TableFunction(
    "Neighbor joining of the models by √JSD of their alignments with all others; "
    "ORDER BY node is the order of its leaves",
    Row,
    (
        ONE_DATASET,
        METRIC,
        K,
        MODELS,
        ESTIMATOR,
        NORMALIZE,
        MISSING,
        DEVICE,
        OPTION_SEED,
        ROWS,
        GIVEN,
    ),
    model_tree,
)
