"""Effective rank: over how many directions the systems' vectors spread, all systems taken together.

'entropy' (default): Roy & Vetterli, EUSIPCO 2007: exp(−Σ p_i ln p_i) with p_i = σ_i / Σσ, σ the singular values of the
    vectors, features centered.
'participation': the participation ratio (Σλ)² / Σλ² of the covariance's eigenvalues λ_i = σ_i², as in Gao et al.,
    bioRxiv 214262 (2017). Never above 'entropy': squares give the strong directions more weight.

Range: 1 (all on a line) to min(n − 1, d) (evenly spread). Grows with n while n is not far above d, so compare values
of equal n only.
Invariant to: rotations, reflections, shifts, scale, the order of the systems. Normalization is 'none' by default.
Unlike the intrinsic dimension it sees the flat space that holds a curved surface: 2, not 1, for a circle.
Undefined: constant vectors.
Tested against: both formulas restated with numpy's eigenvalues, and spectra with known answers.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from query.metrics.base import Measure
from query.metrics.measure import bare_measure


class EffectiveRank(Measure):
    """See the module."""

    name: ClassVar[str] = "effective_rank"
    about: ClassVar[str] = "over how many directions they spread"
    methods: ClassVar[tuple[str, ...]] = ("entropy", "participation")

    def bounds(self, n: int, d: int) -> tuple[float, float]:
        return 1.0, float(min(n - 1, d))

    def subsample_size(self, n: int) -> int:
        """Most: how the value scatters depends on how n compares with the dimensions."""
        return n * 3 // 4

    def value(self, x: Tensor, method: str, k: int | None, name: str) -> float:
        # Scaled first, as squares of extremes would overflow or vanish. Not from eigenvalues of XᵀX, which have lost
        # every singular value below 1e-8 of the largest.
        sizes = torch.linalg.svdvals((x - x.mean(dim=0)) / x.abs().amax())
        if method == "entropy":
            return math.exp(torch.special.entr(sizes / sizes.sum()).sum().item())
        variances = sizes.square()
        return float((variances / variances.sum()).square().sum()) ** -1


MEASURE = EffectiveRank()


def effective_rank(
    x: ArrayLike | Tensor, method: str = "entropy", *, normalize: str = "none", name: str = "a"
) -> float:
    """The effective rank of one model's vectors, (n, d). See the module.

    name: how reasons call the model. Raises Undefined; ValueError on an unknown method.
    """
    return bare_measure(x, MEASURE, method=method, k=None, normalization=normalize, name=name)
