"""Vectors made comparable before a metric sees them: checked, in float64, and scaled."""

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
    all_equal,
    grain_and_blur,
    largest_elements,
    merge_duplicates,
    precision_of,
)
from query.engine.suggestions import unknown_name
from query.engine.undefined import Undefined

NORMALIZATIONS = ("l2", "max", "zscore", "none")
BY_ROW = ("l2", "max", "none")  # those under which a vector does not depend on the others
# Of the largest element. Float32 fits twice over, and fourth powers summed over all pairs of
# systems stay within float64.
SMALLEST, LARGEST = 1e-60, 1e60
UNEVEN = 10.0  # times the median length, beyond which a vector is called long


def normalize(x: ArrayLike | Tensor, normalization: str = "l2", name: str = "a") -> Tensor:
    """Check and scale one model's vectors.

    'l2': Every vector has length 1, so that inner products are cosines (Huh et al. 2024).
    'max': Every vector's largest absolute element is 1. Edamadaka et al. (2025) print "maximum
        element value of 1"; the absolute value is taken because a signed maximum may be zero or
        negative, and would flip or blow up the vector.
    'zscore': Every feature has mean 0 and deviation 1 (population) over the systems; constant
        features are dropped.
    'none': The vectors stay as they are.

    Under all four a model may be scaled as a whole. 'max' and 'zscore' depend on the axes, so the
    invariance of a metric to rotations holds under 'l2' and 'none' only. Vectors that the precision
    of x cannot tell apart become the same; see `query.engine.resolution`.

    Args:
        x: The vectors, (n, d), of any real type; left untouched.
        normalization: One of NORMALIZATIONS.
        name: How reasons call the model.

    Returns:
        The normalized vectors, (n, d') float64.

    Raises:
        Undefined: There are no vectors, no table of numbers, NaN or infinity, zero vectors under
            'l2' or 'max', or all vectors are the same.
        ValueError: The normalization does not exist.
    """
    return normalize_resolved(x, normalization, name)[0]


def normalize_resolved(
    x: ArrayLike | Tensor, normalization: str = "l2", name: str = "a"
) -> tuple[Tensor, Resolution]:
    """Return what `normalize` returns, and what the precision of the vectors can tell apart.

    Args:
        x: The vectors, (n, d), of any real type; left untouched.
        normalization: One of NORMALIZATIONS.
        name: How reasons call the model.

    Raises:
        Undefined: As in `normalize`.
        ValueError: The normalization does not exist.
    """
    if normalization not in NORMALIZATIONS:
        raise ValueError(unknown_name("normalization", normalization, NORMALIZATIONS))
    precision = precision_of(x)
    rounded = None
    if normalization == "zscore":
        scaled, rounded = _zscore(as_float64(x, name), precision, name)
    elif normalization == "none":
        scaled = as_float64(x, name)
    else:
        scaled = _by_row(x, normalization, name)
    _require_usable(scaled, name, normalization)
    grain, blur = grain_and_blur(scaled if rounded is None else rounded, precision)
    require_different(scaled, blur, precision, name, normalization)
    return scaled, Resolution(precision, grain, blur, merge_duplicates(scaled, blur))


def near_one(x: Tensor) -> float:
    """Divide all vectors by one power of two, in place, so that the largest element is in [½, 1).

    No digit is lost and no metric depends on it, and the products fit float32 whatever the unit.

    Args:
        x: The vectors, (n, d) float64.

    Returns:
        The factor.
    """
    factor: float = 2.0 ** -math.frexp(largest(x))[1]
    x.mul_(factor)
    return factor


def largest(x: Tensor) -> float:
    """Return the largest absolute element, or NaN if there is one.

    Unlike x.abs().amax() it makes no copy.

    Args:
        x: The vectors, (n, d).
    """
    least, most = torch.aminmax(x)
    return max(-least.item(), most.item()) if not torch.isnan(most) else math.nan


def norm_warning(x: Tensor, name: str, normalization: str) -> str | None:
    """Return a sentence if a few long vectors rule every product and distance, else None.

    Args:
        x: The normalized vectors, (n, d).
        name: How the sentence calls the model.
        normalization: One of NORMALIZATIONS.
    """
    if normalization == "l2":
        return None
    lengths = torch.linalg.vector_norm(x, dim=1)
    middle, longest = lengths.median().item(), lengths.amax().item()
    if longest <= UNEVEN * middle:
        return None
    return (
        f"vectors of {name} differ much in length (median {middle:.3g}, longest {longest:.3g}): "
        f"a few rule '{normalization}'"
    )


