"""Representational similarity against rsatoolbox and SciPy, and its laws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.stats import pearsonr

from query.metrics import Undefined, align, rsa
from query.statistics.null import permutations
from tests.query.cases import related
from tests.query.golden.vectors import NORMALIZATIONS, pairs, recorded, scaled

laws = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(
    "row", recorded("rsatoolbox"), ids=lambda row: f"{row['case']}-{row['normalize']}"
)
def test_it_is_what_rsatoolbox_finds(row: dict[str, Any]) -> None:
    assert rsa(*pairs()[row["case"]], normalize=row["normalize"]) == pytest.approx(
        row["value"], abs=1e-9
    )


@pytest.mark.parametrize("how", NORMALIZATIONS)
@laws
@given(seed=seeds)
def test_it_is_the_correlation_of_scipys_distances(how: str, seed: int) -> None:
    a, b = related(40, seed, (7, 12))
    expected = pearsonr(*(pdist(scaled(x, how), "sqeuclidean") for x in (a, b))).statistic
    assert rsa(a, b, normalize=how) == pytest.approx(expected, abs=1e-9)


def test_under_l2_it_is_the_correlation_of_cosines() -> None:
    a, b = related(50, 1, (9, 4))
    expected = pearsonr(pdist(a, "cosine"), pdist(b, "cosine")).statistic
    assert rsa(a, b) == pytest.approx(expected, abs=1e-9)


@laws
@given(seed=seeds)
def test_rotation_scale_and_shift_change_nothing(seed: int) -> None:
    a, b = related(30, seed, (5, 8))
    turn = np.linalg.qr(np.random.RandomState(seed).normal(size=(8, 8)))[0]
    before = rsa(a, b, normalize="none")
    for same in (b @ turn, 1e-6 * b, -1e6 * b, b + 100.0):
        assert rsa(a, same, normalize="none") == pytest.approx(before, abs=1e-9)
        assert rsa(b, same, normalize="none") == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("how", NORMALIZATIONS)
@laws
@given(seed=seeds)
def test_range_and_order_of_models_and_systems(how: str, seed: int) -> None:
    a, b = related(30, seed, (5, 3), noise=10.0)
    order = np.random.RandomState(seed).permutation(30)
    before = rsa(a, b, normalize=how)
    assert -1 <= before <= 1
    assert rsa(b, a, normalize=how) == pytest.approx(before, abs=1e-12)
    assert rsa(a[order], b[order], normalize=how) == pytest.approx(before, abs=1e-9)


def test_the_null_is_the_value_of_shuffled_pairs() -> None:
    a, b = related(40, 0, (7, 12))
    found = align(a, b, "rsa", permutations=20, seed=3)
    shuffled = [rsa(a, b[order]) for order in permutations(40, 20, 3).numpy()]
    assert found.null_mean == pytest.approx(np.mean(shuffled), abs=1e-9)
    assert found.null_std == pytest.approx(np.std(shuffled, ddof=1), abs=1e-9)


def test_systems_equally_far_have_no_correlation() -> None:
    with pytest.raises(Undefined, match=r"\bb\b"):
        rsa(np.random.RandomState(0).normal(size=(20, 3)), np.eye(20))
