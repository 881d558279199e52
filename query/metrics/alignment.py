"""The alignment of models by any metric: value or reason, with null and interval beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from numpy.typing import ArrayLike
from torch import Tensor

from query.engine import threads
from query.engine.comparison import Comparison
from query.engine.rows.drawn import DrawnRows
from query.engine.undefined import Undefined
from query.metrics.base import Metric
from query.metrics.registry import choose_estimator, find_metric
from query.metrics.shared.estimates import RowMetric, require_rows
from query.metrics.shared.estimating import Way, estimates, prepare_estimates
from query.metrics.shared.result import (
    Alignment,
    Found,
    Pair,
    compare_with_nulls,
    make_alignment,
)
from query.statistics.interval import require_subsamples
from query.statistics.null import permutations as draw_orders


def align_all(
    comparison: Comparison,
    metrics: Sequence[str],
    pairs: Iterable[Pair],
    *,
    estimator: str | None = None,
    permutations: int = 0,
    subsamples: int = 0,
    seed: int = 0,
    rows: int | None = None,
    null_of_best: bool = False,
) -> Iterator[tuple[str, Pair, Alignment]]:
    """Yield every metric of every pair of models, as metric, pair and alignment.

    What metrics share, neighbor lists and sums over all pairs of systems, is found first and once.
    The null, the subsets and the drawn systems are the same for the same seed and n.

    Args:
        comparison: The models.
        metrics: The names of the metrics.
        pairs: The pairs of models by their numbers.
        estimator: The estimator of all metrics; each metric's default if None.
        permutations: The size of the null; 0 for none.
        subsamples: The number of subsets that the interval comes from; 0 for none.
        seed: The seed of the null, the subsets and the drawn systems.
        rows: How many systems are drawn, of which alone the neighbors among all are found, for an
            estimate of metrics that would cost n²; None, or n and more, for exact values.
        null_of_best: Whether the null of all pairs is that of the best of them, which the best
            value has to be compared with. All pairs have to be given in the same direction.

    Raises:
        ValueError: A parameter makes no sense.
    """
    if permutations < 0:
        raise ValueError(f"permutations = {permutations}, expected 0 or more")
    require_subsamples(subsamples)
    require_rows(rows)
    chosen = [(metric, choose_estimator(metric, estimator)) for metric in map(find_metric, metrics)]
    wanted, n = list(pairs), comparison.n
    estimated = [way for way in chosen if _is_estimated(comparison, way, rows)]
    exact = [way for way in chosen if way not in estimated]
    each_value = _products_of_a_value(comparison, exact) * (1 + permutations)
    _expect(comparison, exact, len(exact) * len(wanted) * each_value, subsamples)
    drawn = None
    if estimated:
        drawn = DrawnRows(comparison, rows or n, permutations=permutations, seed=seed)
        prepare_estimates(drawn, estimated)
    comparison.prepare([metric for metric, _ in exact])
    orders = draw_orders(n, permutations, seed) if permutations and n and exact else None
    for metric, way in chosen:
        if drawn is not None and (metric, way) in estimated:
            found = estimates(drawn, (metric, way), wanted, permutations, subsamples)
        else:
            found = _exact_values(comparison, (metric, way), wanted, orders, subsamples, seed)
        beside = compare_with_nulls(found, metric, of_best=null_of_best)
        for pair, its in zip(wanted, beside, strict=True):
            if its.drawn is None:
                comparison.progress.advance(each_value)
            yield metric.name, pair, make_alignment(comparison, metric, way, pair, its)


def align(
    a: ArrayLike | Tensor,
    b: ArrayLike | Tensor,
    metric: str = "cknna",
    *,
    k: int | None = None,
    estimator: str | None = None,
    normalize: str = "l2",
    permutations: int = 0,
    subsamples: int = 0,
    seed: int = 0,
    device: str = "cpu",
    rows: int | None = None,
) -> Alignment:
    """Return how alike two models see the same systems. Data that give no value give a reason.

    Args:
        a: The vectors of the first model, (n, d_a).
        b: The vectors of the second, (n, d_b), row i of the same system as row i of a.
        metric: The name of the metric.
        k: The number of neighbors; the metric's own if None.
        estimator: The estimator; the metric's default if None.
        normalize: 'l2', 'max', 'zscore' or 'none'.
        permutations: The size of the null; 0 for none.
        subsamples: The number of subsets that the interval comes from; 0 for none.
        seed: The seed of the null, the subsets and the drawn systems.
        device: 'cpu', 'cuda' or 'cuda:1'.
        rows: How many systems are drawn for an estimate; see `align_all`.

    Raises:
        ValueError: A parameter makes no sense.
        RuntimeError: This machine does not have the device.
    """
    comparison = Comparison([a, b], names=["a", "b"], k=k, normalize=normalize, device=device)
    how: dict[str, Any] = {"estimator": estimator, "permutations": permutations, "rows": rows}
    how |= {"subsamples": subsamples, "seed": seed}
    ((_, _, found),) = align_all(comparison, [metric], [(0, 1)], **how)
    return found


def bare_alignment(
    metric: Metric,
    a: ArrayLike | Tensor,
    b: ArrayLike | Tensor,
    *,
    k: int,
    estimator: str | None,
    normalization: str,
) -> float:
    """Return the value alone.

    Args:
        metric: The metric.
        a: The vectors of the first model, (n, d_a).
        b: The vectors of the second, (n, d_b), row i of the same system as row i of a.
        k: The number of neighbors.
        estimator: The estimator; the metric's default if None.
        normalization: How vectors are normalized.

    Raises:
        Undefined: There is no value.
        ValueError: A parameter makes no sense.
    """
    result = align(a, b, metric.name, k=k, estimator=estimator, normalize=normalization)
    if result.value is None:
        raise Undefined(result.reason)
    return result.value


def _is_estimated(comparison: Comparison, way: Way, rows: int | None) -> bool:
    metric, estimator = way
    if rows is None or not isinstance(metric, RowMetric):
        return False
    return not metric.is_exact(comparison.n, rows, comparison.k_of(metric), estimator)


def _products_of_a_value(comparison: Comparison, ways: Sequence[Way]) -> int:
    """Return as how many products of two vectors one value of a pair counts in the progress."""
    return comparison.n * max((comparison.k_of(metric) for metric, _ in ways), default=0)


def _expect(comparison: Comparison, exact: Sequence[Way], products: int, subsamples: int) -> None:
    """Announce the work ahead of exact values, and make lists as long as they have to be."""
    n, metrics = comparison.n, [metric for metric, _ in exact]
    if not metrics:
        return
    comparison.progress.expect(comparison.products_ahead(metrics) + products)
    if subsamples and n:
        lengths = (m.list_length(n, comparison.k_of(m)) for m in metrics if m.lists is not None)
        comparison.lengthen_lists(max(lengths, default=0))


def _exact_values(
    comparison: Comparison,
    way: Way,
    pairs: Sequence[Pair],
    orders: Tensor | None,
    subsamples: int,
    seed: int,
) -> Iterator[tuple[Found, Tensor | None]]:
    metric, estimator = way
    intervals = _margins(comparison, metric, estimator, pairs, subsamples, seed)
    values = _values(comparison, metric, estimator, pairs)
    for pair, (value, reason) in zip(pairs, values, strict=True):
        null = _null(comparison, metric, estimator, pair, value, orders)
        yield Found(value, reason, None, intervals.get(pair)), null


def _null(
    comparison: Comparison,
    metric: Metric,
    estimator: str | None,
    pair: Pair,
    value: float | None,
    orders: Tensor | None,
) -> Tensor | None:
    if value is None or orders is None:
        return None
    try:
        return metric.null(comparison, *pair, estimator, orders)
    except Undefined:  # every pairing of some of the systems gives the same
        return None


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
