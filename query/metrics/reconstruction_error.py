"""Reconstruction error: what a linear map from model a leaves unexplained of model b.

Reference: Goscinski, Fraux, Imbalzano, Ceriotti, Mach. Learn.: Sci. Technol. 2 025028 (2021), the
    global feature reconstruction error, with the choices of their code (scikit-matter,
    `global_reconstruction_error`).
Definition: √(Σ ‖y_i − x_i P‖² / n_test) over the test half, to which the map was not fitted. Each
    model is shifted by the means and divided by the root of the total variance of its training
    half. P is the least-squares map of the training half on its leading singular vectors: those
    weaker than λ times the strongest of its own two halves are left out. λ is one of 20 values from
    1e-9 to 0.9 in equal ratios, the one with the least squared error when each of these two halves
    predicts the other.
Halves: the systems in their order alternately, the first, third, … for training; of these again
    every other one. Vectors from the store come in order of system_id; an aggregate knows no ids
    and sorts rows by content, so its value differs from that of the table functions by what another
    split changes.
Differences from scikit-matter's defaults: the halves (theirs are drawn at random) and how λ is
    judged (theirs by the mean over features of the root mean square error, which changes if b is
    rotated).
Range: 0 to about 1; predicting the mean gives 1, and unrelated models may lie above. Lower is
    closer. It is asymmetric, from a to b: b may hold all that a has, and a not all that b has. 0
    for a model and itself needs d < n / 2.
Invariant to: rotations and reflections, scale, shifts of either model (under normalization 'none');
    not to the order of the systems. It depends on n: more systems find a better map.
Duplicates: a system of which a copy is in the training half is known rather than predicted, which
    lowers the value.
Undefined: fewer than 8 systems, constant vectors, the same vector for at least half of the systems.
Null: each pairing chooses its λ anew, as the value did; singular vectors of a are found once.
Interval: nothing is drawn, as a subset would have other halves. The variance is the sum of the
    squares of what each system adds, to first order, to the logarithm of the squared error (the
    infinitesimal jackknife: Jaeckel, Bell Labs memorandum 72-1215 (1972); Efron, The Jackknife, the
    Bootstrap and Other Resampling Plans, 1982). In the test half that is its own squared residual;
    in the training half its part in the scale of b and in the map, as if it were left out.
Tested against: scikit-matter 0.4.1, and the definition restated.

Singular vectors are found once per model; a pair costs the products of its halves, n · d_a · d_b,
and a few d³.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from query.engine.comparison import Comparison
from query.engine.undefined import Undefined
from query.metrics.alignment import bare_alignment
from query.metrics.base import Metric
from query.metrics.procrustes import coordinates
from query.statistics.interval import quantile

TRAIN, TEST = slice(0, None, 2), slice(1, None, 2)
FOLDS = slice(0, None, 4), slice(2, None, 4)  # of all systems; together TRAIN
CUTOFFS = torch.logspace(-9, math.log10(0.9), 20, dtype=torch.float64)
TIE = 1e-12  # of the variance: squared errors that differ by less are equal
ALIKE = 1e-12  # of the largest: vectors that differ by less along one direction are the same
# The most leverage that is counted: without a system through which alone the map fits it, anything
# may happen.
LEVERAGE = 0.9


@dataclass(frozen=True, slots=True)
class _Basis:
    """Singular vectors of some systems of a model, without those too weak for every cut-off.

    Attributes:
        inverse: The right singular vectors, strongest first, each divided by its singular value,
            (d, r).
        counts: How many of them each cut-off uses.
    """

    inverse: Tensor
    counts: list[int]


@dataclass(frozen=True, slots=True)
class _Fold:
    """Half of the training half, as it predicts the other.

    Attributes:
        basis: Its singular vectors.
        gram: Products of the other half's coordinates along the basis, (r, r).
    """

    basis: _Basis
    gram: Tensor


@dataclass(frozen=True, slots=True)
class _State:
    """What the errors from one model to others need of it.

    Attributes:
        mean: The mean of the training half, (d,).
        scale: The root of its total variance.
        folds: The halves of the training half.
        whole: The singular vectors of the training half.
        few: The (n, n) coordinates of a model with more dimensions than systems, else None.
    """

    mean: Tensor
    scale: float
    folds: tuple[_Fold, _Fold]
    whole: _Basis
    few: Tensor | None


class _ReconstructionError(Metric):
    """See the module."""

    name: ClassVar[str] = "reconstruction_error"
    symmetric: ClassVar[bool] = False
    lower_is_closer: ClassVar[bool] = True

    def least_systems(self, k: int) -> int:
        return 8

    def prepare(self, comparison: Comparison, i: int) -> _State:
        vectors = comparison.vectors(i).to(comparison.device)
        x = coordinates(vectors)
        if _half_alike(x):
            raise Undefined(
                f"at least half of the systems have the same vector in {comparison.names[i]}"
            )
        few = x if x.shape[1] < vectors.shape[1] else None
        x, mean, scale = _standardized(x)
        spectra = [_singular(x[rows]) for rows in (*FOLDS, TRAIN)]
        strongest = max(sizes[0].item() for sizes, _ in spectra[:2])
        first, second, whole = (_basis(*spectrum, strongest) for spectrum in spectra)
        folds = (_fold(first, x[FOLDS[1]]), _fold(second, x[FOLDS[0]]))
        return _State(mean, scale, folds, whole, few)

    def value(self, comparison: Comparison, a: int, b: int, estimator: str | None) -> float:
        return self.null(comparison, a, b, estimator, torch.arange(comparison.n)[None]).item()

    def null(
        self, comparison: Comparison, a: int, b: int, estimator: str | None, permutations: Tensor
    ) -> Tensor:
        state: _State = comparison.state(self, a)
        x, y = self._placed(comparison, a, b)
        orders = permutations.to(comparison.device)
        return torch.stack([_error(state, x, y.index_select(0, order)) for order in orders]).cpu()

    def bounds(self, estimator: str | None, n: int, k: int) -> tuple[float, float]:
        return 0.0, math.inf

    def margins(
        self,
        comparison: Comparison,
        pairs: Sequence[tuple[int, int]],
        estimator: str | None,
        subsamples: int,
        seed: int,
    ) -> NDArray[np.float64]:
        """Return half widths from what every system adds: see the module. Nothing is drawn."""
        return np.array([self._margin(comparison, a, b) for a, b in pairs])

    def _margin(self, comparison: Comparison, a: int, b: int) -> float:
        try:
            value = comparison.value(self, a, b, None)
            influence = _influence(comparison.state(self, a), *self._placed(comparison, a, b))
        except Undefined:
            return math.nan
        freedom = min(len(part) for part in influence) - 1
        variance = sum(part.var(correction=1).item() / len(part) for part in influence)
        return quantile(freedom) * value / 2 * math.sqrt(variance)

    def _placed(self, comparison: Comparison, a: int, b: int) -> tuple[Tensor, Tensor]:
        """Return model a standardized, (n, d_a), and model b as it is, (n, d_b)."""
        state: _State = comparison.state(self, a)
        return (self._coordinates(comparison, a) - state.mean) / state.scale, self._coordinates(
            comparison, b
        )

    def _coordinates(self, comparison: Comparison, i: int) -> Tensor:
        state: _State = comparison.state(self, i)
        return (
            coordinates(comparison.vectors(i).to(comparison.device))
            if state.few is None
            else state.few
        )


METRIC = _ReconstructionError()


def reconstruction_error(
    a: ArrayLike | Tensor, b: ArrayLike | Tensor, *, normalize: str = "l2"
) -> float:
    """Return what of b a linear map from a leaves unexplained.

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


