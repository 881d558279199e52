"""Distance correlation against dcor and the printed definitions, and its laws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from query.metrics import Undefined, align, distance_correlation
from query.statistics.null import permutations
from tests.query.cases import related
from tests.query.golden.vectors import NORMALIZATIONS, pairs, recorded, scaled

Matrix = NDArray[np.float64]

ESTIMATORS = ("unbiased", "biased")
estimators = pytest.mark.parametrize("estimator", ESTIMATORS)
laws = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def some_pair(seed: int) -> tuple[Matrix, Matrix]:
    random = np.random.RandomState(seed)
    # Scaled to one length, vectors of one dimension are signs; if all but one agree, nothing varies
    n, *dimensions = random.randint([6, 2, 2], [60, 40, 40])
    return related(n, seed, tuple(dimensions), latent=2, noise=random.choice([0.1, 1.0, 10.0]))


def centered(distances: Matrix) -> Matrix:
    """Return a matrix of which every row and column has mean 0 (Székely, Rizzo, Bakirov 2007)."""
    rows = distances.mean(axis=1)
    return distances - rows[:, None] - rows + distances.mean()


def u_centered(distances: Matrix) -> Matrix:
    """Return a matrix with rows that sum to 0 and a diagonal of zeros (Székely and Rizzo 2014)."""
    n, rows = len(distances), distances.sum(axis=1)
    result = distances - (rows[:, None] + rows) / (n - 2) + distances.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(result, 0)
    return result


def printed(a: Matrix, b: Matrix, estimator: str) -> float:
    center = centered if estimator == "biased" else u_centered
    p, q = (center(cdist(x, x)) for x in (a, b))
    squared = np.sum(p * q) / np.sqrt(np.sum(p * p) * np.sum(q * q))
    return float(np.sqrt(squared) if estimator == "biased" else squared)


@pytest.mark.parametrize(
    "row", recorded("dcor"), ids=lambda row: "-".join(map(str, list(row.values())[:3]))
)
def test_it_is_what_dcor_finds(row: dict[str, Any]) -> None:
    a, b = pairs()[row["case"]]
    found = distance_correlation(a, b, estimator=row["estimator"], normalize=row["normalize"])
    assert found == pytest.approx(row["value"], abs=1e-9)


def test_unbiased_is_the_default() -> None:
    result = align(*some_pair(0), "distance_correlation")
    assert (result.estimator, result.k) == ("unbiased", None)


@pytest.mark.parametrize("how", NORMALIZATIONS)
@estimators
@laws
@given(seed=seeds)
def test_it_is_the_printed_definition(estimator: str, how: str, seed: int) -> None:
    a, b = related(40, seed, (7, 12))
    expected = printed(scaled(a, how), scaled(b, how), estimator)
    assert distance_correlation(a, b, estimator=estimator, normalize=how) == pytest.approx(
        expected, abs=1e-9
    )


@estimators
@laws
@given(seed=seeds)
def test_rotation_scale_and_shift_change_nothing(estimator: str, seed: int) -> None:
    a, b = some_pair(seed)
    turn = np.linalg.qr(np.random.RandomState(seed).normal(size=(b.shape[1],) * 2))[0]
    before = distance_correlation(a, b, estimator=estimator, normalize="none")
    for same in (b @ turn, 1e-6 * b, -1e6 * b, b + 100.0):
        after = distance_correlation(a, same, estimator=estimator, normalize="none")
        assert after == pytest.approx(before, abs=1e-9)
        own = distance_correlation(b, same, estimator=estimator, normalize="none")
        assert own == pytest.approx(1, abs=1e-9)


@estimators
@laws
@given(seed=seeds)
def test_neither_order_of_models_nor_of_systems_matters(estimator: str, seed: int) -> None:
    a, b = some_pair(seed)
    order = np.random.RandomState(seed).permutation(len(a))
    before = distance_correlation(a, b, estimator=estimator)
    assert distance_correlation(b, a, estimator=estimator) == pytest.approx(before, abs=1e-12)
    assert distance_correlation(a[order], b[order], estimator=estimator) == pytest.approx(
        before, abs=1e-9
    )


@pytest.mark.parametrize("how", NORMALIZATIONS)
@laws
@given(seed=seeds)
def test_ranges(how: str, seed: int) -> None:
    a, b = related(30, seed, (5, 3), noise=10.0)
    assert 0 <= distance_correlation(a, b, estimator="biased", normalize=how) <= 1
    assert -1 <= distance_correlation(a, b, normalize=how) <= 1


def test_it_sees_dependence_without_correlation() -> None:
    """Pearson's coefficient and linear CKA find nothing: b is a function of a without slope."""
    a = np.linspace(-1, 1, 201)[:, None]
    assert distance_correlation(a, a**2, normalize="none") > 0.2
    assert align(a, a**2, "cka", normalize="none").value == pytest.approx(0, abs=0.01)


def test_only_the_unbiased_is_zero_by_chance() -> None:
    chance = [np.random.RandomState(seed).normal(size=(2, 30, 20)) for seed in range(40)]
    unbiased = [distance_correlation(a, b) for a, b in chance]
    assert np.mean(unbiased) == pytest.approx(0, abs=3 * np.std(unbiased) / 40**0.5)
    assert min(distance_correlation(a, b, estimator="biased") for a, b in chance) > 0.5


@estimators
def test_the_null_is_the_value_of_shuffled_pairs(estimator: str) -> None:
    """Mean and deviation are those of permutations that the test draws with the same seed."""
    a, b = related(40, 0, (7, 12))
    found = align(a, b, "distance_correlation", estimator=estimator, permutations=20, seed=3)
    orders = permutations(40, 20, 3).numpy()
    shuffled = [distance_correlation(a, b[order], estimator=estimator) for order in orders]
    assert found.null_mean == pytest.approx(np.mean(shuffled), abs=1e-9)
    assert found.null_std == pytest.approx(np.std(shuffled, ddof=1), abs=1e-9)


def test_systems_equally_far_have_no_unbiased_value() -> None:
    """The U-centered distances of a simplex are all zero."""
    with pytest.raises(Undefined, match="b.* with itself is not positive"):
        distance_correlation(np.random.RandomState(0).normal(size=(20, 3)), np.eye(20))
