"""Information imbalance against DADApy, in worked examples with ties, and its laws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from query.metrics import METRICS, align, information_imbalance
from query.statistics.null import permutations
from tests.query.cases import related
from tests.query.golden.vectors import NORMALIZATIONS, pairs, recorded, scaled

Matrix = NDArray[np.float64]

laws = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def printed(a: Matrix, b: Matrix, k: int) -> float:
    """Return Glielmo et al.'s definition, averaged over all ways to break ties in a."""
    near, far = (cdist(x, x) for x in (a, b))
    np.fill_diagonal(near, np.inf)
    np.fill_diagonal(far, -1.0)
    ranks = rankdata(far.round(12), axis=1) - 1  # of the others
    return float(2 / len(a) * (chances(near, k) * ranks).sum() / (len(a) * k))


def chances(distances: Matrix, k: int) -> Matrix:
    """Return the probability of each system to be among the k nearest, ties broken at random."""
    last = np.sort(distances, axis=1)[:, k - 1 : k]
    closer = distances < last - 1e-9 * last
    tied = (np.abs(distances - last) <= 1e-9 * last) & ~closer
    return closer + tied * (k - closer.sum(axis=1, keepdims=True)) / tied.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    "row", recorded("dadapy"), ids=lambda row: f"{row['case']}-{row['normalize']}-{row['k']}"
)
def test_it_is_what_dadapy_finds(row: dict[str, Any]) -> None:
    a, b = pairs()[row["case"]]
    options = {"k": row["k"], "normalize": row["normalize"]}
    assert information_imbalance(a, b, **options) == pytest.approx(row["from_a"], abs=1e-9)
    assert information_imbalance(b, a, **options) == pytest.approx(row["from_b"], abs=1e-9)


@pytest.mark.parametrize("how", NORMALIZATIONS)
@pytest.mark.parametrize("k", [1, 7, 38])
@laws
@given(seed=seeds)
def test_it_is_the_printed_definition(k: int, how: str, seed: int) -> None:
    a, b = related(40, seed, (7, 12))
    expected = printed(scaled(a, how), scaled(b, how), k)
    assert information_imbalance(a, b, k, normalize=how) == pytest.approx(expected, abs=1e-9)


def test_it_is_of_one_model_about_another() -> None:
    metric = METRICS["information_imbalance"]
    assert not metric.symmetric
    assert metric.lower_is_closer
    result = align(*related(40, 0, (7, 12)), "information_imbalance", k=3)
    assert (result.k, result.estimator) == (3, None)


ON_A_LINE = np.array([[0.0], [1.0], [3.0], [7.0], [15.0]])
BOTH_SIDES = np.array([[0.0], [1.0], [-1.0], [2.0], [-2.0]])


@pytest.mark.parametrize(
    ("a", "b", "ranks"),
    [
        # 0 has 1 and -1 at the same distance, and 1 has 0 and 2: ranks 1 and 2 become 1.5 each.
        (ON_A_LINE, BOTH_SIDES, [1.5, 1.5, 3, 3, 4]),
        # The nearest of 0 may be 1 or -1, those of 1 and -1 are on either side: a mean of both.
        (BOTH_SIDES, ON_A_LINE, [(1 + 2) / 2, (1 + 3) / 2, (2 + 4) / 2, 2, 2]),
    ],
)
def test_ties_worked_by_hand(a: Matrix, b: Matrix, ranks: list[float]) -> None:
    assert information_imbalance(a, b, 1, normalize="none") == pytest.approx(
        2 / 5 * np.mean(ranks), abs=1e-12
    )


@laws
@given(seed=seeds)
def test_ties_of_integer_vectors(seed: int) -> None:
    """On a grid every other distance ties, and none by rounding."""
    random = np.random.RandomState(seed)
    a, b = (random.randint(0, 3, size=(50, d)).astype(float) for d in (3, 4))
    for factor in (1.0, 0.1, 1e-6):
        found = information_imbalance(factor * a, factor * b, 5, normalize="none")
        assert found == pytest.approx(printed(a, b, 5), abs=1e-9)


@laws
@given(seed=seeds)
def test_rotation_scale_and_shift_change_nothing(seed: int) -> None:
    a, b = related(30, seed, (5, 8))
    turn = np.linalg.qr(np.random.RandomState(seed).normal(size=(8, 8)))[0]
    for one, other in ((a, b), (b, a)):
        before = information_imbalance(one, other, 4, normalize="none")
        for same in (lambda x: 1e-6 * x, lambda x: -1e6 * x, lambda x: x + 100.0):
            assert information_imbalance(one, same(other), 4, normalize="none") == pytest.approx(
                before, abs=1e-9
            )
            assert information_imbalance(same(one), other, 4, normalize="none") == pytest.approx(
                before, abs=1e-9
            )
    before = information_imbalance(a, b, 4, normalize="none")
    assert information_imbalance(a, b @ turn, 4, normalize="none") == pytest.approx(
        before, abs=1e-9
    )


@pytest.mark.parametrize("how", NORMALIZATIONS)
@laws
@given(seed=seeds, k=st.integers(1, 28))
def test_range_self_and_order_of_systems(how: str, seed: int, k: int) -> None:
    """The least is a model's with itself, ranks 1 to k; the most has the mean of the last k."""
    a, b = related(30, seed, (5, 3), noise=1.0)
    order = np.random.RandomState(seed).permutation(30)
    value = information_imbalance(a, b, k, normalize=how)
    assert (k + 1) / 30 - 1e-12 <= value <= (2 * 30 - 1 - k) / 30 + 1e-12
    assert information_imbalance(a, a, k, normalize=how) == pytest.approx((k + 1) / 30, abs=1e-12)
    assert information_imbalance(a[order], b[order], k, normalize=how) == pytest.approx(
        value, abs=1e-9
    )


def test_the_richer_model_tells_more() -> None:
    """b sees one of a's two coordinates: from a to b little is missing, from b to a the other."""
    a = np.random.RandomState(0).normal(size=(300, 2))
    b = a[:, :1]
    assert information_imbalance(a, b, 1, normalize="none") < 0.15
    assert information_imbalance(b, a, 1, normalize="none") > 0.4


def test_unrelated_models_give_one() -> None:
    random = np.random.RandomState(0)
    values = [information_imbalance(*random.normal(size=(2, 200, 6)), 1) for _ in range(20)]
    assert np.mean(values) == pytest.approx(1, abs=3 * np.std(values) / 20**0.5)


def test_the_null_is_the_value_of_shuffled_pairs() -> None:
    a, b = related(40, 0, (7, 12))
    found = align(a, b, "information_imbalance", k=3, permutations=20, seed=3)
    shuffled = [information_imbalance(a, b[order], 3) for order in permutations(40, 20, 3).numpy()]
    assert found.null_mean == pytest.approx(np.mean(shuffled), abs=1e-9)
    assert found.null_std == pytest.approx(np.std(shuffled, ddof=1), abs=1e-9)
    assert found.p_value == pytest.approx((1 + sum(x <= found.value for x in shuffled)) / 21)
    assert found.p_value < 0.05


def test_copies_share_their_ranks() -> None:
    """With twenty copies of each system all nineteen others are nearest, at a mean rank of ten."""
    a, b = (np.tile(x, (20, 1)) for x in related(12, 0, (7, 12)))
    assert information_imbalance(a, b, 5) == pytest.approx(2 / 240 * 10, abs=1e-12)
