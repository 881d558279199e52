"""What the precision of given vectors can tell apart, and what it cannot.

A vector of float32 is rounded: each of its elements may be off by 2⁻²⁴ of itself. Differences that
are no larger are no differences: to a metric of neighbors they would be the whole structure of a
model that has none. So
- a model is constant, and has no values, if all of its vectors lie within `blur` of their mean;
- systems whose vectors lie within `blur` of their mean have the same vector, that mean;
- distances tie if the rounding of elements can put them in either order; see
  `query.engine.neighbors.lists`.

The precision is that of the array as it was given: vectors that were float32 once and are given as
float64 are taken as float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from query.engine import kernels, threads

# The distance from 1 to the next number. For float64 it is 2⁻⁵²; but such vectors were computed in
# float64, by some thousand operations that each rounded, so that their last ten bits hold no
# information.
FLOAT64 = 2.0**-42
PRECISION = {
    torch.bfloat16: 2.0**-7,
    torch.float16: 2.0**-10,
    torch.float32: 2.0**-23,
    np.dtype(np.float16): 2.0**-10,
    np.dtype(np.float32): 2.0**-23,
}
NAMES = {2.0**-7: "bfloat16", 2.0**-10: "float16", 2.0**-23: "float32", FLOAT64: "float64"}
# Rounding moves a vector by up to half the precision times its length. Two vectors that were meant
# to be the same and differ in their last bit are up to twice that apart; the other half is for the
# program that computed them, which rounded too.
BLUR = 2.0
# Rounding moves one distance by 0.3 · precision · largest element (one deviation, two vectors; the
# projection of independent roundings on a direction), so hundreds of equal distances spread over 8
# deviations: 2.4. This is doubled where it is used, because a list counts the rounding of its owner
# twice.
SPREAD = 2.0
FEW = 8  # rows, which nearly always show that not all vectors are the same
SOME = 1024  # rows, which show in which direction all of them spread
LINES = 8  # directions of the largest spread, along which most pairs are seen to be apart


@dataclass(frozen=True, slots=True)
class Resolution:
    """How far the rounding of its elements may have moved the vectors of one model.

    Attributes:
        precision: The relative precision of the elements as they were given.
        grain: How far along one direction, in the unit of the vectors, (n,).
        blur: How far in all, in the unit of the vectors, (n,).
        label: The number of the distinct vector that each system has, (n,), 0 … n_distinct − 1.
    """

    precision: float
    grain: NDArray[np.float64]
    blur: NDArray[np.float64]
    label: NDArray[np.int64]

    @property
    def n_distinct(self) -> int:
        """The number of distinct vectors."""
        return int(self.label.max()) + 1 if len(self.label) else 0

    def scaled(self, factor: float) -> Resolution:
        """Return the resolution of vectors that are all multiplied by a number.

        Args:
            factor: The number.
        """
        return Resolution(self.precision, self.grain * factor, self.blur * factor, self.label)

    def of_rows(self, rows: NDArray[np.int64]) -> Resolution:
        """Return the resolution of some of the systems.

        Args:
            rows: The systems, (m,).
        """
        label = np.unique(self.label[rows], return_inverse=True)[1]
        return Resolution(self.precision, self.grain[rows], self.blur[rows], label)


def precision_of(x: ArrayLike | Tensor) -> float:
    """Return the relative precision of the elements of an array.

    Whole numbers are taken as exact as float64.

    Args:
        x: The array.
    """
    kind = x.dtype if isinstance(x, Tensor) else np.asarray(x).dtype
    return PRECISION.get(kind, FLOAT64)


def grain_and_blur(x: Tensor, precision: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the grain and the blur of vectors, both (n,); see `Resolution`.

    Args:
        x: The vectors as they were rounded, before their mean was subtracted, (n, d) float64.
        precision: The relative precision of their elements.
    """
    largest, length = np.empty(len(x)), np.empty(len(x))
    table = x.numpy()

    def measure(p: slice) -> None:
        largest[p] = largest_elements(table[p])
        kernels.measure_rows(table[p], length[p])

    threads.each(measure, threads.parts(len(x)))
    return precision * largest, BLUR * precision * length


def largest_elements(table: NDArray[Any]) -> NDArray[Any]:
    """Return the largest absolute element of each row, (n,); NaN if a row has NaN.

    Args:
        table: The rows, (n, d), d ≥ 1.
    """
    found: NDArray[Any] = np.maximum(table.max(axis=1), -table.min(axis=1))
    return found


def all_equal(x: Tensor, blur: NDArray[np.float64]) -> bool:
    """Return whether all vectors lie within their blur of their mean.

    Args:
        x: The vectors, (n, d) float64, n ≥ 1.
        blur: How far rounding may have moved each, (n,).
    """
    table = x.numpy()  # torch takes longer on few rows, as it wakes its threads
    if (np.linalg.norm(table[:FEW] - table[0], axis=1) > 2 * blur.max()).any():
        return False  # one of the two is further from the mean
    return bool((np.linalg.norm(table - table.mean(axis=0), axis=1) <= blur).all())


