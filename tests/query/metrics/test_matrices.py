"""Correlations of matrices: the moments of their null, and the null of some systems."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from query.metrics import METRICS, Comparison, align, matrices
from query.metrics.matrices import double_centered, u_centered
from query.metrics.shared.moments import Moments, null_moments
from tests.query.cases import related
from tests.query.engine.tables import table

Matrix = NDArray[np.float64]

CORRELATIONS = [
    (name, way)
    for name, metric in METRICS.items()
    if isinstance(metric, matrices.MatrixCorrelation)
    for way in metric.estimators
]


def symmetric(n: int, seed: int, *, diagonal: bool) -> Matrix:
    random = np.random.default_rng(seed).normal(size=(n, n)) ** 3
    if diagonal:
        return double_centered(random + random.T)
    hollow: Matrix = random + random.T
    np.fill_diagonal(hollow, 0.0)
    hollow -= hollow.sum() / (n * (n - 1))
    np.fill_diagonal(hollow, 0.0)
    return hollow


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_moments_are_those_of_all_pairings(n: int, diagonal: bool) -> None:
    a, b = (symmetric(n, seed, diagonal=diagonal) for seed in (n, n + 50))
    shuffled = [np.sum(a * b[np.ix_(order, order)]) for order in itertools.permutations(range(n))]
    mean, deviation = null_moments(Moments.of(a), Moments.of(b), diagonal=diagonal)
    assert mean == pytest.approx(np.mean(shuffled), abs=1e-12)
    assert deviation == pytest.approx(np.std(shuffled), rel=1e-12)


def test_u_centered_rows_sum_to_0_and_pair_as_song_says() -> None:
    x = table(9, 4).numpy()
    kernel = u_centered(x @ x.T)
    assert kernel.sum(axis=1) == pytest.approx(np.zeros(9), abs=1e-12)
    assert kernel.diagonal() == pytest.approx(np.zeros(9))


@pytest.mark.parametrize(("metric", "estimator"), CORRELATIONS + [("information_imbalance", None)])
def test_the_null_of_some_systems_stands_for_that_of_all(
    metric: str, estimator: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 600 systems, pairings are run once over all of them and once over 150."""
    a, b = related(600, seed=3, dimensions=(7, 12))
    whole = align(a, b, metric, estimator=estimator, k=4, permutations=400)
    monkeypatch.setattr(matrices, "LARGEST", 150)
    part = align(a, b, metric, estimator=estimator, k=4, permutations=400)
    assert part.value == whole.value
    assert part.null_mean == pytest.approx(whole.null_mean, abs=0.2 * whole.null_std)
    assert part.null_std == pytest.approx(whole.null_std, rel=0.15)


@pytest.mark.parametrize(("metric", "estimator"), CORRELATIONS)
def test_the_states_moments_are_those_of_the_matrix(metric: str, estimator: str) -> None:
    a, _ = related(40, seed=3, dimensions=(7, 12))
    given = Comparison([a])
    given.prepare([METRICS[metric]])
    found = given.state(METRICS[metric], 0).moments[estimator]
    expected = Moments.of(METRICS[metric].matrix(given.vectors(0), estimator))
    for field in ("n", "square", "row_square", "trace", "diagonal_square"):
        assert getattr(found, field) == pytest.approx(
            getattr(expected, field), rel=1e-9, abs=1e-9 * expected.square
        )
