"""Alignments of models in a store: each model is read once and surveyed once for every set of systems it shares."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial, reduce
from itertools import groupby
from operator import itemgetter
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.engine.compared_models import RecentVectors
from query.engine.comparison import ModelPart
from query.engine.suggestions import unknown_name
from query.metrics import Alignment, Comparison, align_all, find_metric
from query.reading.selection import Selection, Source
from query.reading.vectors import NO_VECTORS, Reader, read_keys
from query.tables.options import How

# In this order, so that a terminal too narrow for all shows the value and the reason.
ROW = (
    "STRUCT(model_a VARCHAR, model_b VARCHAR, dataset VARCHAR, value DOUBLE, calibrated DOUBLE, p_value DOUBLE, "
    "n BIGINT, n_distinct BIGINT, dropped_a BIGINT, dropped_b BIGINT, metric VARCHAR, estimator VARCHAR, "
    "normalization VARCHAR, k BIGINT, null_mean DOUBLE, null_std DOUBLE, low DOUBLE, high DOUBLE, warning VARCHAR, "
    "reason VARCHAR)"
)
MISSING = ("pairwise", "common")

Row = dict[str, Any]
Pair = tuple[Source, Source]
Codes = NDArray[np.int64]
Shared = tuple[Codes, dict[str, list[Pair]]]  # the pairs that share just these systems, by metric


class Plan:
    """The alignments that are asked for on some systems: who shares what is known, no vector has been read.

    missing: 'pairwise' compares two models on all systems that they share, 'common' on those that all models share, so
    that the values of a matrix are of equal n and comparable. A model without any vector takes no part in 'common'.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        selection: Selection,
        pairs: Sequence[Pair],
        how: How,
        missing: str,
    ) -> None:
        self.connection, self.selection, self.how = connection, selection, how
        self.keys = read_keys(connection, unique(pairs), selection)
        # A symmetric metric is computed once, in one fixed order: the null depends on which side is shuffled.
        self.asked = [
            (pair, (metric, _fixed(metric, pair))) for metric in how.metrics for pair in pairs
        ]
        self.shared = _share({wanted for _, wanted in self.asked}, self.keys, missing)

    def products(self) -> int:
        """About how many products of two vectors it takes."""
        metrics = [find_metric(name) for name in self.how.metrics]
        lists = {
            "inner" if self.how.normalize == "l2" else metric.lists
            for metric in metrics
            if metric.lists
        }
        sums = any(metric.needs for metric in metrics)
        # 'zscore' depends on the systems, so that lists among all do not serve some.
        whole = [] if self.how.normalize == "zscore" else list(self.keys.values())
        total = sum(codes.size**2 * len(lists) for codes in whole)
        for common, wanted in self.shared:
            models = len(unique(pair for pairs in wanted.values() for pair in pairs))
            total += models * common.size**2 * (sums + (0 if whole else len(lists)))
            for metric, pairs in wanted.items():
                k = self.how.k or find_metric(metric).default_k
                total += len(pairs) * common.size * k * (1 + self.how.permutations)
        return total

    def rows(self) -> list[Row]:
        """One row of `ROW` a metric and pair, in their order."""
        comparisons = make_comparisons(Reader(self.connection, self.selection), self.keys, self.how)
        values = dict(_align_shared(comparisons, self.shared, self.keys, self.how))
        return [
            _row(pair, self.keys, self.selection, values[wanted]) for pair, wanted in self.asked
        ]


def align_pairs(
    connection: duckdb.DuckDBPyConnection,
    pairs: Mapping[Selection, Sequence[Pair]],
    how: How,
    missing: str | None = None,
) -> list[Row]:
    """One row of `ROW` a selection of systems, metric and pair, in their order. missing: see `Plan`."""
    missing = missing or MISSING[0]
    if missing not in MISSING:
        raise ValueError(unknown_name("way to treat missing systems", missing, MISSING))
    plans = [Plan(connection, selection, asked, how, missing) for selection, asked in pairs.items()]
    if how.progress is not None:
        how.progress.expect(sum(plan.products() for plan in plans))
    return [row for plan in plans for row in plan.rows()]


