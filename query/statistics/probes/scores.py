"""How good predictions are: R² or the area under the ROC curve, and how much that would vary.

R²: 1 − Σ (y − ŷ)² / Σ (y − ȳ)², ȳ being the mean label of the folds that the prediction is from:
    0 is what this mean predicts, and less is possible (out of sample: Campbell and Thompson, Rev.
    Financ. Stud. 21, 1509 (2008)).
AUC: of all pairs of two systems of one fold with different labels, the share in which the
    prediction is higher where the label is, half of those that are equal. Predictions of different
    folds are not compared, since they are from different fits (Airola et al., Comput. Stat. Data
    Anal. 55, 1828 (2011)). ½ is chance.
Interval: the percentiles of RESAMPLES bootstrap samples of whole groups, with the predictions as
    they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from query.statistics.rank_correlation import average_ranks

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

RESAMPLES = 999
FEWEST_GROUPS = 5  # below which a bootstrap draws few distinct samples


@dataclass(frozen=True)
class Judged:
    """Predictions of n systems and what they are judged by.

    Attributes:
        labels: The labels, (n,); of two values 0 and 1.
        predicted: The predictions, (n,).
        means: The mean label of the folds that each prediction is from, (n,).
        folds: The fold of each system, (n,).
        groups: The group of each system, (n,).
        has_classes: Whether the label has two values, so that AUC is the score.
    """

    labels: Floats
    predicted: Floats
    means: Floats
    folds: Whole
    groups: Whole
    has_classes: bool

    def among(self, kept: NDArray[np.bool_] | Whole) -> Judged:
        """Return some of the systems.

        Args:
            kept: Which ones.
        """
        return Judged(
            self.labels[kept],
            self.predicted[kept],
            self.means[kept],
            self.folds[kept],
            self.groups[kept],
            self.has_classes,
        )

    def value(self) -> float | None:
        """Return R² or AUC; None if the labels do not differ."""
        found = self.values_of(np.ones((1, int(self.groups.max()) + 1)))[0]
        return None if np.isnan(found) else float(found)

    def error(self) -> float:
        """Return the mean absolute error, or the share of systems of the wrong class."""
        if self.has_classes:
            return float(((self.predicted > 0.5) != (self.labels > 0.5)).mean())
        return float(np.abs(self.predicted - self.labels).mean())

    def values_of(self, weights: Floats) -> Floats:
        """Return the score with each group counted a number of times, (B,); NaN if undefined.

        Args:
            weights: How often each group counts, (B, groups).
        """
        if self.has_classes:
            return self._weighted_auc(weights)
        most = weights.shape[1]
        squares = np.square(self.labels - self.predicted)
        errors = np.bincount(self.groups, squares, minlength=most)
        spread = np.bincount(self.groups, np.square(self.labels - self.means), minlength=most)
        total = weights @ spread
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Floats = np.where(total > 0, 1 - (weights @ errors) / total, np.nan)
        return found

    def _weighted_auc(self, weights: Floats) -> Floats:
        higher, pairs = np.zeros(len(weights)), np.zeros(len(weights))
        for fold in np.unique(self.folds):
            inside = np.flatnonzero(self.folds == fold)
            order = inside[np.argsort(self.predicted[inside], kind="stable")]
            first = np.flatnonzero(np.diff(self.predicted[order], prepend=-np.inf))
            counts = weights[:, self.groups[order]]
            is_one = self.labels[order] > 0.5
            ones = np.add.reduceat(counts * is_one, first, axis=1)
            zeros = np.add.reduceat(counts * ~is_one, first, axis=1)
            below = np.cumsum(zeros, axis=1) - zeros / 2
            higher += np.einsum("bi,bi->b", ones, below)
            pairs += ones.sum(axis=1) * zeros.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Floats = np.where(pairs > 0, higher / pairs, np.nan)
        return found


def resampled_groups(groups: Whole, seed: int) -> Floats:
    """Return how often each group is drawn in each bootstrap sample, (RESAMPLES, groups).

    Args:
        groups: The group of each system that is judged, (n,).
        seed: The seed.
    """
    present = np.unique(groups)
    drawn = np.zeros((RESAMPLES, int(groups.max()) + 1))
    even = np.full(present.size, 1 / present.size)
    drawn[:, present] = np.random.default_rng(seed).multinomial(present.size, even, RESAMPLES)
    return drawn


def interval(values: Floats, n_groups: int) -> tuple[float | None, float | None]:
    """Return the 95 % interval of resampled values; None for fewer than FEWEST_GROUPS groups.

    Args:
        values: The values, (B,); NaN where undefined.
        n_groups: How many groups there are.
    """
    defined = values[~np.isnan(values)]
    if n_groups < FEWEST_GROUPS or not defined.size:
        return None, None
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def score_columns(labels: Floats, predicted: Floats, means: Floats, judged: Judged) -> Floats:
    """Return the score of each column of labels, (m,); NaN if undefined.

    Args:
        labels: The labels, (n, m).
        predicted: The predictions, (n, m).
        means: The mean labels of the other folds, (n, m).
        judged: Whose folds count, and whether R² or AUC is the score.
    """
    if not judged.has_classes:
        spread = np.square(labels - means).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            squares = np.square(labels - predicted).sum(axis=0)
            found: Floats = np.where(spread > 0, 1 - squares / spread, np.nan)
        return found
    higher, pairs = np.zeros(labels.shape[1]), np.zeros(labels.shape[1])
    for fold in np.unique(judged.folds):
        inside = judged.folds == fold
        ones = labels[inside] > 0.5
        count = ones.sum(axis=0)
        ranks = average_ranks(predicted[inside].T).T
        higher += (ranks * ones).sum(axis=0) - count * (count + 1) / 2
        pairs += count * (len(ones) - count)
    with np.errstate(invalid="ignore", divide="ignore"):
        share: Floats = np.where(pairs > 0, higher / pairs, np.nan)
    return share
