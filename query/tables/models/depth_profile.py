"""depth_profile(dataset, …): what becomes of a dataset along the depth of each model.

Depth is relative, 0 at the first layer and 1 at the last, so that networks of different depth can
be drawn over each other. How alike two models see a dataset at all pairs of their layers is
`layer_alignment`; its p-value is that of the best pair. Here each layer has its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import duckdb

from query.metrics import MEASURES
from query.reading.layers import MEAN, Layer, find_layered, find_layers, layers_on
from query.reading.selection import Selection, find_dataset, find_source
from query.tables.shared.declare import Parameter, TableFunction
from query.tables.shared.options import Options
from query.tables.shared.pairs import align_pairs
from query.tables.shared.parameters import (
    DATASET,
    METRIC,
    MISSING,
    MODELS,
    POOLING,
    REST,
    SYSTEMS,
    K,
)
from query.tables.shared.rows import Aligned, Notes, Value
from query.tables.shared.selecting import Names, select
from query.tables.vectors.dimensions import Row as Measured
from query.tables.vectors.dimensions import dimensions

_MEASURE = "intrinsic_dimension"


@dataclass(frozen=True)
class _Layer:
    """A layer of a model, and what it is compared with."""

    model_id: Annotated[str, "the model"]
    layer: Annotated[str, "a layer of it"]
    depth: Annotated[float | None, "0 for the first layer, 1 for the last; NULL if it is none"]
    reference: Annotated[str, "what value aligns the layer with"]


@dataclass(frozen=True)
class _Measured:
    """In how many directions the vectors of the layer vary."""

    measure: Annotated[str, "the measure of the layer's vectors"]
    measured: Annotated[float | None, "the measure of all the layer's systems; NULL if undefined"]
    measured_k: Annotated[int | None, "neighbors per system, of a measure that has them"]
    measured_note: Annotated[str | None, "what weakens the measure, or why there is none"]


@dataclass(frozen=True)
class Row(Notes, _Measured, Value, _Layer):
    """A layer, its alignment with the reference, and a measure of its vectors."""


def depth_profile(
    connection: duckdb.DuckDBPyConnection,
    dataset: str | None = None,
    reference: str | None = None,
    models: Names = None,
    pooling: str = MEAN,
    measure: str = _MEASURE,
    systems: Names = None,
    missing: str = "pairwise",
    options: Options | None = None,
) -> Sequence[Row]:
    """Align every layer of every model with a reference, and measure its vectors.

    Args:
        connection: A connection to a store.
        dataset: The dataset; None is every one on which any of the models has layers.
        reference: A model, or model#representation; None is each model's own default
            representation, the last layer of most.
        models: The models; None is all that have layers there.
        pooling: How vectors of nodes became vectors of systems.
        measure: The measure of one model. Its vectors are not normalized, and its k is that of the
            metric if one is given.
        systems: Ids of systems; None is all.
        missing: 'pairwise' or 'common'; see `align_pairs`.
        options: How to compare.

    Returns:
        One row per dataset, metric and layer, model by model, from the first layer to the last.

    Raises:
        ValueError: If the store has no such model, dataset or measure, or no layers there.
    """
    options = options or Options()
    named = None if reference is None else find_source(connection, reference)
    rows: list[Row] = []
    for name, layers in _choose(connection, dataset, models, pooling).items():
        own = {each.source.model_id for each in layers}
        references = {model: named or find_source(connection, model) for model in own}
        pairs = [(each.source, references[each.source.model_id]) for each in layers]
        selection = select(name, systems)
        aligned = align_pairs(connection, {selection: pairs}, options, missing)
        measured = _measure(connection, selection, layers, measure, options)
        for i, its in enumerate(aligned):  # of each metric all layers
            rows.append(_to_row(layers[i % len(layers)], its, measured[i % len(layers)]))
    return rows


def _choose(
    connection: duckdb.DuckDBPyConnection, dataset: str | None, models: Names, pooling: str
) -> dict[str, list[Layer]]:
    """Return the layers that are asked for by dataset, model by model."""
    names = find_layered(connection, pooling) if models is None else list(dict.fromkeys(models))
    found = {name: find_layers(connection, name, pooling) for name in names}
    if dataset is not None:
        dataset = find_dataset(connection, dataset)
        if models is not None:
            for name, layers in found.items():
                layers_on(dataset, name, layers, pooling)
    stored = {each for layers in found.values() for each in layers}
    asked = sorted(stored if dataset is None else stored & {dataset})
    if not asked:
        words = "layers" if pooling == MEAN else f"layers:{pooling}"
        raise ValueError(
            f"no model has layers on {dataset or 'a dataset of this store'} pooled by their "
            f"{pooling}: `matterzoo ingest MODEL {dataset or 'DATASET'} --representation {words}` "
            "adds them"
        )
    return {
        each: [layer for its in found.values() for layer in its.get(each, [])] for each in asked
    }


def _measure(
    connection: duckdb.DuckDBPyConnection,
    selection: Selection,
    layers: Sequence[Layer],
    measure: str,
    options: Options,
) -> Sequence[Measured]:
    """Return the measure of each layer."""
    known = MEASURES.get(measure)
    return dimensions(
        connection,
        selection.dataset,
        [f"{each.source.model_id}#{each.source.representation}" for each in layers],
        measure,
        k=None if known is None or known.k is None else options.k,
        seed=options.seed,
        systems=selection.systems,
        drawn=options.rows,
    )


def _to_row(layer: Layer, aligned: Aligned, measured: Measured) -> Row:
    values: dict[str, Any] = {
        name: value for name, value in vars(aligned).items() if name[:6] != "model_"
    }
    return Row(
        model_id=layer.source.model_id,
        layer=layer.source.representation,
        depth=layer.depth,
        reference=aligned.model_b,
        measure=measured.measure,
        measured=measured.value,
        measured_k=measured.k,
        measured_note=measured.reason or measured.warning,
        **values,
    )


TABLE_FUNCTION = TableFunction(
    "Along the depth of each model: how alike its layers and a reference (by default its own "
    "default representation) see a dataset, and in how many directions their vectors vary",
    Row,
    (
        DATASET,
        Parameter("reference", "VARCHAR", None, "a model; NULL is each model itself"),
        METRIC,
        K,
        MODELS,
        POOLING,
        Parameter("measure", "VARCHAR", _MEASURE, "the measure of one model; it takes k, too"),
        *REST,
        SYSTEMS,
        MISSING,
    ),
    depth_profile,
)
