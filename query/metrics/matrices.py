"""Metrics that correlate two models' matrices over all pairs of systems, and their null.

Such a metric is Σ_ij A_ij B_ij over a constant, where A and B are the models' centered matrices (of
inner products or distances). A shuffled pairing gives Σ_ij A_ij B_π(i)π(j). Nobody can afford to
run through 100 pairings of 50,000 × 50,000 numbers, and nobody needs to: the mean and variance over
all n! pairings have a closed form, and the shape of the distribution depends on the spectra of the
matrices, not on n. So the pairings are run on at most `LARGEST` systems, drawn at random with a
fixed seed, and the result is shifted and scaled to the exact mean and deviation for all n. Up to
`LARGEST` systems this is the plain permutation null.

References: Mantel, Cancer Res. 27, 209 (1967), for zero diagonals; Kazi-Aoual, Hitier, Sabatier,
Lebreton, Comput. Stat. Data Anal. 20, 643 (1995), for matrices with a diagonal whose rows sum to 0.
Tested against all n! pairings of small n.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from query.engine import kernels
from query.engine.comparison import Comparison
from query.engine.pairings import Orders, over_pairings
from query.engine.undefined import Undefined
from query.metrics.base import Metric, joint_scale

LARGEST = 1024  # systems on which pairings are run
RESAMPLED = 1000  # systems of a subset at most: beyond it, subsets of any size scatter as 1/√m
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


@dataclass(frozen=True, slots=True)
class State:
    """One model in a matrix correlation, by estimator.

    Attributes:
        name: How reasons call the model.
        moments: The moments of its matrix.
        scale: √Σ A², absent if that is not positive.
    """

    name: str
    moments: dict[str, Moments]
    scale: dict[str, float]


class MatrixCorrelation(Metric):
    """Σ A B / √(Σ A² Σ B²) of two models' centered matrices.

    Attributes:
        with_diagonal: The estimators of which the matrices have a diagonal, and rows that sum to 0.
    """

    with_diagonal: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def product(self, comparison: Comparison, a: int, b: int, estimator: str) -> float:
        """Return Σ_ij A_ij B_ij of the centered matrices over all n systems.

        Args:
            comparison: The comparison.
            a: The number of the first model.
            b: The number of the second model.
            estimator: One of `estimators`.
        """

    @abstractmethod
    def matrix(self, x: Tensor, estimator: str) -> Matrix:
        """Return the centered matrix of a few systems, (m, m).

        Args:
            x: Their normalized vectors, (m, d) float64.
            estimator: One of `estimators`.
        """

    def finish(self, correlation: Matrix, estimator: str) -> Matrix:
        """Return what is reported, from Σ A B / √(Σ A² Σ B²).

        Args:
            correlation: The correlations, of any shape.
            estimator: One of `estimators`.
        """
        return correlation

    def bounds(self, estimator: str | None, n: int, k: int) -> tuple[float, float]:
        """Return the ends of the range: 0 or −1, and 1.

        Args:
            estimator: One of `estimators`.
            n: The number of systems.
            k: The number of neighbors, which plays no part.
        """
        return (0.0 if estimator == "biased" else -1.0), 1.0

    def subsample_size(self, n: int) -> int:
        """Return three quarters of n, at most RESAMPLED.

        Of few systems most are taken, because biased estimators change with n; of many no more than
        are needed to show how the value scatters.

        Args:
            n: The number of systems.
        """
        return min(n * 3 // 4, RESAMPLED)

    def value(self, comparison: Comparison, a: int, b: int, estimator: str | None) -> float:
        """Return the correlation of two models.

        Args:
            comparison: The comparison.
            a: The number of the first model.
            b: The number of the second model.
            estimator: One of `estimators`.
        """
        scale = joint_scale(comparison.state(self, a), comparison.state(self, b), estimator)
        correlation = np.array(self.product(comparison, a, b, str(estimator)) / scale)
        return float(self.finish(correlation, str(estimator)))

    def null(
        self, comparison: Comparison, a: int, b: int, estimator: str | None, permutations: Tensor
    ) -> Tensor:
        """Return the correlation with the pairing of the systems shuffled; see the module.

        Args:
            comparison: The comparison.
            a: The number of the first model.
            b: The number of the second model.
            estimator: One of `estimators`.
            permutations: The pairings, (B, n) int64.

        Returns:
            The values, (B,) float64.

        Raises:
            Undefined: Every pairing gives the same value.
        """
        chosen = str(estimator)
        left, right = comparison.state(self, a), comparison.state(self, b)
        scale = joint_scale(left, right, estimator)
        rows, orders = few_systems(comparison, permutations)
        few = [self._few(comparison, i, chosen, rows) for i in (a, b)]
        left_few, right_few = (matrix for matrix, _ in few)

        def multiply(order: Orders, place: Orders, out: Matrix) -> None:
            out[0] = kernels.shuffled_product(left_few, right_few, order)

        shuffled = over_pairings(orders, 1, multiply)[:, 0]
        if len(rows) < comparison.n:
            diagonal = chosen in self.with_diagonal
            mean, deviation = null_moments(*(moments for _, moments in few), diagonal=diagonal)
            if deviation <= 0:
                raise Undefined(
                    f"every pairing of {left.name} and {right.name} gives the same {self.name}"
                )
            there = null_moments(left.moments[chosen], right.moments[chosen], diagonal=diagonal)
            shuffled = there[0] + there[1] * (shuffled - mean) / deviation
        return torch.from_numpy(self.finish(shuffled / scale, chosen))

    def _few(
        self, comparison: Comparison, i: int, estimator: str, rows: NDArray[np.int64]
    ) -> tuple[Matrix, Moments]:
        """Return the matrix of a model among `few_systems`, which all its pairs need."""
        key = (self.name, "few systems", estimator, i)
        matrix: Matrix = comparison.keep_if_room(
            key, lambda: self.matrix(comparison.vectors(i)[torch.from_numpy(rows)], estimator)
        )
        return matrix, comparison.keep((*key, "moments"), lambda: Moments.of(matrix))


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


def few_systems(
    comparison: Comparison, permutations: Tensor
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return at most LARGEST of the n rows, and the order in which each permutation leaves them.

    Args:
        comparison: The comparison, which keeps them for all its pairs.
        permutations: The pairings, (B, n) int64.

    Returns:
        The rows, (m,) ascending, and the orders, (B, m).
    """

    def find() -> tuple[Tensor, NDArray[np.int64], NDArray[np.int64]]:
        pairings, n = permutations.numpy(), permutations.shape[1]
        if n <= LARGEST:
            return permutations, np.arange(n), pairings
        rows = np.sort(np.random.default_rng(0).choice(n, LARGEST, replace=False))
        return permutations, rows, pairings[:, rows].argsort(axis=1)

    # The pairings are kept, too, so that no others get their id.
    _, rows, orders = comparison.keep(("few systems", id(permutations)), find)
    return rows, orders


def u_centered(matrix: Matrix) -> Matrix:
    """Return a symmetric matrix U-centered: its diagonal is 0 and its rows sum to 0.

    Definition: Székely and Rizzo, Ann. Stat. 42, 2382 (2014).

    Args:
        matrix: The matrix, (n, n); its diagonal is ignored.
    """
    n = len(matrix)
    hollow = matrix - np.diag(matrix.diagonal())
    rows = hollow.sum(axis=1)
    centered: Matrix = (
        hollow - (rows[:, None] + rows[None]) / (n - 2) + rows.sum() / ((n - 1) * (n - 2))
    )
    np.fill_diagonal(centered, 0.0)
    return centered


def double_centered(matrix: Matrix) -> Matrix:
    """Return a symmetric matrix less its row and column means, plus its mean.

    Args:
        matrix: The matrix, (n, n).
    """
    rows = matrix.mean(axis=1)
    centered: Matrix = matrix - rows[:, None] - rows[None] + rows.mean()
    return centered