def as_float64(x: ArrayLike | Tensor, name: str = "a") -> Tensor:
    """Return a fresh (n, d) float64 copy of finite numbers.

    Args:
        x: The vectors, (n, d), of any real type.
        name: How reasons call the model.

    Raises:
        Undefined: x is anything else.
    """
    # np.array copies: Arrow hands out read-only buffers, of which torch warns.
    table = torch.from_numpy(np.array(_table(x, name), dtype=np.float64))
    if not math.isfinite(largest(table)):
        _refuse_not_finite(torch.isfinite(table).all(dim=1).numpy(), name)
    return table


def _table(x: ArrayLike | Tensor, name: str) -> NDArray[Any]:
    """Return x as an array of some real type, (n, d), without a copy if it is one."""
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


def _by_row(x: ArrayLike | Tensor, normalization: str, name: str) -> Tensor:
    table = np.ascontiguousarray(_table(x, name))
    if table.dtype not in (np.float32, np.float64):
        table = table.astype(np.float64)
    longest = np.empty(len(table))

    def find_largest(part: slice) -> None:
        longest[part] = largest_elements(table[part])

    threads.each(find_largest, threads.parts(len(table)))
    if not np.isfinite(longest).all():
        _refuse_not_finite(np.isfinite(longest), name)
    zero = np.flatnonzero(longest == 0).tolist()
    if zero:
        raise Undefined(
            f"{_rows(zero)} of {name} {'has' if len(zero) == 1 else 'have'} only zeros, "
            f"which normalization '{normalization}' cannot scale"
        )
    scaled = np.empty(table.shape)

    def scale(part: slice) -> None:
        kernels.scale_rows(table[part], longest[part], normalization == "l2", scaled[part])

    threads.each(scale, threads.parts(len(table)))
    return torch.from_numpy(scaled)


def _zscore(x: Tensor, precision: float, name: str) -> tuple[Tensor, Tensor]:
    """Return the scaled features, and these before their mean was subtracted. x is overwritten."""
    least, most = x.amin(dim=0), x.amax(dim=0)
    varied = most - least > BLUR * precision * torch.maximum(most.abs(), least.abs())
    if not varied.any():
        raise Undefined(_alike(name, "none", NAMES[precision], exactly=bool((most == least).all())))
    x = x[:, varied]
    x = x.div_(x.abs().amax(dim=0))  # as in _by_row
    about = x - x.mean(dim=0)
    deviation = about.square().mean(dim=0).sqrt()
    return about.div_(deviation), x.div_(deviation)


def _require_usable(x: Tensor, name: str, normalization: str) -> None:
    most = largest(x) if normalization in ("none", "zscore") else 1.0
    if not SMALLEST < most < LARGEST and most > 0:
        raise Undefined(
            f"the largest element of {name} is {most:.3g}: "
            "float64 cannot hold the products of such vectors"
        )


def require_different(
    x: Tensor, blur: NDArray[np.float64], precision: float, name: str, normalization: str
) -> None:
    """Refuse vectors that are all the same to their precision.

    Args:
        x: The normalized vectors, (n, d).
        blur: How far rounding may have moved each, (n,).
        precision: The relative precision of the elements as they were given.
        name: How reasons call the model.
        normalization: One of NORMALIZATIONS.

    Raises:
        Undefined: All vectors are the same, or there are none.
    """
    if not len(x):
        raise Undefined(f"{name} has no systems")
    if all_equal(x, blur):
        exactly = bool((x.numpy() == x[0].numpy()).all())
        raise Undefined(_alike(name, normalization, NAMES[precision], exactly=exactly))


def _alike(name: str, normalization: str, precision: str, *, exactly: bool) -> str:
    """Return the reason why a constant model has no values."""
    suffix = "" if normalization == "none" else f" after '{normalization}' normalization"
    return f"every vector of {name} is the same{suffix}" + (
        "" if exactly else f", to the precision of {precision}"
    )


def _rows(rows: list[int], shown: int = 3) -> str:
    """Return 'row 4', or '2 rows (4, 7)', or '12 rows (4, 7, 9, …)', counted from 0."""
    if len(rows) == 1:
        return f"row {rows[0]}"
    tail = ", …" if len(rows) > shown else ""
    return f"{len(rows)} rows ({', '.join(map(str, rows[:shown]))}{tail})"
