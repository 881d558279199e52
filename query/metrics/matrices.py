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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
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
from query.metrics.shared.many_pairs import SIDE, NullsTogether, blocks
from query.metrics.shared.moments import Matrix, Moments, null_moments
from query.metrics.shared.result import Pair

LARGEST = 1024  # systems on which pairings are run
RESAMPLED = 1000  # systems of a subset at most: beyond it, subsets of any size scatter as 1/√m
_TOGETHER = 2**23  # numbers of the matrices of a side at most whose nulls are found together


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


class MatrixCorrelation(Metric, NullsTogether):
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
        products = self._products(comparison, [a], [b], str(estimator), permutations)
        return self._null_of(comparison, (a, b), str(estimator), products[:, 0, 0])

    def nulls(
        self,
        comparison: Comparison,
        pairs: Sequence[Pair],
        estimator: str | None,
        permutations: Tensor,
    ) -> dict[Pair, Callable[[], Tensor]]:
        """Return what finds the nulls of pairs; see `NullsTogether`.

        Args:
            comparison: The comparison.
            pairs: The pairs of models by their numbers.
            estimator: One of `estimators`.
            permutations: The pairings, (B, n) int64.
        """
        chosen, found = str(estimator), dict[Pair, Callable[[], Tensor]]()

        def null(pair: Pair, products: Callable[[], Matrix], x: int, y: int) -> Tensor:
            return self._null_of(comparison, pair, chosen, products()[:, x, y])

        m = min(comparison.n, LARGEST)
        for firsts, seconds in blocks(pairs, max(1, min(SIDE, _TOGETHER // m**2))):
            products = cache(
                partial(self._products, comparison, firsts, seconds, chosen, permutations)
            )
            for (x, a), (y, b) in product(enumerate(firsts), enumerate(seconds)):
                found[a, b] = partial(null, (a, b), products, x, y)
        return found

    def _products(
        self,
        comparison: Comparison,
        firsts: Sequence[int],
        seconds: Sequence[int],
        estimator: str,
        permutations: Tensor,
    ) -> Matrix:
        """Return Σ_ij A_ij B_π(i)π(j) among `few_systems`, (B, first models, second models)."""
        rows, orders = few_systems(comparison, permutations)
        left, right = (
            np.stack([self._few(comparison, i, estimator, rows) for i in side])
            for side in (firsts, seconds)
        )

        def multiply(order: Orders, place: Orders, out: Matrix) -> None:
            scratch = np.empty(right.shape[:2])
            kernels.shuffled_products(left, right, order, scratch, out.reshape(len(left), -1))

        found = over_pairings(orders, len(left) * len(right), multiply)
        return found.reshape(-1, len(left), len(right))

    def _null_of(
        self, comparison: Comparison, pair: Pair, estimator: str, shuffled: Matrix
    ) -> Tensor:
        """Return the null from the products of few systems, (B,)."""
        left, right = (comparison.state(self, i) for i in pair)
        scale = joint_scale(left, right, estimator)
        if comparison.n > LARGEST:
            few = [comparison.keep((self.name, "moments", estimator, i), _unfound) for i in pair]
            diagonal = estimator in self.with_diagonal
            mean, deviation = null_moments(*few, diagonal=diagonal)
            if deviation <= 0:
                raise Undefined(
                    f"every pairing of {left.name} and {right.name} gives the same {self.name}"
                )
            all_of_them = (state.moments[estimator] for state in (left, right))
            there = null_moments(*all_of_them, diagonal=diagonal)
            shuffled = there[0] + there[1] * (shuffled - mean) / deviation
        return torch.from_numpy(self.finish(shuffled / scale, estimator))

    def _few(
        self, comparison: Comparison, i: int, estimator: str, rows: NDArray[np.int64]
    ) -> Matrix:
        """Return the matrix of a model among `few_systems`, which all its pairs need."""

        def find() -> Matrix:
            matrix = self.matrix(comparison.vectors(i)[torch.from_numpy(rows)], estimator)
            comparison.keep((self.name, "moments", estimator, i), lambda: Moments.of(matrix))
            return matrix

        matrix: Matrix = comparison.keep_if_room((self.name, "few systems", estimator, i), find)
        return matrix


def _unfound() -> Moments:
    raise AssertionError("the moments are kept with the matrix")


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
