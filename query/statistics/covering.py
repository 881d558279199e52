"""Systems that cover all others: farthest points.

Each next system is the one that is farthest from those that are taken (Gonzalez, Theor. Comput.
Sci. 38, 293 (1985)). With r of them every system lies within a radius of one, and no choice of r
systems has less than half that radius: the next one and they are r + 1 systems that far apart, and
two of these would share a center. The same holds for choices that contain the systems of a start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Of systems that are as far to this relative difference of squares, the first is taken, so that
# neither the machine nor its number of threads decides.
TIE = 1e-9


@dataclass(frozen=True)
class Cover:
    """Systems in the order in which they were taken.

    Attributes:
        taken: Their numbers, (r,).
        distance: How far each was from those before it, (r,); NaN for the first, and of a start.
        radius: How far the farthest system is from the nearest of those up to this one, (r,).
    """

    taken: NDArray[np.int64]
    distance: Floats
    radius: Floats


def typical_distance(x: Floats) -> float:
    """Return the root mean square distance between two different systems.

    Args:
        x: Their vectors, (n, d), n ≥ 2.
    """
    return float(np.sqrt(2 * np.var(x, axis=0, ddof=1).sum()))


def farthest_points(x: Floats, count: int, start: NDArray[np.int64] | None = None) -> Cover:
    """Take systems one after the other, each as far as can be from those before.

    Args:
        x: The vectors, (n, d) float64, no two the same.
        count: How many are taken; all if there are fewer.
        start: The numbers of those that are taken first; None is the one nearest to the mean.

    Returns:
        Those of the start, and the others up to `count`.
    """
    centered = x - x.mean(axis=0)
    squares = np.einsum("ij,ij->i", centered, centered)
    if start is None:
        start = np.array([_first_of(squares <= squares.min() * (1 + TIE))])
    count = max(min(count, len(x)), len(start))
    left = np.full(len(x), np.inf)  # squared distance to the nearest that is taken
    taken = np.empty(count, np.int64)
    distance, radius = np.full(count, np.nan), np.empty(count)
    for r in range(count):
        if r < len(start):
            taken[r] = start[r]
        else:
            taken[r] = _first_of(left >= left.max() * (1 - TIE))
            distance[r] = np.sqrt(left[taken[r]])
        new = centered[taken[r]]
        np.minimum(left, squares - 2 * (centered @ new) + squares[taken[r]], out=left)
        np.maximum(left, 0.0, out=left)
        left[taken[: r + 1]] = 0.0
        radius[r] = np.sqrt(left.max())
    return Cover(taken, distance, radius)


def _first_of(chosen: NDArray[np.bool_]) -> int:
    return int(np.argmax(chosen))