def _singular(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return singular values (r,), descending, and right singular vectors (r, d)."""
    _, sizes, vectors = torch.linalg.svd(x, full_matrices=False)
    return sizes, vectors


def _basis(sizes: Tensor, vectors: Tensor, strongest: float) -> _Basis:
    counts = (sizes[:, None] > CUTOFFS.to(sizes.device) * strongest).sum(dim=0).tolist()
    used = counts[0]
    return _Basis((vectors[:used] / sizes[:used, None]).T.contiguous(), counts)


def _fold(basis: _Basis, other: Tensor) -> _Fold:
    along = other @ basis.inverse
    return _Fold(basis, along.T @ along)


def _error(state: _State, x: Tensor, y: Tensor) -> Tensor:
    """Return the error from x (n, d_a), standardized, to y (n, d_b)."""
    y = _standardized(y)[0]
    inverse, product = _fit(state, x, y)
    residual = y[TEST] - x[TEST] @ (inverse @ (inverse.T @ product))
    return residual.square().sum(dim=1).mean().sqrt()


def _fit(state: _State, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return the map P = V Vᵀ XᵀY of the training half as V (d_a, r) and XᵀY (d_a, d_b)."""
    first, second = (x[rows].T @ y[rows] for rows in FOLDS)
    losses = _losses(state.folds[0], first, second, y[FOLDS[1]]) + _losses(
        state.folds[1], second, first, y[FOLDS[0]]
    )
    best = int((losses <= losses.min() + TIE).int().argmax())
    return state.whole.inverse[:, : state.whole.counts[best]], first + second


def _influence(state: _State, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return n/2 times what each test and training system adds to the log of the squared error.

    A training system moves the scale of y; and it moves the map, the more so the worse its
    prediction is without it (residual over 1 − leverage). λ is held. Both are (n/2,).
    """
    y = _standardized(y)[0]
    inverse, product = _fit(state, x, y)
    along = x @ inverse
    residual = y - along @ (inverse.T @ product)
    test, train = residual[TEST], residual[TRAIN]
    loss = test.square().sum(dim=1).mean()
    leverage = along[TRAIN].square().sum(dim=1).clamp(max=LEVERAGE)
    # The slope of the loss, by how the map changes coordinates along V.
    slope = -2 * (along[TEST].T @ test) / len(test)
    moved = len(train) * (along[TRAIN] * (train @ slope.T)).sum(dim=1) / (1 - leverage)
    return test.square().sum(dim=1) / loss, moved / loss - y[TRAIN].square().sum(dim=1)


def _losses(fold: _Fold, product: Tensor, other: Tensor, y: Tensor) -> Tensor:
    """Return the mean squared error by cut-off, (20,), of a fold that predicts the other fold's y.

    product, other: XᵀY, (d_a, d_b), of the fold and of the other. The errors for every number of
    singular vectors follow from sums over the first ones, so that no prediction is made.
    """
    fitted, along = fold.basis.inverse.T @ product, fold.basis.inverse.T @ other
    crossed = fold.gram * (fitted @ fitted.T)
    added = 2 * crossed.tril().sum(dim=1) - crossed.diagonal() - 2 * (fitted * along).sum(dim=1)
    errors = y.square().sum() + torch.cat([added.new_zeros(1), added.cumsum(dim=0)])
    return errors[fold.basis.counts] / len(y)


def _standardized(x: Tensor) -> tuple[Tensor, Tensor, float]:
    """Return x with its training half about 0 and of total variance 1, the mean and the scale."""
    mean = x[TRAIN].mean(dim=0)
    x = x - mean
    scale = x[TRAIN].square().sum(dim=1).mean().sqrt()
    return x / scale, mean, scale.item()


def _half_alike(x: Tensor) -> bool:
    """Return whether so many vectors are the same that a training half can be.

    They are compared along one direction, fixed at random.
    """
    direction = torch.randn(
        x.shape[1], generator=torch.Generator().manual_seed(0), dtype=x.dtype
    ).to(x.device)
    along = (x @ direction).sort().values
    size = (len(x) + 1) // 2
    return bool((along[size - 1 :] - along[: len(x) - size + 1]).min() <= ALIKE * along.abs().max())
