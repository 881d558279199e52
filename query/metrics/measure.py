"""Measures of one model: one model's vectors in, value or reason out, with an interval by subsampling beside it."""

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
    """One value and all that is needed to read it. Where there is no value there is a reason."""

    value: float | None
    reason: str | None
    measure: str
    method: str
    normalization: str
    k: int | None  # None for methods without neighbors
    n: int
    n_distinct: int | None = (
        None  # distinct vectors, to the precision of those given; None where there is no value
    )
    low: float | None = None  # of the 95 % interval
    high: float | None = None
    warning: str | None = None  # why no interval is told where one was asked for


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
    """A measure of one model's vectors, (n, d); method and k: the measure's defaults where None.

    subsamples: how many random subsets of the systems the 95 % interval, low to high, comes from (see `interval`), each
    normalized by itself; pairs of which one has no value are left out. seed: of the subsets. name: how reasons call
    the model.
    Data that give no value give a reason. Raises ValueError on parameters that make no sense.
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
    """The value alone. Raises Undefined where there is none, ValueError on parameters that make no sense."""
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
    """The measure of each subset, NaN where undefined. drawn: (S, m) row numbers. Returns (S,)."""
    fewer = None if k is None else max(chosen.least_k, subset_k(k, len(x), drawn.shape[1]))
    found = np.full(len(drawn), np.nan)
    for s, rows in enumerate(drawn):
        with contextlib.suppress(Undefined):
            found[s] = chosen.value(scale(x[rows], normalization), method, fewer, "a subsample")
    return found
