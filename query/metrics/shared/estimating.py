"""Estimates of every pair of models by a metric, with null and standard error."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from query.engine.rows.drawn import DrawnRows
from query.engine.undefined import Undefined
from query.metrics.base import Metric
from query.metrics.shared.estimates import NO_SUBSETS, RowMetric
from query.metrics.shared.result import Found, Pair
from query.statistics.null import widened

Way = tuple[Metric, str | None]  # a metric and its estimator


def prepare_estimates(drawn: DrawnRows, ways: Sequence[Way]) -> None:
    """Find what estimates need of each model, one model after the other.

    Args:
        drawn: The drawn systems.
        ways: The metrics, each a `RowMetric`, with their estimators.
    """
    comparison = drawn.comparison
    comparison.progress.expect(len(comparison) * drawn.n * rows_searched(ways, drawn))
    for metric, _ in ways:
        if metric.lists is not None:
            drawn.lengthen(comparison.k_of(metric))
    for i in range(len(comparison)):
        for metric, estimator in ways:
            if comparison.n < metric.least_systems(comparison.k_of(metric)):
                continue
            with contextlib.suppress(Undefined):  # every value that needs it will meet it again
                if metric.lists is not None:
                    drawn.neighbors(i, metric.lists, comparison.k_of(metric))
                assert isinstance(metric, RowMetric)
                metric.state_of_rows(metric.affordable(drawn, estimator)[0], i, estimator)


def rows_searched(ways: Sequence[Way], drawn: DrawnRows) -> int:
    """Return how many rows of products with all systems estimates take of each model.

    Args:
        ways: The metrics, each a `RowMetric`, with their estimators.
        drawn: The drawn systems.
    """
    comparison, total = drawn.comparison, 0
    for metric, estimator in ways:
        assert isinstance(metric, RowMetric)
        total += metric.searched(len(drawn.rows), comparison.k_of(metric), estimator)
    return total


def estimates(
    drawn: DrawnRows, way: Way, pairs: Sequence[Pair], permutations: int, subsamples: int
) -> Iterator[tuple[Found, Tensor | None]]:
    """Yield what the drawn systems tell of every pair, and its estimates with systems shuffled.

    Args:
        drawn: The drawn systems.
        way: The metric, a `RowMetric`, with its estimator.
        pairs: The pairs of models by their numbers.
        permutations: The size of the null; 0 for none.
        subsamples: The number of subsets that an interval was asked to come from.
    """
    metric, estimator = way
    assert isinstance(metric, RowMetric)
    notes = [NO_SUBSETS.format(rows=len(drawn.rows))] if subsamples else []
    if drawn.n >= metric.least_systems(drawn.comparison.k_of(metric)):
        drawn, fewer = metric.affordable(drawn, estimator)
        notes += [] if fewer is None else [fewer]
    if permutations and metric.no_null is not None:
        notes.append(metric.no_null)
    for a, b in pairs:
        try:
            drawn.comparison.require(metric, a, b)
            found = metric.estimate(drawn, a, b, estimator)
        except Undefined as undefined:
            yield Found(None, str(undefined), drawn=drawn), None
            continue
        null = _null(drawn, metric, estimator, (a, b)) if permutations else None
        error = found.standard_error(drawn.n)
        yield Found(found.value, None, None, None, error, drawn, tuple(notes)), null


def _null(drawn: DrawnRows, metric: RowMetric, estimator: str | None, pair: Pair) -> Tensor | None:
    try:
        null = torch.from_numpy(metric.null_of_rows(drawn, *pair, estimator))
    except Undefined:
        return None
    return widened(null, drawn.comparison.null_spread(*pair))