def _fixed(metric: str, pair: Pair) -> Pair:
    a, b = pair
    return (b, a) if b < a and find_metric(metric).symmetric else pair


def make_comparisons(
    reader: Reader, keys: dict[Source, Codes], how: How
) -> dict[Source, Comparison]:
    """Every model on all its systems, to be read when it is its turn."""
    recent = RecentVectors()
    return {
        source: Comparison(
            [partial(reader.read, source) if keys[source].size else NO_VECTORS],
            names=[source.label],
            n=keys[source].size,
            recent=recent,
            **how.studying,
        )
        for source in keys
    }


def unique(pairs: Iterable[Pair]) -> list[Source]:
    """The models of the pairs, each once."""
    return list(dict.fromkeys(source for pair in pairs for source in pair))


def _share(
    wanted: Iterable[tuple[str, Pair]], keys: dict[Source, Codes], missing: str
) -> list[Shared]:
    """The distinct sets of shared systems, each with the pairs that share just these, by metric."""
    present = [codes for codes in keys.values() if codes.size]
    everywhere = reduce(_intersect, present) if present and missing == "common" else None
    groups: dict[bytes, Shared] = {}
    for pair, metrics in groupby(sorted((pair, metric) for metric, pair in wanted), itemgetter(0)):
        common = _intersect(*(keys[source] for source in pair))
        if everywhere is not None:
            common = _intersect(common, everywhere)
        digest = hashlib.blake2b(common.tobytes()).digest()
        for _, metric in metrics:
            groups.setdefault(digest, (common, {}))[1].setdefault(metric, []).append(pair)
    return list(groups.values())


def common_rows(pair: Pair, keys: dict[Source, Codes]) -> tuple[Codes, Codes]:
    """Of two models, which of their systems the other has too: row numbers, ascending."""
    a, b = (keys[source] for source in pair)
    common = _intersect(a, b)
    return _places(a, common), _places(b, common)


def _places(codes: Codes, common: Codes) -> Codes:
    """Where in the codes of a model those are that it shares."""
    return np.flatnonzero(np.isin(codes, common, assume_unique=True))


def _intersect(a: Codes, b: Codes) -> Codes:
    return a if np.array_equal(a, b) else np.intersect1d(a, b, assume_unique=True)


def _align_shared(
    comparisons: dict[Source, Comparison],
    shared: Iterable[Shared],
    keys: dict[Source, Codes],
    how: How,
) -> Iterator[tuple[tuple[str, Pair], Alignment]]:
    """Every metric and pair with its alignment. A model's neighbor lists serve every set of systems it shares."""
    for common, wanted in shared:
        sources = unique(pair for pairs in wanted.values() for pair in pairs)
        comparison = Comparison.join(
            [ModelPart(comparisons[source], 0, _places(keys[source], common)) for source in sources]
        )
        number = {source: i for i, source in enumerate(sources)}
        for metrics, pairs in _together(wanted):
            numbered = [(number[a], number[b]) for a, b in pairs]
            for metric, (a, b), found in align_all(comparison, metrics, numbered, **how.aligning):
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
        "n_distinct": found.n_distinct,
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
        "reason": found.reason if found.n else why_nothing(pair, keys, selection),
    }


def why_nothing(pair: Pair, keys: dict[Source, Codes], selection: Selection) -> str:
    """The reason why two models have no systems in common."""
    absent = [source.label for source in dict.fromkeys(pair) if not keys[source].size]
    where = (
        selection.dataset
        if selection.systems is None
        else f"the chosen systems of {selection.dataset}"
    )
    if not absent:
        return f"nothing in common on {where}"
    return f"nothing in common: no vectors of {' or '.join(absent)} on {where}"
