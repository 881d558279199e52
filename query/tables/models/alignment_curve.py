"""alignment_curve(model_a, model_b, …): how a value depends on the number of systems and on k.

A metric with neighbors depends on both. With k fixed, neighborhoods shrink as n grows, and so does
the value that chance gives, about k / n. Values of different n tell which models are more alike
only at equal k and n or, roughly, at equal k / n. The curve shows how much that matters for the
pair at hand. At k = n − 1, CKNNA is CKA.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.engine.comparison import ModelPart
from query.metrics import Alignment, Comparison, Metric, align_all, find_metric
from query.reading.selection import Selection, at_least_one, choose_datasets, find_source
from query.reading.vectors import Reader, StoredVectors
from query.statistics.interval import subsets
from query.tables.shared.declare import Parameter, TableFunction
from query.tables.shared.options import Options
from query.tables.shared.pairs import common_rows, why_nothing
from query.tables.shared.parameters import (
    DATASET,
    DEVICE,
    ESTIMATOR,
    METRIC,
    MODEL_A,
    MODEL_B,
    NORMALIZE,
    OPTION_SEED,
    SYSTEMS,
    K,
)
from query.tables.shared.plans import ModelPair, make_comparisons
from query.tables.shared.selecting import Names, select

_PARTS = (16, 8, 4, 2)  # of all systems, of which a curve is made where no sizes are named
_KS = (2, 5, 10, 25, 50, 100, 250)  # evenly on a logarithmic axis
_PERMUTATIONS = 10  # enough for the mean of the null, which is all that is shown of it

_Numbers = Sequence[int] | None


@dataclass(frozen=True)
class Row:
    """A point of the curve of a pair."""

    model_a: Annotated[str, "the first model; model#representation if not its default one"]
    model_b: Annotated[str, "the second model"]
    dataset: Annotated[str, "the dataset whose systems are compared"]
    n: Annotated[int, "systems that are compared"]
    n_distinct: Annotated[int | None, "distinct vectors, the fewest in any subset and model"]
    k: Annotated[int | None, "neighbors per system, of a metric that has them"]
    value: Annotated[float | None, "the metric, the mean over random subsets of n systems"]
    std: Annotated[float | None, "its standard deviation over these subsets"]
    chance: Annotated[float | None, "the mean of the value over shuffled pairs"]
    repeats: Annotated[int, "subsets with a value; all systems are compared once"]
    metric: Annotated[str, "the metric"]
    estimator: Annotated[str | None, "the estimator of the metric, if it has several"]
    normalization: Annotated[str, "how vectors were normalized"]
    warning: Annotated[str | None, "what weakens the value, such as k above n / 4"]
    reason: Annotated[str | None, "why there is no value"]


def alignment_curve(
    connection: duckdb.DuckDBPyConnection,
    model_a: str,
    model_b: str,
    dataset: str | None = None,
    ns: _Numbers = None,
    ks: _Numbers = None,
    repeats: int = 5,
    systems: Names = None,
    options: Options | None = None,
) -> Sequence[Row]:
    """Compare two models on fewer and fewer systems, and with more and more neighbors.

    Args:
        connection: A connection to a store.
        model_a: A model, or model#representation.
        model_b: The other one.
        dataset: The dataset; None is every one that either has seen.
        ns: Numbers of systems; None is n / 16, n / 8, … of those in common if they are enough, and
            all.
        ks: Numbers of neighbors; None is 2, 5, 10, … 250 below n / 2. Metrics without neighbors
            have none.
        repeats: How many random subsets of a size are compared, always the same for a seed.
        systems: Ids of systems; None is all.
        options: How to compare; `permutations` and `subsamples` have no meaning here.

    Returns:
        By dataset, first one row per number of systems at one k, then one per k with all systems.

    Raises:
        ValueError: If the store has no such model or dataset, if there are several metrics, or if
            `ks` is given for a metric without neighbors.
    """
    options = (options or Options()).without_null(_PERMUTATIONS)
    metric = find_metric(options.one_metric("alignment_curve"))
    if ks is not None and not metric.uses_k:
        raise ValueError(f"{metric.name} has no neighbors, but ks was given: leave it out")
    for name, numbers in (("ns", ns), ("ks", ks)):
        for number in numbers or ():
            at_least_one(name, number, default=1)
    pair = (find_source(connection, model_a), find_source(connection, model_b))
    rows: list[Row] = []
    for name in choose_datasets(connection, dataset, pair):
        curve = _Curve(connection, select(name, systems), pair, metric, options)
        rows += curve.rows(ns, ks, repeats)
    return rows


class _Curve:
    """One pair on one selection of systems."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        selection: Selection,
        pair: ModelPair,
        metric: Metric,
        options: Options,
    ) -> None:
        self._pair, self._selection, self._metric = pair, selection, metric
        self._options = options
        stored = StoredVectors(connection, selection)
        self._keys = stored.read_keys(list(dict.fromkeys(pair)))
        self._reader = Reader(stored)
        self._shared = common_rows(pair, self._keys)
        self._n = len(self._shared[0])
        self._k = options.k or metric.default_k

    def rows(self, ns: _Numbers, ks: _Numbers, repeats: int) -> Iterator[Row]:
        """Yield the points of the curve."""
        ns, ks = self._sizes(ns), self._neighbors(ks)
        self._expect(ns, ks, repeats)
        longest = replace(self._options, k=max([self._k, *ks]))
        comparisons = make_comparisons(self._reader, self._keys, longest)
        parts = [
            ModelPart(comparisons[source], 0, rows)
            for source, rows in zip(self._pair, self._shared, strict=True)
        ]
        whole = Comparison.join(parts, k=self._k)
        for n in ns:
            found = [self._align(part) for part in self._subsets(whole, n, repeats)]
            yield self._row(n, self._k, found)
        for k in ks:
            if k != self._k or self._n not in ns:
                yield self._row(self._n, k, [self._align(Comparison.join(parts, k=k))])

    def _sizes(self, ns: _Numbers) -> list[int]:
        if ns is not None:
            return sorted(set(ns))
        least = self._metric.least_systems(self._k)
        return [self._n // part for part in _PARTS if self._n // part >= least] + [self._n]

    def _neighbors(self, ks: _Numbers) -> list[int]:
        if not self._metric.uses_k or not self._n:
            return []
        if ks is not None:
            return sorted(set(ks))
        return sorted({k for k in _KS if k < self._n / 2} | {self._k})

    def _expect(self, ns: Sequence[int], ks: Sequence[int], repeats: int) -> None:
        """Say about how many products of two vectors it takes."""
        if self._options.progress is None:
            return
        lists = 0
        if self._metric.lists:
            lists = sum(self._keys[source].size ** 2 for source in dict.fromkeys(self._pair))
        again = sum(repeats * n**2 for n in ns if n < self._n)
        if self._metric.needs:
            again += len(ks) * self._n**2
        self._options.progress.expect(lists + 2 * again)

    def _subsets(self, whole: Comparison, n: int, repeats: int) -> Iterator[Comparison]:
        if n >= self._n:
            yield whole
            return
        for rows in subsets(self._n, n, repeats, self._options.seed):
            yield whole.subset(rows)

    def _align(self, comparison: Comparison) -> Alignment:
        metrics, options = [self._metric.name], self._options.for_pairs
        ((_, _, found),) = align_all(comparison, metrics, [(0, 1)], **options)
        return found

    def _row(self, n: int, k: int, found: Sequence[Alignment]) -> Row:
        values = _defined([alignment.value for alignment in found])
        reason = None if values.size else found[0].reason
        if not self._n:
            reason = why_nothing(self._pair, self._keys, self._selection)
        elif n > self._n:
            values, reason = values[:0], f"only n = {self._n} systems in common"
        distinct = [alignment.n_distinct for alignment in found if alignment.n_distinct is not None]
        chance = _defined([alignment.null_mean for alignment in found]) if values.size else values
        return Row(
            model_a=self._pair[0].label,
            model_b=self._pair[1].label,
            dataset=self._selection.dataset,
            n=n,
            n_distinct=min(distinct, default=None),
            k=k if self._metric.uses_k else None,
            value=values.mean() if values.size else None,
            std=values.std(ddof=1) if values.size > 1 else None,
            chance=chance.mean() if chance.size else None,
            repeats=values.size,
            metric=self._metric.name,
            estimator=found[0].estimator,
            normalization=self._options.normalize,
            warning=found[0].warning if values.size else None,
            reason=reason,
        )


def _defined(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([value for value in values if value is not None], dtype=np.float64)


TABLE_FUNCTION = TableFunction(
    "How the value of two models depends on the number of systems and on k: compare values at "
    "equal k and n, or k / n",
    Row,
    (
        MODEL_A,
        MODEL_B,
        DATASET,
        METRIC,
        Parameter("ns", "BIGINT[]", None, "numbers of systems; NULL is parts of all, and all"),
        Parameter("ks", "BIGINT[]", None, "numbers of neighbors; NULL is 2, 5, 10, … below n / 2"),
        Parameter("repeats", "BIGINT", 5, "random subsets per number of systems", least=1),
        K,
        ESTIMATOR,
        NORMALIZE,
        OPTION_SEED,
        DEVICE,
        SYSTEMS,
    ),
    alignment_curve,
)
