"""Exact values of every pair of models by a metric, with null and interval."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from torch import Tensor

from query.engine import threads
from query.engine.comparison import Comparison
from query.engine.undefined import Undefined
from query.metrics.base import Metric
from query.metrics.shared.estimating import Way
from query.metrics.shared.many_pairs import NullsTogether
from query.metrics.shared.result import Found, Pair
from query.statistics.null import widened


def exact_values(
    comparison: Comparison,
    way: Way,
    pairs: Sequence[Pair],
    orders: Tensor | None,
    subsamples: int,
    seed: int,
) -> Iterator[tuple[Found, Tensor | None]]:
    """Yield what is found of every pair, and its values of shuffled pairings.

    Args:
        comparison: The models.
        way: The metric and its estimator.
        pairs: The pairs of models by their numbers.
        orders: The pairings of the null, (B, n); None for no null.
        subsamples: The number of subsets that the interval comes from; 0 for none.
        seed: The seed of the subsets.
    """
    metric, estimator = way
    intervals = _margins(comparison, metric, estimator, pairs, subsamples, seed)
    values = _values(comparison, metric, estimator, pairs)
    known = [pair for pair, (value, _) in zip(pairs, values, strict=True) if value is not None]
    together: Mapping[Pair, Callable[[], Tensor]] = {}
    if orders is not None and isinstance(metric, NullsTogether):
        together = metric.nulls(comparison, known, estimator, orders)
    for pair, (value, reason) in zip(pairs, values, strict=True):
        find = together.get(pair)
        null = _null(comparison, metric, estimator, pair, value, orders, find)
        yield Found(value, reason, None, intervals.get(pair)), null


def _null(
    comparison: Comparison,
    metric: Metric,
    estimator: str | None,
    pair: Pair,
    value: float | None,
    orders: Tensor | None,
    find: Callable[[], Tensor] | None,
) -> Tensor | None:
    if value is None or orders is None:
        return None
    try:
        null = metric.null(comparison, *pair, estimator, orders) if find is None else find()
    except Undefined:  # every pairing of some of the systems gives the same
        return None
    return widened(null, comparison.null_spread(*pair))


def _values(
    comparison: Comparison, metric: Metric, estimator: str | None, pairs: Sequence[Pair]
) -> list[tuple[float | None, str | None]]:
    """Return value and reason of every pair; one of them is None."""

    def value(pair: Pair) -> tuple[float | None, str | None]:
        try:
            return comparison.value(metric, *pair, estimator), None
        except Undefined as undefined:
            return None, str(undefined)

    if metric.lists is None:
        return [value(pair) for pair in pairs]
    return threads.each(value, pairs)  # their states have been prepared


def _margins(
    comparison: Comparison,
    metric: Metric,
    estimator: str | None,
    pairs: Sequence[Pair],
    count: int,
    seed: int,
) -> dict[Pair, float]:
    """Return half the width of every pair's interval; NaN if it cannot be told."""
    if not count:
        return {}
    usable = [pair for pair in pairs if all(comparison.reason(i) is None for i in pair)]
    if not usable:
        return {}
    margins = metric.margins(comparison, usable, estimator, count, seed)
    return dict(zip(usable, margins.tolist(), strict=True))
