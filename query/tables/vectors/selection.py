"""selection(model, …): the systems that cover a dataset best, as one model sees it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.engine.neighbors.distinct import first_of_distinct
from query.engine.normalization import normalize_resolved
from query.engine.suggestions import nearest_name
from query.metrics import Undefined
from query.reading.named_vectors import NamedVectors, read_named_vectors
from query.reading.selection import find_dataset, find_source
from query.statistics.covering import farthest_points, typical_distance
from query.tables.shared.declare import Parameter, TableFunction
from query.tables.shared.parameters import MODEL, ONE_DATASET, SYSTEMS
from query.tables.shared.rows import only_reason
from query.tables.shared.selecting import Names, select

_N = 10


@dataclass(frozen=True)
class Row:
    """A selected system, or why none is."""

    rank: Annotated[int | None, "in which order the systems are taken, from 1"]
    system_id: Annotated[str | None, "the system"]
    formula: Annotated[str | None, "its formula"]
    distance: Annotated[float | None, "to the nearest before it, in units of `typical`"]
    radius: Annotated[float | None, "of the farthest system to the nearest up to this, likewise"]
    n: Annotated[int, "systems to choose from"]
    n_distinct: Annotated[int | None, "distinct vectors of these"]
    typical: Annotated[float | None, "the root mean square distance between two systems"]
    model_id: Annotated[str, "the model"]
    dataset: Annotated[str, "the dataset"]
    normalization: Annotated[str, "how vectors were normalized"]
    reason: Annotated[str | None, "why none is selected"]


def selection(
    connection: duckdb.DuckDBPyConnection,
    model: str,
    n: int = _N,
    start: Names = None,
    dataset: str | None = None,
    normalize: str = "l2",
    systems: Names = None,
) -> Sequence[Row]:
    """Select systems that cover a dataset; see `query.statistics.covering`.

    Args:
        connection: A connection to a store.
        model: The model, or model#representation.
        n: How many systems, those of the start among them. Of copies only one is taken.
        start: Ids of the systems that are taken first; None is the one nearest to the mean.
        dataset: The dataset.
        normalize: How vectors are normalized.
        systems: Ids of the systems to choose from; None is all of the dataset.

    Returns:
        One row per selected system in the order of selection, so that fewer are a part of more; if
        nothing can be selected, one row with the reason.

    Raises:
        ValueError: The store has no such model or dataset, a system of the start has no vector or
            is a copy of another, there are more of them than n, or an option makes no sense.
    """
    chosen, source = (
        select(find_dataset(connection, dataset), systems),
        find_source(connection, model),
    )
    if start is not None and len(start) > n:
        raise ValueError(f"n = {n}, expected at least the {len(start)} systems of start")
    known: dict[str, Any] = {
        "model_id": source.label,
        "dataset": chosen.dataset,
        "normalization": normalize,
    }
    count = 0
    try:
        found = read_named_vectors(connection, source, chosen)
        count = len(found.systems)
        return _rows(found, n, start, source.label, known)
    except Undefined as undefined:
        return [only_reason(Row, str(undefined), known | {"n": count})]


def _rows(found: NamedVectors, n: int, start: Names, name: str, known: dict[str, Any]) -> list[Row]:
    x, resolution = normalize_resolved(found.vectors, known["normalization"], name)
    table, label = x.numpy(), resolution.label
    distinct = first_of_distinct(label)
    begin = None if start is None else label[_places(found.systems, start, name)]
    if begin is not None and np.unique(begin).size < begin.size:
        raise ValueError(f"{name} cannot tell some systems of start apart: leave out the copies")
    if begin is not None:  # a system that is named stands for its copies
        distinct[begin] = _places(found.systems, start or (), name)
    typical = typical_distance(table)
    cover = farthest_points(table[distinct], n, begin)
    return [
        Row(
            rank=rank,
            system_id=found.systems[place],
            formula=found.formulas[place],
            distance=None if math.isnan(distance) else distance / typical,
            radius=radius / typical,
            n=len(table),
            n_distinct=distinct.size,
            typical=typical,
            **known,
            reason=None,
        )
        for rank, (place, distance, radius) in enumerate(
            zip(
                distinct[cover.taken].tolist(),
                cover.distance.tolist(),
                cover.radius.tolist(),
                strict=True,
            ),
            start=1,
        )
    ]


def _places(systems: Sequence[str], start: Sequence[str], name: str) -> NDArray[np.int64]:
    """Return which systems those of the start are. Raises ValueError if one is none of them."""
    places = {system: place for place, system in enumerate(systems)}
    for system in start:
        if system not in places:
            raise ValueError(
                f"start: {name} has no vector of '{system}' here{nearest_name(system, places)}"
            )
    return np.array([places[system] for system in dict.fromkeys(start)], dtype=np.int64)


TABLE_FUNCTION = TableFunction(
    "The n systems that cover a dataset best, as a model sees it, each the farthest from those "
    "before it, with the radius that they cover",
    Row,
    (
        MODEL,
        Parameter("n", "BIGINT", _N, "how many systems, those of start among them", least=1),
        Parameter("start", "VARCHAR[]", None, "taken first; NULL is the one nearest to the mean"),
        ONE_DATASET,
        Parameter("normalize", "VARCHAR", "l2", "how vectors are normalized"),
        SYSTEMS,
    ),
    selection,
)
