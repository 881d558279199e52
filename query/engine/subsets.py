"""Values of pairs of models on subsets of the systems."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from query.engine.comparison import Comparison
from query.engine.protocols import ComparedMetric
from query.engine.undefined import Undefined
from query.statistics.interval import subset_k


def values_on_subsets(
    comparison: Comparison,
    metric: ComparedMetric,
    pairs: Sequence[tuple[int, int]],
    estimator: str | None,
    subsets: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return a metric of every pair on every subset, (S, pairs); NaN where undefined.

    Args:
        comparison: The models over all systems.
        metric: The metric.
        pairs: The pairs of models by their numbers.
        estimator: One of the metric's estimators, None if it has none.
        subsets: The systems of each subset, (S, m) ascending.
    """
    found = np.full((len(subsets), len(pairs)), np.nan)
    k = subset_k(comparison.k_of(metric), comparison.n, subsets.shape[1])
    for s, rows in enumerate(subsets):
        part = comparison.subset(rows, k)
        part.sums.compute(metric.needs)
        for p, (a, b) in enumerate(pairs):
            try:
                found[s, p] = part.value(metric, a, b, estimator)
            except Undefined:
                continue
    return found
