"""What one value comes with: null, interval, standard error, warnings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from query.engine.comparison import Comparison
from query.engine.rows.drawn import DrawnRows
from query.metrics.base import Metric
from query.statistics.interval import UNTOLD, around
from query.statistics.null import Null, compare_with_null, null_of_best

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
        standard_error: The error of an estimate about the value of all n systems; None if the
            value is exact.
        rows: The number of systems of which the neighbors were found; n if the value is exact.
        given_share_a, given_share_b: The share of the variance of either model that a given
            description explains; None if none is given.
        given_shuffled: The value if the given description were of other systems; None if it takes
            few degrees of freedom from both models.
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
    standard_error: float | None = None
    rows: int | None = None
    given_share_a: float | None = None
    given_share_b: float | None = None
    given_shuffled: float | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of one pair.

    Attributes:
        value: The value, if there is one.
        reason: Why there is none.
        null: The value beside its null, if there is one.
        margin: Half the width of the interval; None if none was asked for, NaN if there is none.
        standard_error: See `Alignment`.
        drawn: The systems of an estimate; None if the value is exact.
        notes: Warnings.
    """

    value: float | None
    reason: str | None
    null: Null | None = None
    margin: float | None = None
    standard_error: float | None = None
    drawn: DrawnRows | None = None
    notes: tuple[str, ...] = ()


def compare_with_nulls(
    pairs: Iterable[tuple[Found, Tensor | None]], metric: Metric, *, of_best: bool
) -> Iterator[Found]:
    """Yield what was found of each pair, beside its null.

    Args:
        pairs: What was found of each pair, and its values with the systems shuffled, (B,) float64;
            None without a value or a null. All are of the same shuffled pairings.
        metric: The metric.
        of_best: Whether each value is compared with the null of the best of all pairs, instead of
            with its own. A pair without a null of its own has none then, either.
    """
    lower = metric.lower_is_closer
    if of_best:
        pairs = list(pairs)
        known = [null for _, null in pairs if null is not None]
        best = null_of_best(known, lower_is_closer=lower) if known else None
        pairs = [(found, None if null is None else best) for found, null in pairs]
    for found, null in pairs:
        if found.value is None or null is None:
            yield found
        else:
            beside = compare_with_null(found.value, null, lower_is_closer=lower)
            yield replace(found, null=beside)


def make_alignment(
    comparison: Comparison,
    metric: Metric,
    estimator: str | None,
    pair: Pair,
    found: Found,
) -> Alignment:
    """Return a value with everything needed to read it.

    Args:
        comparison: The models.
        metric: The metric.
        estimator: Its estimator, or None if it has none.
        pair: The models by their numbers.
        found: What was found of them.
    """
    statistics: dict[str, Any] = {}
    if (null := found.null) is not None:
        statistics = {"null_mean": null.mean, "null_std": null.std}
        statistics |= {"p_value": null.p_value, "calibrated": null.calibrated}
    k, value = comparison.k_of(metric), found.value
    warnings = _warnings(comparison, metric, pair, found.drawn)
    crowding = None if value is None else metric.crowding(k, comparison.n)
    warnings += [] if crowding is None else [crowding]
    distinct = [comparison.n_distinct(i) for i in pair]
    if value is not None and found.margin is not None:
        if math.isnan(found.margin):
            warnings.append(UNTOLD.format(n=comparison.n))
        else:
            bounds = metric.bounds(estimator, comparison.n, k)
            low, high = around(value, found.margin, bounds)
            statistics |= {"low": low, "high": high}
    return Alignment(
        value=value,
        reason=found.reason,
        metric=metric.name,
        estimator=estimator,
        normalization=comparison.normalization,
        k=k if metric.uses_k else None,
        n=comparison.n,
        n_distinct=None if None in distinct else min(filter(None, distinct)),
        warning="; ".join([*warnings, *found.notes]) or None,
        standard_error=found.standard_error,
        rows=comparison.n if found.drawn is None else len(found.drawn.rows),
        **statistics,
    )


def _warnings(
    comparison: Comparison, metric: Metric, pair: Pair, drawn: DrawnRows | None
) -> list[str]:
    """Return what may mislead: vectors that rule the others by their length, and tied neighbors."""
    models = dict.fromkeys(pair)
    found = [comparison.warnings[i] for i in models if i in comparison.warnings]
    k = comparison.k_of(metric)
    if metric.lists is not None and comparison.n >= metric.least_systems(k):
        lists = comparison if drawn is None else drawn
        shares = {
            i: lists.tied_share(i, metric.lists, k) for i in models if comparison.reason(i) is None
        }
        found += [
            f"{share:.0%} of systems have ties at the k-th neighbor in {comparison.names[i]}"
            for i, share in shares.items()
            if share > TIED
        ]
    return found
