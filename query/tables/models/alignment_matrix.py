"""alignment_matrix(dataset, …): how alike all pairs of models see a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated

import duckdb

from query.reading.selection import Selection, choose_sources
from query.tables.shared.declare import Parameter, TableFunction
from query.tables.shared.options import Options
from query.tables.shared.pairs import align_pairs
from query.tables.shared.parameters import DATASET, METRIC, MISSING, MODELS, REST, SYSTEMS, K
from query.tables.shared.plans import ModelPair
from query.tables.shared.rows import Aligned, Notes, Pair, Value
from query.tables.shared.selecting import Names, datasets_of, select
from query.tables.shared.stored import find_matrix
from query.tables.shared.trees import grow_tree


@dataclass(frozen=True)
class _Places:
    """Where the two models stand in the order of the tree."""

    place_a: Annotated[int | None, "the place of model_a in the tree's order, from 1; see ordered"]
    place_b: Annotated[int | None, "the place of model_b"]


@dataclass(frozen=True)
class Row(Notes, _Places, Value, Pair):
    """The alignment of an ordered pair of models."""


def alignment_matrix(
    connection: duckdb.DuckDBPyConnection,
    dataset: str | None = None,
    models: Names = None,
    systems: Names = None,
    missing: str = "pairwise",
    ordered: bool = False,
    options: Options | None = None,
) -> Sequence[Row]:
    """Align all ordered pairs of models, also each model with itself.

    What `matterzoo matrix` has found is not computed again while the vectors are the same.

    Args:
        connection: A connection to a store.
        dataset: The dataset; None is every one on which the models have vectors.
        models: The models; None is all that have vectors there.
        systems: Ids of systems; None is all.
        missing: 'pairwise' or 'common'; see `align_pairs`.
        ordered: Whether to fill in the places of the models in the tree of these values, one tree
            per dataset and metric. A model without defined values has none.
        options: How to compare.

    Returns:
        One row per dataset, metric and ordered pair.

    Raises:
        ValueError: If the store has no such model or dataset, or if an order is asked for and
            fewer than two models are aligned.
    """
    options = options or Options()
    pairs: dict[Selection, list[ModelPair]] = {}
    kept: dict[Selection, list[Aligned] | None] = {}
    for name in datasets_of(connection, dataset, models):
        sources, selection = choose_sources(connection, models, name), select(name, systems)
        pairs[selection] = list(product(sources, sources))
        kept[selection] = find_matrix(connection, selection, sources, options, missing)
    rest = {selection: its for selection, its in pairs.items() if kept[selection] is None}
    computed = align_pairs(connection, rest, options, missing)
    aligned: list[Aligned] = []
    for selection, rows_kept in kept.items():
        aligned += rows_kept or [row for row in computed if row.dataset == selection.dataset]
    places = _find_places(pairs, options, aligned) if ordered else {}
    rows = []
    for row in aligned:
        order = places.get((row.dataset, row.metric), {})
        rows.append(
            Row(**vars(row), place_a=order.get(row.model_a), place_b=order.get(row.model_b))
        )
    return rows


def _find_places(
    pairs: dict[Selection, list[ModelPair]], options: Options, aligned: Sequence[Aligned]
) -> dict[tuple[str, str], dict[str, int]]:
    """Return the places of the models, by dataset and metric."""
    groups: dict[tuple[str, str], list[Aligned]] = {
        (selection.dataset, metric): [] for selection in pairs for metric in options.metrics
    }
    for row in aligned:
        groups[row.dataset, row.metric].append(row)
    return {
        (name, metric): {
            label: place for place, label in enumerate(grow_tree(name, rows).leaves, start=1)
        }
        for (name, metric), rows in groups.items()
    }


TABLE_FUNCTION = TableFunction(
    "How alike all ordered pairs of models see a dataset, each model with itself among them",
    Row,
    (
        DATASET,
        MODELS,
        METRIC,
        K,
        *REST,
        SYSTEMS,
        MISSING,
        Parameter(
            "ordered",
            "BOOLEAN",
            False,
            "whether place_a and place_b are filled in; a tree of 100 models takes seconds",
        ),
    ),
    alignment_matrix,
)
