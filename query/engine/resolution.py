"""What the precision of given vectors can tell apart, and what it cannot.

A vector of float32 is rounded: each of its elements may be off by 2⁻²⁴ of itself. What differs by no more is no
difference: to a metric of neighbors it would be the whole structure of a model that has none. So
- a model whose vectors all lie within `blur` of their mean is constant, and has no values;
- systems whose vectors all lie within `blur` of their mean, and of no other's, have the same vector, that mean;
- distances that the rounding of elements can put in either order are tied; see `engine/lists.py`.
The precision is that of the array as it was given. Vectors that were float32 once and are given as float64 are taken at
their word.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from query.engine import kernels, threads

# The distance from 1 to the next number. Of float64 it is 2⁻⁵²; but such vectors were computed in float64, by some
# thousand operations that each rounded, and so the last ten bits of them are no information.
FLOAT64 = 2.0**-42
PRECISION = {
    torch.bfloat16: 2.0**-7,
    torch.float16: 2.0**-10,
    torch.float32: 2.0**-23,
    np.dtype(np.float16): 2.0**-10,
    np.dtype(np.float32): 2.0**-23,
}
NAMES = {2.0**-7: "bfloat16", 2.0**-10: "float16", 2.0**-23: "float32", FLOAT64: "float64"}
# Rounding moves a vector by up to half the precision times its length. Two vectors that were meant to be the same and
# changed in their last bit are up to twice that apart; the other half is for what computed them, which rounded too.
BLUR = 2.0
# Rounding moves one distance by 0.3 · precision · largest element (one deviation, two vectors; the projection of
# independent roundings on a direction), so hundreds of equal ones spread over 8 deviations: 2.4. This is doubled
# as `lists` counts the element twice.
SPREAD = 2.0


FEW = 8  # rows that nearly always show that not all are the same


@dataclass(frozen=True, slots=True)
class Resolution:
    """How far the rounding of its elements may have moved the vectors of one model. In their units."""

    precision: float  # of the elements as they were given, relative
    grain: NDArray[np.float64]  # (n,) along one direction
    blur: NDArray[np.float64]  # (n,) in all
    label: NDArray[np.int64]  # (n,) the number of the vector that a system has, 0 … n_distinct − 1

    @property
    def n_distinct(self) -> int:
        return int(self.label.max()) + 1 if len(self.label) else 0

    def times(self, factor: float) -> Resolution:
        """Return the resolution of vectors that are all multiplied by a number."""
        return Resolution(self.precision, self.grain * factor, self.blur * factor, self.label)

    def among(self, rows: NDArray[np.int64]) -> Resolution:
        """Return the resolution of some of the systems."""
        label = np.unique(self.label[rows], return_inverse=True)[1]
        return Resolution(self.precision, self.grain[rows], self.blur[rows], label)


def precision_of(x: ArrayLike | Tensor) -> float:
    """Return the relative precision of the elements of an array; whole numbers are taken as exact as float64."""
    kind = x.dtype if isinstance(x, Tensor) else np.asarray(x).dtype
    return PRECISION.get(kind, FLOAT64)


def roundings(x: Tensor, precision: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return grain and blur of vectors, (n, d) float64, as they were rounded: before their mean was taken off."""
    largest, length = np.empty(len(x)), np.empty(len(x))
    table = x.numpy()
    threads.each(
        lambda p: kernels.measure_rows(table[p], largest[p], length[p]), threads.parts(len(x))
    )
    return precision * largest, BLUR * precision * length


def all_alike(x: Tensor, blur: NDArray[np.float64]) -> bool:
    """Return whether all vectors lie within their blur of their mean. x: (n, d) float64, n ≥ 1."""
    table = x.numpy()  # torch takes longer on few rows, as it wakes its threads
    if (np.linalg.norm(table[:FEW] - table[0], axis=1) > 2 * blur.max()).any():
        return False  # one of the two is further from the mean
    return bool((np.linalg.norm(table - table.mean(axis=0), axis=1) <= blur).all())


def merge(x: Tensor, blur: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return which vector each system has, (n,), after those within their blur of each other became their mean."""
    table = x.numpy()
    hashes = np.empty((len(table), 2), np.int64)
    threads.each(lambda p: kernels.hash_rows(table[p], hashes[p]), threads.parts(len(table)))
    _, first, label = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
    label = label.reshape(-1).astype(np.int64)
    distinct = len(first)
    group = np.arange(distinct)
    kernels.group_close(table, first, *_along(x, first), blur[first], group)
    if (group == np.arange(distinct)).all():
        return label
    members = np.argsort(group, kind="stable")
    sizes = np.bincount(group)[np.unique(group)]
    for part in np.split(members, np.cumsum(sizes)[:-1]):
        if len(part) > 1:
            _make_same(x, first, label, part, blur)
    return np.unique(label, return_inverse=True)[1]


def _make_same(
    x: Tensor,
    first: NDArray[np.intp],
    label: NDArray[np.int64],
    part: NDArray[np.intp],
    blur: NDArray[np.float64],
) -> None:
    """Give systems whose distinct vectors are `part` the mean of these, unless some are too far from it."""
    rows = torch.from_numpy(first[part])
    mean = x[rows].mean(dim=0)
    if (torch.linalg.vector_norm(x[rows] - mean, dim=1).numpy() <= blur[first[part]]).all():
        owners = np.flatnonzero(np.isin(label, part))
        x[torch.from_numpy(owners)] = mean
        label[owners] = part[0]


def _along(
    x: Tensor, rows: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Return some rows in their order along the direction in which they spread most, about, and where they are then
    along this direction and along another.
    """
    directions = _directions(x.shape[1]).clone()
    for _ in range(2):  # a power iteration; any direction is right, and this one quick
        along = x @ directions[0]
        found = x.T @ (along - along.mean())
        size = torch.linalg.vector_norm(found)
        if size > 0:
            directions[0] = found / size
    places = (x @ directions.T)[torch.from_numpy(rows)].numpy()
    order = np.argsort(places[:, 0])
    return order, places[order, 0], places[order, 1]


@lru_cache(maxsize=64)
def _directions(dimension: int) -> Tensor:
    """Return two random directions, always the same; kept, because many small groups ask for them: (2, d) float64."""
    directions = torch.randn(
        2, dimension, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    return directions.div_(torch.linalg.vector_norm(directions, dim=1, keepdim=True))
