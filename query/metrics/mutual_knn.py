"""Mutual k-nearest-neighbour overlap: the mean share of a system's neighbours that two models agree on.

Reference: Huh, Cheung, Wang, Isola, "The Platonic Representation Hypothesis", ICML 2024 (their `metrics.mutual_knn`).
Definition: mean over i of |N_a(i) ∩ N_b(i)| / k, where N(i) are the k systems j ≠ i with the largest inner product
(under 'l2': the largest cosine, which is also the smallest Euclidean distance).
Range: 0 to 1; k / (n − 1) for unrelated models. Depends on n at fixed k.
Invariant to: rotations and reflections, scale, the order of the systems (of tied neighbours the first in the table
win); not to shifts.
Undefined: fewer than max(k + 2, 4) systems (at n = k + 1 everybody is everybody's neighbour), constant vectors.
Tested against: scikit-learn's NearestNeighbors.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from query.metrics.alignment import measure
from query.metrics.base import Metric
from query.metrics.neighbours import identity, match, nearest, pairing_blocks


class MutualKnn(Metric):
    """See the module. A model's state is its neighbour lists, (n, k) int64."""

    name: ClassVar[str] = "mutual_knn"
    uses_k: ClassVar[bool] = True

    def least_systems(self, k: int) -> int:
        return max(k + 2, 4)

    def prepare(self, x: Tensor, k: int, name: str = "a") -> Tensor:
        return nearest(x, k).index

    def value(self, a: Tensor, b: Tensor, estimator: str | None) -> float:
        return self.null(a, b, estimator, identity(a)).item()

    def null(self, a: Tensor, b: Tensor, estimator: str | None, permutations: Tensor) -> Tensor:
        parts = pairing_blocks(permutations.shape[0], a)
        counts = [match(a, b, permutations[p]).pairing.bincount(minlength=p.stop - p.start) for p in parts]
        return torch.cat(counts).to(torch.float64) / a.numel()


METRIC = MutualKnn()


def mutual_knn(a: ArrayLike | Tensor, b: ArrayLike | Tensor, k: int = 25, *, normalize: str = "l2") -> float:
    """Mutual k-NN overlap of two models' vectors over the same systems, (n, d_a) and (n, d_b). Raises Undefined."""
    return measure(METRIC, a, b, k=k, estimator=None, normalization=normalize)
