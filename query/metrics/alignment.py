"""The alignment of models by any metric: value or reason, with null and interval beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from query.engine.comparison import Comparison
from query.engine.conditioned import Conditioned
from query.engine.rows.drawn import DrawnRows
from query.engine.undefined import Undefined
from query.metrics.base import Metric
from query.metrics.registry import choose_estimator, find_metric, is_whole
from query.metrics.shared.estimates import RowMetric, require_rows
from query.metrics.shared.estimating import Way, estimates, prepare_estimates
from query.metrics.shared.exact import exact_values
from query.metrics.shared.result import Alignment, Pair, compare_with_nulls, make_alignment
from query.statistics.exchange import Exchange
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
    exchange: Exchange | None = None,
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
        exchange: Which rows may change places in the null, where they are nodes; None for any.

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
        drawn = DrawnRows(
            comparison, rows or n, permutations=permutations, seed=seed, exchange=exchange
        )
        prepare_estimates(drawn, estimated)
    comparison.prepare([metric for metric, _ in exact])
    orders = _orders(n, permutations, seed, exchange) if permutations and n and exact else None
    for metric, way in chosen:
        if drawn is not None and (metric, way) in estimated:
            found = estimates(drawn, (metric, way), wanted, permutations, subsamples)
        else:
            found = exact_values(comparison, (metric, way), wanted, orders, subsamples, seed)
        beside = compare_with_nulls(found, metric, of_best=null_of_best)
        for pair, its in zip(wanted, beside, strict=True):
            if its.drawn is None:
                comparison.progress.advance(each_value)
            yield metric.name, pair, make_alignment(comparison, metric, way, pair, its)


def align_conditioned(
    conditioned: Conditioned,
    metrics: Sequence[str],
    pairs: Iterable[Pair],
    *,
    permutations: int = 0,
    **how: Any,
) -> Iterator[tuple[str, Pair, Alignment]]:
    """Yield every metric of every pair of models, once what a description explains is taken out.

    The null, the p-value and the calibrated value are those of what is left, and the interval is
    that of other systems, with the fit as it is. `procrustes` and `reconstruction_error` have no
    null: they are not made of products or distances of two systems, and chance depends on how many
    directions are taken.

    Args:
        conditioned: The models and the description.
        metrics: The names of the metrics.
        pairs: The pairs of models by their numbers.
        permutations: The size of the null; 0 for none.
        how: The other arguments of `align_all`.

    Raises:
        ValueError: A parameter makes no sense.
    """
    wanted = list(pairs)
    found: dict[str, list[Alignment]] = {}
    for whole in (False, True):
        some = [name for name in metrics if is_whole(name) == whole]
        if not some:
            continue
        shuffled = 0 if whole else permutations
        comparison = conditioned.compare(whole=whole)
        its = list(align_all(comparison, some, wanted, permutations=shuffled, **how))
        others = _values_of_shuffled(conditioned, whole, some, wanted, how)
        for (name, pair, alignment), other in zip(its, others, strict=True):
            note = f"no null: {name} has none of what is left" if permutations and whole else None
            found.setdefault(name, []).append(_note(conditioned, pair, alignment, other, note))
    for name in metrics:
        for pair, alignment in zip(wanted, found.get(name, []), strict=True):
            yield name, pair, alignment


def _note(
    conditioned: Conditioned, pair: Pair, found: Alignment, shuffled: float | None, note: str | None
) -> Alignment:
    """Return an alignment with what it is given. shuffled: see `Alignment`; note: a warning."""
    share_a, share_b = (conditioned.shares.get(i) for i in pair)
    notes = [conditioned.warnings.get(i) for i in dict.fromkeys(pair)]
    return replace(
        found,
        warning="; ".join(filter(None, [found.warning, *notes, note])) or None,
        given_share_a=share_a,
        given_share_b=share_b,
        given_shuffled=None if found.value is None else shuffled,
    )


def _values_of_shuffled(
    conditioned: Conditioned,
    whole: bool,
    metrics: Sequence[str],
    pairs: Sequence[Pair],
    how: dict[str, Any],
) -> list[float | None]:
    """Return the values with the description shuffled; None where too little is taken to matter."""
    values: dict[tuple[str, Pair], float | None] = {}
    if some := [pair for pair in pairs if conditioned.loses_much(pair)]:
        comparison = conditioned.compare(whole=whole, shuffled=True)
        how = how | {"subsamples": 0, "null_of_best": False}
        found = align_all(comparison, metrics, some, **how)
        values = {(name, pair): alignment.value for name, pair, alignment in found}
    return [values.get((name, pair)) for name in metrics for pair in pairs]


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
    given: ArrayLike | Tensor | None = None,
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
        given: A description of the systems, (n, d_g), of which what is linear in it is taken out of
            both first; see `align_conditioned`.

    Raises:
        ValueError: A parameter makes no sense.
        RuntimeError: This machine does not have the device.
    """
    names: dict[str, Any] = {"names": ["a", "b"], "k": k, "normalize": normalize, "device": device}
    how: dict[str, Any] = {"estimator": estimator, "permutations": permutations, "rows": rows}
    how |= {"subsamples": subsamples, "seed": seed}
    comparison = Comparison([a, b], **names)
    if given is None:
        found = align_all(comparison, [metric], [(0, 1)], **how)
    else:
        conditioned = Conditioned([a, b], {"given": given}, n=comparison.n, **names)
        found = align_conditioned(conditioned, [metric], [(0, 1)], **how)
    ((_, _, alignment),) = found
    return alignment


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


def _orders(n: int, count: int, seed: int, exchange: Exchange | None) -> Tensor:
    if exchange is None:
        return draw_orders(n, count, seed)
    return torch.from_numpy(exchange.orders([np.arange(n)], count, seed)).long()


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
