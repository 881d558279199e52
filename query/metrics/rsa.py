"""RSA, representational similarity analysis: do two models find the same pairs of systems unlike?

Reference: Kriegeskorte, Mur, Bandettini, Front. Syst. Neurosci. 2:4 (2008).
Definition: the Pearson correlation, over all pairs i < j, of the two models' dissimilarities
    |x_i − x_j|². Under 'l2' these are twice the cosine distance, the usual choice. (Spearman's
    correlation, which is also in use, needs the ranks of all n²/2 dissimilarities and is not
    offered.)
Range: −1 to 1; 0 for unrelated models. It hardly depends on n.
Invariant to: rotations and reflections, shifts (under normalization 'none'), scale, the order of
    the systems.
Undefined: fewer than 4 systems, constant vectors, all systems equally far from each other (one-hot
    vectors).
Tested against: SciPy's pdist and pearsonr.

Unlike CKA it does not center rows: one system far from all others weighs in n pairs. It is computed
from the sums that CKA needs: with centered features Σ_ij |x_i − x_j|² |y_i − y_j|² is made of Σ_ij
K_ij L_ij and the squared lengths alone.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from query.engine.comparison import Comparison
from query.metrics.alignment import bare_alignment
from query.metrics.base import ROUNDING
from query.metrics.matrices import MatrixCorrelation, State
from query.metrics.shared.moments import Matrix, Moments


class _Rsa(MatrixCorrelation):
    """See the module."""

    name: ClassVar[str] = "rsa"
    estimators: ClassVar[tuple[str, ...]] = ("pearson",)
    needs: ClassVar[frozenset[str]] = frozenset({"kernels"})

    def prepare(self, comparison: Comparison, i: int) -> State:
        squares = comparison.sums.squares(i)
        n, total = comparison.n, float(squares.sum())
        own = comparison.sums.kernel_product(i, i)
        product, size = _centered_product(own, squares, squares)
        # Σ_j |x_i − x_j|² = n |x_i|² + Σ |x|², less (n − 1) times the mean.
        rows = n * squares + total - 2 * total
        scale = {"pearson": product**0.5} if product > ROUNDING * size else {}
        moments = {"pearson": Moments(n, product, float(rows @ rows))}
        return State(comparison.names[i], moments, scale)

    def product(self, comparison: Comparison, a: int, b: int, estimator: str) -> float:
        together = comparison.sums.kernel_product(a, b)
        return _centered_product(together, comparison.sums.squares(a), comparison.sums.squares(b))[
            0
        ]

    def matrix(self, x: Tensor, estimator: str) -> Matrix:
        x = x - x.mean(dim=0)
        squares = x.square().sum(dim=1)
        table: Matrix = (squares[:, None] + squares[None] - 2 * (x @ x.T)).cpu().numpy()
        np.fill_diagonal(table, 0.0)
        n = len(table)
        table -= table.sum() / (n * (n - 1))
        np.fill_diagonal(table, 0.0)
        return table


METRIC = _Rsa()


def rsa(a: ArrayLike | Tensor, b: ArrayLike | Tensor, *, normalize: str = "l2") -> float:
    """Return the RSA of two models' vectors over the same systems.

    See the module.

    Args:
        a: The vectors of the first model, (n, d_a).
        b: The vectors of the second, (n, d_b), row i of the same system as row i of a.
        normalize: 'l2', 'max', 'zscore' or 'none'.

    Raises:
        Undefined: There is no value.
        ValueError: A parameter makes no sense.
    """
    return bare_alignment(METRIC, a, b, k=1, estimator=None, normalization=normalize)


def _centered_product(
    product: float, a_squares: NDArray[np.float64], b_squares: NDArray[np.float64]
) -> tuple[float, float]:
    """Return Σ_{i≠j} of the products of centered dissimilarities, and the size of its terms.

    product: Σ_ij K_ij L_ij of centered features; squares: (n,). A dissimilarity is a_i + a_j − 2
    K_ij, and 0 for i = j.
    """
    n = len(a_squares)
    a_total, b_total = float(a_squares.sum()), float(b_squares.sum())
    crossed = 2 * n * float(a_squares @ b_squares) + 2 * a_total * b_total
    means = (2 * n * a_total) * (2 * n * b_total) / (n * (n - 1))
    return crossed + 4 * product - means, crossed + 4 * product + means
