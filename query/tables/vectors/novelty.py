"""novelty(model, …): how far systems are from what a reference covers, as one model sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import duckdb
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from query.engine.neighbors.nearest import nearest
from query.engine.normalization import normalize_resolved
from query.engine.suggestions import unknown_name
from query.engine.tiles import tile_dtype
from query.metrics import Undefined
from query.reading.named_vectors import NamedVectors, read_named_vectors
from query.reading.selection import find_dataset, find_source
from query.statistics import novelty as statistics
from query.tables.shared.declare import Parameter, TableFunction
from query.tables.shared.parameters import MODEL, ONE_DATASET, SYSTEMS
from query.tables.shared.rows import only_reason
from query.tables.shared.selecting import Names, select

METHODS = ("knn", "mahalanobis")
# 'zscore' would scale by the systems that are judged, too.
NORMALIZATIONS = ("l2", "max", "none")
_K = 10
_LEAST = 3  # systems of a reference, of which each can be judged by others that differ


@dataclass(frozen=True)
class Row:
    """A system, and how novel it is; or why nothing can be said."""

    system_id: Annotated[str | None, "the system"]
    formula: Annotated[str | None, "its formula"]
    distance: Annotated[float | None, "to its k-th nearest of the reference, or from its mean"]
    z: Annotated[float | None, "the distance less the mean of the reference's own, in their std"]
    p_value: Annotated[float | None, "the share of systems of the reference at least as far"]
    nearest: Annotated[str | None, "the nearest system of the reference, of 'knn'"]
    in_reference: Annotated[bool | None, "whether it is in the reference, and judged by the rest"]
    n: Annotated[int, "systems of the reference"]
    dataset: Annotated[str, "the dataset of the system"]
    reference: Annotated[str, "the dataset of the reference"]
    model_id: Annotated[str, "the model"]
    method: Annotated[str, "'knn' or 'mahalanobis'"]
    k: Annotated[int | None, "which neighbor the distance is to, of 'knn'"]
    normalization: Annotated[str, "how vectors were normalized"]
    reason: Annotated[str | None, "why there is no distance"]


@dataclass(frozen=True)
class How:
    """How novelty is measured.

    Attributes:
        method: One of METHODS.
        k: Which neighbor the distance is to; None of 'mahalanobis'.
        normalization: One of NORMALIZATIONS.
    """

    method: str = "knn"
    k: int | None = _K
    normalization: str = "l2"

    @classmethod
    def of(cls, method: str, k: int | None, normalize: str) -> How:
        """Return how novelty is measured.

        Args:
            method: One of METHODS.
            k: Which neighbor; None is 10, or none.
            normalize: One of NORMALIZATIONS.

        Raises:
            ValueError: An option makes no sense.
        """
        if method not in METHODS:
            raise ValueError(unknown_name("method", method, METHODS))
        if normalize not in NORMALIZATIONS:
            raise ValueError(unknown_name("normalization", normalize, NORMALIZATIONS))
        if method == "mahalanobis" and k is not None:
            raise ValueError(f"'mahalanobis' has no neighbors, but k = {k} was given: leave it out")
        return cls(method, (k or _K) if method == "knn" else None, normalize)


@dataclass(frozen=True)
class Found:
    """The novelty of m systems, some of which may be in the reference.

    Attributes:
        distance: (m,).
        z: (m,), NaN where the reference's own distances are all the same.
        p: (m,).
        nearest: The number of the nearest system of the reference, (m,); None if none is found.
        inside: Whether each is in the reference, (m,).
    """

    distance: NDArray[np.float64]
    z: NDArray[np.float64]
    p: NDArray[np.float64]
    nearest: NDArray[np.int32] | None
    inside: NDArray[np.bool_]


def judge(vectors: NDArray[np.floating], n: int, how: How, name: str = "the model") -> Found:
    """Return how novel systems are: those of the reference by the rest of it, others by all of it.

    Args:
        vectors: The reference, then the other systems, (n + m, d).
        n: How many are the reference.
        how: How novelty is measured.
        name: How reasons call the model.

    Returns:
        Arrays of n + m elements.

    Raises:
        Undefined: The reference is too small, its systems are all the same, or vectors cannot be
            normalized.
    """
    least = max(_LEAST, (how.k or 0) + 1)
    if n < least:
        raise Undefined(
            f"the reference has {n} systems; '{how.method}' needs {least}"
            + ("" if how.k is None else f" with k = {how.k}")
        )
    x, resolution = normalize_resolved(vectors, how.normalization, name)
    if np.all(resolution.label[:n] == resolution.label[0]):
        raise Undefined(f"every vector of {name} on the reference is the same")
    if how.k is not None:
        return _by_neighbors(x, n, how.k)
    table = x.numpy()
    variance = float(np.square(resolution.grain).mean())
    own, others = statistics.mahalanobis(table[:n], table[n:], variance)
    return _found(own, others, statistics.p_values(others, own), None)


def novelty(
    connection: duckdb.DuckDBPyConnection,
    model: str,
    reference: str | None = None,
    dataset: str | None = None,
    method: str = "knn",
    k: int | None = None,
    normalize: str = "l2",
    systems: Names = None,
    reference_systems: Names = None,
) -> Sequence[Row]:
    """Judge the systems of a dataset by a reference; see `query.statistics.novelty`.

    Args:
        connection: A connection to a store.
        model: The model, or model#representation.
        reference: The dataset that is the reference; None is the dataset itself.
        dataset: The dataset whose systems are judged.
        method: 'knn' or 'mahalanobis'.
        k: Which neighbor of 'knn'; None is 10.
        normalize: How vectors are normalized: 'l2', 'max' or 'none'.
        systems: Ids of systems that are judged; None is all of the dataset.
        reference_systems: Ids of systems that are the reference; None is all of it.

    Returns:
        One row per system, the most novel first; if nothing can be said, one row with the reason.

    Raises:
        ValueError: The store has no such model or dataset, or an option makes no sense.
    """
    how, source = How.of(method, k, normalize), find_source(connection, model)
    judged = select(find_dataset(connection, dataset), systems)
    covered = select(find_dataset(connection, reference or dataset), reference_systems)
    known: dict[str, Any] = {
        "dataset": judged.dataset,
        "reference": covered.dataset,
        "model_id": source.label,
    }
    known |= {"method": how.method, "k": how.k, "normalization": how.normalization}
    n = 0
    try:
        base = read_named_vectors(connection, source, covered)
        n = len(base.systems)
        asked = base if judged == covered else read_named_vectors(connection, source, judged)
        return _rows(base, asked, judge_systems(base, asked, how, source.label), known)
    except Undefined as undefined:
        return [only_reason(Row, str(undefined), known | {"n": n})]


def judge_systems(base: NamedVectors, asked: NamedVectors, how: How, name: str) -> Found:
    """Return how novel systems are to a reference, of which some may be a part.

    Args:
        base: The reference.
        asked: The systems that are judged.
        how: How novelty is measured.
        name: How reasons call the model.

    Returns:
        Arrays with an element per system that is judged.

    Raises:
        Undefined: As in `judge`, or vectors differ in length.
    """
    places = {system: place for place, system in enumerate(base.systems)}
    new = [i for i, system in enumerate(asked.systems) if system not in places]
    places |= {asked.systems[i]: len(base.systems) + j for j, i in enumerate(new)}
    vectors = base.vectors
    if new:
        if vectors.shape[1] != asked.vectors.shape[1]:
            raise Undefined(
                f"vectors of {name} have {vectors.shape[1]} dimensions in the reference, "
                f"and {asked.vectors.shape[1]} elsewhere"
            )
        vectors = np.concatenate([vectors, asked.vectors[new]])
    found = judge(vectors, len(base.systems), how, name)
    at = np.array([places[system] for system in asked.systems])
    near = None if found.nearest is None else found.nearest[at]
    return Found(found.distance[at], found.z[at], found.p[at], near, at < len(base.systems))


def _rows(
    base: NamedVectors, asked: NamedVectors, found: Found, known: dict[str, Any]
) -> list[Row]:
    order = np.lexsort((np.arange(len(found.p)), -found.distance))
    return [
        Row(
            system_id=asked.systems[i],
            formula=asked.formulas[i],
            distance=float(found.distance[i]),
            z=None if np.isnan(found.z[i]) else float(found.z[i]),
            p_value=float(found.p[i]),
            nearest=None if found.nearest is None else base.systems[found.nearest[i]],
            in_reference=bool(found.inside[i]),
            n=len(base.systems),
            **known,
            reason=None,
        )
        for i in order.tolist()
    ]


def _by_neighbors(x: Tensor, n: int, k: int) -> Found:
    dtype = tile_dtype(len(x))
    own = nearest(x[:n], k, "euclidean", dtype=dtype)
    lists, distances = own.index, _roots(own.value)
    if len(x) == n:
        return _found(distances[:, -1], np.empty(0), np.empty(0), lists[:, 0])
    rows = np.arange(n, len(x))
    others = nearest(x, k, "euclidean", dtype=dtype, rows=rows, among=n)
    theirs = _roots(others.value)
    joined = statistics.count_joined(theirs, others.index, distances)
    p = statistics.p_values(theirs[:, -1], distances[:, -1], joined)
    first = np.concatenate([lists[:, 0], others.index[:, 0]])
    return _found(distances[:, -1], theirs[:, -1], p, first)


def _roots(squares: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0.0))
    return found


def _found(
    own: NDArray[np.float64],
    others: NDArray[np.float64],
    p: NDArray[np.float64],
    first: NDArray[np.int32] | None,
) -> Found:
    distance = np.concatenate([own, others])
    spread = own.std(ddof=1)
    z = (distance - own.mean()) / spread if spread > 0 else np.full(distance.size, np.nan)
    inside = np.arange(distance.size) < own.size
    return Found(distance, z, np.concatenate([statistics.own_p_values(own), p]), first, inside)


TABLE_FUNCTION = TableFunction(
    "How far systems are from what a reference covers, as a model sees them, on the scale of the "
    "reference's own systems; without a reference, which systems of a dataset are unlike the rest",
    Row,
    (
        MODEL,
        Parameter("reference", "VARCHAR", None, "the reference; NULL is the dataset itself"),
        ONE_DATASET,
        Parameter("method", "VARCHAR", "knn", "'knn' or 'mahalanobis'"),
        Parameter("k", "BIGINT", None, "which neighbor, of 'knn'; NULL is 10", least=1),
        Parameter("normalize", "VARCHAR", "l2", "how vectors are normalized: 'l2', 'max', 'none'"),
        SYSTEMS,
        Parameter("reference_systems", "VARCHAR[]", None, "these of the reference only"),
    ),
    novelty,
)
