"""The value of a pair as a function of how many systems are compared, and of k.

A metric with neighbors depends on both: with k fixed the neighborhoods shrink as n grows, and so does the value that
chance gives, about k / n. Values of different n say which models are more alike only at equal k and n, or, roughly, at
equal k / n: the curve says how much that matters for the pair at hand. At k = n − 1 CKNNA is CKA.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.engine.comparison import ModelPart
from query.metrics import Alignment, Comparison, Metric, align_all, find_metric
from query.reading.selection import Selection, at_least_one, choose_datasets, find_source
from query.reading.vectors import Reader, read_keys
from query.statistics.interval import subsets
from query.tables.options import How
from query.tables.pairs import Pair, Row, common_rows, make_comparisons, why_nothing
from query.tables.questions import Names, select

ROW = (
    "STRUCT(model_a VARCHAR, model_b VARCHAR, dataset VARCHAR, n BIGINT, n_distinct BIGINT, k BIGINT, value DOUBLE, "
    "std DOUBLE, chance DOUBLE, repeats BIGINT, metric VARCHAR, estimator VARCHAR, normalization VARCHAR, "
    "reason VARCHAR)"
)
NS = (16, 8, 4, 2)  # parts of all systems
KS = (2, 5, 10, 25, 50, 100, 250)
REPEATS = 5
Numbers = Sequence[int] | None


def alignment_curve(
    connection: duckdb.DuckDBPyConnection,
    model_a: str,
    model_b: str,
    dataset: str | None,
    ns: Numbers,
    ks: Numbers,
    repeats: int | None,
    systems: Names,
    how: How,
) -> list[Row]:
    """Rows of `ROW`, by dataset: first for every n of `ns` at one k, then for every k of `ks` at all n.

    ns: None is n / 16, n / 8, … of those in common that are enough, and all. value is the mean over `repeats` random
    subsets, always the same for a seed, and std their deviation; all n are compared once. ks: None is 2, 5, 10, … 250
    below n / 2; metrics without neighbors have none. chance: the mean of the permutation null. n_distinct: distinct
    vectors of the model that has fewer, in the subset that has fewest.
    """
    metric = find_metric(how.one_metric("alignment_curve"))
    if ks is not None and not metric.uses_k:
        raise ValueError(f"{metric.name} has no neighbors, but ks was given: leave it out")
    for name, numbers in (("ns", ns), ("ks", ks)):
        for number in numbers or ():
            at_least_one(name, number, default=1)
    count = at_least_one("repeats", repeats, default=REPEATS)
    pair = (find_source(connection, model_a), find_source(connection, model_b))
    rows: list[Row] = []
    for name in choose_datasets(connection, dataset, pair):
        rows += _Curve(connection, select(name, systems), pair, metric, how).rows(ns, ks, count)
    return rows


class _Curve:
    """One pair on one selection of systems."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        selection: Selection,
        pair: Pair,
        metric: Metric,
        how: How,
    ) -> None:
        self.pair, self.selection, self.metric, self.how = pair, selection, metric, how
        self.keys = read_keys(connection, list(dict.fromkeys(pair)), selection)
        self.reader = Reader(connection, selection)
        self.shared = common_rows(pair, self.keys)
        self.n = len(self.shared[0])
        self.k = how.k or metric.default_k

    def rows(self, ns: Numbers, ks: Numbers, repeats: int) -> Iterator[Row]:
        ns, ks = self._sizes(ns), self._neighbors(ks)
        self._expect(ns, ks, repeats)
        comparisons = make_comparisons(
            self.reader, self.keys, replace(self.how, k=max([self.k, *ks]))
        )
        origins = [
            ModelPart(comparisons[source], 0, rows)
            for source, rows in zip(self.pair, self.shared, strict=True)
        ]
        whole = Comparison.join(origins, k=self.k)
        for n in ns:
            yield self._row(
                n,
                self.k,
                [self._value(comparison) for comparison in self._subsets(whole, n, repeats)],
            )
        for k in ks:
            if k != self.k or self.n not in ns:
                yield self._row(self.n, k, [self._value(Comparison.join(origins, k=k))])

    def _sizes(self, ns: Numbers) -> list[int]:
        if ns is not None:
            return sorted(set(ns))
        least = self.metric.least_systems(self.k)
        return [self.n // part for part in NS if self.n // part >= least] + [self.n]

    def _neighbors(self, ks: Numbers) -> list[int]:
        if not self.metric.uses_k or not self.n:
            return []
        if ks is not None:
            return sorted(set(ks))
        return sorted({k for k in KS if k < self.n / 2} | {self.k})

    def _expect(self, ns: Sequence[int], ks: Sequence[int], repeats: int) -> None:
        if self.how.progress is None:
            return
        lists = (
            sum(self.keys[source].size ** 2 for source in dict.fromkeys(self.pair))
            if self.metric.lists
            else 0
        )
        again = sum(repeats * n**2 for n in ns if n < self.n)
        if self.metric.needs:
            again += len(ks) * self.n**2
        self.how.progress.expect(lists + 2 * again)

    def _subsets(self, whole: Comparison, n: int, repeats: int) -> Iterator[Comparison]:
        if n >= self.n:
            yield whole
            return
        for rows in subsets(self.n, n, repeats, self.how.seed):
            yield whole.subset(rows)

    def _value(self, comparison: Comparison) -> Alignment:
        ((_, _, found),) = align_all(comparison, [self.metric.name], [(0, 1)], **self.how.aligning)
        return found

    def _row(self, n: int, k: int, found: list[Alignment]) -> Row:
        values = _defined([alignment.value for alignment in found])
        reason = None if values.size else found[0].reason
        if not self.n:
            reason = why_nothing(self.pair, self.keys, self.selection)
        elif n > self.n:
            values, reason = values[:0], f"only n = {self.n} systems in common"
        distinct = [alignment.n_distinct for alignment in found if alignment.n_distinct is not None]
        chance = _defined([alignment.null_mean for alignment in found]) if values.size else values
        return {
            "model_a": self.pair[0].label,
            "model_b": self.pair[1].label,
            "dataset": self.selection.dataset,
            "n": n,
            "n_distinct": min(distinct, default=None),
            "k": k if self.metric.uses_k else None,
            "value": values.mean() if values.size else None,
            "std": values.std(ddof=1) if values.size > 1 else None,
            "chance": chance.mean() if chance.size else None,
            "repeats": values.size,
            "metric": self.metric.name,
            "estimator": found[0].estimator,
            "normalization": self.how.normalize,
            "reason": reason,
        }


def _defined(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([value for value in values if value is not None], dtype=np.float64)
