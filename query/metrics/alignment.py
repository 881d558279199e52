"""The alignment of models by any metric: value or reason, with null and interval beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike
from torch import Tensor

from query.engine import threads
from query.engine.comparison import Comparison
from query.engine.undefined import Undefined
from query.metrics.base import Metric
from query.metrics.registry import choose_estimator, find_metric
from query.statistics.interval import UNTOLD, around, require_subsamples
from query.statistics.null import Null, compare_with_null
from query.statistics.null import permutations as draw_orders

Pair = tuple[int, int]
# The share of systems with a tied k-th neighbor, above which a row has a warning. The treatment of
# ties moves what a system adds to the value by no more than the system's share, so up to here it
# moves the value by less than the width of its interval.
TIED = 0.05


@dataclass(frozen=True, slots=True)
class Alignment:
    """One value and all that is needed to read it. If there is no value there is a reason.

    Attributes:
        value: The metric.
        reason: Why there is no value.
        metric: The name of the metric.
        estimator: The estimator; None if the metric has none.
        normalization: How vectors were normalized.
        k: The number of neighbors; None if the metric has none.
        n: The number of systems compared.
        n_distinct: The number of distinct vectors of the model that has fewer; None if a model has
            no values.
        null_mean, null_std: Mean and standard deviation of the values of shuffled pairings.
        p_value: How often chance comes as close; see `query.statistics.null`.
        calibrated: 0 for what chance gives, 1 for the same geometry.
        low, high: The ends of the 95 % interval.
        warning: What may mislead.
    """

    value: float | None
    reason: str | None
    metric: str
    estimator: str | None
    normalization: str
    k: int | None
    n: int
    n_distinct: int | None = None
    null_mean: float | None = None
    null_std: float | None = None
    p_value: float | None = None
    calibrated: float | None = None
    low: float | None = None
    high: float | None = None
    warning: str | None = None


def align_all(
    comparison: Comparison,
    metrics: Sequence[str],
    pairs: Iterable[Pair],
    *,
    estimator: str | None = None,
    permutations: int = 0,
    subsamples: int = 0,
    seed: int = 0,
) -> Iterator[tuple[str, Pair, Alignment]]:
    """Yield every metric of every pair of models, as metric, pair and alignment.

    What metrics share, neighbor lists and sums over all pairs of systems, is found first and once.
    The null and the subsets are the same for the same seed and n.

    Args:
        comparison: The models.
        metrics: The names of the metrics.
        pairs: The pairs of models by their numbers.
        estimator: The estimator of all metrics; each metric's default if None.
        permutations: The size of the null; 0 for none.
        subsamples: The number of subsets that the interval comes from; 0 for none.
        seed: The seed of the null and the subsets.

    Raises:
        ValueError: A parameter makes no sense.
    """
    if permutations < 0:
        raise ValueError(f"permutations = {permutations}, expected 0 or more")
    require_subsamples(subsamples)
    chosen = [(metric, choose_estimator(metric, estimator)) for metric in map(find_metric, metrics)]
    wanted, n = list(pairs), comparison.n
    each_pair = n * max(comparison.k_of(metric) for metric, _ in chosen) * (1 + permutations)
    _prepare(comparison, [m for m, _ in chosen], len(chosen) * len(wanted) * each_pair, subsamples)
    orders = draw_orders(n, permutations, seed) if permutations and n else None
    for metric, way in chosen:
        intervals = _margins(comparison, metric, way, wanted, subsamples, seed)
        values = _values(comparison, metric, way, wanted)
        for pair, found in zip(wanted, values, strict=True):
            null = _null(comparison, metric, way, pair, found[0], orders)
            comparison.progress.advance(each_pair)
            margin = intervals.get(pair)
            yield (
                metric.name,
                pair,
                _alignment(comparison, metric, way, pair, *found, null, margin),
            )


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
        seed: The seed of the null and the subsets.
        device: 'cpu', 'cuda' or 'cuda:1'.

    Raises:
        ValueError: A parameter makes no sense.
        RuntimeError: This machine does not have the device.
    """
    comparison = Comparison([a, b], names=["a", "b"], k=k, normalize=normalize, device=device)
    statistics = {"permutations": permutations, "subsamples": subsamples, "seed": seed}
    ((_, _, found),) = align_all(comparison, [metric], [(0, 1)], estimator=estimator, **statistics)
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


def _prepare(
    comparison: Comparison, metrics: Sequence[Metric], products: int, subsamples: int
) -> None:
    """Find what the metrics share, once all the work that is ahead is announced."""
    n = comparison.n
    comparison.progress.expect(comparison.products_ahead(metrics) + products)
    if subsamples and n:
        lengths = (m.list_length(n, comparison.k_of(m)) for m in metrics if m.lists is not None)
        comparison.lengthen_lists(max(lengths, default=0))
    comparison.prepare(metrics)


def _null(
    comparison: Comparison,
    metric: Metric,
    estimator: str | None,
    pair: Pair,
    value: float | None,
    orders: Tensor | None,
) -> Null | None:
    if value is None or orders is None:
        return None
    try:
        shuffled = metric.null(comparison, *pair, estimator, orders)
    except Undefined:  # every pairing of some of the systems gives the same
        return None
    return compare_with_null(value, shuffled, lower_is_closer=metric.lower_is_closer)


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
    usable = [pair for pair in pairs if all(comparison.reason(i) is None for i in pair)]
    if not count or not usable:
        return {}
    margins = metric.margins(comparison, usable, estimator, count, seed)
    return dict(zip(usable, margins.tolist(), strict=True))


def _alignment(
    comparison: Comparison,
    metric: Metric,
    estimator: str | None,
    pair: Pair,
    value: float | None,
    reason: str | None,
    null: Null | None,
    margin: float | None,
) -> Alignment:
    statistics: dict[str, Any] = {}
    if null is not None:
        statistics = {"null_mean": null.mean, "null_std": null.std}
        statistics |= {"p_value": null.p_value, "calibrated": null.calibrated}
    warnings = _warnings(comparison, metric, pair)
    k = comparison.k_of(metric)
    crowding = None if value is None else metric.crowding(k, comparison.n)
    warnings += [] if crowding is None else [crowding]
    distinct = [comparison.n_distinct(i) for i in pair]
    if value is not None and margin is not None:
        if math.isnan(margin):
            warnings.append(UNTOLD.format(n=comparison.n))
        else:
            bounds = metric.bounds(estimator, comparison.n, k)
            low, high = around(value, margin, bounds)
            statistics |= {"low": low, "high": high}
    return Alignment(
        value=value,
        reason=reason,
        metric=metric.name,
        estimator=estimator,
        normalization=comparison.normalization,
        k=k if metric.uses_k else None,
        n=comparison.n,
        n_distinct=None if None in distinct else min(filter(None, distinct)),
        warning="; ".join(warnings) or None,
        **statistics,
    )


def _warnings(comparison: Comparison, metric: Metric, pair: Pair) -> list[str]:
    """Return what may mislead: vectors that rule the others by their length, and tied neighbors."""
    models = dict.fromkeys(pair)
    found = [comparison.warnings[i] for i in models if i in comparison.warnings]
    if metric.lists is not None and comparison.n >= metric.least_systems(comparison.k_of(metric)):
        shares = {
            i: comparison.tied_share(i, metric.lists, comparison.k_of(metric))
            for i in models
            if comparison.reason(i) is None
        }
        found += [
            f"{share:.0%} of systems have ties at the k-th neighbor in {comparison.names[i]}"
            for i, share in shares.items()
            if share > TIED
        ]
    return found
