"""CKNNA, centered kernel nearest-neighbour alignment: how alike two models weigh the neighbours they share.

Reference: Huh, Cheung, Wang, Isola, "The Platonic Representation Hypothesis", ICML 2024 (their code `metrics.cknna`);
Edamadaka et al., arXiv 2512.03750, equations A3–A8. HSIC: Song et al., JMLR 13 (2012), equation 5.

K_ij = <a_i, a_j>, L_ij = <b_i, b_j>; N_k(i) are the k systems j ≠ i with the largest K_ij (L_ij); α_ij is 1 where j is
in N_k(i) of both models, else 0. The value is align(K, L) / √(align(K, K) · align(L, L)), where align is

'unbiased' (default): Song's unbiased HSIC of α∘K and α∘L. As α is not symmetric, neither is that formula: its first
    term counts only pairs that are neighbours in both directions, its last pairs columns of one with rows of the other.
    Huh's code takes one order of the arguments; this is the mean of both, so the value is symmetric. Their code also
    adds 1e-6 to the denominator: a bias (0.5 % at 10,000 systems) that breaks scale invariance, left out here.
'centered': the printed equation, Σ_ij α_ij K̄_ij L̄_ij over ordered pairs, K̄_ij = K_ij − mean_l K_il. The mean runs over
    all systems, l = i included (the equation's plain expectation), so K̄_ij = <a_i, a_j − ā>; it is not symmetrised.

Range: 1 for the same geometry, near k / n for unrelated ones. 'centered' lies in [-1, 1]. 'unbiased' may fall below 0
and, as each alignment has its own mask, is not bounded by 1: with few systems, or lengths that vary strongly (as 'max'
and 'none' leave them), it can exceed 1; 2.9 was seen at n = 60.
Invariant to: rotations and reflections, scale, the order of the systems (of tied neighbours the first in the table
win); not to shifts. Depends on n at fixed k: compare only values of equal n and k. At k = n − 1 'unbiased' is unbiased
CKA.
Undefined: fewer than max(k + 1, 4) systems, constant vectors, a model's alignment with itself not positive.
Tested against: both formulas restated densely.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from query.metrics.alignment import measure
from query.metrics.base import ROUNDING, Metric, joint_scale
from query.metrics.neighbours import Matches, Neighbours, identity, itself, match, nearest, pairing_blocks, reciprocated


@dataclass(frozen=True, slots=True)
class State:
    """What CKNNA keeps of one model."""

    name: str
    neighbours: Neighbours
    mutual: Tensor  # (n, k) bool: the neighbour counts the row among its own
    row_mean: Tensor  # (n,) float64: mean of the kernel's row
    scale: dict[str, float]  # by estimator: √align(K, K); absent where that is not positive


class Cknna(Metric):
    """See the module."""

    name: ClassVar[str] = "cknna"
    estimators: ClassVar[tuple[str, ...]] = ("unbiased", "centered")
    uses_k: ClassVar[bool] = True

    def least_systems(self, k: int) -> int:
        return max(k + 1, 4)

    def prepare(self, x: Tensor, k: int, name: str = "a") -> State:
        neighbours = nearest(x, k)
        state = State(name, neighbours, reciprocated(neighbours), x @ x.mean(dim=0), {})
        for estimator in self.estimators:
            own, terms = (float(part) for part in _align(state, state, estimator, itself(neighbours.index), 1))
            if own > ROUNDING * terms:
                state.scale[estimator] = math.sqrt(own)
        return state

    def value(self, a: State, b: State, estimator: str | None) -> float:
        return self.null(a, b, estimator, identity(a.neighbours.index)).item()

    def null(self, a: State, b: State, estimator: str | None, permutations: Tensor) -> Tensor:
        parts = (permutations[part] for part in pairing_blocks(permutations.shape[0], a.neighbours.index))
        shared = ((match(a.neighbours.index, b.neighbours.index, part), len(part)) for part in parts)
        aligned = [_align(a, b, estimator, matches, count)[0] for matches, count in shared]
        return torch.cat(aligned) / joint_scale(a, b, estimator)


METRIC = Cknna()


def cknna(
    a: ArrayLike | Tensor, b: ArrayLike | Tensor, k: int = 25, *, estimator: str | None = None, normalize: str = "l2"
) -> float:
    """CKNNA of two models' vectors over the same systems, (n, d_a) and (n, d_b). See the module. Raises Undefined."""
    return measure(METRIC, a, b, k=k, estimator=estimator, normalization=normalize)


def _align(a: State, b: State, estimator: str | None, shared: Matches, count: int) -> tuple[Tensor, Tensor]:
    """The numerator for `count` pairings, and the size of the terms that it is the sum of; both (count,)."""
    k_values = a.neighbours.value[shared.row, shared.place]
    l_values = b.neighbours.value[shared.partner, shared.partner_place]
    if estimator == "centered":
        products = (k_values - a.row_mean[shared.row]) * (l_values - b.row_mean[shared.partner])
        return _sum(products, shared.pairing, count), _sum(products.abs(), shared.pairing, count)
    both_ways = a.mutual[shared.row, shared.place] & b.mutual[shared.partner, shared.partner_place]
    column = a.neighbours.index[shared.row, shared.place]
    return _hsic(k_values, l_values, both_ways, column, shared, (count, a.neighbours.n))


def _hsic(
    k_values: Tensor, l_values: Tensor, both_ways: Tensor, column: Tensor, shared: Matches, shape: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Song's equation 5 for B sparse kernels with m entries in all, mean of both orders. shape: (B, n)."""
    count, n = shape
    row_sums, column_sums = [], []
    for values in (k_values, l_values):
        row_sums.append(_sum(values, shared.pairing * n + shared.row, count * n).view(count, n))
        column_sums.append(_sum(values, shared.pairing * n + column, count * n).view(count, n))
    trace = _sum(k_values * l_values * both_ways, shared.pairing, count)
    total = row_sums[0].sum(1) * row_sums[1].sum(1) / ((n - 1) * (n - 2))
    crossed = ((column_sums[0] * row_sums[1]).sum(1) + (column_sums[1] * row_sums[0]).sum(1)) / (n - 2)
    scale = n * (n - 3)
    return (trace + total - crossed) / scale, (trace.abs() + total.abs() + crossed.abs()) / scale


def _sum(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """Sums of float64 values by group number."""
    return torch.bincount(group, weights=values, minlength=groups).to(values.dtype)
