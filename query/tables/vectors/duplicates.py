"""duplicates(model, …): groups of systems that a model cannot tell apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import duckdb
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from query.engine.neighbors.distinct import first_of_distinct
from query.engine.normalization import normalize_resolved
from query.engine.resolution import group_close
from query.metrics import Undefined
from query.reading.named_vectors import NamedVectors, read_named_vectors
from query.reading.selection import find_dataset, find_source
from query.statistics.covering import typical_distance
from query.tables.shared.declare import Parameter, TableFunction
from query.tables.shared.parameters import MODEL, ONE_DATASET, SYSTEMS
from query.tables.shared.rows import only_reason
from query.tables.shared.selecting import Names, select

_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Row:
    """A system of a group, or why there are no groups."""

    group_id: Annotated[int | None, "the group, from 1, the largest first"]
    system_id: Annotated[str | None, "the system"]
    formula: Annotated[str | None, "its formula"]
    size: Annotated[int | None, "systems of the group"]
    contents: Annotated[int | None, "of these, how many are different by content: 1 is one entry"]
    distance: Annotated[float | None, "from the group's first, in units of the typical distance"]
    n: Annotated[int, "systems that are compared"]
    n_distinct: Annotated[int | None, "how many the model tells apart: one per group, and the rest"]
    tolerance: Annotated[float, "how near linked systems are, in the same unit"]
    typical: Annotated[float | None, "the root mean square distance between two systems"]
    model_id: Annotated[str, "the model"]
    dataset: Annotated[str, "the dataset"]
    normalization: Annotated[str, "how vectors were normalized"]
    reason: Annotated[str | None, "why there are no groups"]


@dataclass(frozen=True)
class Groups:
    """Which of n systems a model tells apart.

    Attributes:
        label: The number of the group of each system, (n,), 0 … n_distinct − 1.
        distance: How far each is from the first of its group, in units of `typical`, (n,).
        typical: The root mean square distance between two systems.
    """

    label: NDArray[np.int64]
    distance: NDArray[np.float64]
    typical: float


def group_duplicates(
    vectors: ArrayLike, tolerance: float, normalization: str = "l2", name: str = "the model"
) -> Groups:
    """Group systems that are linked by steps of at most a tolerance.

    These are the connected components of the graph of all pairs that are as near, found without
    it. Whatever the tolerance, vectors that their precision cannot tell apart are the same.

    Args:
        vectors: (n, d).
        tolerance: The length of a step, in units of the typical distance.
        normalization: 'l2', 'max' or 'none'.
        name: How reasons call the model.

    Returns:
        The group of each system, and how far it is from the group's first.

    Raises:
        Undefined: There are no vectors, they cannot be normalized, or are all the same.
    """
    x, resolution = normalize_resolved(vectors, normalization, name)
    table = x.numpy()
    typical = typical_distance(table)
    first = first_of_distinct(resolution.label)
    if tolerance > 0:
        reach = np.full(first.size, tolerance * typical / 2)
        first = first[group_close(torch.from_numpy(table[first]), reach)]
    # Groups are named after their first systems, so that those stand in order of system_id.
    leader, label = np.unique(first[resolution.label], return_inverse=True)
    apart = np.zeros(len(table))
    shared = np.flatnonzero(np.bincount(label)[label] > 1)
    apart[shared] = np.linalg.norm(table[shared] - table[leader[label[shared]]], axis=1)
    return Groups(label, apart / typical, typical)


def duplicates(
    connection: duckdb.DuckDBPyConnection,
    model: str,
    tolerance: float = _TOLERANCE,
    dataset: str | None = None,
    normalize: str = "l2",
    systems: Names = None,
) -> Sequence[Row]:
    """Find the systems of a dataset that a model cannot tell apart.

    Args:
        connection: A connection to a store.
        model: The model, or model#representation.
        tolerance: Systems are linked that are no further apart, in units of the root mean square
            distance between two systems; 0 links those that the precision of the vectors (float32)
            cannot tell apart.
        dataset: The dataset.
        normalize: How vectors are normalized.
        systems: Ids of systems; None is all of the dataset.

    Returns:
        One row per system of a group of two or more; none if there is no such group; if nothing
        can be said, one row with the reason.

    Raises:
        ValueError: The store has no such model or dataset, or an option makes no sense.
    """
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance = {tolerance}, expected 0 or more")
    chosen, source = (
        select(find_dataset(connection, dataset), systems),
        find_source(connection, model),
    )
    known: dict[str, Any] = {"model_id": source.label, "dataset": chosen.dataset}
    known |= {"normalization": normalize, "tolerance": tolerance}
    n = 0
    try:
        found = read_named_vectors(connection, source, chosen)
        n = len(found.systems)
        groups = group_duplicates(found.vectors, tolerance, normalize, source.label)
    except Undefined as undefined:
        return [only_reason(Row, str(undefined), known | {"n": n})]
    return _rows(found, groups, known)


def _rows(found: NamedVectors, groups: Groups, known: dict[str, Any]) -> list[Row]:
    order = np.argsort(groups.label, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(groups.label))[:-1])
    shared = sorted((part.tolist() for part in parts if part.size > 1), key=len, reverse=True)
    return [
        Row(
            group_id=number,
            system_id=found.systems[place],
            formula=found.formulas[place],
            size=len(part),
            contents=len({found.contents[each] for each in part}),
            distance=float(groups.distance[place]),
            n=len(found.systems),
            n_distinct=len(parts),
            typical=groups.typical,
            **known,
            reason=None,
        )
        for number, part in enumerate(shared, start=1)
        for place in part
    ]


TABLE_FUNCTION = TableFunction(
    "Groups of systems that a model cannot tell apart, linked by steps of at most a tolerance",
    Row,
    (
        MODEL,
        Parameter(
            "tolerance",
            "DOUBLE",
            _TOLERANCE,
            "the longest step, in units of the root mean square distance; 0 is float32's",
        ),
        ONE_DATASET,
        Parameter("normalize", "VARCHAR", "l2", "how vectors are normalized"),
        SYSTEMS,
    ),
    duplicates,
)
