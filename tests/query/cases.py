"""Vectors that are easy, and vectors that break libraries; shared by tests.

Every case gives two models over the same n systems that see 8 common coordinates, (n, 64) and (n,
48) float64. Rows that are copies are copies in both.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Pair = tuple[Matrix, Matrix]

COPIES = 20  # in `many_copies`


def benign(n: int, seed: int = 0) -> Pair:
    """Return centered vectors of similar lengths, no two alike."""
    return related(n, seed, (64, 48), latent=8)


def common_mean(n: int, seed: int = 1) -> Pair:
    """Return vectors that nearly all point one way: each mean is about ten deviations."""
    a, b = benign(n, seed)
    random = np.random.RandomState(seed)
    return a + 10 * a.std() * random.normal(size=64), b + 10 * b.std() * random.normal(size=48)


def tiny(n: int, seed: int = 2) -> Pair:
    """Return vectors that float32 holds, but not their squares."""
    a, b = benign(n, seed)
    return 1e-30 * a, 1e-30 * b


def huge(n: int, seed: int = 3) -> Pair:
    a, b = benign(n, seed)
    return 1e30 * a, 1e30 * b


def duplicated(n: int, seed: int = 4) -> Pair:
    """Return vectors of which a tenth of the systems are copies of others."""
    rows = np.arange(n)
    random = np.random.RandomState(seed)
    copies = random.permutation(n)[: n // 10]
    rows[copies] = random.choice(np.setdiff1d(rows, copies), size=len(copies))
    a, b = benign(n, seed)
    return a[rows], b[rows]


def many_copies(n: int, seed: int = 5) -> Pair:
    """Return COPIES of every system, scattered: ties decide which neighbor a list ends with."""
    rows = np.random.RandomState(seed).permutation(np.arange(n) % (n // COPIES))
    a, b = benign(n // COPIES, seed)
    return a[rows], b[rows]


def many_lengths(n: int, seed: int = 6) -> Pair:
    """Return lengths over three orders of magnitude, the same in both; directions of `benign`."""
    length = np.exp(np.random.RandomState(seed).normal(size=(n, 1)))
    a, b = benign(n, seed)
    return length * a, length * b


def integers(n: int, seed: int = 7) -> Pair:
    """Return twelve counts from 0 to 3 per system.

    Systems that differ are equally far, and equally alike, many times over.
    """
    a, b = (np.clip(np.round(x[:, :12] / x.std()), 0, 3) for x in benign(n, seed))
    a[:, 0] += 1  # no vector is zero
    b[:, 0] += 1
    return a, b


def with_row(x: Matrix, row: int, value: float) -> Matrix:
    """Return vectors with one row of nothing but `value`."""
    changed = x.copy()
    changed[row] = value
    return changed


def collapsed(x: Matrix) -> Matrix:
    """Return a model that gives every system its first vector, up to rounding."""
    return np.repeat(x[:1], len(x), axis=0) * (
        1 + 1e-15 * np.random.RandomState(0).normal(size=(len(x), 1))
    )


def related(
    n: int, seed: int, dimensions: tuple[int, int], *, latent: int = 3, noise: float = 0.5
) -> Pair:
    """Return two models that see the same `latent` coordinates, each with noise of its own."""
    random = np.random.RandomState(seed)
    seen = random.normal(size=(n, latent))
    views = (random.normal(size=(latent, d)) / latent**0.5 for d in dimensions)
    a, b = (seen @ view + noise * random.normal(size=(n, view.shape[1])) for view in views)
    return a, b


CASES: dict[str, Callable[[int], Pair]] = {
    case.__name__: case
    for case in (benign, common_mean, tiny, huge, duplicated, many_copies, many_lengths, integers)
}
