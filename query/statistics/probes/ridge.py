"""Ridge regression of many labels at all penalties, in nested folds.

A fit to some folds costs one eigendecomposition of their covariance, whatever the number of labels
and penalties, and a fit without folds i and j serves twice: to judge penalties on j if i is left
out, and on i if j is. So five folds cost 15 decompositions, and the labels can be shuffled a
hundred times for little more.

Penalties are PENALTIES times the mean eigenvalue of the covariance of the systems that are fitted,
or ∞, which predicts their mean label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

PENALTIES = np.append(np.logspace(-6, 3, 10), np.inf)
MOST_DIRECTIONS = 2048  # of vectors: a decomposition of more takes half a minute and more
NEGLIGIBLE = 1e-12  # of the largest variance: weaker directions are rounding


@dataclass(frozen=True)
class Predicted:
    """What a probe predicts of n systems and m labels.

    Attributes:
        values: The predictions, (n, m).
        chosen: Which penalty was chosen, by fold and label, (folds, m); or how many neighbors.
    """

    values: Floats
    chosen: Whole


@dataclass(frozen=True)
class _Fit:
    """The systems of some folds: their means, and their covariance decomposed."""

    mean: Floats  # of the vectors, (r,)
    label_mean: Floats  # (m,)
    strengths: Floats  # eigenvalues, (r,)
    directions: Floats  # eigenvectors as columns, (r, r)
    along: Floats  # the labels' covariance with each direction, (r, m)

    def weights(self, penalty: float) -> Floats:
        """Return the weight of each direction, (r, m)."""
        if np.isinf(penalty):
            return np.zeros_like(self.along)
        mean = max(float(self.strengths.mean()), np.finfo(float).tiny)
        found: Floats = self.along / (self.strengths + penalty * mean)[:, None]
        return found

    def project(self, x: Floats) -> Floats:
        """Return vectors along the directions, (n, r)."""
        return (x - self.mean) @ self.directions


@dataclass(frozen=True)
class Head:
    """Linear functions of vectors, one per label.

    Attributes:
        mean: The mean of the vectors that it was fitted to, (d,).
        weights: The weight of each feature for each label, (d, m).
        label_mean: Their mean labels, (m,).
    """

    mean: Floats
    weights: Floats
    label_mean: Floats

    def predict(self, x: Floats) -> Floats:
        """Return predictions, (n, m).

        Args:
            x: The vectors, (n, d).
        """
        found: Floats = (x - self.mean) @ self.weights + self.label_mean
        return found


class Ridge:
    """Ridge regression on the vectors of n systems."""

    def __init__(self, x: Floats, folds: Whole) -> None:
        """Take the vectors; features should be standardized.

        Args:
            x: The vectors, (n, d).
            folds: The fold of each system, (n,), numbered from 0, at least three and none empty.
        """
        self.x = leading_directions(x)
        self._rows = [np.flatnonzero(folds == fold) for fold in range(int(folds.max()) + 1)]
        parts = [self.x[rows] for rows in self._rows]
        self._grams = [part.T @ part for part in parts]
        self._sums = [part.sum(axis=0) for part in parts]
        self._decomposed: dict[frozenset[int], tuple[Floats, Floats, Floats]] = {}

    def predict(self, labels: Floats) -> Predicted:
        """Return predictions of each fold from the others.

        Args:
            labels: The labels, (n, m), each column for itself.
        """
        errors = self._inner_errors(labels)
        chosen: Whole = errors.argmin(axis=1)
        values = np.empty_like(labels)
        for fold, rows in enumerate(self._rows):
            fit = self._fit(labels, {fold})
            projected = fit.project(self.x[rows])
            for number in np.unique(chosen[fold]):
                columns = np.flatnonzero(chosen[fold] == number)
                weights = fit.weights(PENALTIES[number])[:, columns]
                values[np.ix_(rows, columns)] = projected @ weights + fit.label_mean[columns]
        return Predicted(values, chosen)

    def head(self, fold: int, labels: Floats, seen: Floats | None = None) -> Head:
        """Return what the other folds say of labels.

        Args:
            fold: The fold that is left out.
            labels: The labels, (n, m), each column for itself.
            seen: Vectors of the same features that the head is for, (n, d), on which its penalties
                are chosen; None for those that it is fitted to.
        """
        x = self.x if seen is None else seen
        others = [other for other in range(len(self._rows)) if other != fold]
        errors = sum_of([self._errors(self._fit(labels, {fold, i}), labels, i, x) for i in others])
        fit = self._fit(labels, {fold})
        chosen = errors.argmin(axis=0)
        weights = np.empty_like(fit.along)
        for number in np.unique(chosen):
            columns = chosen == number
            weights[:, columns] = fit.weights(PENALTIES[number])[:, columns]
        return Head(fit.mean, fit.directions @ weights, fit.label_mean)

    def penalty(self, fold: int, number: int) -> float:
        """Return a penalty as scikit-learn's `alpha`.

        Args:
            fold: The fold that is left out.
            number: Which of PENALTIES.
        """
        strengths = self._decompose(frozenset({fold}))[1]
        return float(PENALTIES[number] * strengths.mean())

    def _inner_errors(self, labels: Floats) -> Floats:
        """Return squared errors of each penalty, by the fold left out, (folds, penalties, m)."""
        count = len(self._rows)
        errors = np.zeros((count, len(PENALTIES), labels.shape[1]))
        for i in range(count):
            for j in range(i + 1, count):
                fit = self._fit(labels, {i, j})
                errors[i] += self._errors(fit, labels, j, self.x)
                errors[j] += self._errors(fit, labels, i, self.x)
        return errors

    def _errors(self, fit: _Fit, labels: Floats, fold: int, x: Floats) -> Floats:
        """Return squared errors of a fit on a fold of vectors at each penalty, (penalties, m)."""
        rows = self._rows[fold]
        projected, about = fit.project(x[rows]), labels[rows] - fit.label_mean
        unreached: Floats = np.zeros(labels.shape[1])
        if projected.shape[0] > projected.shape[1]:  # as many rows as directions say as much
            total = np.square(about).sum(axis=0)
            basis, projected = np.linalg.qr(projected)
            about = basis.T @ about
            unreached = total - np.square(about).sum(axis=0)
        return np.stack(
            [
                unreached + np.square(about - projected @ fit.weights(penalty)).sum(axis=0)
                for penalty in PENALTIES
            ]
        )

    def _fit(self, labels: Floats, without: set[int]) -> _Fit:
        mean, strengths, directions = self._decompose(frozenset(without))
        used = np.concatenate([r for fold, r in enumerate(self._rows) if fold not in without])
        label_mean = labels[used].mean(axis=0)
        along = directions.T @ (self.x[used].T @ (labels[used] - label_mean))
        return _Fit(mean, label_mean, strengths, directions, along)

    def _decompose(self, without: frozenset[int]) -> tuple[Floats, Floats, Floats]:
        """Return the mean, and the eigenvalues and eigenvectors of the sum of squares about it."""
        if without not in self._decomposed:
            used = [fold for fold in range(len(self._rows)) if fold not in without]
            n = sum(len(self._rows[fold]) for fold in used)
            mean = sum_of([self._sums[fold] for fold in used]) / n
            gram = sum_of([self._grams[fold] for fold in used]) - n * np.outer(mean, mean)
            strengths, directions = np.linalg.eigh(gram)
            self._decomposed[without] = mean, np.maximum(strengths, 0.0), directions
        return self._decomposed[without]


def leading_directions(x: Floats, most: int = MOST_DIRECTIONS) -> Floats:
    """Return centered vectors along the directions in which they vary, (n, r).

    Nothing is lost if there are fewer systems than features, or as many features as `most`.

    Args:
        x: The vectors, (n, d).
        most: The most directions.
    """
    centered: Floats = x - x.mean(axis=0)
    n, d = centered.shape
    if d < n and d <= most:
        return centered
    if d >= n:
        strengths, left = np.linalg.eigh(centered @ centered.T)
        kept = strengths > NEGLIGIBLE * strengths.max(initial=0.0)
        found: Floats = left[:, kept] * np.sqrt(strengths[kept])
        return found[:, -most:].copy()
    _, directions = np.linalg.eigh(centered.T @ centered)
    strongest: Floats = centered @ directions[:, -most:]
    return strongest


def sum_of(arrays: Sequence[Floats]) -> Floats:
    """Return the sum of arrays of one shape, at least one.

    Args:
        arrays: The arrays.
    """
    found = arrays[0].copy()
    for array in arrays[1:]:
        found += array
    return found
