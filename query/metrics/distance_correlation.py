"""Distance correlation: do two models' distances between systems go together, linearly or not?

References: Székely, Rizzo, Bakirov, Ann. Stat. 35, 2769 (2007) ('biased'); Székely, Rizzo, Ann.
    Stat. 42, 2382 (2014) ('unbiased'). Distances D_ij = |x_i − x_j| are Euclidean.

'unbiased' (default): Σ Ã B̃ / √(Σ Ã² Σ B̃²) with U-centered distances, the bias-corrected *squared*
    distance correlation (their R*, which dcor calls u_distance_correlation_sqr); it is 0 on average
    for unrelated models whatever their dimensions.
'biased': √(Σ A B / √(Σ A² Σ B²)) with double-centered distances, the textbook statistic; for
    unrelated models it is well above 0, and rises toward 1 with the dimension.

Range: 'unbiased' −1 to 1, 'biased' 0 to 1; they are not on one scale, as 'unbiased' is a square. It
    hardly depends on n.
Invariant to: rotations and reflections, shifts (under normalization 'none'), scale, the order of
    the systems.
Undefined: fewer than 4 systems, constant vectors, all systems equally far from each other
    ('unbiased').
Tested against: dcor 0.6, and both formulas restated densely.

From some rows: both formulas, written out, are sums over i of Σ_j D_ij E_ij and of products of row
    sums, all of which a drawn system has exactly, and a product of two total sums; `estimates` has
    an unbiased estimate of each. So the numerator and both terms of the denominator are unbiased.
    There is no null: which values shuffled pairings give depends on rows that are not drawn.

In the sums, distances lack an estimate of their row and column means (see `query/engine/sums.py`),
which makes no difference to any centering.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from query.engine.comparison import Comparison
from query.engine.rows.distances import RowDistances, find_distances
from query.engine.rows.drawn import DrawnRows
from query.engine.undefined import Undefined
from query.metrics.alignment import bare_alignment
from query.metrics.base import ROUNDING
from query.metrics.matrices import (
    MatrixCorrelation,
    State,
    double_centered,
    u_centered,
)
from query.metrics.shared.estimates import Estimate, RowMean, RowMetric, normalized
from query.metrics.shared.moments import Matrix, Moments


@dataclass(frozen=True, slots=True)
class _DistanceState(State):
    """What distance correlation keeps of one model.

    Attributes:
        rows: The sums of the rows of shifted distances, without the diagonal, (n,).
        diagonal: The diagonal, (n,).
    """

    rows: NDArray[np.float64]
    diagonal: NDArray[np.float64]


class _DistanceCorrelation(MatrixCorrelation, RowMetric):
    """See the module."""

    name: ClassVar[str] = "distance_correlation"
    estimators: ClassVar[tuple[str, ...]] = ("unbiased", "biased")
    needs: ClassVar[frozenset[str]] = frozenset({"distances"})
    with_diagonal: ClassVar[frozenset[str]] = frozenset({"biased"})
    no_null: ClassVar[str | None] = "no null: distance_correlation has none from some rows"

    def prepare(self, comparison: Comparison, i: int) -> _DistanceState:
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
        return _DistanceState(comparison.names[i], moments, scale, rows, diagonal)

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

    def estimate(self, drawn: DrawnRows, a: int, b: int, estimator: str | None) -> Estimate:
        names = drawn.comparison.names[a], drawn.comparison.names[b]
        sums: RowDistances = drawn.keep((self.name,), lambda: find_distances(drawn))
        means = [_mean(sums, drawn.n, *pair, estimator) for pair in ((a, b), (a, a), (b, b))]
        found = normalized(means[0], (means[1], means[2]), names)
        if estimator == "unbiased":
            return found
        if found.value <= 0:
            raise Undefined(
                f"the squared correlation is {found.value:.3g} in {len(drawn.rows)} rows"
            )
        root = found.value**0.5
        return Estimate(root, found.parts / (2 * root))

    def null_of_rows(
        self, drawn: DrawnRows, a: int, b: int, estimator: str | None
    ) -> NDArray[np.float64]:
        raise Undefined(self.no_null)

    def finish(self, correlation: Matrix, estimator: str) -> Matrix:
        return correlation if estimator == "unbiased" else np.sqrt(np.clip(correlation, 0.0, None))


METRIC = _DistanceCorrelation()


def distance_correlation(
    a: ArrayLike | Tensor,
    b: ArrayLike | Tensor,
    *,
    estimator: str | None = None,
    normalize: str = "l2",
) -> float:
    """Return the distance correlation of two models' vectors over the same systems.

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


def _biased(product: float, a_rows: NDArray[np.float64], b_rows: NDArray[np.float64]) -> float:
    """Return Σ_ij A_ij B_ij of double-centered matrices, from Σ_ij E_ij F_ij and all row sums."""
    n = len(a_rows)
    return product - 2 * float(a_rows @ b_rows) / n + float(a_rows.sum() * b_rows.sum()) / n**2


def _unbiased(
    product: float,
    a_rows: NDArray[np.float64],
    a_diagonal: NDArray[np.float64],
    b_rows: NDArray[np.float64],
    b_diagonal: NDArray[np.float64],
) -> float:
    """Return Σ_ij Ã_ij B̃_ij of U-centered matrices.

    It is found from Σ_ij E_ij F_ij with the diagonal, and the row sums without it.
    """
    n = len(a_rows)
    hollow = product - float(a_diagonal @ b_diagonal)
    return (
        hollow
        - 2 * float(a_rows @ b_rows) / (n - 2)
        + float(a_rows.sum() * b_rows.sum()) / ((n - 1) * (n - 2))
    )


def _mean(sums: RowDistances, n: int, a: int, b: int, estimator: str | None) -> RowMean:
    """Return 1/n of what `_biased` or `_unbiased` give, estimated from the drawn systems."""
    a, b = sums.place[a], sums.place[b]
    product, left, right = sums.products[:, a, b], sums.sums[a], sums.sums[b]
    size = float(sums.products[:, a, a].mean() * sums.products[:, b, b].mean()) ** 0.5
    if estimator == "biased":
        mean = RowMean.of(product - 2 * left * right / n, size)
        return mean.plus_product(left, right, 1 / n, n)
    left, right = left - sums.diagonal[a], right - sums.diagonal[b]
    hollow = product - sums.diagonal[a] * sums.diagonal[b]
    mean = RowMean.of(hollow - 2 * left * right / (n - 2), size)
    return mean.plus_product(left, right, n / ((n - 1) * (n - 2)), n)
