"""The alignment of two models by any metric: vectors in, value or reason out, with the permutation null beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from query.metrics.base import Metric, Undefined
from query.metrics.normalize import normalize as scale
from query.metrics.null import Null, compare_with_null
from query.metrics.null import permutations as draw_orders
from query.metrics.registry import choose_estimator, find_metric


@dataclass(frozen=True, slots=True)
class Alignment:
    """One value and all that is needed to read it. Where there is no value there is a reason."""

    value: float | None
    reason: str | None
    metric: str
    estimator: str | None
    normalization: str
    k: int | None  # None for metrics without neighbours
    n: int  # systems compared
    null_mean: float | None = None
    null_std: float | None = None
    p_value: float | None = None
    calibrated: float | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """One model made ready for any number of pairs with models over the same systems in the same order."""

    metric: Metric
    normalization: str
    k: int | None
    n: int
    state: Any  # None where there is a reason
    reason: str | None


def prepare(
    x: ArrayLike | Tensor, metric: str = "cknna", *, k: int = 25, normalize: str = "l2", name: str = "a"
) -> Prepared:
    """Check, normalise and survey one model's vectors once.

    x: (n, d). name: how reasons call the model. Data that give no value are recorded as the reason, never raised.
    Raises ValueError on an unknown metric or normalization, or k < 1.
    """
    chosen = find_metric(metric)
    _require_k(k)
    used_k = k if chosen.uses_k else None
    table = x if isinstance(x, Tensor) else np.asarray(x)
    n = table.shape[0] if table.ndim else 0
    try:
        state, reason = _survey(chosen, table, k, normalize, name), None
    except Undefined as undefined:
        state, reason = None, str(undefined)
    return Prepared(chosen, normalize, used_k, n, state, reason)


def align_prepared(
    a: Prepared, b: Prepared, *, estimator: str | None = None, permutations: int = 0, seed: int = 0
) -> Alignment:
    """The alignment of two prepared models over the same systems in the same order.

    permutations: size of the null; 0 leaves its columns None. The null is the same for the same seed and n.
    Raises ValueError on an unknown estimator, or where the two were prepared differently.
    """
    if (a.metric, a.normalization, a.k) != (b.metric, b.normalization, b.k):
        raise ValueError(f"prepared differently: {_how(a)} and {_how(b)}; prepare both the same way")
    if permutations < 0:
        raise ValueError(f"permutations = {permutations}, expected 0 or more")
    chosen = choose_estimator(a.metric, estimator)
    value, reason = _value(a, b, chosen)
    null = None if value is None or permutations == 0 else _null(a, b, chosen, value, permutations, seed)
    return Alignment(
        value=value,
        reason=reason,
        metric=a.metric.name,
        estimator=chosen,
        normalization=a.normalization,
        k=a.k,
        n=min(a.n, b.n),
        null_mean=null.mean if null else None,
        null_std=null.std if null else None,
        p_value=null.p_value if null else None,
        calibrated=null.calibrated if null else None,
    )


def align(
    a: ArrayLike | Tensor,
    b: ArrayLike | Tensor,
    metric: str = "cknna",
    *,
    k: int = 25,
    estimator: str | None = None,
    normalize: str = "l2",
    permutations: int = 0,
    seed: int = 0,
) -> Alignment:
    """How alike two models see the same systems.

    a: (n, d_a), b: (n, d_b), row i of both the same system. estimator: the metric's first where None.
    Data that give no value give a reason. Raises ValueError on parameters that make no sense.
    """
    prepared = (prepare(x, metric, k=k, normalize=normalize, name=name) for x, name in ((a, "a"), (b, "b")))
    return align_prepared(*prepared, estimator=estimator, permutations=permutations, seed=seed)


def measure(
    metric: Metric, a: ArrayLike | Tensor, b: ArrayLike | Tensor, *, k: int, estimator: str | None, normalization: str
) -> float:
    """The bare value. Raises Undefined where there is none, ValueError on parameters that make no sense."""
    result = align(a, b, metric.name, k=k, estimator=estimator, normalize=normalization)
    if result.value is None:
        raise Undefined(result.reason)
    return result.value


def _survey(metric: Metric, x: ArrayLike | Tensor, k: int, normalization: str, name: str) -> Any:
    scaled = scale(x, normalization, name)
    least = metric.least_systems(k)
    if len(scaled) < least:
        because = f"k = {k}" if metric.uses_k else metric.name
        raise Undefined(f"n = {len(scaled)} systems in common, but {because} needs at least {least}")
    return metric.prepare(scaled, k, name)


def _value(a: Prepared, b: Prepared, estimator: str | None) -> tuple[float | None, str | None]:
    """Value and reason: one of them is None."""
    if a.n != b.n:
        return None, f"a has {a.n} systems and b {b.n}: they cannot be paired"
    if a.reason is not None or b.reason is not None:
        return None, a.reason or b.reason
    try:
        return a.metric.value(a.state, b.state, estimator), None
    except Undefined as undefined:
        return None, str(undefined)


def _null(a: Prepared, b: Prepared, estimator: str | None, value: float, count: int, seed: int) -> Null:
    orders = draw_orders(a.n, count, seed)
    return compare_with_null(value, a.metric.null(a.state, b.state, estimator, orders))


def _require_k(k: int) -> None:
    if k < 1:
        raise ValueError(f"k = {k}, expected at least 1 neighbour")


def _how(prepared: Prepared) -> str:
    return f"{prepared.metric.name} with k = {prepared.k}, normalization '{prepared.normalization}'"
