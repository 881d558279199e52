"""Models that have nothing in common are called alike as often as p says, whatever their vectors are like.

Simulations: pairs of independent models, 19 permutations each, so that p ≤ 0.05 has probability 1/20 if the null is
exact, and less where vectors are few and values repeat.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from query.metrics import METRICS, Study, align_all

Matrix = NDArray[np.float32]
Random = np.random.RandomState

N, K, PERMUTATIONS = 40, 5, 19
PAIRS = 60
DEVIATIONS = 5  # of a binomial; so at most 0.19 at p ≤ 0.05, where ties broken by the order of the table gave 0.8


def one_hot(random: Random, classes: int) -> Matrix:
    return np.eye(classes)[random.randint(0, classes, N)]


def fingerprints(random: Random) -> Matrix:
    """Sparse bits, few of them common, no row empty."""
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
CASES = [(family, "l2") for family in FAMILIES] + [(family, "none") for family in ("counts", "mean 1e6", "heavy tails")]


@pytest.mark.parametrize(("family", "how"), CASES)
def test_unrelated_models_stand_out_as_often_as_p_says(family: str, how: str) -> None:
    random = Random(len(family))
    models = [FAMILIES[family](random).astype(np.float32) for _ in range(2 * PAIRS)]
    found: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for pair in range(PAIRS):
        study = Study(models[2 * pair : 2 * pair + 2], k=K, normalize=how)
        for metric, _, result in align_all(study, list(METRICS), [(0, 1)], permutations=PERMUTATIONS, seed=pair):
            if result.p_value is not None:
                found[metric].append(result.p_value)
    for metric, p_values in found.items():
        # No value: where half of the systems have the same vector, for reconstruction_error; where everybody ties with
        # everybody at the limit of float32, for cknna.
        few = metric == "reconstruction_error" and family in ("two classes", "on a line")
        assert few or len(p_values) > PAIRS / 2, metric
        for level in (0.05, 0.25) if p_values else ():
            rejected, spread = np.mean(np.array(p_values) <= level), (level * (1 - level) / len(p_values)) ** 0.5
            assert not rejected > level + DEVIATIONS * spread, (metric, level)
