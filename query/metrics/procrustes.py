"""Procrustes disparity: what remains between two models after the best shift, scale and rotation.

References: Gower, Psychometrika 40 (1975); Schönemann, Psychometrika 31 (1966).
Definition: features are centered and each model is scaled to ‖X‖ = 1 (Frobenius); the value is the
    minimum over rotations and reflections R and scales s of ‖X − s Y R‖² = 1 − ‖XᵀY‖_*², where
    ‖·‖_* is the sum of singular values. The narrower model is padded with zeros.
Range: 0 (the same shape) to 1; lower is closer. Unrelated models are near 1 only if n is far above
    the dimensions: with n near d or below, a rotation that fits always exists and the value falls,
    so read it beside its null.
Invariant to: rotations and reflections, scale, shifts (under normalization 'none'), the order of
    the systems.
Undefined: fewer than 4 systems, constant vectors.
Tested against: scipy.spatial.procrustes.

It is computed from the product XᵀY, n · d_a · d_b, and its singular values. Models with more
dimensions than systems are first rotated into n coordinates that hold the same shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from query.engine.comparison import Comparison
from query.metrics.alignment import bare_alignment
from query.metrics.base import Metric


@dataclass(frozen=True, slots=True)
class _State:
    """What Procrustes keeps of one model.

    Attributes:
        size: ‖X‖ with features centered.
        few: The (n, n) coordinates of a model with more dimensions than systems, else None.
    """

    size: float
    few: Tensor | None


class _Procrustes(Metric):
    """See the module."""

    name: ClassVar[str] = "procrustes"
    lower_is_closer: ClassVar[bool] = True

    def prepare(self, comparison: Comparison, i: int) -> _State:
        x = coordinates(comparison.vectors(i).to(comparison.device))
        return _State(
            torch.linalg.matrix_norm(x).item(),
            x if x.shape[1] < comparison.vectors(i).shape[1] else None,
        )

    def value(self, comparison: Comparison, a: int, b: int, estimator: str | None) -> float:
        x, y = self._scaled(comparison, a), self._scaled(comparison, b)
        return _disparity(x.T @ y).item()

    def null(
        self, comparison: Comparison, a: int, b: int, estimator: str | None, permutations: Tensor
    ) -> Tensor:
        x, y = self._scaled(comparison, a), self._scaled(comparison, b)
        orders = permutations.to(comparison.device)
        return torch.stack([_disparity(x.T @ y.index_select(0, order)) for order in orders]).cpu()

    def bounds(self, estimator: str | None, n: int, k: int) -> tuple[float, float]:
        return 0.0, 1.0

    def subsample_size(self, n: int) -> int:
        """Return most: how the value scatters depends on how n compares with the dimensions."""
        return n * 3 // 4

    def _scaled(self, comparison: Comparison, i: int) -> Tensor:
        state: _State = comparison.state(self, i)
        x = (
            coordinates(comparison.vectors(i).to(comparison.device))
            if state.few is None
            else state.few
        )
        return x / state.size


METRIC = _Procrustes()


def procrustes(a: ArrayLike | Tensor, b: ArrayLike | Tensor, *, normalize: str = "l2") -> float:
    """Return the Procrustes disparity of two models' vectors over the same systems.

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


def coordinates(x: Tensor) -> Tensor:
    """Return centered vectors in at most n coordinates.

    Lengths and angles stay the same to rounding.

    Args:
        x: The vectors, (n, d).

    Returns:
        (n, d) if d ≤ n, else (n, n) rotated coordinates.
    """
    x = x - x.mean(dim=0)
    n, d = x.shape
    return x if d <= n else torch.linalg.qr(x.T, mode="r").R.T.contiguous()


def _disparity(product: Tensor) -> Tensor:
    """Return the disparity from XᵀY of two centered models of size 1."""
    nuclear: Tensor = torch.linalg.svdvals(product).sum()
    return (1.0 - nuclear.square()).clamp(min=0.0)
