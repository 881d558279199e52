"""Spearman's rank correlation of few numbers, with a permutation test and an interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEAST = 3  # numbers, below which ranks correlate by themselves
LEAST_FOR_INTERVAL = 5  # numbers, below which a bootstrap draws few distinct samples
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
    a, b = (average_ranks(np.asarray(values)[drawn]) - (n + 1) / 2 for values in (x, y))
    scale = np.sqrt(np.square(a).sum(axis=1) * np.square(b).sum(axis=1))
    defined = scale > 0
    if not defined.any():
        return None
    low, high = np.percentile((a * b).sum(axis=1)[defined] / scale[defined], [2.5, 97.5])
    return float(low), float(high)
