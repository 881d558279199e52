"""reconstruction(model_a, model_b, …): one model's vectors as another's tell them.

The maps are those of `transfer`, defined in `query.statistics.probes.maps`, fitted to the other
folds; a system is reconstructed by a map that has not seen it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.engine.normalization import NORMALIZATIONS
from query.engine.suggestions import unknown_name
from query.engine.undefined import Undefined
from query.reading.groups import CONTENT, read_groups
from query.reading.properties import read_systems
from query.reading.selection import find_dataset, find_source
from query.statistics.probes.folds import assign_folds, training_means
from query.statistics.probes.maps import LINEAR, MAPS, Maps, mapped_share, principal
from query.tables.shared.declare import Parameter, TableFunction
from query.tables.shared.parameters import MODEL_A, MODEL_B, ONE_DATASET, SEED, SYSTEMS
from query.tables.shared.probes.question import FOLDS, GROUPS, warn_of_groups, why_too_few
from query.tables.shared.probes.shared_systems import SharedSystems
from query.tables.shared.rows import Notes, only_reason
from query.tables.shared.selecting import Names, select

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


@dataclass(frozen=True)
class _System:
    """A system as one model's vectors tell the other's."""

    system_id: Annotated[str | None, "the system"]
    formula: Annotated[str | None, "its formula"]
    vector: Annotated[list[float] | None, "model_b's vector, from model_a's"]
    residual: Annotated[float | None, "its distance from the vector that model_b has"]
    from_mean: Annotated[float | None, "the distance of the other folds' mean: nothing is told"]
    fold: Annotated[int | None, "the fold, from 0; the map is fitted to the others"]
    explained: Annotated[float | None, "share of model_b's variance over all these systems"]
    n: Annotated[int, "systems with vectors of both models"]
    n_groups: Annotated[int | None, "groups of systems, none of which is split"]
    model_a: Annotated[str, "the model whose vectors are mapped"]
    model_b: Annotated[str, "the model whose vectors are reconstructed"]
    dataset: Annotated[str, "the dataset"]
    map: Annotated[str, "'linear', 'orthogonal' or 'anchors'"]
    groups: Annotated[str, "what the groups are"]
    normalization: Annotated[str, "how model_a's vectors were normalized"]


@dataclass(frozen=True)
class Row(Notes, _System):
    """A reconstructed vector, or why there is none."""


def reconstruction(
    connection: duckdb.DuckDBPyConnection,
    model_a: str,
    model_b: str,
    dataset: str | None = None,
    map_name: str = LINEAR,
    groups: str | None = None,
    folds: int = 5,
    systems: Names = None,
    normalize: str = "none",
    seed: int = 0,
) -> Sequence[Row]:
    """Reconstruct vectors of model b from those of model a.

    Args:
        connection: A connection to a store.
        model_a: The model whose vectors are mapped.
        model_b: The model whose vectors are reconstructed, as they are stored.
        dataset: The dataset.
        map_name: One of MAPS.
        groups: What a fold never splits; see `read_groups`. None is systems that are the same.
        folds: In how many parts the systems are split, 3 or more.
        systems: Ids of systems; None is all.
        normalize: How vectors of model a are normalized.
        seed: The seed of folds and anchors.

    Returns:
        One row per system that both models have; if there are too few, one row with the reason.

    Raises:
        ValueError: The store has no such model, dataset or groups, or an option makes no sense.
    """
    if map_name not in MAPS:
        raise ValueError(unknown_name("map", map_name, MAPS))
    if normalize not in NORMALIZATIONS:
        raise ValueError(unknown_name("normalization", normalize, NORMALIZATIONS))
    a, b = find_source(connection, model_a), find_source(connection, model_b)
    described = read_systems(connection, select(find_dataset(connection, dataset), systems))
    name = groups or CONTENT
    found = read_groups(connection, described, name)
    some = [system for system, g in zip(described.systems, found, strict=True) if g >= 0]
    shared = SharedSystems(connection, replace(described, systems=some), [a, b])
    numbers = np.unique(found[found >= 0][shared.places], return_inverse=True)[1]
    known: dict[str, Any] = {"model_a": a.label, "model_b": b.label, "map": map_name}
    known |= {"dataset": described.selection.dataset, "groups": name, "normalization": normalize}
    known |= {"n": numbers.size, "warning": warn_of_groups(found, name, folds)}
    known["n_groups"] = np.unique(numbers).size
    split = assign_folds(numbers, folds, seed) if numbers.size else numbers
    if reason := why_too_few(split, "vectors of both models", name):
        return [only_reason(Row, reason, known)]
    try:
        tables = shared.read(a, normalize), shared.read(b, "none")
    except Undefined as undefined:
        return [only_reason(Row, str(undefined), known)]
    ids = [some[place] for place in shared.places]
    return _rows(ids, _Reconstructed(*tables, map_name, split, seed), known)


class _Reconstructed:
    """Vectors of one model from those of another.

    Attributes:
        vectors: What was reconstructed, (n, d).
        residuals: Its distance from the truth, (n,).
        from_mean: The distance of the mean of the other folds from it, (n,).
        folds: The fold of each system, (n,).
        explained: The share of the variance.
    """

    def __init__(self, a: Floats, b: Floats, kind: str, folds: Whole, seed: int) -> None:
        """Reconstruct b's vectors, (n, d_b), from a's, (n, d_a)."""
        self.folds: Whole = np.unique(folds, return_inverse=True)[1]
        along, directions = principal(b)
        mapped = Maps(a, along, self.folds, seed).apply(kind)
        self.vectors: Floats = b.mean(axis=0) + mapped @ directions
        self.residuals: Floats = np.linalg.norm(self.vectors - b, axis=1)
        self.from_mean: Floats = np.linalg.norm(training_means(b, self.folds) - b, axis=1)
        self.explained = mapped_share(along, mapped, self.folds)


def _rows(
    systems: Sequence[dict[str, Any]], found: _Reconstructed, known: dict[str, Any]
) -> list[Row]:
    vectors = found.vectors.tolist()
    return [
        Row(
            system_id=system["system_id"],
            formula=system["formula"],
            vector=vectors[i],
            residual=float(found.residuals[i]),
            from_mean=float(found.from_mean[i]),
            fold=int(found.folds[i]),
            explained=found.explained,
            reason=None,
            **known,
        )
        for i, system in enumerate(systems)
    ]


TABLE_FUNCTION = TableFunction(
    "One model's vectors as a map from another's tells them, system by system, in folds that "
    "no group crosses: rows to be joined",
    Row,
    (
        MODEL_A,
        MODEL_B,
        ONE_DATASET,
        Parameter(
            "map",
            "VARCHAR",
            LINEAR,
            "'linear', 'orthogonal' or 'anchors'; see transfer",
            argument="map_name",
        ),
        GROUPS,
        FOLDS,
        SYSTEMS,
        Parameter(
            "normalize",
            "VARCHAR",
            "none",
            "how vectors of model_a are normalized: 'none', 'zscore', 'l2' or 'max'",
        ),
        SEED,
    ),
    reconstruction,
)
