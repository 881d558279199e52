"""Mutual k-nearest-neighbor overlap: the mean share of neighbors on which two models agree.

Reference: Huh, Cheung, Wang, Isola, "The Platonic Representation Hypothesis", ICML 2024 (their code
    `metrics.mutual_knn`).
Definition: the mean over i of |N_a(i) ∩ N_b(i)| / k, where N(i) are the k systems j ≠ i with the
    largest inner product (under 'l2' the largest cosine, which is also the smallest Euclidean
    distance).
Ties: Σ_ij w_ij v_ij / √(Σ w² · Σ v²), where w and v are the two models' weights, the probability of
    being among the k nearest if ties are broken at random (see `query/engine/neighbors/lists.py`).
    Without ties this is the definition; with them a model and itself still give 1. Huh et al. take
    whatever their sort puts first.
Range: 0 to 1; k / (n − 1) for unrelated models without ties, more if systems tie (0.25 for four
    equally frequent vectors). It depends on n at fixed k.
Invariant to: rotations and reflections, scale, the order of the systems; not to shifts.
Undefined: fewer than max(k + 2, 4) systems (at n = k + 1 every system is a neighbor of every
    other), constant vectors.
Tested against: scikit-learn's NearestNeighbors.

From some rows: the three sums over i are estimated from the drawn systems.
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
from query.metrics.shared.estimates import Estimate, RowMean, RowMetric, normalized
from query.metrics.shared.many_lists import shared_of_groups, stack_lists
from query.metrics.shared.many_pairs import NullsTogether, find_in_groups
from query.metrics.shared.result import Pair

_BITS = 128  # times k systems, up to which bits of all are counted quicker than neighbors are found


@dataclass(frozen=True, slots=True)
class _State:
    """What mutual k-NN keeps of one model.

    Attributes:
        neighbors: The neighborhoods.
        squares: Σ w².
    """

    neighbors: Neighborhoods
    squares: float


class _MutualKnn(RowMetric, NullsTogether):
    """See the module."""

    name: ClassVar[str] = "mutual_knn"
    uses_k: ClassVar[bool] = True
    lists: ClassVar[str | None] = "inner"
    counts: ClassVar[bool] = True

    def least_systems(self, k: int) -> int:
        return max(k + 2, 4)

    def prepare(self, comparison: Comparison, i: int) -> _State:
        neighbors = comparison.neighbors(i, "inner", comparison.k_of(self))
        return _State(
            neighbors, _shared(neighbors, neighbors, identity_pairing(comparison.n)).item()
        )

    def value(self, comparison: Comparison, a: int, b: int, estimator: str | None) -> float:
        return self._overlap(comparison, a, b, identity_pairing(comparison.n)).item()

    def null(
        self, comparison: Comparison, a: int, b: int, estimator: str | None, permutations: Tensor
    ) -> Tensor:
        return self._overlap(comparison, a, b, permutations)

    def nulls(
        self,
        comparison: Comparison,
        pairs: Sequence[Pair],
        estimator: str | None,
        permutations: Tensor,
    ) -> dict[Pair, Callable[[], Tensor]]:
        if len(pairs) < 2 or comparison.n > _BITS * comparison.k_of(self):
            return {}
        models = dict.fromkeys(chain.from_iterable(pairs))
        states: dict[int, _State] = {i: comparison.state(self, i) for i in models}
        near = {i: state.neighbors for i, state in states.items()}

        def null(a: int, b: int, find: Callable[[], NDArray[np.float64]]) -> Tensor:
            return torch.from_numpy(find()) / _scale(states[a], states[b])

        def shared_by(*sides: Sequence[int]) -> NDArray[np.float64]:
            a, b = (stack_lists(near[i] for i in side) for side in sides)
            return shared_of_groups(a, b, permutations.numpy())

        shared = find_in_groups(pairs, near, shared_by)
        return {(a, b): partial(null, a, b, find) for (a, b), find in shared.items()}

    def prepare_rows(self, drawn: DrawnRows, i: int, estimator: str | None) -> RowMean:
        neighbors = drawn.neighbors(i, "inner", drawn.comparison.k_of(self))
        pairing = identity_pairing(drawn.n)
        return RowMean.of(_shared_by_row(drawn, neighbors, neighbors, pairing)[0])

    def estimate(self, drawn: DrawnRows, a: int, b: int, estimator: str | None) -> Estimate:
        names = drawn.comparison.names[a], drawn.comparison.names[b]
        together = RowMean.of(self._by_row(drawn, a, b, identity_pairing(drawn.n))[0])
        return normalized(together, self._own(drawn, a, b), names)

    def null_of_rows(
        self, drawn: DrawnRows, a: int, b: int, estimator: str | None
    ) -> NDArray[np.float64]:
        left, right = self._own(drawn, a, b)
        found = self._by_row(drawn, a, b, drawn.orders).mean(axis=1)
        shuffled: NDArray[np.float64] = found / math.sqrt(left.mean * right.mean)
        return shuffled

    def bounds(self, estimator: str | None, n: int, k: int) -> tuple[float, float]:
        return 0.0, 1.0

    def _own(self, drawn: DrawnRows, a: int, b: int) -> tuple[RowMean, RowMean]:
        return self.state_of_rows(drawn, a, None), self.state_of_rows(drawn, b, None)

    def _by_row(self, drawn: DrawnRows, a: int, b: int, orders: AnyOrders) -> NDArray[np.float64]:
        k = drawn.comparison.k_of(self)
        left, right = (drawn.neighbors(i, "inner", k) for i in (a, b))
        return _shared_by_row(drawn, left, right, orders)

    def _overlap(self, comparison: Comparison, a: int, b: int, orders: Tensor | Orders) -> Tensor:
        left, right = (comparison.state(self, i) for i in (a, b))
        return _shared(left.neighbors, right.neighbors, orders) / _scale(left, right)


METRIC = _MutualKnn()


def mutual_knn(
    a: ArrayLike | Tensor, b: ArrayLike | Tensor, k: int = 25, *, normalize: str = "l2"
) -> float:
    """Return the mutual k-NN overlap of two models' vectors over the same systems.

    See the module.

    Args:
        a: The vectors of the first model, (n, d_a).
        b: The vectors of the second, (n, d_b), row i of the same system as row i of a.
        k: The number of neighbors.
        normalize: 'l2', 'max', 'zscore' or 'none'.

    Raises:
        Undefined: There is no value.
        ValueError: A parameter makes no sense.
    """
    return bare_alignment(METRIC, a, b, k=k, estimator=None, normalization=normalize)


def _scale(left: _State, right: _State) -> float:
    return math.sqrt(left.squares * right.squares)


def _shared(a: Neighborhoods, b: Neighborhoods, orders: Tensor | Orders) -> Tensor:
    """Return Σ_ij w_ij v_ij for every pairing, (B,)."""

    def add(order: Orders, place: Orders, out: Orders) -> None:
        out[0] = kernels.sum_shared(a, b, order, place)

    return torch.from_numpy(over_pairings(orders, 1, add)[:, 0])


def _shared_by_row(
    drawn: DrawnRows, a: Neighborhoods, b: Neighborhoods, orders: AnyOrders
) -> NDArray[np.float64]:
    """Return Σ_j w_ij v_ij for every pairing and drawn system, (B, r)."""
    rows = drawn.rows
    return over_pairings(
        orders,
        len(rows),
        lambda order, place, out: kernels.shared_by_row(a, b, rows, order, place, out),
    )
