"""Distance correlation: do two models place the systems at distances that go together, linearly or not?

References: Székely, Rizzo, Bakirov, Ann. Stat. 35, 2769 (2007) ('biased'); Székely, Rizzo, Ann. Stat. 42, 2382 (2014)
('unbiased'). D_ij = |x_i − x_j|, Euclidean.

'unbiased' (default): Σ Ã B̃ / √(Σ Ã² Σ B̃²) with U-centered distances, the bias-corrected *squared* distance correlation
    (their R*, what dcor calls u_distance_correlation_sqr); 0 on average for unrelated models whatever their dimensions.
'biased': √(Σ A B / √(Σ A² Σ B²)) with double-centered distances, the textbook statistic; for unrelated models it is well
    above 0, and rises toward 1 with the dimension.

Range: 'unbiased' -1 to 1, 'biased' 0 to 1; not on one scale, as 'unbiased' is a square. Hardly depends on n.
Invariant to: rotations and reflections, shifts (under normalization 'none'), scale, the order of the systems.
Undefined: fewer than 4 systems, constant vectors, all systems equally far from each other ('unbiased').
Tested against: dcor 0.6, and both formulas restated densely.

In the sums, distances come less an estimate of their row and column means (engine/sums.py), which no centering notices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from query.engine.comparison import Comparison
from query.metrics.alignment import bare_alignment
from query.metrics.base import ROUNDING
from query.metrics.matrices import (
    Matrix,
    MatrixCorrelation,
    Moments,
    State,
    double_centered,
    u_centered,
)


@dataclass(frozen=True, slots=True)
class DistanceState(State):
    """What distance correlation keeps of one model."""

    rows: NDArray[np.float64]  # (n,): sums of the rows of shifted distances, without the diagonal
    diagonal: NDArray[np.float64]  # (n,)


class DistanceCorrelation(MatrixCorrelation):
    """See the module."""

    name: ClassVar[str] = "distance_correlation"
    estimators: ClassVar[tuple[str, ...]] = ("unbiased", "biased")
    needs: ClassVar[frozenset[str]] = frozenset({"distances"})
    with_diagonal: ClassVar[frozenset[str]] = frozenset({"biased"})

    def prepare(self, comparison: Comparison, i: int) -> DistanceState:
        sums, place = comparison.sums.of_kind("distances"), comparison.sums.place(i)
        diagonal = sums.distance_diagonal[place]
        rows = sums.distance_rows[place] - diagonal
        own = float(sums.distances[place, place])
        parts = {"unbiased": _unbiased(own, rows, diagonal, rows, diagonal)}
        parts["biased"] = _biased(own, rows + diagonal, rows + diagonal)
        means = (rows + diagonal) / comparison.n
        centered = diagonal - 2 * means + means.mean()  # the diagonal of the double-centered matrix
        moments = {
            "unbiased": Moments(comparison.n, parts["unbiased"], 0.0),
            "biased": Moments(
                comparison.n,
                parts["biased"],
                0.0,
                float(centered.sum()),
                float(centered @ centered),
            ),
        }
        scale = {name: part**0.5 for name, part in parts.items() if part > ROUNDING * own}
        return DistanceState(comparison.names[i], moments, scale, rows, diagonal)

    def product(self, comparison: Comparison, a: int, b: int, estimator: str) -> float:
        together = float(
            comparison.sums.of_kind("distances").distances[
                comparison.sums.place(a), comparison.sums.place(b)
            ]
        )
        left, right = comparison.state(self, a), comparison.state(self, b)
        if estimator == "biased":
            return _biased(together, left.rows + left.diagonal, right.rows + right.diagonal)
        return _unbiased(together, left.rows, left.diagonal, right.rows, right.diagonal)

    def matrix(self, x: Tensor, estimator: str) -> Matrix:
        x = x - x.mean(dim=0)
        squares = x.square().sum(dim=1)
        table: Matrix = (
            (squares[:, None] + squares[None] - 2 * (x @ x.T)).clamp_(min=0).sqrt_().cpu().numpy()
        )
        np.fill_diagonal(table, 0.0)
        return double_centered(table) if estimator == "biased" else u_centered(table)

    def finish(self, correlation: Matrix, estimator: str) -> Matrix:
        return correlation if estimator == "unbiased" else np.sqrt(np.clip(correlation, 0.0, None))


METRIC = DistanceCorrelation()


def distance_correlation(
    a: ArrayLike | Tensor,
    b: ArrayLike | Tensor,
    *,
    estimator: str | None = None,
    normalize: str = "l2",
) -> float:
    """Distance correlation of two models' vectors over the same systems, (n, d_a) and (n, d_b). Raises Undefined."""
    return bare_alignment(METRIC, a, b, k=1, estimator=estimator, normalization=normalize)


def _biased(product: float, a_rows: NDArray[np.float64], b_rows: NDArray[np.float64]) -> float:
    """Σ_ij A_ij B_ij of double-centered matrices, from Σ_ij E_ij F_ij and the row sums, the diagonal included."""
    n = len(a_rows)
    return product - 2 * float(a_rows @ b_rows) / n + float(a_rows.sum() * b_rows.sum()) / n**2


def _unbiased(
    product: float,
    a_rows: NDArray[np.float64],
    a_diagonal: NDArray[np.float64],
    b_rows: NDArray[np.float64],
    b_diagonal: NDArray[np.float64],
) -> float:
    """Σ_ij Ã_ij B̃_ij of U-centered matrices, from Σ_ij E_ij F_ij with the diagonal and the row sums without it."""
    n = len(a_rows)
    hollow = product - float(a_diagonal @ b_diagonal)
    return (
        hollow
        - 2 * float(a_rows @ b_rows) / (n - 2)
        + float(a_rows.sum() * b_rows.sum()) / ((n - 1) * (n - 2))
    )
