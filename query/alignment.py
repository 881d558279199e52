"""Alignments of models in a store: each model is read once and surveyed once for every set of systems it shares."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.metrics import Alignment, Prepared, Undefined, align, align_prepared, find_metric, prepare
from query.metrics.registry import unknown
from query.vectors import NOTHING, Selection, Source, Vectors, read_keys, read_vectors

# In this order, so that a terminal too narrow for all shows the value and the reason.
ROW = (
    "STRUCT(model_a VARCHAR, model_b VARCHAR, dataset VARCHAR, value DOUBLE, calibrated DOUBLE, p_value DOUBLE, "
    "n BIGINT, dropped_a BIGINT, dropped_b BIGINT, metric VARCHAR, estimator VARCHAR, normalization VARCHAR, k BIGINT, "
    "null_mean DOUBLE, null_std DOUBLE, reason VARCHAR)"
)
HOW = "STRUCT(metric VARCHAR, k BIGINT, estimator VARCHAR, normalize VARCHAR, permutations BIGINT, seed BIGINT)"
MISSING = ("pairwise", "common")

Row = dict[str, Any]
Pair = tuple[Source, Source]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class How:
    """How to compare. Raises ValueError on an option that makes no sense, before any vector is read."""

    metric: str = "cknna"
    k: int = 25
    estimator: str | None = None
    normalize: str = "l2"
    permutations: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        align(NOTHING, NOTHING, self.metric, **self.preparing, **self.aligning)

    @classmethod
    def of(cls, **given: Any) -> How:
        """From SQL's arguments, where NULL means the default."""
        return cls(**{name: value for name, value in given.items() if value is not None})

    @property
    def preparing(self) -> dict[str, Any]:
        return {"k": self.k, "normalize": self.normalize}

    @property
    def aligning(self) -> dict[str, Any]:
        return {"estimator": self.estimator, "permutations": self.permutations, "seed": self.seed}


def align_pairs(
    connection: duckdb.DuckDBPyConnection,
    pairs: Sequence[Pair],
    selection: Selection,
    how: How,
    missing: str = "pairwise",
) -> list[Row]:
    """One row of `ROW` a pair, in their order.

    missing: 'pairwise' compares two models on all systems that they share, 'common' on those that all models share, so
    that the values of a matrix are of equal n and comparable. A model without any vector takes no part in 'common'.
    """
    if missing not in MISSING:
        raise ValueError(unknown("way to treat missing systems", missing, MISSING))
    symmetric = find_metric(how.metric).symmetric
    keys = read_keys(connection, unique(pairs), selection)
    # A symmetric metric is computed once, in one fixed order: the null depends on which side is shuffled.
    todo = {(a, b): (b, a) if symmetric and b < a else (a, b) for a, b in pairs}
    shared = _share(set(todo.values()), keys, missing)
    values = dict(_align_shared(connection, shared, keys, selection, how))
    return [_row(pair, keys, selection, values[todo[pair]]) for pair in pairs]


def unique(pairs: Iterable[Pair]) -> list[Source]:
    """The models of the pairs, each once."""
    return list(dict.fromkeys(source for pair in pairs for source in pair))


def _share(pairs: Iterable[Pair], keys: dict[Source, Codes], missing: str) -> list[tuple[Codes, list[Pair]]]:
    """The distinct sets of shared systems, each with the pairs that share just these."""
    present = [codes for codes in keys.values() if codes.size]
    everywhere = reduce(_intersect, present) if present and missing == "common" else None
    groups: dict[bytes, tuple[Codes, list[Pair]]] = {}
    for a, b in sorted(pairs):
        common = _intersect(keys[a], keys[b])
        if everywhere is not None:
            common = _intersect(common, everywhere)
        digest = hashlib.blake2b(common.tobytes()).digest()
        groups.setdefault(digest, (common, []))[1].append((a, b))
    return list(groups.values())


def _intersect(a: Codes, b: Codes) -> Codes:
    return a if np.array_equal(a, b) else np.intersect1d(a, b, assume_unique=True)


def _align_shared(
    connection: duckdb.DuckDBPyConnection,
    shared: Iterable[tuple[Codes, list[Pair]]],
    keys: dict[Source, Codes],
    selection: Selection,
    how: How,
) -> Iterator[tuple[Pair, Alignment]]:
    """Every pair with its alignment. What a model's survey finds is kept only as long as its set of systems lasts."""
    read: dict[Source, Vectors | Undefined] = {}
    for common, pairs in shared:
        surveyed: dict[Source, Prepared] = {}
        for source in unique(pairs):
            if source not in read and common.size:
                read[source] = _read(connection, source, selection)
            vectors = read.get(source, NOTHING) if common.size else NOTHING
            surveyed[source] = _survey(vectors, keys[source], common, source.label, how)
        for a, b in pairs:
            yield (a, b), align_prepared(surveyed[a], surveyed[b], **how.aligning)


def _read(connection: duckdb.DuckDBPyConnection, source: Source, selection: Selection) -> Vectors | Undefined:
    try:
        return read_vectors(connection, source, selection)
    except Undefined as undefined:
        return undefined


def _survey(vectors: Vectors | Undefined, codes: Codes, common: Codes, name: str, how: How) -> Prepared:
    """One model over the common systems, or the reason why it has no survey."""
    if isinstance(vectors, Undefined):
        nothing = prepare(np.empty((common.size, 0)), how.metric, **how.preparing, name=name)
        return replace(nothing, reason=str(vectors))
    if common.size < codes.size:
        vectors = vectors[np.isin(codes, common, assume_unique=True)] if common.size else NOTHING
    return prepare(vectors, how.metric, **how.preparing, name=name)


def _row(pair: Pair, keys: dict[Source, Codes], selection: Selection, found: Alignment) -> Row:
    a, b = pair
    return {
        "model_a": a.label,
        "model_b": b.label,
        "dataset": selection.dataset,
        "value": found.value,
        "calibrated": found.calibrated,
        "p_value": found.p_value,
        "n": found.n,
        "dropped_a": keys[a].size - found.n,
        "dropped_b": keys[b].size - found.n,
        "metric": found.metric,
        "estimator": found.estimator,
        "normalization": found.normalization,
        "k": found.k,
        "null_mean": found.null_mean,
        "null_std": found.null_std,
        "reason": found.reason if found.n else _why_nothing(pair, keys, selection),
    }


def _why_nothing(pair: Pair, keys: dict[Source, Codes], selection: Selection) -> str:
    absent = [source.label for source in dict.fromkeys(pair) if not keys[source].size]
    where = selection.dataset if selection.systems is None else f"the chosen systems of {selection.dataset}"
    if not absent:
        return f"nothing in common on {where}"
    return f"nothing in common: no vectors of {' or '.join(absent)} on {where}"
