"""Maps from one model's vectors to another's, and heads that are carried over.

A head is ridge regression from vectors of model b to a label. It is applied to systems of a fold
that neither it nor the map has seen, of which only vectors of model a are known:

'linear': ridge regression from a to each principal direction of b, penalties in nested folds.
'orthogonal': the rotation and the one scale that bring the centered vectors of the other folds
    closest (Schönemann, Psychometrika 31, 1 (1966)); vectors of fewer dimensions are padded.
'anchors': relative representations (Moschella et al., ICLR 2023): each system is described by its
    cosines with up to ANCHORS systems of the other folds, in b as in a. The head is fitted to
    those of b and applied to those of a, on which its penalty is chosen among the other folds.
    Both are centered and scaled by what the other folds have. Heads to b's own vectors in the
    place of a label reconstruct these.

None of them sees a label. A map to which the systems were paired wrongly has nothing to tell: such
maps, with b's systems shuffled within each fold, are the null.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from query.statistics.probes.ridge import Ridge

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

LINEAR, ORTHOGONAL, BY_ANCHORS = "linear", "orthogonal", "anchors"
MAPS = (LINEAR, ORTHOGONAL, BY_ANCHORS)
ANCHORS = 256
SHARE = 0.5  # of the other folds' systems, which are anchors at most
TINY = 1e-12


class Maps:
    """Maps from vectors of one model to those of another, on the same n systems."""

    def __init__(self, a: Floats, b: Floats, folds: Whole, seed: int) -> None:
        """Take the vectors; features should be standardized.

        Args:
            a: The vectors of model a, (n, d_a).
            b: Those of model b, (n, d_b).
            folds: The fold of each system, (n,), numbered from 0, at least three and none empty.
            seed: The seed of anchors.
        """
        self._from, self._to = Ridge(principal(a)[0], folds), b
        self._folds, self._seed = folds, seed

    def apply(self, kind: str, order: Whole | None = None) -> Floats:
        """Return b's vectors as a's tell them, (n, d_b), each fold by the map of the others.

        Args:
            kind: One of MAPS.
            order: The order of b's systems that the map is fitted to; None is the right one.
        """
        order = np.arange(len(self._folds)) if order is None else order
        if kind == BY_ANCHORS:
            return self.read_anchors(self._to, order)
        target = self._to[order]
        return self._rotate(target) if kind == ORTHOGONAL else self._from.predict(target).values

    def read_anchors(self, labels: Floats, order: Whole) -> Floats:
        """Return what heads on cosines with anchors in b say of cosines in a, (n, m).

        Args:
            labels: What the heads are fitted to, (n, m), each column for itself.
            order: The order of b's systems in which they are paired with the anchors in a.
        """
        generator = np.random.default_rng(self._seed)
        found = np.empty_like(labels)
        a, b = _unit(self._from.x), _unit(self._to)
        for fold in np.unique(self._folds):
            others = np.flatnonzero(self._folds != fold)
            count = min(ANCHORS, int(SHARE * others.size))
            anchors = np.sort(generator.choice(others, count, replace=False))
            in_b = _scaled(b @ b[order[anchors]].T, others)
            in_a = _scaled(a @ a[anchors].T, others)
            seen = in_a - in_b.mean(axis=0)
            head = Ridge(in_b, self._folds).head(int(fold), labels, seen)
            inside = self._folds == fold
            found[inside] = head.predict(seen[inside])
        return found

    def _rotate(self, target: Floats) -> Floats:
        """Return a's vectors in the place of b's, each fold by the map of the others."""
        found = np.empty_like(target)
        for fold in np.unique(self._folds):
            inside = self._folds == fold
            mean_a, mean_b = self._from.x[~inside].mean(axis=0), target[~inside].mean(axis=0)
            a, b = self._from.x[~inside] - mean_a, target[~inside] - mean_b
            left, singular, right = np.linalg.svd(a.T @ b, full_matrices=False)
            rotated = (self._from.x[inside] - mean_a) @ left @ right
            found[inside] = mean_b + rotated * (singular.sum() / max(np.square(a).sum(), TINY))
        return found


class Transfer:
    """Vectors of two models on the same n systems, and heads of the second."""

    def __init__(self, a: Floats, b: Floats, labels: Floats, folds: Whole, seed: int) -> None:
        """Take the vectors; features should be standardized.

        Args:
            a: The vectors of model a, (n, d_a).
            b: Those of model b, (n, d_b).
            labels: The labels, (n,).
            folds: The fold of each system, (n,), numbered from 0, at least three and none empty.
            seed: The seed of anchors.
        """
        self._labels, self._folds = labels[:, None], folds
        self._to = Ridge(principal(b)[0], folds)
        self._maps = Maps(a, self._to.x, folds, seed)
        self._heads = [self._to.head(fold, self._labels) for fold in np.unique(folds)]

    def own(self) -> Floats:
        """Return what b's head says of b's own vectors, (n,)."""
        return self._apply(self._to.x)

    def predict(self, kind: str, order: Whole | None = None) -> tuple[Floats, float | None]:
        """Return what b's head says of a's vectors, (n,), and the share of b that is mapped.

        Args:
            kind: One of MAPS.
            order: The order of b's systems that the map is fitted to; None is the right one.

        Returns:
            The predictions, and 1 − Σ|b̂ − b|² / Σ|b − b̄|² over the folds left out; None for
            'anchors', where the head sees no vectors of b.
        """
        if kind == BY_ANCHORS:
            order = np.arange(len(self._folds)) if order is None else order
            return self._maps.read_anchors(self._labels, order)[:, 0], None
        mapped = self._maps.apply(kind, order)
        return self._apply(mapped), mapped_share(self._to.x, mapped, self._folds)

    def _apply(self, x: Floats) -> Floats:
        found = np.empty(len(x))
        for fold, head in enumerate(self._heads):
            inside = self._folds == fold
            found[inside] = head.predict(x[inside])[:, 0]
        return found


def mapped_share(truth: Floats, mapped: Floats, folds: Whole) -> float:
    """Return the share of the variance that a map explains, at most 1.

    Args:
        truth: The vectors, (n, d).
        mapped: What the map made of other ones, (n, d).
        folds: The fold of each system, (n,); the mean of the others explains nothing.
    """
    left, total = 0.0, 0.0
    for fold in np.unique(folds):
        inside = folds == fold
        left += float(np.square(truth[inside] - mapped[inside]).sum())
        total += float(np.square(truth[inside] - truth[~inside].mean(axis=0)).sum())
    return 1 - left / total


def principal(x: Floats) -> tuple[Floats, Floats]:
    """Return centered vectors along their principal directions, (n, r), and these, (r, d).

    Args:
        x: The vectors, (n, d).
    """
    centered = x - x.mean(axis=0)
    left, singular, right = np.linalg.svd(centered, full_matrices=False)
    kept = singular > TINY * singular.max(initial=0.0)
    return left[:, kept] * singular[kept], right[kept]


def shuffle_within(folds: Whole, groups: Whole, seed: int) -> Whole:
    """Return an order of systems in which each stays in its fold, (n,).

    Args:
        folds: The fold of each system, (n,).
        groups: The group of each, (n,); systems of one group stay together as far as sizes allow.
        seed: The seed.
    """
    generator = np.random.default_rng(seed)
    order = np.arange(folds.size)
    for fold in np.unique(folds):
        inside = np.flatnonzero(folds == fold)
        places = inside[np.argsort(groups[inside], kind="stable")]
        rank = generator.permutation(int(groups.max()) + 1)[groups[places]]
        within = generator.random(places.size)
        order[places] = places[np.lexsort((within, rank))]
    return order


def _unit(x: Floats) -> Floats:
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    found: Floats = x / np.maximum(lengths, TINY)
    return found


def _scaled(x: Floats, rows: Whole) -> Floats:
    """Return features less their mean over some rows, and divided by their deviation there."""
    mean, deviation = x[rows].mean(axis=0), x[rows].std(axis=0)
    found: Floats = (x - mean) / np.maximum(deviation, TINY)
    return found
