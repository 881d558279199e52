"""Measures of one model: its vectors in, value or reason out, with an interval beside it."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from query.engine.normalization import BY_ROW, normalize_resolved
from query.engine.normalization import normalize as scale
from query.engine.resolution import Resolution
from query.engine.undefined import Undefined
from query.metrics.base import Measure
from query.metrics.registry import choose_method, find_measure
from query.metrics.shared.estimates import NO_SUBSETS, Estimate, RowMeasure, require_rows
from query.statistics.interval import (
    UNTOLD,
    around,
    margin,
    paired_subsets,
    require_subsamples,
    subset_k,
    subsets,
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
        standard_error: The error of an estimate about the value of all systems; None if the value
            is exact.
        rows: The number of systems of which the neighbors were found; n if the value is exact.
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
    standard_error: float | None = None
    rows: int | None = None


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
    rows: int | None = None,
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
        seed: The seed of the subsets and the drawn systems.
        name: How reasons call the model.
        rows: How many systems are drawn, of which alone the neighbors among all are found, for an
            estimate of a measure that would cost n²; None, or as many as there are distinct
            vectors, for the exact value.

    Raises:
        ValueError: A parameter makes no sense.
    """
    chosen = find_measure(measure)
    way = choose_method(chosen, method)
    used_k = chosen.choose_k(way, k)
    require_subsamples(subsamples)
    require_rows(rows)
    table = x if isinstance(x, Tensor) else np.asarray(x)
    n = table.shape[0] if table.ndim else 0
    found = Measured(None, None, chosen.name, way, normalize, used_k, n, rows=n)
    try:
        vectors, resolution = normalize_resolved(table, normalize, name)
        found = replace(found, n_distinct=resolution.n_distinct)
        estimate = _estimate(chosen, vectors, resolution, (rows, seed, way, used_k, name))
        if estimate is not None:
            return _estimated(found, estimate, subsamples)
        found = replace(found, value=chosen.value(vectors, way, used_k, name))
    except Undefined as undefined:
        return replace(found, reason=str(undefined))
    if subsamples:
        size = chosen.subsample_size(n)
        drawn = paired_subsets(n, size, subsamples, seed)
        fewer = None if used_k is None else max(chosen.least_k, subset_k(used_k, n, size))
        if isinstance(chosen, RowMeasure) and normalize in BY_ROW and resolution.n_distinct == n:
            values = chosen.on_subsets(vectors, drawn, way, fewer)
        else:
            values = _resampled(table, drawn, chosen, way, fewer, normalize)
        half = margin(values, n, size)
        return _with_interval(found, half, chosen.bounds(n, table.shape[1]))
    return found


def _estimate(
    chosen: Measure,
    vectors: Tensor,
    resolution: Resolution,
    how: tuple[int | None, int, str, int | None, str],
) -> Estimate | None:
    """Return an estimate from rows; None if the exact value is asked for, or costs no more.

    how: rows, seed, method, k and name of `measure`.
    """
    rows, seed, method, k, name = how
    if rows is None or rows >= resolution.n_distinct or not isinstance(chosen, RowMeasure):
        return None
    different = vectors
    if resolution.n_distinct < len(vectors):
        different = vectors[torch.from_numpy(np.unique(resolution.label, return_index=True)[1])]
    return chosen.estimate(different, subsets(len(different), rows, 1, seed)[0], method, k, name)


def _estimated(found: Measured, estimate: Estimate, subsamples: int) -> Measured:
    rows, among = len(estimate.parts), found.n_distinct or found.n
    return replace(
        found,
        value=estimate.value,
        standard_error=estimate.standard_error(among),
        rows=rows,
        warning=NO_SUBSETS.format(rows=rows) if subsamples else None,
    )


def _with_interval(found: Measured, half: float, bounds: tuple[float, float]) -> Measured:
    if found.value is None or math.isnan(half):
        return replace(found, warning=UNTOLD.format(n=found.n))
    low, high = around(found.value, half, bounds)
    return replace(found, low=low, high=high)


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
    found = np.full(len(drawn), np.nan)
    for s, rows in enumerate(drawn):
        with contextlib.suppress(Undefined):
            found[s] = chosen.value(scale(x[rows], normalization), method, k, "a subsample")
    return found