def merge_duplicates(x: Tensor, blur: NDArray[np.float64]) -> NDArray[np.int64]:
    """Give the same vector to systems that rounding cannot tell apart, in place.

    Args:
        x: The vectors, (n, d) float64; those within their blur of each other become their mean.
        blur: How far rounding may have moved each, (n,).

    Returns:
        The number of the distinct vector that each system has, (n,).
    """
    table = x.numpy()
    places = _places(table)
    rows = np.flatnonzero(_may_be_close(places, blur))
    label = np.arange(len(x))
    if not rows.size:
        return label
    first, same = _equal_rows(table[rows])
    label[rows] = rows[first][same]
    distinct = rows[first]
    group = _group(table, distinct, places[distinct], blur[distinct])
    members = np.argsort(group, kind="stable")
    sizes = np.bincount(group)[np.unique(group)]
    for part in np.split(members, np.cumsum(sizes)[:-1]):
        if len(part) > 1:
            _make_same(x, distinct[part], label, blur)
    return np.unique(label, return_inverse=True)[1]


def group_close(x: Tensor, reach: NDArray[np.float64]) -> NDArray[np.int64]:
    """Group vectors that are no further apart than both of their reaches together, and so on.

    Memory grows with the vectors alone, however many pairs are as close.

    Args:
        x: The vectors, (n, d) float64, of which no two are the same.
        reach: The reach of each, (n,).

    Returns:
        The first member of the group of each vector, (n,).
    """
    table = x.numpy()
    some = table[:: max(1, len(table) // SOME)]
    _, _, directions = np.linalg.svd(some - some.mean(axis=0), full_matrices=False)
    places = np.column_stack([table @ directions[:LINES].T, _places(table)])
    return _group(table, np.arange(len(x)), places, reach)


def _group(
    table: NDArray[np.float64],
    rows: NDArray[np.intp],
    places: NDArray[np.float64],
    reach: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Return the first member of the group of each of some rows, (m,), of their numbers."""
    group = np.arange(len(rows))
    order = np.argsort(places[:, 0])
    kernels.group_close(table, rows, order, places[order].T.copy(), reach[order], group)
    return group


def _may_be_close(places: NDArray[np.float64], blur: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rows lie within the blur of another in both of two directions, (n,).

    Nearly always no row does, and then no more needs to be known.
    """
    order = np.argsort(places[:, 0])
    along, aside = places[order].T.copy()
    close = np.empty(len(order), np.bool_)
    kernels.mark_close(along, aside, blur[order], close)
    found = np.empty_like(close)
    found[order] = close
    return found


def _equal_rows(table: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return one row of each distinct content, (distinct,), and the number of every row's, (m,)."""
    hashes = np.empty((len(table), 2), np.int64)
    threads.each(lambda p: kernels.hash_rows(table[p], hashes[p]), threads.parts(len(table)))
    _, first, same = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
    return first, same.reshape(-1)


def _make_same(
    x: Tensor, part: NDArray[np.intp], label: NDArray[np.int64], blur: NDArray[np.float64]
) -> None:
    """Give the systems of some distinct vectors the mean of these.

    Nothing is done if the mean is too far from some of them. part: a row of each vector; label: for
    each system such a row.
    """
    rows = torch.from_numpy(part)
    mean = x[rows].mean(dim=0)
    if (torch.linalg.vector_norm(x[rows] - mean, dim=1).numpy() <= blur[part]).all():
        owners = np.flatnonzero(np.isin(label, part))
        x[torch.from_numpy(owners)] = mean
        label[owners] = part[0]


def _places(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where rows lie along a direction in which they spread much, and along another, (n, 2).

    The first is found from some of the rows.
    """
    directions = _directions(table.shape[1])
    if len(table) > FEW:
        directions, some = directions.copy(), torch.from_numpy(table[:: max(1, len(table) // SOME)])
        first = torch.from_numpy(directions[0])
        for _ in range(2):  # a power iteration; any direction is right, and this one quick
            along = some @ first
            found = some.T @ (along - along.mean())
            size = torch.linalg.vector_norm(found)
            if size > 0:
                first.copy_(found / size)
    places = np.empty((len(table), 2))
    threads.each(
        lambda p: kernels.project_rows(table[p], directions, places[p]), threads.parts(len(table))
    )
    return places


@lru_cache(maxsize=64)
def _directions(dimension: int) -> NDArray[np.float64]:
    """Return two random directions, (2, d), always the same.

    They are kept, because many small groups ask for them.
    """
    directions = np.random.default_rng(0).standard_normal((2, dimension))
    found: NDArray[np.float64] = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return found
