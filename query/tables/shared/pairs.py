"""Alignments of models in a store.

Each model is read once, and its neighbors are found once for every set of systems it shares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial, reduce
from itertools import groupby
from operator import itemgetter

import duckdb
import numpy as np

from query.engine.compared_models import RecentVectors
from query.engine.comparison import ModelPart
from query.engine.suggestions import unknown_name
from query.metrics import Alignment, Comparison, align_all, choose_estimator, find_metric
from query.metrics.shared.estimates import RowMetric
from query.reading.selection import Selection, Source
from query.reading.vectors import NO_VECTORS, Codes, Reader, StoredVectors
from query.tables.shared.options import Options
from query.tables.shared.rows import Aligned

MISSING = ("pairwise", "common")

ModelPair = tuple[Source, Source]
# Systems, with the pairs that share exactly these, by metric.
_Shared = tuple[Codes, dict[str, list[ModelPair]]]


class _Plan:
    """The alignments asked for on some systems, before any vector is read.

    Which systems models share is known from the store's keys.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        selection: Selection,
        pairs: Sequence[ModelPair],
        options: Options,
        missing: str,
    ) -> None:
        self._selection, self._options = selection, options
        self._stored = StoredVectors(connection, selection)
        self._keys = self._stored.read_keys(_unique(pairs))
        # A symmetric metric is computed once, in one fixed order: the null depends on which side
        # is shuffled.
        self._asked = [
            (pair, (metric, _fixed(metric, pair))) for metric in options.metrics for pair in pairs
        ]
        self._shared = _share({wanted for _, wanted in self._asked}, self._keys, missing)

    def products(self) -> int:
        """Return about how many products of two vectors the plan takes."""
        if self._options.rows is not None:
            return self._products_from_rows(self._options.rows)
        metrics = [find_metric(name) for name in self._options.metrics]
        lists = {
            "inner" if self._options.normalize == "l2" else metric.lists
            for metric in metrics
            if metric.lists
        }
        sums = any(metric.needs for metric in metrics)
        # 'zscore' depends on the systems, so that lists among all do not serve some.
        whole = [] if self._options.normalize == "zscore" else list(self._keys.values())
        total = sum(codes.size**2 * len(lists) for codes in whole)
        for common, wanted in self._shared:
            models = len(_unique(pair for pairs in wanted.values() for pair in pairs))
            total += models * common.size**2 * (sums + (0 if whole else len(lists)))
            for metric, pairs in wanted.items():
                k = self._options.k or find_metric(metric).default_k
                total += len(pairs) * common.size * k * (1 + self._options.permutations)
        return total

    def _products_from_rows(self, rows: int) -> int:
        total = 0
        for common, wanted in self._shared:
            models = len(_unique(pair for pairs in wanted.values() for pair in pairs))
            for metric in map(find_metric, wanted):
                searched = 1  # of n · d² in all
                if isinstance(metric, RowMetric):
                    k = self._options.k or metric.default_k
                    searched = metric.searched(
                        rows, k, choose_estimator(metric, self._options.estimator)
                    )
                total += models * common.size * min(searched, common.size)
        return total

    def rows(self) -> list[Aligned]:
        """Return one row per metric and pair, in their order."""
        comparisons = make_comparisons(Reader(self._stored), self._keys, self._options)
        values = dict(_align_shared(comparisons, self._shared, self._keys, self._options))
        return [
            _row(pair, self._keys, self._selection, values[wanted]) for pair, wanted in self._asked
        ]


def align_pairs(
    connection: duckdb.DuckDBPyConnection,
    pairs: Mapping[Selection, Sequence[ModelPair]],
    options: Options,
    missing: str = MISSING[0],
) -> list[Aligned]:
    """Align pairs of models.

    Args:
        connection: A connection to a store.
        pairs: The pairs, by the systems on which they are compared.
        options: How to compare.
        missing: 'pairwise' compares two models on all systems that they share, 'common' on those
            that all models share, so that all values are of equal n and can be compared. A model
            without any vector takes no part in 'common'.

    Returns:
        One row per selection of systems, metric and pair, in their order.

    Raises:
        ValueError: If `missing` is neither of the two.
    """
    if missing not in MISSING:
        raise ValueError(unknown_name("way to treat missing systems", missing, MISSING))
    plans = [
        _Plan(connection, selection, asked, options, missing) for selection, asked in pairs.items()
    ]
    if options.progress is not None:
        options.progress.expect(sum(plan.products() for plan in plans))
    return [row for plan in plans for row in plan.rows()]


def _fixed(metric: str, pair: ModelPair) -> ModelPair:
    a, b = pair
    return (b, a) if b < a and find_metric(metric).symmetric else pair


