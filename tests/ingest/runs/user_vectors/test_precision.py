"""Vectors are refused once float32 changes metrics by a thousandth, and not much earlier."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ingest.runs.user_vectors.precision import (
    TOO_MUCH,
    WORTH_A_WARNING,
    count_lost_features,
    digits_kept,
    relative_rounding,
)
from query.metrics import align

METRICS = ("mutual_knn", "cka", "rsa")


def far_from_zero(mean: float, directions: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return vectors that vary about a mean, and others that vary alike."""
    rng = np.random.default_rng(0)
    varies = rng.normal(size=(300, directions)) @ rng.normal(size=(directions, 24))
    return varies + mean * rng.normal(size=24), varies + 0.5 * rng.normal(size=varies.shape)


def change(x: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return by how much float32 changes any of some metrics, at most."""
    single = x.astype(np.float32).astype(np.float64)
    values = [
        [
            align(table, other, metric, normalize=how).value
            for metric in METRICS
            for how in ("l2", "none")
        ]
        for table in (x, single)
    ]
    exact, moved = np.array(values, float)
    return float(np.abs(exact - moved).max())


@pytest.mark.parametrize("directions", [3, 24])
@pytest.mark.parametrize("mean", [0.0, 1e2, 1e3, 1e4])
def test_what_is_taken_changes_metrics_by_less_than_a_thousandth(
    mean: float, directions: int
) -> None:
    x, other = far_from_zero(mean, directions)
    assert relative_rounding(x) < TOO_MUCH / 3
    assert change(x, other) < 1e-3


@pytest.mark.parametrize("directions", [3, 24])
def test_what_is_refused_changes_them_by_as_much(directions: int) -> None:
    x, other = far_from_zero(1e7, directions)
    assert relative_rounding(x) > TOO_MUCH
    assert change(x, other) > 1e-3


def test_ordinary_vectors_need_no_warning() -> None:
    x, _ = far_from_zero(1.0, 24)
    for scale in (1e-30, 1.0, 1e30):
        assert 1e-9 < relative_rounding(x * scale) < WORTH_A_WARNING
        assert relative_rounding((x * scale).astype(np.float32).astype(np.float64)) == 0
    assert count_lost_features(x) == 0
    assert digits_kept(2.5e-8) == 7


def test_constant_vectors_have_nothing_to_lose() -> None:
    assert relative_rounding(np.full((5, 3), 0.1)) == 0
    assert relative_rounding(np.full((1, 3), 0.1)) == 0
    assert (
        relative_rounding(np.outer(np.arange(1.0, 9.0), [0.1, 0.2, 0.7])) < WORTH_A_WARNING
    )  # the same once of length 1


def test_numbers_too_small_for_all_digits_of_float32() -> None:
    x, _ = far_from_zero(0.0, 24)
    assert relative_rounding(x * 1e-44) > TOO_MUCH
    assert count_lost_features(np.hstack([x, x * 1e-46])) == 24
