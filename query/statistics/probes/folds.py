"""Folds of whole groups, and labels shuffled among groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]


def assign_folds(groups: Whole, count: int, seed: int) -> Whole:
    """Return the fold of each system, (n,), from 0; a group is never split.

    Groups come in the order of their size, those of one size at random, and each goes into the
    fold that is smallest so far.

    Args:
        groups: The group of each system, (n,), numbered from 0.
        count: The number of folds; of fewer groups than that, one each.
        seed: The seed of the order.
    """
    sizes = np.bincount(groups)
    order = np.random.default_rng(seed).permutation(sizes.size)
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled = np.zeros(count, dtype=np.int64)
    fold_of = np.zeros(sizes.size, dtype=np.int64)
    for group in order:
        fold_of[group] = filled.argmin()
        filled[fold_of[group]] += sizes[group]
    return fold_of[groups]


def shuffle_labels(labels: Floats, groups: Whole, count: int, seed: int) -> Floats:
    """Return labels in orders that tell nothing of the vectors, (n, count).

    Groups are put in another order, and the systems within each of them, too. So labels that are
    alike within a group stay alike within one, as they must: among labels that are shuffled one by
    one, those of a group would tell of more systems than they do (whole-block permutations:
    Winkler et al., NeuroImage 123, 253 (2015)). Of groups of one size this is exact; of others,
    some blocks are cut where a larger one begins.

    Args:
        labels: The labels, (n,).
        groups: The group of each system, (n,), numbered from 0.
        count: How many orders.
        seed: Their seed.
    """
    generator = np.random.default_rng(seed)
    places = np.argsort(groups, kind="stable")
    found = np.empty((labels.size, count))
    for column in range(count):
        rank = generator.permutation(int(groups.max(initial=0)) + 1)
        within = generator.random(labels.size)
        found[places, column] = labels[np.lexsort((within, rank[groups]))]
    return found


def training_means(labels: Floats, folds: Whole) -> Floats:
    """Return for each system the mean label of the other folds, (n, m).

    Args:
        labels: The labels, (n, m).
        folds: The fold of each system, (n,).
    """
    found = np.empty_like(labels)
    for fold in np.unique(folds):
        inside = folds == fold
        found[inside] = labels[~inside].mean(axis=0)
    return found
