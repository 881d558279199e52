"""Pairs of unrelated models, of many kinds of vectors: how often does a permutation test reject?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from query.metrics import METRICS, Comparison, align_all

Matrix = NDArray[np.float32]
Random = np.random.RandomState

N, K, PERMUTATIONS = 40, 5, 19  # with 19, p ≤ 0.05 has probability 1/20 if the null is exact


def one_hot(random: Random, classes: int) -> Matrix:
    return np.eye(classes)[random.randint(0, classes, N)]


def fingerprints(random: Random) -> Matrix:
    """Return sparse bits, few of them common, no row empty."""
    bits = random.rand(N, 64) < 0.06
    bits[:, 0] = True
    return bits


def copies(random: Random) -> Matrix:
    return np.repeat(random.normal(size=(N // 4, 6)), 4, axis=0)[random.permutation(N)]


def about_a_mean(random: Random, ratio: float) -> Matrix:
    return random.normal(size=6) + random.normal(size=(N, 6)) / ratio


FAMILIES: dict[str, Callable[[Random], Matrix]] = {
    "two classes": lambda random: one_hot(random, 2),
    "four classes": lambda random: one_hot(random, 4),
    "five classes": lambda random: one_hot(random, 5),
    "counts": lambda random: random.poisson(0.7, size=(N, 4)) + np.array([1, 0, 0, 0]),
    "fingerprints": fingerprints,
    "copies": copies,
    "on a line": lambda random: random.normal(size=(N, 1)) * random.normal(size=5),
    "mean 1e3": lambda random: about_a_mean(random, 1e3),
    "mean 1e6": lambda random: about_a_mean(random, 1e6),
    "heavy tails": lambda random: random.standard_cauchy(size=(N, 5)),
    "wide": lambda random: random.normal(size=(N, 150)),
}

# 'l2' takes lengths away, and what they do to inner products.
CASES = [(family, "l2") for family in FAMILIES] + [
    (family, "none") for family in ("counts", "mean 1e6", "heavy tails")
]


def p_values(family: str, how: str, pairs: int) -> dict[str, list[float]]:
    """Return by metric the p-values of this many pairs of independent models.

    Pairs without a value are left out.

    Args:
        family: A key of FAMILIES, which also seeds the models.
        how: The normalization.
        pairs: How many pairs.
    """
    random = Random(len(family))
    models = [FAMILIES[family](random).astype(np.float32) for _ in range(2 * pairs)]
    found: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for pair in range(pairs):
        comparison = Comparison(models[2 * pair : 2 * pair + 2], k=K, normalize=how)
        for metric, _, result in align_all(
            comparison, list(METRICS), [(0, 1)], permutations=PERMUTATIONS, seed=pair
        ):
            if result.p_value is not None:
                found[metric].append(result.p_value)
    return found
