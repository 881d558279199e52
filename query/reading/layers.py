"""Which layers of a model a store has."""

from __future__ import annotations

import re
from dataclasses import dataclass

import duckdb

from query.reading.selection import Source, find_source, held

_NAME = re.compile(r"layer-(\d+)(?::\w+)?")
# The number of the last layer, as the model's card says.
_LAST = "SELECT json_array_length(card, '$.layers.dimensions') - 1 FROM models WHERE model_id = ?"


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
        pooling: How vectors of nodes became vectors of systems: 'mean', 'sum', 'std' or 'max'.

    Raises:
        ValueError: There is no such model or representation, or the store has no layers of it.
    """
    source = find_source(connection, name)
    model_id = source.model_id
    rows = connection.execute(
        f"SELECT representation, dataset FROM ({held(connection)}) WHERE model_id = ?", [model_id]
    ).fetchall()
    suffix = "" if pooling == "mean" else f":{pooling}"
    numbers = {each: int(match[1]) for each, _ in rows if (match := _NAME.fullmatch(each))}
    if "#" in name:
        wanted = {source.representation}
    else:
        wanted = {each for each in numbers if each == f"layer-{numbers[each]}{suffix}"}
    if not wanted:
        raise ValueError(
            f"this store has no layers of {model_id} pooled by their {pooling}: "
            f"`matterzoo ingest {model_id} DATASET --representation layers{suffix}` adds them, or "
            f"name one representation: '{model_id}#{source.representation}'"
        )
    ((stated,),) = connection.execute(_LAST, [model_id]).fetchall()
    last = max([*numbers.values(), stated or 0, 1])
    found: dict[str, list[Layer]] = {}
    for each, dataset in sorted(rows, key=lambda row: (row[1], numbers.get(row[0], 0))):
        if each in wanted:
            is_default = "#" in name and source.is_default
            depth = numbers[each] / last if each in numbers else None
            layer = Layer(Source(model_id, each, is_default), depth)
            found.setdefault(dataset, []).append(layer)
    return found
