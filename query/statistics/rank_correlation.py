"""Spearman's rank correlation of few numbers, with a permutation test and an interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEAST = 3  # numbers, below which ranks correlate by themselves
LEAST_FOR_INTERVAL = 5  # numbers, below which a bootstrap draws few distinct samples
_BLOCK = 2**16  # numbers of resamples that are ranked at a time, so that they stay in the cache
RESAMPLES = 9999  # so that p has steps of 0.0001; up to 7 numbers have fewer orders, all taken


def average_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1; equal values have the mean of their ranks.

    It is SciPy's `rankdata`, whose statistics take a second to import.

    Args:
        values: The values, (…, n), of which each row is ranked.
    """
    order = np.argsort(values, axis=-1, kind="stable")
    rising = np.take_along_axis(values, order, axis=-1)
    steps = rising[..., 1:] != rising[..., :-1]
    edge = np.ones((*values.shape[:-1], 1), dtype=bool)
    place = np.arange(values.shape[-1])
    first = np.maximum.accumulate(np.where(np.append(edge, steps, -1), place, 0), axis=-1)
    ends = np.where(np.append(steps, edge, -1), place, values.shape[-1])
    last = np.minimum.accumulate(ends[..., ::-1], axis=-1)[..., ::-1]
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, (first + last) / 2 + 1, axis=-1)
    return ranks


def spearman_coefficient(x: NDArray[np.float64], y: NDArray[np.float64]) -> float | None:
    """Return Spearman's correlation, or None if it is undefined.

    Args:
        x: Some values, (n,).
        y: Others, (n,).
    """
    if x.size < LEAST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(average_ranks(x), average_ranks(y))[0, 1])


def spearman(x: Sequence[float], y: Sequence[float]) -> tuple[float, float] | None:
    """Return the rank correlation and its two-sided p-value by permutation.

    Args:
        x: n numbers.
        y: n numbers.

    Returns:
        The correlation and p, by all orders of up to 7 numbers, else by RESAMPLES of them with a
        fixed seed. None below LEAST numbers, or where all of one side are equal.
    """
    # SciPy takes a second to import, which other questions need not wait for.
    from scipy.stats import permutation_test

    a, b = average_ranks(np.asarray(x, dtype=float)), average_ranks(np.asarray(y, dtype=float))
    if len(a) < LEAST or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None

    def correlation(ranks: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        centered = ranks - ranks.mean(axis=axis, keepdims=True)
        other = b - b.mean()
        found: NDArray[np.float64] = (centered * other).sum(axis=axis) / np.sqrt(
            np.square(centered).sum(axis=axis) * np.square(other).sum()
        )
        return found

    test = permutation_test(
        (a,),
        correlation,
        permutation_type="pairings",
        vectorized=True,
        n_resamples=RESAMPLES,
        rng=0,
    )
    return float(test.statistic), float(test.pvalue)


def spearman_interval(x: Sequence[float], y: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of the rank correlation by a bootstrap over its numbers.

    Resamples in which all numbers of one side are equal have no correlation, and are left out.

    Args:
        x: n numbers.
        y: n numbers.

    Returns:
        The percentiles of RESAMPLES resamples with a fixed seed. None below LEAST_FOR_INTERVAL
        numbers.
    """
    n = len(x)
    if n < LEAST_FOR_INTERVAL:
        return None
    drawn = np.random.default_rng(0).integers(n, size=(RESAMPLES, n))
    step = max(1, _BLOCK // n)
    parts = [
        _resampled(np.asarray(x, dtype=float), np.asarray(y, dtype=float), drawn[start:][:step])
        for start in range(0, RESAMPLES, step)
    ]
    product, scale = np.concatenate(parts, axis=1)
    defined = scale > 0
    if not defined.any():
        return None
    low, high = np.percentile(product[defined] / scale[defined], [2.5, 97.5])
    return float(low), float(high)


def _resampled(
    x: NDArray[np.float64], y: NDArray[np.float64], drawn: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the product of the ranks of both sides in resamples, and their scale, (2, R).

    Numbers are sorted once: ranks within a resample follow from how often it has each.
    """
    count, n = drawn.shape
    places = drawn * count + np.arange(count)[:, None]
    times = np.bincount(places.ravel(), minlength=n * count).reshape(n, count).astype(float)
    a, b = (_centered_ranks(values, times) for values in (x, y))
    weighted = times * a
    squares = [(weighted * a).sum(axis=0), (times * b * b).sum(axis=0)]
    return np.stack([(weighted * b).sum(axis=0), np.sqrt(squares[0] * squares[1])])


def _centered_ranks(values: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return average ranks less their mean where values occur some times, both (n, R)."""
    n = len(values)
    order = np.argsort(values, kind="stable")
    rising = values[order]
    up_to = np.zeros((n + 1, times.shape[1]))
    np.cumsum(times[order], axis=0, out=up_to[1:])
    first, last = (np.searchsorted(rising, values, side=side) for side in ("left", "right"))
    ranks: NDArray[np.float64] = (up_to[first] + up_to[last] - n) / 2
    return ranks
