"""The mean label of the k nearest systems of other folds, k chosen in nested folds.

For each system the nearest of every other fold are found once, by Euclidean distance. Merged, they
hold the nearest of any union of folds, so that nothing is searched again for inner folds or for
other labels. Of systems that are equally near, those that come first in a random order count.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from query.statistics.probes.ridge import Predicted

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

NEIGHBORS = (1, 2, 3, 5, 10, 20, 30)
BLOCK = 1024  # systems whose similarities to a fold are held at once


class Neighbors:
    """The nearest systems of n systems."""

    def __init__(self, x: Floats, folds: Whole, seed: int = 0) -> None:
        """Find them.

        Args:
            x: The vectors, (n, d); features should be standardized.
            folds: The fold of each system, (n,), numbered from 0, at least three and none empty.
            seed: The seed of the order of systems that are equally near.
        """
        order = np.random.default_rng(seed).permutation(len(x))
        self._rows = [order[folds[order] == fold] for fold in range(int(folds.max()) + 1)]
        tables = [x[rows].astype(np.float32) for rows in self._rows]
        self._lists = {
            (i, j): _nearest(tables[i], tables[j], self._rows[j])
            for i in range(len(tables))
            for j in range(len(tables))
            if i != j
        }

    def predict(self, labels: Floats) -> Predicted:
        """Return predictions of each fold from the others.

        Args:
            labels: The labels, (n, m), each column for itself.
        """
        count = len(self._rows)
        values = np.empty_like(labels)
        chosen = np.empty((count, labels.shape[1]), dtype=np.int64)
        for fold in range(count):
            others = [i for i in range(count) if i != fold]
            errors = sum(self._errors(labels, i, [j for j in others if j != i]) for i in others)
            numbers = np.asarray(errors).argmin(axis=0)
            chosen[fold] = np.array(NEIGHBORS)[numbers]
            means = self._means(labels, fold, others)
            values[self._rows[fold]] = np.take_along_axis(
                np.stack(list(means)), numbers[None, None, :], axis=0
            )[0]
        return Predicted(values, chosen)

    def _errors(self, labels: Floats, fold: int, others: list[int]) -> Floats:
        """Return squared errors on a fold from others, by number of neighbors, (numbers, m)."""
        truth = labels[self._rows[fold]]
        means = self._means(labels, fold, others)
        return np.stack([np.square(truth - mean).sum(axis=0) for mean in means])

    def _means(self, labels: Floats, fold: int, others: list[int]) -> list[Floats]:
        """Return the mean over each number of neighbors, (n of the fold, m) each.

        A number beyond the systems that there are takes all of them.
        """
        similar = np.hstack([self._lists[fold, j][0] for j in others])
        places = np.hstack([self._lists[fold, j][1] for j in others])
        order = np.argsort(-similar, axis=1, kind="stable")[:, : NEIGHBORS[-1]]
        places = np.take_along_axis(places, order, axis=1)
        total = np.zeros((len(places), labels.shape[1]))
        means = []
        for k in range(NEIGHBORS[-1]):
            if k < places.shape[1]:
                total += labels[places[:, k]]
            if k + 1 in NEIGHBORS:
                means.append(total / min(k + 1, places.shape[1]))
        return means


def _nearest(
    rows: NDArray[np.float32], columns: NDArray[np.float32], places: Whole
) -> tuple[NDArray[np.float32], Whole]:
    """Return how near the nearest columns of each row are, and their places, nearest first.

    Nearness is −d² / 2 plus what is the same for all columns, so that one product is enough.
    """
    k = min(NEIGHBORS[-1], len(columns))
    half_squares = np.einsum("ij,ij->i", columns, columns) / 2
    nearness, found = [], []
    for start in range(0, len(rows), BLOCK):
        similar = rows[start : start + BLOCK] @ columns.T
        similar -= half_squares
        top = np.argpartition(-similar, k - 1, axis=1)[:, :k]
        top.sort(axis=1)  # so that the random order of the columns decides among equals
        values = np.take_along_axis(similar, top, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        nearness.append(np.take_along_axis(values, order, axis=1))
        found.append(places[np.take_along_axis(top, order, axis=1)])
    return np.concatenate(nearness), np.concatenate(found)
