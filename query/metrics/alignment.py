"""The alignment of models by any metric: vectors in, value or reason out, with null and interval beside it."""

from __future__ import annotations

import contextlib
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


@dataclass(frozen=True, slots=True)
class Alignment:
    """One value and all that is needed to read it. Where there is no value there is a reason."""

    value: float | None
    reason: str | None
    metric: str
    estimator: str | None
    normalization: str
    k: int | None  # None for metrics without neighbors
    n: int  # systems compared
    n_distinct: int | None = (
        None  # distinct vectors of the model that has fewer; None where one has no values
    )
    null_mean: float | None = None
    null_std: float | None = None
    p_value: float | None = None
    calibrated: float | None = None
    low: float | None = None  # of the 95 % interval
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
    """Every metric of every pair of the comparison's models, as metric, pair and alignment.

    permutations: size of the null; subsamples: of the interval; 0 leaves it out.

    What the metrics share, neighbor lists and sums over all pairs of systems, is found first and once. The null and
    the subsets are the same for the same seed and n. Raises ValueError on parameters that make no sense.
    """
    if permutations < 0:
        raise ValueError(f"permutations = {permutations}, expected 0 or more")
    require_subsamples(subsamples)
    chosen = [
        (find_metric(name), choose_estimator(find_metric(name), estimator)) for name in metrics
    ]
    wanted = list(pairs)
    each_pair = (
        comparison.n * max(comparison.k_of(metric) for metric, _ in chosen) * (1 + permutations)
    )
    comparison.progress.expect(
        comparison.products_ahead([metric for metric, _ in chosen])
        + len(chosen) * len(wanted) * each_pair
    )
    if subsamples and comparison.n:
        lengths = (
            m.list_length(comparison.n, comparison.k_of(m))
            for m, _ in chosen
            if m.lists is not None
        )
        comparison.lengthen_lists(max(lengths, default=0))
    comparison.prepare([metric for metric, _ in chosen])
    orders = (
        draw_orders(comparison.n, permutations, seed) if permutations and comparison.n else None
    )
    for metric, how in chosen:
        intervals = _margins(comparison, metric, how, wanted, subsamples, seed)
        for pair, (value, reason) in zip(
            wanted, _values(comparison, metric, how, wanted), strict=True
        ):
            null = None
            if value is not None and orders is not None:
                with contextlib.suppress(
                    Undefined
                ):  # where every pairing of some of the systems gives the same
                    shuffled = metric.null(comparison, *pair, how, orders)
                    null = compare_with_null(
                        value, shuffled, lower_is_closer=metric.lower_is_closer
                    )
            comparison.progress.advance(each_pair)
            yield (
                metric.name,
                pair,
                _alignment(comparison, metric, how, pair, value, reason, null, intervals.get(pair)),
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
    """How alike two models see the same systems.

    a: (n, d_a), b: (n, d_b), row i of both the same system. k, estimator: the metric's own where None.
    Data that give no value give a reason. Raises ValueError on parameters that make no sense.
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
    """The bare value. Raises Undefined where there is none, ValueError on parameters that make no sense."""
    result = align(a, b, metric.name, k=k, estimator=estimator, normalize=normalization)
    if result.value is None:
        raise Undefined(result.reason)
    return result.value


def _values(
    comparison: Comparison, metric: Metric, estimator: str | None, pairs: Sequence[Pair]
) -> list[tuple[float | None, str | None]]:
    """Value and reason of every pair: one of them is None."""

    def value(pair: Pair) -> tuple[float | None, str | None]:
        try:
            return comparison.value(metric, *pair, estimator), None
        except Undefined as undefined:
            return None, str(undefined)

    if metric.lists is None:
        return [value(pair) for pair in pairs]
    return threads.each(value, pairs)  # their states are there since the survey


def _margins(
    comparison: Comparison,
    metric: Metric,
    estimator: str | None,
    pairs: Sequence[Pair],
    count: int,
    seed: int,
) -> dict[Pair, float]:
    """Half the width of every pair's interval, NaN where it cannot be told; none where none was asked for."""
    usable = [pair for pair in pairs if all(comparison.reason(i) is None for i in pair)]
    if not count or not usable:
        return {}
    return dict(
        zip(
            usable, metric.margins(comparison, usable, estimator, count, seed).tolist(), strict=True
        )
    )


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
        statistics = {name: getattr(null, source) for name, source in NULL_COLUMNS.items()}
    warnings = _warnings(comparison, metric, pair)
    crowding = None if value is None else metric.crowding(comparison.k_of(metric), comparison.n)
    warnings += [] if crowding is None else [crowding]
    distinct = [comparison.n_distinct(i) for i in pair]
    if value is not None and margin is not None:
        if math.isnan(margin):
            warnings.append(UNTOLD.format(n=comparison.n))
        else:
            low, high = around(
                value, margin, metric.bounds(estimator, comparison.n, comparison.k_of(metric))
            )
            statistics |= {"low": low, "high": high}
    return Alignment(
        value=value,
        reason=reason,
        metric=metric.name,
        estimator=estimator,
        normalization=comparison.normalization,
        k=comparison.k_of(metric) if metric.uses_k else None,
        n=comparison.n,
        n_distinct=None if None in distinct else min(filter(None, distinct)),
        warning="; ".join(warnings) or None,
        **statistics,
    )


def _warnings(comparison: Comparison, metric: Metric, pair: Pair) -> list[str]:
    """What may mislead: vectors that rule the others by their length, and neighbors that are not determined."""
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


# Of the systems, from which it is said that their k-th neighbor is tied. How ties are treated moves what a system adds
# to the value by no more than the system's share, so up to here it moves the value by less than its interval is wide.
TIED = 0.05
NULL_COLUMNS = {
    "null_mean": "mean",
    "null_std": "std",
    "p_value": "p_value",
    "calibrated": "calibrated",
}
