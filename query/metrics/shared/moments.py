"""Mean and variance over all pairings of the product of two models' matrices.

References and tests: see `query.metrics.matrices`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moments:
    """What the mean and variance of the null need of one centered n × n matrix A.

    Attributes:
        n: The number of systems.
        square: Σ_ij A_ij².
        row_square: Σ_i (Σ_j A_ij)².
        trace: Σ_i A_ii.
        diagonal_square: Σ_i A_ii².
    """

    n: int
    square: float
    row_square: float
    trace: float = 0.0
    diagonal_square: float = 0.0

    @classmethod
    def of(cls, matrix: Matrix) -> Moments:
        """Return the moments of a matrix.

        Args:
            matrix: The centered matrix, (n, n).
        """
        diagonal = matrix.diagonal()
        return cls(
            len(matrix),
            float(np.square(matrix).sum()),
            float(np.square(matrix.sum(axis=1)).sum()),
            float(diagonal.sum()),
            float(np.square(diagonal).sum()),
        )


def null_moments(a: Moments, b: Moments, *, diagonal: bool) -> tuple[float, float]:
    """Return mean and deviation of Σ_ij A_ij B_π(i)π(j) over all n! pairings π, n ≥ 4.

    Args:
        a: The moments of A.
        b: The moments of B.
        diagonal: Whether A and B have a diagonal and rows that sum to 0; else their diagonals are 0
            and all their elements sum to 0.
    """
    n = a.n
    if diagonal:
        mean = a.trace * b.trace / (n - 1)
        spread = [(n - 1) * m.square - m.trace**2 for m in (a, b)]
        tail = [
            n * (n + 1) * m.diagonal_square - (n - 1) * (m.trace**2 + 2 * m.square) for m in (a, b)
        ]
        variance = 2 * spread[0] * spread[1] / ((n - 1) ** 2 * (n + 1) * (n - 2))
        variance += tail[0] * tail[1] / ((n + 1) * n * (n - 1) * (n - 2) * (n - 3))
    else:
        mean = 0.0
        apart = [2 * m.square - 4 * m.row_square for m in (a, b)]
        variance = 2 * a.square * b.square / (n * (n - 1))
        variance += (
            4 * (a.row_square - a.square) * (b.row_square - b.square) / (n * (n - 1) * (n - 2))
        )
        variance += apart[0] * apart[1] / (n * (n - 1) * (n - 2) * (n - 3))
    return mean, float(np.sqrt(max(variance, 0.0)))
