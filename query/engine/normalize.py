"""Vectors made comparable before a metric sees them: checked, in float64, and scaled in one of four ways."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from query.engine import kernels, threads
from query.engine.resolution import (
    BLUR,
    NAMES,
    Resolution,
    all_alike,
    merge,
    precision_of,
    roundings,
)
from query.engine.suggestions import unknown_name
from query.engine.undefined import Undefined

NORMALIZATIONS = ("l2", "max", "zscore", "none")
SMALLEST, LARGEST = (
    1e-60,
    1e60,
)  # float32 fits twice over; fourth powers, summed over all pairs, stay in float64
UNEVEN = 10.0  # times the median length, from which a vector is called long


def normalize(x: ArrayLike | Tensor, how: str = "l2", name: str = "a") -> Tensor:
    """Check and scale one model's vectors.

    x: (n, d), any real type; left untouched. name: how reasons call the model. Returns (n, d') float64.

    'l2': every vector has length 1, so that inner products are cosines (Huh et al. 2024).
    'max': every vector's largest absolute element is 1 (Edamadaka et al. 2025 print "maximum element value of 1"; the
        absolute value is taken because a signed maximum may be zero or negative, and would flip or blow up the vector).
    'zscore': every feature has mean 0 and deviation 1 (population) over the systems; constant features are dropped.
    'none': as they are.
    Under all four a model may be scaled as a whole; 'max' and 'zscore' depend on the axes, so a metric's invariance to
    rotations holds under 'l2' and 'none' only.

    Vectors that the precision of x cannot tell apart become the same; see `resolution`.

    Raises Undefined: no vectors, not a table of numbers, NaN or infinity, zero vectors under 'l2' and 'max', all
    vectors the same. Raises ValueError on an unknown `how`.
    """
    return normalize_resolved(x, how, name)[0]


def normalize_resolved(
    x: ArrayLike | Tensor, how: str = "l2", name: str = "a"
) -> tuple[Tensor, Resolution]:
    """Return what `normalize` returns, and what its precision can tell apart."""
    if how not in NORMALIZATIONS:
        raise ValueError(unknown_name("normalization", how, NORMALIZATIONS))
    precision = precision_of(x)
    rounded = None
    if how == "zscore":
        scaled, rounded = _zscore(as_float64(x, name), precision, name)
    elif how == "none":
        scaled = as_float64(x, name)
    else:
        scaled = _by_row(x, how, name)
    _require_usable(scaled, name, how)
    grain, blur = roundings(scaled if rounded is None else rounded, precision)
    require_different(scaled, blur, precision, name, how)
    return scaled, Resolution(precision, grain, blur, merge(scaled, blur))


def near_one(x: Tensor) -> float:
    """All vectors over one power of two, in place, so that the largest element is between ½ and 1: no digit is lost.

    No metric depends on it, and the products fit float32 whatever the units of the model. Returns the factor.
    """
    factor: float = 2.0 ** -math.frexp(largest(x))[1]
    x.mul_(factor)
    return factor


def largest(x: Tensor) -> float:
    """The largest absolute element; NaN where there is one. Unlike x.abs().amax() it makes no copy."""
    least, most = torch.aminmax(x)
    return max(-least.item(), most.item()) if not torch.isnan(most) else math.nan


def norm_warning(x: Tensor, name: str, how: str) -> str | None:
    """A sentence where a few long vectors rule every inner product and distance, else None. x: (n, d), normalized."""
    if how == "l2":
        return None
    lengths = torch.linalg.vector_norm(x, dim=1)
    middle, longest = lengths.median().item(), lengths.amax().item()
    if longest <= UNEVEN * middle:
        return None
    return f"vectors of {name} differ much in length (median {middle:.3g}, longest {longest:.3g}): a few rule '{how}'"


def as_float64(x: ArrayLike | Tensor, name: str = "a") -> Tensor:
    """A fresh (n, d) float64 copy of finite numbers. Raises Undefined where x is anything else."""
    # np.array copies: Arrow hands out read-only buffers, of which torch warns.
    table = torch.from_numpy(np.array(_table(x, name), dtype=np.float64))
    if not math.isfinite(largest(table)):
        _refuse_not_finite(torch.isfinite(table).all(dim=1).numpy(), name)
    return table


def _table(x: ArrayLike | Tensor, name: str) -> NDArray[Any]:
    """x as an array of some real type, (n, d), without a copy where it is one."""
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        x = x.float() if x.dtype == torch.bfloat16 else x  # which numpy does not know
    table = np.asarray(x)
    if table.ndim != 2:
        raise Undefined(f"{name} has shape {tuple(table.shape)}, expected (systems, dimensions)")
    if 0 in table.shape:
        raise Undefined(f"{name} has {table.shape[0]} systems of {table.shape[1]} dimensions")
    return table


def _refuse_not_finite(finite: NDArray[np.bool_], name: str) -> None:
    bad = np.flatnonzero(~finite).tolist()
    raise Undefined(
        f"{_rows(bad)} of {name} {'is' if len(bad) == 1 else 'are'} not finite (NaN or infinity)"
    )


def _by_row(x: ArrayLike | Tensor, how: str, name: str) -> Tensor:
    table = np.ascontiguousarray(_table(x, name))
    if table.dtype not in (np.float32, np.float64):
        table = table.astype(np.float64)
    scaled, longest = np.empty(table.shape), np.empty(len(table))

    def scale(part: slice) -> None:
        kernels.scale_rows(table[part], how == "l2", scaled[part], longest[part])

    threads.each(scale, threads.parts(len(table)))
    if not np.isfinite(longest).all():
        _refuse_not_finite(np.isfinite(longest), name)
    zero = np.flatnonzero(longest == 0).tolist()
    if zero:
        raise Undefined(
            f"{_rows(zero)} of {name} {'is' if len(zero) == 1 else 'are'} zero, which '{how}' cannot scale"
        )
    return torch.from_numpy(scaled)


def _zscore(x: Tensor, precision: float, name: str) -> tuple[Tensor, Tensor]:
    """The scaled features, and what they were before their mean was taken off. x is overwritten."""
    least, most = x.amin(dim=0), x.amax(dim=0)
    varied = most - least > BLUR * precision * torch.maximum(most.abs(), least.abs())
    if not varied.any():
        raise Undefined(_alike(name, "none", NAMES[precision], exactly=bool((most == least).all())))
    x = x[:, varied]
    x = x.div_(x.abs().amax(dim=0))  # as in _by_row
    about = x - x.mean(dim=0)
    deviation = about.square().mean(dim=0).sqrt()
    return about.div_(deviation), x.div_(deviation)


def _require_usable(x: Tensor, name: str, how: str) -> None:
    most = largest(x) if how in ("none", "zscore") else 1.0
    if not SMALLEST < most < LARGEST and most > 0:
        raise Undefined(
            f"the largest element of {name} is {most:.3g}: float64 cannot hold the products of such vectors"
        )


def require_different(
    x: Tensor, blur: NDArray[np.float64], precision: float, name: str, how: str
) -> None:
    """Raises Undefined where all vectors are the same to their precision, or none are left. x: (n, d), normalized."""
    if not len(x):
        raise Undefined(f"{name} has no systems")
    if all_alike(x, blur):
        exactly = bool((x.numpy() == x[0].numpy()).all())
        raise Undefined(_alike(name, how, NAMES[precision], exactly=exactly))


def _alike(name: str, how: str, precision: str, *, exactly: bool) -> str:
    """The reason why a constant model has no values."""
    suffix = "" if how == "none" else f" after '{how}' normalization"
    return f"every vector of {name} is the same{suffix}" + (
        "" if exactly else f", to the precision of {precision}"
    )


def _rows(rows: list[int], shown: int = 3) -> str:
    """'row 4', 'rows 4 and 7', '12 rows (4, 7, 9, …)', counted from 0."""
    if len(rows) == 1:
        return f"row {rows[0]}"
    tail = ", …" if len(rows) > shown else ""
    return f"{len(rows)} rows ({', '.join(map(str, rows[:shown]))}{tail})"
