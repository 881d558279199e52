"""What a pass over all pairs of systems starts from, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Matrix = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]

EMPTY: Matrix = np.empty((0, 0))
KINDS = ("kernels", "distances", "ranks")
RANKED = 1  # of each model's nearest systems are ranked, unless more are asked for


@dataclass(frozen=True, slots=True)
class Centered:
    """One model's vectors about their mean.

    Attributes:
        z: The vectors, (n, d), in the precision of the tiles.
        squares: Their squared lengths, (n,) float64.
    """

    z: Tensor
    squares: Tensor


class Sums(NamedTuple):
    """What the pass found, for models numbered as given; what was not asked for is empty.

    Attributes:
        kernels: Σ_ij K_ij L_ij, i = j included, (M, M).
        distances: Σ_ij E_ij F_ij of the shifted distances, i = j included, (M, M).
        distance_rows: Σ_j E_ij, i = j included, (M, n).
        distance_diagonal: E_ii, (M, n).
        ranks: For a model b, system i, model a and the t-th nearest system of i in a: how many
            systems are closer to i in b, counted twice, without and with those as close; (M, n, M,
            k). The nearest system is one of these itself, so its place is half of the count and a
            half.
    """

    kernels: Matrix = EMPTY
    distances: Matrix = EMPTY
    distance_rows: Matrix = EMPTY
    distance_diagonal: Matrix = EMPTY
    ranks: NDArray[np.int32] = np.empty((0, 0, 0, 0), np.int32)


class Pass(Protocol):
    """A pass that is cut in strips, of which each can be found by another process.

    The cut depends on the number of systems alone. The sums of the strips are added in the order
    of the strips, whoever found them, so that the result is the same to the last bit.
    """

    def find(self, number: int) -> Arrays:
        """Find the sums of one strip.

        Args:
            number: The strip, of `tiles.triangle_strips`.

        Returns:
            Arrays by name, for `join`.
        """

    def run(self, advance: Callable[[int], object]) -> Sums:
        """Find and add the sums of all strips.

        Args:
            advance: Called with the number of products (pairs of systems × models) that each step
                covered.

        Returns:
            The sums.
        """


def join(parts: Iterable[Arrays]) -> Sums:
    """Add the sums of all strips of a pass.

    Args:
        parts: What `Pass.find` returned of each strip, in the order of the strips.

    Returns:
        The sums, as `Pass.run` finds them.
    """
    totals: Arrays = {}
    for part in parts:
        start = int(part.pop("start", 0))
        for name, found in part.items():
            if name not in totals:  # of the first strip, which covers all systems
                totals[name] = found.copy()
                continue
            total = totals[name][:, start:] if name in ("distance_rows", "ranks") else totals[name]
            total += found
    return Sums(**totals)