def make_comparisons(
    reader: Reader, keys: Mapping[Source, Codes], options: Options
) -> dict[Source, Comparison]:
    """Return a comparison of every model alone on all its systems, to be read when it is needed.

    Args:
        reader: What reads their vectors.
        keys: The models' systems.
        options: How to compare.
    """
    recent = RecentVectors()
    return {
        source: Comparison(
            [partial(reader.read, source) if keys[source].size else NO_VECTORS],
            names=[source.label],
            n=keys[source].size,
            recent=recent,
            **options.for_comparison,
        )
        for source in keys
    }


def common_rows(pair: ModelPair, keys: Mapping[Source, Codes]) -> tuple[Codes, Codes]:
    """Return which systems two models share.

    Args:
        pair: The models.
        keys: Their systems.

    Returns:
        For each model the rows of its vectors, (n,), ascending.
    """
    a, b = (keys[source] for source in pair)
    common = _intersect(a, b)
    return _places(a, common), _places(b, common)


def why_nothing(pair: ModelPair, keys: Mapping[Source, Codes], selection: Selection) -> str:
    """Return the reason why two models have no systems in common.

    Args:
        pair: The models.
        keys: Their systems.
        selection: The systems that were asked for.
    """
    absent = [source.label for source in dict.fromkeys(pair) if not keys[source].size]
    where = selection.dataset
    if selection.systems is not None:
        where = f"the chosen systems of {where}"
    if not absent:
        return f"nothing in common on {where}"
    return f"nothing in common: no vectors of {' or '.join(absent)} on {where}"


def _unique(pairs: Iterable[ModelPair]) -> list[Source]:
    return list(dict.fromkeys(source for pair in pairs for source in pair))


def _share(
    wanted: Iterable[tuple[str, ModelPair]], keys: Mapping[Source, Codes], missing: str
) -> list[_Shared]:
    """Return the distinct sets of shared systems, each with its pairs by metric."""
    present = [codes for codes in keys.values() if codes.size]
    everywhere = reduce(_intersect, present) if present and missing == "common" else None
    groups: dict[bytes, _Shared] = {}
    for pair, metrics in groupby(sorted((pair, metric) for metric, pair in wanted), itemgetter(0)):
        common = _intersect(*(keys[source] for source in pair))
        if everywhere is not None:
            common = _intersect(common, everywhere)
        digest = hashlib.blake2b(common.tobytes()).digest()
        for _, metric in metrics:
            groups.setdefault(digest, (common, {}))[1].setdefault(metric, []).append(pair)
    return list(groups.values())


def _places(codes: Codes, common: Codes) -> Codes:
    """Return where in the codes of a model those are that it shares."""
    return np.flatnonzero(np.isin(codes, common, assume_unique=True))


def _intersect(a: Codes, b: Codes) -> Codes:
    return a if np.array_equal(a, b) else np.intersect1d(a, b, assume_unique=True)


def _align_shared(
    comparisons: Mapping[Source, Comparison],
    shared: Iterable[_Shared],
    keys: Mapping[Source, Codes],
    options: Options,
) -> Iterator[tuple[tuple[str, ModelPair], Alignment]]:
    """Yield every metric and pair with its alignment.

    The neighbor lists of a model serve every set of systems that it shares.
    """
    for common, wanted in shared:
        sources = _unique(pair for pairs in wanted.values() for pair in pairs)
        comparison = Comparison.join(
            [ModelPart(comparisons[source], 0, _places(keys[source], common)) for source in sources]
        )
        number = {source: i for i, source in enumerate(sources)}
        for metrics, pairs in _together(wanted):
            numbered = [(number[a], number[b]) for a, b in pairs]
            aligned = align_all(comparison, metrics, numbered, **options.for_pairs)
            for metric, (a, b), found in aligned:
                yield (metric, (sources[a], sources[b])), found


def _together(wanted: Mapping[str, list[ModelPair]]) -> Iterator[tuple[list[str], list[ModelPair]]]:
    """Yield metrics that are asked for the same pairs, so that they share one pass."""
    groups: dict[tuple[ModelPair, ...], list[str]] = {}
    for metric, pairs in wanted.items():
        groups.setdefault(tuple(pairs), []).append(metric)
    yield from ((metrics, list(pairs)) for pairs, metrics in groups.items())


def _row(
    pair: ModelPair, keys: Mapping[Source, Codes], selection: Selection, found: Alignment
) -> Aligned:
    a, b = pair
    return Aligned(
        model_a=a.label,
        model_b=b.label,
        dataset=selection.dataset,
        value=found.value,
        calibrated=found.calibrated,
        p_value=found.p_value,
        n=found.n,
        n_distinct=found.n_distinct,
        dropped_a=keys[a].size - found.n,
        dropped_b=keys[b].size - found.n,
        metric=found.metric,
        estimator=found.estimator,
        normalization=found.normalization,
        k=found.k,
        null_mean=found.null_mean,
        null_std=found.null_std,
        low=found.low,
        high=found.high,
        standard_error=found.standard_error,
        rows=found.n if found.rows is None else found.rows,
        warning=found.warning,
        reason=found.reason if found.n else why_nothing(pair, keys, selection),
    )
