"""Vectors made comparable before a metric sees them: checked, in float64, and scaled in one of four ways."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from query.metrics.base import Undefined
from query.metrics.registry import unknown

NORMALIZATIONS = ("l2", "max", "zscore", "none")
SMALLEST, LARGEST = 1e-60, 1e60  # float32 fits twice over; fourth powers, summed over all pairs, stay in float64
UNEVEN = 10.0  # times the median length, from which a vector is called long
CONSTANT = 1e-12  # relative spread below which float64 rounding alone explains that vectors differ


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

    Raises Undefined: no vectors, not a table of numbers, NaN or infinity, zero vectors under 'l2' and 'max', all
    vectors the same. Raises ValueError on an unknown `how`.
    """
    if how not in NORMALIZATIONS:
        raise ValueError(unknown("normalization", how, NORMALIZATIONS))
    table = as_float64(x, name)
    if how == "zscore":
        scaled = _zscore(table, name)
    elif how == "none":
        scaled = table
    else:
        scaled = _by_row(table, how, name)
    _require_usable(scaled, name, how)
    return scaled


def near_one(x: Tensor) -> Tensor:
    """All vectors over one power of two, in place, so that the largest element is between ½ and 1: no digit is lost.

    No metric depends on it, and the products fit float32 whatever the units of the model.
    """
    return x.mul_(2.0 ** -math.frexp(largest(x))[1])


def largest(x: Tensor) -> float:
    """The largest absolute element; NaN where there is one. Unlike x.abs().amax() it makes no copy."""
    least, most = torch.aminmax(x)
    return max(-least.item(), most.item()) if not torch.isnan(most) else math.nan


def norm_warning(x: Tensor, name: str, how: str) -> str | None:
    """A sentence where a few long vectors rule every inner product and distance, else None. x: (n, d), normalised."""
    if how == "l2":
        return None
    lengths = torch.linalg.vector_norm(x, dim=1)
    middle, longest = lengths.median().item(), lengths.amax().item()
    if longest <= UNEVEN * middle:
        return None
    return f"vectors of {name} differ much in length (median {middle:.3g}, longest {longest:.3g}): a few rule '{how}'"


def as_float64(x: ArrayLike | Tensor, name: str = "a") -> Tensor:
    """A fresh (n, d) float64 copy of finite numbers. Raises Undefined where x is anything else."""
    if isinstance(x, Tensor):
        table = x.detach().to(torch.float64, copy=True)
    else:
        # np.array copies: Arrow hands out read-only buffers, of which torch warns.
        table = torch.from_numpy(np.array(x, dtype=np.float64))
    if table.ndim != 2:
        raise Undefined(f"{name} has shape {tuple(table.shape)}, expected (systems, dimensions)")
    if 0 in table.shape:
        raise Undefined(f"{name} has {table.shape[0]} systems of {table.shape[1]} dimensions")
    if not math.isfinite(largest(table)):
        bad = (~torch.isfinite(table).all(dim=1)).nonzero().flatten().tolist()
        raise Undefined(f"{_rows(bad)} of {name} {'is' if len(bad) == 1 else 'are'} not finite (NaN or infinity)")
    return table


def _by_row(x: Tensor, how: str, name: str) -> Tensor:
    # The largest element goes first: the squares of float64 extremes would overflow or vanish.
    least, most = torch.aminmax(x, dim=1, keepdim=True)
    longest = torch.maximum(-least, most)
    zero = (longest == 0).flatten().nonzero().flatten().tolist()
    if zero:
        raise Undefined(f"{_rows(zero)} of {name} {'is' if len(zero) == 1 else 'are'} zero, which '{how}' cannot scale")
    x = x.div_(longest)
    return x if how == "max" else x.div_(torch.linalg.vector_norm(x, dim=1, keepdim=True))


def _zscore(x: Tensor, name: str) -> Tensor:
    varied = x.amax(dim=0) > x.amin(dim=0)
    if not varied.any():
        raise Undefined(f"every vector of {name} is the same")
    x = x[:, varied]
    x = x.div_(x.abs().amax(dim=0))  # as in _by_row
    x = x.sub_(x.mean(dim=0))
    return x.div_(x.square().mean(dim=0).sqrt())


def _require_usable(x: Tensor, name: str, how: str) -> None:
    most = largest(x) if how in ("none", "zscore") else 1.0
    if not SMALLEST < most < LARGEST and most > 0:
        raise Undefined(
            f"the largest element of {name} is {most:.3g}: float64 cannot hold the products of such vectors"
        )
    require_different(x, name, how)


def require_different(x: Tensor, name: str, how: str) -> None:
    """Raises Undefined where all vectors are the same, or none are left. x: (n, d), normalised."""
    if not len(x):
        raise Undefined(f"{name} has no systems")
    least, most = torch.aminmax(x, dim=0)
    if (most - least).amax() <= CONSTANT * torch.maximum(-least, most).amax():
        suffix = "" if how == "none" else f" after '{how}' normalization"
        raise Undefined(f"every vector of {name} is the same{suffix}")


def _rows(rows: list[int], shown: int = 3) -> str:
    """'row 4', 'rows 4 and 7', '12 rows (4, 7, 9, …)', counted from 0."""
    if len(rows) == 1:
        return f"row {rows[0]}"
    tail = ", …" if len(rows) > shown else ""
    return f"{len(rows)} rows ({', '.join(map(str, rows[:shown]))}{tail})"
