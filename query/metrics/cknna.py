"""CKNNA, centered kernel nearest-neighbor alignment: how alike two models weigh shared neighbors.

References: Huh, Cheung, Wang, Isola, "The Platonic Representation Hypothesis", ICML 2024 (their
    code `metrics.cknna`); Edamadaka et al., arXiv 2512.03750, equations A3–A8; for HSIC Song et
    al., JMLR 13 (2012), equation 5.

K_ij = ⟨a_i, a_j⟩ and L_ij = ⟨b_i, b_j⟩; N_k(i) are the k systems j ≠ i with the largest K_ij
(L_ij); α_ij is 1 if j is in N_k(i) of both models, else 0. If systems tie, α_ij is the product of
both models' weights: the probability that j is in N_k(i) if ties are broken at random (see
`query/engine/neighbors/lists.py`; Huh's code takes what its sort puts first). The value is align(K,
L) / √(align(K, K) · align(L, L)), where align is

'unbiased' (default): Song's unbiased HSIC of α∘K and α∘L. As α is not symmetric, that formula is
    not symmetric either: its first term counts only pairs that are neighbors in both directions,
    its last pairs columns of one with rows of the other. Huh's code takes one order of the
    arguments; this is the mean of both, so that the value is symmetric. Their code also adds 1e-6
    to the denominator, a bias (0.5 % at 10,000 systems) that breaks scale invariance and is left
    out here.
'centered': the printed equation, Σ_ij α_ij K̄_ij L̄_ij over ordered pairs, with
    K̄_ij = K_ij − mean_l K_il. The mean runs over all systems, l = i included (the equation's plain
    expectation), so K̄_ij = ⟨a_i, a_j − ā⟩; it is not symmetrized.

Range: 1 for the same geometry, near k / n for unrelated models, more if systems tie. 'centered'
    lies in [−1, 1]. 'unbiased' may fall below 0 and, as each alignment has its own mask, is not
    bounded by 1: with few systems, or lengths that vary strongly (as 'max' and 'none' leave them),
    it can exceed 1; 2.9 was seen at n = 60.
Invariant to: rotations and reflections, scale, the order of the systems; not to shifts. It depends
    on n at fixed k: compare only values of equal n and k. At k = n − 1 'unbiased' is unbiased CKA.
Undefined: fewer than max(k + 1, 4) systems, constant vectors, a model's alignment with itself that
    is not positive.
Tested against: both formulas restated densely.

From some rows: the sums over i of both formulas are estimated from the drawn systems. 'unbiased'
asks whom their neighbors count as neighbors, too, and so takes up to k + 1 times as many rows. Of
more than `MOST` it takes a part of the drawn systems, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from query.engine import kernels
from query.engine.comparison import Comparison
from query.engine.neighbors.lists import Neighborhoods
from query.engine.pairings import AnyOrders, Orders, identity_pairing, over_pairings
from query.engine.rows.drawn import DrawnRows
from query.metrics.alignment import bare_alignment
from query.metrics.base import ROUNDING, joint_scale
from query.metrics.shared.cknna_rows import RowState, centered_means, unbiased_means
from query.metrics.shared.estimates import Estimate, RowMean, RowMetric, normalized
from query.metrics.shared.many_pairs import (
    NullsTogether,
    find_in_groups,
    stack,
    unbiased_terms_of_groups,
)
from query.metrics.shared.result import Pair

# Rows of which the neighbors are found for an estimate of 'unbiased'. Those of 2,000 systems and
# their 25 neighbors fit, of more where neighbors are shared.
MOST = 2**16


@dataclass(frozen=True, slots=True)
class _State:
    """What CKNNA keeps of one model.

    Attributes:
        name: How reasons call the model.
        neighbors: The neighborhoods.
        mutual: Whether a neighbor counts the row among its own, (entries,); see
            `kernels.reciprocated`.
        row_mean: The mean of each row of the kernel, (n,).
        scale: √align(K, K) by estimator; absent if align(K, K) is not positive.
    """

    name: str
    neighbors: Neighborhoods
    mutual: NDArray[np.uint8]
    row_mean: NDArray[np.float64]
    scale: dict[str, float]


class _Cknna(RowMetric, NullsTogether):
    """See the module."""

    name: ClassVar[str] = "cknna"
    estimators: ClassVar[tuple[str, ...]] = ("unbiased", "centered")
    uses_k: ClassVar[bool] = True
    lists: ClassVar[str | None] = "inner"
    counts: ClassVar[bool] = True

    def least_systems(self, k: int) -> int:
        return max(k + 1, 4)

    def prepare(self, comparison: Comparison, i: int) -> _State:
        neighbors = comparison.neighbors(i, "inner", comparison.k_of(self))
        mutual = np.empty(neighbors.who.shape, np.uint8)
        kernels.reciprocated(neighbors, mutual)
        x = comparison.vectors(i)
        state = _State(
            comparison.names[i], neighbors, mutual, (x @ x.mean(dim=0)).cpu().numpy(), {}
        )
        for estimator in self.estimators:
            own, terms = _align(state, state, estimator, identity_pairing(comparison.n))
            if own[0] > ROUNDING * terms[0]:
                state.scale[estimator] = math.sqrt(own[0])
        return state

    def value(self, comparison: Comparison, a: int, b: int, estimator: str | None) -> float:
        left, right = comparison.state(self, a), comparison.state(self, b)
        return float(
            _align(left, right, estimator, identity_pairing(comparison.n))[0][0]
            / joint_scale(left, right, estimator)
        )

    def null(
        self, comparison: Comparison, a: int, b: int, estimator: str | None, permutations: Tensor
    ) -> Tensor:
        left, right = comparison.state(self, a), comparison.state(self, b)
        return torch.from_numpy(
            _align(left, right, estimator, permutations)[0] / joint_scale(left, right, estimator)
        )

    def nulls(
        self,
        comparison: Comparison,
        pairs: Sequence[Pair],
        estimator: str | None,
        permutations: Tensor,
    ) -> dict[Pair, Callable[[], Tensor]]:
        if estimator != "unbiased" or len(pairs) < 2:
            return {}
        models = dict.fromkeys(chain.from_iterable(pairs))
        states: dict[int, _State] = {i: comparison.state(self, i) for i in models}
        near = {i: state.neighbors for i, state in states.items()}

        def null(a: int, b: int, find: Callable[[], NDArray[np.float64]]) -> Tensor:
            scale = joint_scale(states[a], states[b], estimator)
            return torch.from_numpy(_weigh(find(), comparison.n).sum(axis=1) / scale)

        def terms_of(*sides: Sequence[int]) -> NDArray[np.float64]:
            a, b = (stack([(near[i], states[i].mutual) for i in side]) for side in sides)
            return unbiased_terms_of_groups(a, b, permutations.numpy())

        terms = find_in_groups(pairs, near, terms_of)
        return {(a, b): partial(null, a, b, find) for (a, b), find in terms.items()}

    def is_exact(self, n: int, rows: int, k: int, estimator: str | None) -> bool:
        searched = self.searched(rows, k, estimator)  # all systems take half of n² by symmetry
        return rows >= n or (searched > rows and 2 * searched >= n and n <= MOST)

    def searched(self, rows: int, k: int, estimator: str | None) -> int:
        return rows * (k + 1) if estimator == "unbiased" else rows

    def affordable(self, drawn: DrawnRows, estimator: str | None) -> tuple[DrawnRows, str | None]:
        k, rows = drawn.comparison.k_of(self), len(drawn.rows)
        if self.searched(rows, k, estimator) <= MOST:
            return drawn, None
        found = drawn.within(k, MOST)
        if found is drawn:
            return drawn, None
        return found, (
            f"from {len(found.rows)} of {rows} rows: 'unbiased' asks for neighbors of neighbors, "
            f"of {MOST} systems at most; estimator 'centered' takes all rows"
        )

    def prepare_rows(self, drawn: DrawnRows, i: int, estimator: str | None) -> RowState:
        k = drawn.comparison.k_of(self)
        if estimator == "centered":
            x = drawn.comparison.vectors(i)
            neighbors = drawn.neighbors(i, "inner", k)
            return RowState(neighbors, np.empty(0), (x @ x.mean(dim=0)).cpu().numpy())
        neighbors = drawn.extended(i, k)
        back = np.zeros(len(neighbors.who))
        kernels.returned_weights(neighbors, drawn.rows, back)
        return RowState(neighbors, back, np.empty(0))

    def estimate(self, drawn: DrawnRows, a: int, b: int, estimator: str | None) -> Estimate:
        names = drawn.comparison.names[a], drawn.comparison.names[b]
        together = self._means(drawn, a, b, estimator, identity_pairing(drawn.n))[0]
        return normalized(together, self._own(drawn, a, b, estimator), names)

    def null_of_rows(
        self, drawn: DrawnRows, a: int, b: int, estimator: str | None
    ) -> NDArray[np.float64]:
        left, right = self._own(drawn, a, b, estimator)
        shuffled = self._means(drawn, a, b, estimator, drawn.orders)
        return np.array([mean.mean for mean in shuffled]) / math.sqrt(left.mean * right.mean)

    def bounds(self, estimator: str | None, n: int, k: int) -> tuple[float, float]:
        return (-1.0, 1.0) if estimator == "centered" else (-math.inf, math.inf)

    def _own(
        self, drawn: DrawnRows, a: int, b: int, estimator: str | None
    ) -> tuple[RowMean, RowMean]:
        def of(i: int) -> RowMean:
            pairing = identity_pairing(drawn.n)
            found: RowMean = drawn.keep(
                (self.name, "own", i, estimator),
                lambda: self._means(drawn, i, i, estimator, pairing)[0],
            )
            return found

        return of(a), of(b)

    def _means(
        self, drawn: DrawnRows, a: int, b: int, estimator: str | None, orders: AnyOrders
    ) -> list[RowMean]:
        """Return the numerator of every pairing."""
        left: RowState = self.state_of_rows(drawn, a, estimator)
        right: RowState = self.state_of_rows(drawn, b, estimator)
        if estimator == "centered":
            return centered_means(drawn, left, right, orders)
        return unbiased_means(drawn, left, right, orders)


METRIC = _Cknna()


def cknna(
    a: ArrayLike | Tensor,
    b: ArrayLike | Tensor,
    k: int = 25,
    *,
    estimator: str | None = None,
    normalize: str = "l2",
) -> float:
    """Return the CKNNA of two models' vectors over the same systems.

    See the module.

    Args:
        a: The vectors of the first model, (n, d_a).
        b: The vectors of the second, (n, d_b), row i of the same system as row i of a.
        k: The number of neighbors.
        estimator: One of the estimators; the default if None.
        normalize: 'l2', 'max', 'zscore' or 'none'.

    Raises:
        Undefined: There is no value.
        ValueError: A parameter makes no sense.
    """
    return bare_alignment(METRIC, a, b, k=k, estimator=estimator, normalization=normalize)


def _align(
    a: _State, b: _State, estimator: str | None, orders: Tensor | Orders
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the numerator of every pairing and the size of its terms, both (B,)."""
    left, right = a.neighbors, b.neighbors
    if estimator == "centered":
        found = over_pairings(
            orders,
            2,
            lambda order, place, out: kernels.centered_products(
                left, a.row_mean, right, b.row_mean, order, place, out
            ),
        )
        return found[:, 0], found[:, 1]
    found = over_pairings(
        orders,
        3,
        lambda order, place, out: kernels.unbiased_terms(
            left, a.mutual, right, b.mutual, order, place, out
        ),
    )
    weighted = _weigh(found, len(left.start))
    return weighted.sum(axis=1), np.abs(weighted).sum(axis=1)


def _weigh(terms: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Return the terms of Song's equation 5, (B, 3), with their factors."""
    weighted: NDArray[np.float64] = (
        terms * [1, 1 / ((n - 1) * (n - 2)), -1 / (n - 2)] / (n * (n - 3))
    )
    return weighted
