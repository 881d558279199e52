"""Linear CKA, centered kernel alignment: how alike two models' matrices of inner products are.

References: Kornblith, Norouzi, Lee, Hinton, ICML 2019 (biased); Song et al., JMLR 13 (2012),
equation 5 (unbiased). Definition: HSIC(K, L) / √(HSIC(K, K) · HSIC(L, L)) with K = X Xᵀ, L = Y Yᵀ.

'unbiased' (default): Song's U-statistic, which is 0 on average for unrelated models whatever their
    dimensions.
'biased': ‖XᵀY‖² with centered features over ‖XᵀX‖ ‖YᵀY‖ (Frobenius), which rises toward 1 by
    itself as d approaches n.

Range: 'unbiased' −1 to 1, 'biased' 0 to 1. It hardly depends on n.
Invariant to: rotations and reflections, scale, shifts (under normalization 'none'), the order of
    the systems.
Undefined: fewer than 4 systems, constant vectors, an unbiased self-alignment that is not positive
    (all inner products between different systems are equal, as with one-hot vectors).
Tested against: both formulas restated densely.

It is computed from feature cross-products, n · d_a · d_b, if those are cheaper than the kernels'
tiles, n² · d; features are centered first, so that no digits cancel. With centered features the
rows of K sum to 0, so a row without its diagonal sums to −|x_i|², and the unbiased estimator needs
nothing else.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from query.engine.comparison import Comparison
from query.metrics.alignment import bare_alignment
from query.metrics.base import ROUNDING
from query.metrics.matrices import (
    MatrixCorrelation,
    State,
    double_centered,
    u_centered,
)
from query.metrics.shared.moments import Matrix, Moments


class _Cka(MatrixCorrelation):
    """See the module."""

    name: ClassVar[str] = "cka"
    estimators: ClassVar[tuple[str, ...]] = ("unbiased", "biased")
    needs: ClassVar[frozenset[str]] = frozenset({"kernels"})
    with_diagonal: ClassVar[frozenset[str]] = frozenset({"biased"})

    def prepare(self, comparison: Comparison, i: int) -> State:
        squares = comparison.sums.squares(i)
        own = comparison.sums.kernel_product(i, i)
        unbiased = _off_diagonal(own, squares, squares)
        moments = {
            "biased": Moments(
                comparison.n, own, 0.0, float(squares.sum()), float(squares @ squares)
            ),
            "unbiased": Moments(comparison.n, unbiased, 0.0),
        }
        scale = {"biased": own**0.5}
        if unbiased > ROUNDING * own:
            scale["unbiased"] = unbiased**0.5
        return State(comparison.names[i], moments, scale)

    def product(self, comparison: Comparison, a: int, b: int, estimator: str) -> float:
        together = comparison.sums.kernel_product(a, b)
        if estimator == "biased":
            return together
        return _off_diagonal(together, comparison.sums.squares(a), comparison.sums.squares(b))

    def matrix(self, x: Tensor, estimator: str) -> Matrix:
        x = x - x.mean(dim=0)
        kernel: Matrix = (x @ x.T).cpu().numpy()
        return double_centered(kernel) if estimator == "biased" else u_centered(kernel)


METRIC = _Cka()


def cka(
    a: ArrayLike | Tensor,
    b: ArrayLike | Tensor,
    *,
    estimator: str | None = None,
    normalize: str = "l2",
) -> float:
    """Return the linear CKA of two models' vectors over the same systems.

    See the module.

    Args:
        a: The vectors of the first model, (n, d_a).
        b: The vectors of the second, (n, d_b), row i of the same system as row i of a.
        estimator: One of the estimators; the default if None.
        normalize: 'l2', 'max', 'zscore' or 'none'.

    Raises:
        Undefined: There is no value.
        ValueError: A parameter makes no sense.
    """
    return bare_alignment(METRIC, a, b, k=1, estimator=estimator, normalization=normalize)


def _off_diagonal(
    product: float, a_squares: NDArray[np.float64], b_squares: NDArray[np.float64]
) -> float:
    """Return n (n − 3) times Song's equation 5, from Σ_ij K_ij L_ij and squared lengths (n,)."""
    n = len(a_squares)
    # Σ_i K_ii L_ii, which is also Σ_i (row sum of K)(row sum of L) off the diagonal.
    diagonal = float(a_squares @ b_squares)
    total = float(a_squares.sum() * b_squares.sum()) / ((n - 1) * (n - 2))
    return product - diagonal + total - 2 * diagonal / (n - 2)
