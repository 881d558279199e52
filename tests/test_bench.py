"""The benches' rivals compute what they are timed for: restatements agree with our metrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from query.metrics import cknna, distance_correlation
from tests.bench.report import Faster, Growth, Row
from tests.bench.rivals import dense
from tests.bench.stores import vectors

K = 10


@pytest.fixture(scope="module")
def pair() -> list[NDArray[np.float32]]:
    tables = (vectors(seed, systems=200, dimensions=48) for seed in (1, 2))
    return [table / np.linalg.norm(table, axis=1, keepdims=True) for table in tables]


def test_dense_cknna_is_ours_but_for_its_epsilon_and_its_order(
    pair: list[NDArray[np.float32]],
) -> None:
    a, b = (torch.from_numpy(table) for table in pair)
    ours = cknna(*pair, K)
    both_orders = [dense.cknna(a, b, K, epsilon=0), dense.cknna(b, a, K, epsilon=0)]
    assert np.mean(both_orders) == pytest.approx(ours, abs=1e-6)
    assert dense.cknna(a, b, K) == pytest.approx(ours, rel=1e-3)


def test_dense_distance_correlation_is_ours(pair: list[NDArray[np.float32]]) -> None:
    ours = distance_correlation(*pair, estimator="biased")
    assert dense.distance_correlation(*pair) == pytest.approx(ours, abs=1e-6)


def test_a_row_says_what_it_missed() -> None:
    within, beyond = Row("x", 1.0, 2.0, "s", 0.6), Row("x", 1.0, 2.0, "s", 0.4)
    assert (within.missed, beyond.missed) == (False, True)
    fast, slow = Faster("x", 1.0, 500.0, "s", 400), Faster("x", 1.0, 500.0, "s", 600)
    assert (fast.missed, slow.missed) == (False, True)
    quadratic = Growth("x", 16.0, 1.0, "s", 2.1, factor=4)
    assert quadratic.ratio == pytest.approx(2) and not quadratic.missed
    assert str(beyond).endswith("MISSED")
