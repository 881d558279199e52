"""Effective rank: over how many directions the vectors spread, all systems taken together.

'entropy' (default): Roy and Vetterli, EUSIPCO 2007: exp(−Σ p_i ln p_i) with p_i = σ_i / Σσ, where σ
    are the singular values of the vectors with features centered.
'participation': the participation ratio (Σλ)² / Σλ² of the covariance's eigenvalues λ_i = σ_i², as
    in Gao et al., bioRxiv 214262 (2017). It is never above 'entropy': squares give the strong
    directions more weight.

Range: 1 (all on a line) to min(n − 1, d) (evenly spread). It grows with n while n is not far above
    d, so compare values of equal n only.
Invariant to: rotations, reflections, shifts, scale, the order of the systems. The normalization is
    'none' by default.
Undefined: constant vectors.
Tested against: both formulas restated with numpy's eigenvalues, and spectra with known answers.

Unlike the intrinsic dimension it sees the flat space that holds a curved surface: 2, not 1, for a
circle.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from query.metrics.base import Measure
from query.metrics.measure import bare_measure


class _EffectiveRank(Measure):
    """See the module."""

    name: ClassVar[str] = "effective_rank"
    about: ClassVar[str] = "over how many directions they spread"
    methods: ClassVar[tuple[str, ...]] = ("entropy", "participation")

    def bounds(self, n: int, d: int) -> tuple[float, float]:
        return 1.0, float(min(n - 1, d))

    def subsample_size(self, n: int) -> int:
        """Return most: how the value scatters depends on how n compares with the dimensions."""
        return n * 3 // 4

    def value(self, x: Tensor, method: str, k: int | None, name: str) -> float:
        # Vectors are scaled first, because the squares of extremes would overflow or vanish. The
        # eigenvalues of XᵀX would have lost every singular value below 1e-8 of the largest.
        sizes = torch.linalg.svdvals((x - x.mean(dim=0)) / x.abs().amax())
        if method == "entropy":
            return math.exp(torch.special.entr(sizes / sizes.sum()).sum().item())
        variances = sizes.square()
        return float((variances / variances.sum()).square().sum()) ** -1


MEASURE = _EffectiveRank()


def effective_rank(
    x: ArrayLike | Tensor, method: str = "entropy", *, normalize: str = "none", name: str = "a"
) -> float:
    """Return the effective rank of one model's vectors.

    See the module.

    Args:
        x: The vectors, (n, d).
        method: 'entropy' or 'participation'.
        normalize: 'l2', 'max', 'zscore' or 'none'.
        name: How reasons call the model.

    Raises:
        Undefined: There is no value.
        ValueError: A parameter makes no sense.
    """
    return bare_measure(x, MEASURE, method=method, k=None, normalization=normalize, name=name)
