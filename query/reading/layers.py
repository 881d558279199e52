"""Which layers of a model a store has, and how deep in the network they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import duckdb

from query.engine.suggestions import unknown_name
from query.reading.selection import Source, find_sources, held, layer_number

MEAN = "mean"
POOLINGS = (MEAN, "sum", "std", "max")  # how vectors of nodes became vectors of systems
# The models with the number of their last layer, as their cards say.
_LAST = "SELECT model_id, json_array_length(card, '$.layers.dimensions') - 1 FROM models"
_HELD = "SELECT DISTINCT model_id, representation FROM ({})"


@dataclass(frozen=True)
class Layer:
    """A layer of a model.

    Attributes:
        source: Its representation.
        depth: 0 for `layer-0`, 1 for the last layer; None if the representation is no layer.
    """

    source: Source
    depth: float | None


def find_layers(
    connection: duckdb.DuckDBPyConnection, name: str, pooling: str
) -> dict[str, list[Layer]]:
    """Return the layers of a model by dataset, each list from the first layer to the last.

    Args:
        connection: A store.
        name: A model, or model#representation, which is the only one then.
        pooling: How vectors of nodes became vectors of systems: one of POOLINGS.

    Raises:
        ValueError: There is no such pooling, model or representation, or the store has no layers of
            the model.
    """
    _suffix(pooling)
    sources = find_sources(connection, name if "#" in name else f"{name}#layers:{pooling}")
    depths = find_depths(connection, sources)
    rows = connection.execute(
        f"SELECT dataset, representation FROM ({held(connection)}) WHERE model_id = ? ORDER BY ALL",
        [sources[0].model_id],
    ).fetchall()
    found: dict[str, list[Layer]] = {dataset: [] for dataset, _ in rows}
    for source in sources:
        for dataset, representation in rows:
            if representation == source.representation:
                found[dataset].append(Layer(source, depths[source]))
    return {dataset: layers for dataset, layers in found.items() if layers}


def layers_on(
    dataset: str | None, name: str, layers: Mapping[str, list[Layer]], pooling: str
) -> list[Layer]:
    """Return the layers of a model on a dataset.

    Args:
        dataset: The dataset; None is one that does not exist, where two models have none in common.
        name: The name of the model that was asked for.
        layers: What `find_layers` returned for it.
        pooling: That of the layers.

    Raises:
        ValueError: The model has no layers there; the message says what to do.
    """
    if dataset is None or dataset not in layers:
        model_id, _, named = name.partition("#")
        asked = named or ("layers" if pooling == MEAN else f"layers:{pooling}")
        raise ValueError(
            f"no layers of {name} on {dataset or 'a dataset of the other'}, only on "
            f"{', '.join(layers)}: `matterzoo ingest {model_id} {dataset or 'DATASET'} "
            f"--representation {asked}` adds them"
        )
    return layers[dataset]


def find_layered(connection: duckdb.DuckDBPyConnection, pooling: str) -> list[str]:
    """Return the models of which the store has layers, in the order of their names.

    Args:
        connection: A store.
        pooling: That of the layers.

    Raises:
        ValueError: There is no such pooling.
    """
    suffix = _suffix(pooling)
    rows = connection.execute(_HELD.format(held(connection))).fetchall()
    return sorted({model_id for model_id, name in rows if layer_number(name, suffix) is not None})


def _suffix(pooling: str) -> str:
    """Return what a pooling adds to the name of a layer."""
    if pooling not in POOLINGS:
        raise ValueError(unknown_name("pooling", pooling, POOLINGS))
    return "" if pooling == MEAN else f":{pooling}"


def find_depths(
    connection: duckdb.DuckDBPyConnection, sources: Iterable[Source]
) -> dict[Source, float | None]:
    """Return how deep in the network representations are.

    Args:
        connection: A store.
        sources: The representations.

    Returns:
        0 for `layer-0`, 1 for the last layer of the model, whether the store has it or not; None
        for what is no layer.
    """
    stated = dict(connection.execute(_LAST).fetchall())
    numbers: dict[str, list[int]] = {}
    for model_id, representation in connection.execute(_HELD.format(held(connection))).fetchall():
        number = layer_number(representation)
        if number is not None:
            numbers.setdefault(model_id, []).append(number)
    depths: dict[Source, float | None] = {}
    for source in sources:
        number, stored = layer_number(source.representation), numbers.get(source.model_id, [])
        last = max([*stored, stated.get(source.model_id) or 0, 1])
        depths[source] = None if number is None else number / last
    return depths
