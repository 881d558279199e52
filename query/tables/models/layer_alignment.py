"""layer_alignment(model_a, model_b, …): how alike each layer of two models sees a dataset.

Of many pairs of layers some stand out by chance. So every value is compared with the null of the
best pair: the systems of one model are shuffled, the same way for all pairs of layers, and of each
shuffle the best value of all pairs counts. The p-value of the best pair is then the chance that two
models which have nothing in common have a pair of layers as much alike; that of another pair holds
for it however many pairs there are (Westfall and Young 1993).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import product
from typing import Annotated

import duckdb

from query.metrics import find_metric
from query.reading.layers import MEAN, Layer, find_layers, layers_on
from query.reading.selection import Selection, find_dataset
from query.tables.shared.declare import TableFunction
from query.tables.shared.options import Options
from query.tables.shared.pairs import aligner, to_row
from query.tables.shared.parameters import (
    DATASET,
    METRIC,
    MODEL_A,
    MODEL_B,
    POOLING,
    REST,
    SYSTEMS,
    K,
)
from query.tables.shared.plans import Group, Plan, intersect
from query.tables.shared.rows import Aligned, Notes, Value
from query.tables.shared.selecting import Names, select

_DIGITS = 12  # of values that are compared: of pairs equally alike the first is the best


@dataclass(frozen=True)
class _Layers:
    """A pair of layers."""

    model_a: Annotated[str, "the first model"]
    layer_a: Annotated[str, "a layer of it, or the representation that was named"]
    depth_a: Annotated[float | None, "0 for the first layer, 1 for the last; NULL if it is none"]
    model_b: Annotated[str, "the second model"]
    layer_b: Annotated[str, "a layer of it, or the representation that was named"]
    depth_b: Annotated[float | None, "0 for the first layer, 1 for the last; NULL if it is none"]
    best: Annotated[bool, "whether this pair of layers is the most alike of all"]


@dataclass(frozen=True)
class _Value(Value):
    """An alignment whose null is that of the best pair of layers."""

    calibrated: Annotated[
        float | None, "the value between the best pair by chance (0) and identity (1)"
    ]
    p_value: Annotated[
        float | None, "how often the best pair of layers of shuffled systems is as much alike"
    ]
    null_mean: Annotated[float | None, "the mean of the best value over shuffled pairs of systems"]
    null_std: Annotated[float | None, "the standard deviation of the best value over them"]


@dataclass(frozen=True)
class Row(Notes, _Value, _Layers):
    """The alignment of a pair of layers."""


def layer_alignment(
    connection: duckdb.DuckDBPyConnection,
    model_a: str,
    model_b: str,
    dataset: str | None = None,
    pooling: str = MEAN,
    systems: Names = None,
    options: Options | None = None,
) -> Sequence[Row]:
    """Align all layers of one model with all layers of another.

    All pairs are compared on the systems of which all layers have vectors.

    Args:
        connection: A connection to a store.
        model_a: A model, or model#representation, which is its only layer then.
        model_b: The other one.
        dataset: The dataset; None is every one on which both have layers.
        pooling: How vectors of nodes became vectors of systems: one of POOLINGS.
        systems: Ids of systems; None is all.
        options: How to compare.

    Returns:
        One row per dataset, metric and pair of layers, from the first layers to the last.

    Raises:
        ValueError: If the store has no such model or dataset, or no layers of a model there.
    """
    both = [find_layers(connection, model, pooling) for model in (model_a, model_b)]
    names: list[str | None] = [*sorted(both[0].keys() & both[1].keys())] or [None]
    if dataset is not None:
        names = [find_dataset(connection, dataset)]
    rows: list[Row] = []
    for name in names:
        a, b = (
            layers_on(name, model, layers, pooling)
            for model, layers in zip((model_a, model_b), both, strict=True)
        )
        rows += _align(connection, select(str(name), systems), a, b, options or Options())
    return rows


def _align(
    connection: duckdb.DuckDBPyConnection,
    selection: Selection,
    layers_a: Sequence[Layer],
    layers_b: Sequence[Layer],
    options: Options,
) -> Iterator[Row]:
    """Yield the rows of one dataset, of each metric one per pair of layers."""
    cells = list(product(layers_a, layers_b))
    pairs = [(a.source, b.source) for a, b in cells]
    plan = Plan(connection, selection, pairs, options, "common")
    if options.progress is not None:
        options.progress.expect(plan.products())
    # Not the plan's own groups, in which some pairs of a model with itself change sides.
    group = Group(reduce(intersect, plan.keys.values()), {name: pairs for name in options.metrics})
    align = aligner(plan, group, plan.comparisons())
    found = align(options.metrics, group.numbered(pairs), null_of_best=True, **options.for_pairs)
    rows = [
        _to_row(cells[i % len(cells)], to_row(pairs[i % len(cells)], plan, its))
        for i, (_, _, its) in enumerate(found)
    ]
    for start in range(0, len(rows), len(cells)):
        yield from _mark_best(rows[start : start + len(cells)])


def _to_row(cell: tuple[Layer, Layer], aligned: Aligned) -> Row:
    a, b = cell
    values = {name: value for name, value in vars(aligned).items() if name[:6] != "model_"}
    return Row(
        model_a=a.source.model_id,
        layer_a=a.source.representation,
        depth_a=a.depth,
        model_b=b.source.model_id,
        layer_b=b.source.representation,
        depth_b=b.depth,
        best=False,
        **values,
    )


def _mark_best(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the rows of one metric; the most alike that has a null, if any has, is the best."""
    sign = -1 if find_metric(rows[0].metric).lower_is_closer else 1
    defined = [i for i, row in enumerate(rows) if row.value is not None]
    tested = [i for i in defined if rows[i].p_value is not None] or defined
    best = max(tested, key=lambda i: round(sign * (rows[i].value or 0.0), _DIGITS), default=None)
    for i, row in enumerate(rows):
        yield replace(row, best=True) if i == best else row


TABLE_FUNCTION = TableFunction(
    "How alike each layer of one model and each layer of another see a dataset, the best pair "
    "marked; p and calibrated against the best pair by chance",
    Row,
    (
        MODEL_A,
        MODEL_B,
        DATASET,
        METRIC,
        K,
        POOLING,
        *REST,
        SYSTEMS,
    ),
    layer_alignment,
)
