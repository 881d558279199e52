"""Farthest points, against the best choice by trying all, and scikit-learn's distances."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from query.statistics.covering import farthest_points, typical_distance


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("start", [None, np.array([3]), np.array([5, 0])])
def test_no_choice_has_less_than_half_the_radius(seed: int, start: np.ndarray | None) -> None:
    x = np.random.default_rng(seed).normal(size=(11, 3))
    distances = cdist(x, x)
    found = farthest_points(x, 4, start)
    given = [] if start is None else start.tolist()
    for r in range(len(given) or 1, 5):
        taken = found.taken[:r]
        radius = distances[:, taken].min(axis=1).max()
        assert found.radius[r - 1] == pytest.approx(radius)
        choices = itertools.combinations(range(11), r)
        best = min(distances[:, c].min(axis=1).max() for c in choices if set(given) <= set(c))
        assert best <= found.radius[r - 1] * (1 + 1e-12) <= 2 * best * (1 + 1e-9)
        if r > len(given):
            next_to = distances[taken[-1], taken[:-1]].min() if r > 1 else np.nan
            assert found.distance[r - 1] == pytest.approx(next_to, nan_ok=True)


def test_fewer_are_a_part_of_more_and_all_leave_nothing() -> None:
    x = np.random.default_rng(9).normal(size=(30, 4))
    every = farthest_points(x, 100)
    assert sorted(every.taken) == list(range(30))
    assert every.radius[-1] == 0
    assert (np.diff(every.radius) <= 1e-12).all()
    assert (farthest_points(x, 7).taken == every.taken[:7]).all()
    assert every.taken[0] == np.argmin(np.linalg.norm(x - x.mean(axis=0), axis=1))


def test_the_typical_distance_is_that_of_all_pairs() -> None:
    x = np.random.default_rng(1).normal(size=(9, 3)) * [1, 5, 9]
    assert typical_distance(x) == pytest.approx(np.sqrt(np.mean(np.square(pdist(x)))))
