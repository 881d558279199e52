"""Alignments of models in a store: each model is read once and surveyed once for every set of systems it shares."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.metrics import Alignment, Study, align, align_all, find_metric
from query.metrics.registry import unknown
from query.metrics.study import Origin, Shelf
from query.vectors import NOTHING, Selection, Source, read_keys, read_vectors

# In this order, so that a terminal too narrow for all shows the value and the reason.
ROW = (
    "STRUCT(model_a VARCHAR, model_b VARCHAR, dataset VARCHAR, value DOUBLE, calibrated DOUBLE, p_value DOUBLE, "
    "n BIGINT, dropped_a BIGINT, dropped_b BIGINT, metric VARCHAR, estimator VARCHAR, normalization VARCHAR, k BIGINT, "
    "null_mean DOUBLE, null_std DOUBLE, low DOUBLE, high DOUBLE, warning VARCHAR, reason VARCHAR)"
)
HOW = (
    "STRUCT(metric VARCHAR, k BIGINT, estimator VARCHAR, normalize VARCHAR, permutations BIGINT, subsamples BIGINT, "
    "seed BIGINT, device VARCHAR)"
)
MISSING = ("pairwise", "common")

Row = dict[str, Any]
Pair = tuple[Source, Source]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class How:
    """How to compare. Raises ValueError on an option that makes no sense, before any vector is read.

    metric: one name, or several as 'cknna, cka' or '[cknna, cka]', which is how SQL spells a list as text.
    """

    metric: str = "cknna"
    k: int | None = None
    estimator: str | None = None
    normalize: str = "l2"
    permutations: int = 100
    subsamples: int = 0
    seed: int = 0
    device: str = "cpu"

    def __post_init__(self) -> None:
        for metric in self.metrics:
            align(NOTHING, NOTHING, metric, **self.studying, **self.aligning)

    @classmethod
    def of(cls, **given: Any) -> How:
        """From SQL's arguments, where NULL means the default."""
        return cls(**{name: value for name, value in given.items() if value is not None})

    @property
    def metrics(self) -> list[str]:
        """Each once, in the order asked for."""
        names = (name.strip() for name in self.metric.strip("[] ").split(","))
        return list(dict.fromkeys(names))

    @property
    def studying(self) -> dict[str, Any]:
        return {"k": self.k, "normalize": self.normalize, "device": self.device}

    @property
    def aligning(self) -> dict[str, Any]:
        return {
            "estimator": self.estimator,
            "permutations": self.permutations,
            "subsamples": self.subsamples,
            "seed": self.seed,
        }


def align_pairs(
    connection: duckdb.DuckDBPyConnection,
    pairs: Sequence[Pair],
    selection: Selection,
    how: How,
    missing: str = "pairwise",
) -> list[Row]:
    """One row of `ROW` a metric and pair, in their order.

    missing: 'pairwise' compares two models on all systems that they share, 'common' on those that all models share, so
    that the values of a matrix are of equal n and comparable. A model without any vector takes no part in 'common'.
    """
    if missing not in MISSING:
        raise ValueError(unknown("way to treat missing systems", missing, MISSING))
    keys = read_keys(connection, unique(pairs), selection)
    # A symmetric metric is computed once, in one fixed order: the null depends on which side is shuffled.
    todo = {(metric, pair): _fixed(metric, pair) for metric in how.metrics for pair in pairs}
    shared = _share(set(todo.values()), keys, missing)
    values = dict(_align_shared(_studies(connection, keys, selection, how), shared, keys, how))
    return [_row(pair, keys, selection, values[todo[metric, pair]]) for metric, pair in todo]


def _fixed(metric: str, pair: Pair) -> tuple[str, Pair]:
    a, b = pair
    return metric, (b, a) if b < a and find_metric(metric).symmetric else pair


def _studies(
    connection: duckdb.DuckDBPyConnection, keys: dict[Source, Codes], selection: Selection, how: How
) -> dict[Source, Study]:
    """Every model on all its systems, to be read when it is its turn."""
    shelf = Shelf()
    return {
        source: Study(
            [lambda source=source: read_vectors(connection, source, selection) if keys[source].size else NOTHING],
            names=[source.label],
            n=keys[source].size,
            shelf=shelf,
            **how.studying,
        )
        for source in keys
    }


def unique(pairs: Iterable[Pair]) -> list[Source]:
    """The models of the pairs, each once."""
    return list(dict.fromkeys(source for pair in pairs for source in pair))


def _share(
    wanted: Iterable[tuple[str, Pair]], keys: dict[Source, Codes], missing: str
) -> list[tuple[Codes, dict[str, list[Pair]]]]:
    """The distinct sets of shared systems, each with the pairs that share just these, by metric."""
    present = [codes for codes in keys.values() if codes.size]
    everywhere = reduce(_intersect, present) if present and missing == "common" else None
    groups: dict[bytes, tuple[Codes, dict[str, list[Pair]]]] = {}
    for metric, (a, b) in sorted(wanted):
        common = _intersect(keys[a], keys[b])
        if everywhere is not None:
            common = _intersect(common, everywhere)
        digest = hashlib.blake2b(common.tobytes()).digest()
        groups.setdefault(digest, (common, {}))[1].setdefault(metric, []).append((a, b))
    return list(groups.values())


def _intersect(a: Codes, b: Codes) -> Codes:
    return a if np.array_equal(a, b) else np.intersect1d(a, b, assume_unique=True)


def _align_shared(
    studies: dict[Source, Study],
    shared: Iterable[tuple[Codes, dict[str, list[Pair]]]],
    keys: dict[Source, Codes],
    how: How,
) -> Iterator[tuple[tuple[str, Pair], Alignment]]:
    """Every metric and pair with its alignment. A model's neighbour lists serve every set of systems it shares."""
    for common, wanted in shared:
        sources = unique(pair for pairs in wanted.values() for pair in pairs)
        rows = (np.flatnonzero(np.isin(keys[source], common, assume_unique=True)) for source in sources)
        study = Study.join([Origin(studies[source], 0, r) for source, r in zip(sources, rows, strict=True)])
        number = {source: i for i, source in enumerate(sources)}
        for metrics, pairs in _together(wanted):
            numbered = [(number[a], number[b]) for a, b in pairs]
            for metric, (a, b), found in align_all(study, metrics, numbered, **how.aligning):
                yield (metric, (sources[a], sources[b])), found


def _together(wanted: dict[str, list[Pair]]) -> Iterator[tuple[list[str], list[Pair]]]:
    """Metrics that are asked for the same pairs, so that they share one pass."""
    groups: dict[tuple[Pair, ...], list[str]] = {}
    for metric, pairs in wanted.items():
        groups.setdefault(tuple(pairs), []).append(metric)
    yield from ((metrics, list(pairs)) for pairs, metrics in groups.items())


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
        "low": found.low,
        "high": found.high,
        "warning": found.warning,
        "reason": found.reason if found.n else _why_nothing(pair, keys, selection),
    }


def _why_nothing(pair: Pair, keys: dict[Source, Codes], selection: Selection) -> str:
    absent = [source.label for source in dict.fromkeys(pair) if not keys[source].size]
    where = selection.dataset if selection.systems is None else f"the chosen systems of {selection.dataset}"
    if not absent:
        return f"nothing in common on {where}"
    return f"nothing in common: no vectors of {' or '.join(absent)} on {where}"
