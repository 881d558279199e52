"""Measures of one model: its vectors in, value or reason out, with an interval beside it."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from query.engine.normalization import normalize as scale
from query.engine.normalization import normalize_resolved
from query.engine.undefined import Undefined
from query.metrics.base import Measure
from query.metrics.registry import choose_method, find_measure
from query.statistics.interval import (
    UNTOLD,
    around,
    margin,
    paired_subsets,
    require_subsamples,
    subset_k,
)


@dataclass(frozen=True, slots=True)
class Measured:
    """One value and all that is needed to read it. If there is no value there is a reason.

    Attributes:
        value: The measure.
        reason: Why there is no value.
        measure: The name of the measure.
        method: The method.
        normalization: How vectors were normalized.
        k: The number of neighbors; None if the method has none.
        n: The number of systems.
        n_distinct: The number of distinct vectors, to the precision of those given; None if there
            is no value.
        low: The lower end of the 95 % interval.
        high: The upper end of the 95 % interval.
        warning: Why there is no interval although one was asked for.
    """

    value: float | None
    reason: str | None
    measure: str
    method: str
    normalization: str
    k: int | None
    n: int
    n_distinct: int | None = None
    low: float | None = None
    high: float | None = None
    warning: str | None = None


def measure(
    x: ArrayLike | Tensor,
    measure: str,
    *,
    method: str | None = None,
    k: int | None = None,
    normalize: str = "none",
    subsamples: int = 0,
    seed: int = 0,
    name: str = "a",
) -> Measured:
    """Return a measure of one model's vectors. Data that give no value give a reason.

    Args:
        x: The vectors, (n, d).
        measure: The name of the measure.
        method: The method; the measure's default if None.
        k: The number of neighbors; the measure's default if None.
        normalize: 'l2', 'max', 'zscore' or 'none'.
        subsamples: How many random subsets of the systems the 95 % interval comes from, each
            normalized by itself; pairs of which one has no value are left out. 0 for no interval.
        seed: The seed of the subsets.
        name: How reasons call the model.

    Raises:
        ValueError: A parameter makes no sense.
    """
    chosen = find_measure(measure)
    way = choose_method(chosen, method)
    used_k = chosen.choose_k(way, k)
    require_subsamples(subsamples)
    table = x if isinstance(x, Tensor) else np.asarray(x)
    n = table.shape[0] if table.ndim else 0
    value = low = high = reason = distinct = warning = None
    try:
        vectors, resolution = normalize_resolved(table, normalize, name)
        distinct = resolution.n_distinct
        value = chosen.value(vectors, way, used_k, name)
    except Undefined as undefined:
        reason = str(undefined)
    if value is not None and subsamples:
        size = chosen.subsample_size(n)
        drawn = paired_subsets(n, size, subsamples, seed)
        half = margin(_resampled(table, drawn, chosen, way, used_k, normalize), n, size)
        if math.isnan(half):
            warning = UNTOLD.format(n=n)
        else:
            low, high = around(value, half, chosen.bounds(n, table.shape[1]))
    return Measured(
        value, reason, chosen.name, way, normalize, used_k, n, distinct, low, high, warning
    )


def bare_measure(
    x: ArrayLike | Tensor,
    chosen: Measure,
    *,
    method: str | None,
    k: int | None,
    normalization: str,
    name: str,
) -> float:
    """Return the value alone.

    Args:
        x: The vectors, (n, d).
        chosen: The measure.
        method: The method; the measure's default if None.
        k: The number of neighbors; the measure's default if None.
        normalization: How vectors are normalized.
        name: How reasons call the model.

    Raises:
        Undefined: There is no value.
        ValueError: A parameter makes no sense.
    """
    found = measure(x, chosen.name, method=method, k=k, normalize=normalization, name=name)
    if found.value is None:
        raise Undefined(found.reason)
    return found.value


def _resampled(
    x: Tensor | NDArray[Any],
    drawn: NDArray[np.int64],
    chosen: Measure,
    method: str,
    k: int | None,
    normalization: str,
) -> NDArray[np.float64]:
    """Return the measure of each subset of rows, (S,); NaN where undefined."""
    fewer = None if k is None else max(chosen.least_k, subset_k(k, len(x), drawn.shape[1]))
    found = np.full(len(drawn), np.nan)
    for s, rows in enumerate(drawn):
        with contextlib.suppress(Undefined):
            found[s] = chosen.value(scale(x[rows], normalization), method, fewer, "a subsample")
    return found
