"""Spearman's rank correlation, its test and its interval, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata, spearmanr

from query.statistics.rank_correlation import (
    RESAMPLES,
    average_ranks,
    spearman,
    spearman_interval,
)


def test_ranks_are_scipys() -> None:
    values = np.random.default_rng(0).integers(0, 5, (40, 7)).astype(float)
    assert np.array_equal(average_ranks(values), rankdata(values, axis=-1))
    assert np.array_equal(average_ranks(values[:, 0]), rankdata(values[:, 0]))
    assert average_ranks(np.empty(0)).shape == (0,)


@pytest.mark.parametrize("n", [5, 30])
def test_spearman_is_scipys(n: int) -> None:
    rng = np.random.default_rng(n)
    x, y = rng.integers(0, 6, n).astype(float).tolist(), rng.normal(size=n).tolist()
    found = spearman(x, y)
    assert found is not None
    assert found[0] == pytest.approx(spearmanr(x, y).statistic)
    assert found[1] == pytest.approx(spearmanr(x, y).pvalue, abs=0.1)
    assert found == spearman(x, y)


@pytest.mark.parametrize("x", [[1.0, 2.0], [1.0, 1.0, 1.0]])
def test_spearman_of_too_little_is_none(x: list[float]) -> None:
    assert spearman(x, [1.0, 2.0, 3.0][: len(x)]) is None
    assert spearman([1.0, 2.0, 3.0][: len(x)], x) is None


def test_the_interval_is_a_bootstrap_over_models() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 6, 12).astype(float)
    y = x + rng.normal(size=12)
    found = spearman_interval(x.tolist(), y.tolist())
    drawn = np.random.default_rng(0).integers(12, size=(RESAMPLES, 12))
    a, b = (rankdata(values[drawn], axis=1) for values in (x, y))
    a, b = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (a, b))
    each = (a * b).sum(axis=1) / np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    expected = np.percentile(each, [2.5, 97.5])
    assert found == pytest.approx(expected)
    assert found == spearman_interval(x.tolist(), y.tolist())
    assert spearman_interval([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 3.0]) is None
