"""Novelty on the reference's own scale, against brute force, scikit-learn, and simulations."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import chisquare
from sklearn.covariance import ledoit_wolf, ledoit_wolf_shrinkage

from query.metrics import Undefined
from query.statistics.novelty import mahalanobis
from query.tables.vectors.novelty import How, judge

Floats = NDArray[np.float64]
PLAIN = "none"


def conformal_p(reference: Floats, system: Floats, k: int) -> float:
    """Return the transductive conformal p-value by its definition."""
    bag = np.vstack([reference, system])
    distances = cdist(bag, bag)
    np.fill_diagonal(distances, np.inf)
    scores = np.sort(distances, axis=1)[:, k - 1]
    return float((scores >= scores[-1]).mean())


@pytest.mark.parametrize("k", [1, 2, 5, 11])
def test_p_is_the_share_of_all_systems_once_the_new_one_is_added(k: int) -> None:
    rng = np.random.default_rng(k)
    for table in (rng.normal(size=(18, 3)), rng.integers(0, 3, size=(18, 3)).astype(float)):
        reference, others = table[:12], table[12:]
        found = judge(table, 12, How("knn", k, PLAIN))
        for i, system in enumerate(others):
            assert found.p[12 + i] == pytest.approx(conformal_p(reference, system, k))
        for i in range(12):
            rest = np.delete(reference, i, axis=0)
            if k < 11:
                assert found.p[i] == pytest.approx(conformal_p(rest, reference[i], k))


def test_p_is_uniform_for_systems_drawn_as_the_reference() -> None:
    rng = np.random.default_rng(0)
    n, draws = 9, 250
    values = [judge(rng.standard_t(2, (n + 1, 3)), n, How("knn", 4)).p[-1] for _ in range(draws)]
    counts = np.bincount(np.rint(np.array(values) * (n + 1)).astype(int), minlength=n + 2)[1:]
    assert counts.sum() == draws
    assert chisquare(counts).pvalue > 0.01


def test_p_of_mahalanobis_is_uniform_where_directions_are_few() -> None:
    rng = np.random.default_rng(1)
    tables = rng.normal(size=(30, 210, 4)) * [1, 2, 4, 8]
    p = np.concatenate([judge(t, 200, How("mahalanobis", None, PLAIN)).p[200:] for t in tables])
    assert chisquare(np.histogram(p, bins=5, range=(0, 1))[0]).pvalue > 0.01


@pytest.mark.parametrize("how", [How("knn", 3, PLAIN), How("mahalanobis", None, PLAIN)])
def test_what_lies_elsewhere_is_novel_in_any_unit_and_direction(how: How) -> None:
    rng = np.random.default_rng(2)
    reference = rng.normal(size=(40, 5))
    table = np.vstack([reference, reference[:4] + 0.01, reference[:4] + 20])
    found = judge(table, 40, how)
    assert found.p[44:] == pytest.approx(1 / 41)
    assert (found.p[40:44] > 0.05).all()
    assert (found.z[44:] > 5).all()
    assert found.z[:40].mean() == pytest.approx(0, abs=1e-9)
    assert found.z[:40].std(ddof=1) == pytest.approx(1)
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    again = judge(7 * table @ turn + 3, 40, how)
    assert again.z == pytest.approx(found.z)
    assert again.p == pytest.approx(found.p)


@pytest.mark.parametrize(("n", "d"), [(60, 4), (20, 35)])
def test_mahalanobis_is_that_of_scikit_learns_shrunk_covariance(n: int, d: int) -> None:
    rng = np.random.default_rng(3)
    x, others = rng.normal(size=(n, d)) * np.linspace(0.2, 3, d), rng.normal(size=(5, d))
    own, found = mahalanobis(x, others)
    covariance, share = ledoit_wolf(x)
    about = others - x.mean(axis=0)
    expected = np.sqrt(np.einsum("ij,ij->i", about @ np.linalg.inv(covariance), about))
    assert found == pytest.approx(expected)
    assert share == pytest.approx(ledoit_wolf_shrinkage(x))
    added = share * np.var(x, axis=0).mean() * np.eye(d)
    for i in range(3):  # the shrinkage stays that of all systems
        rest = np.delete(x, i, axis=0)
        shrunk = (1 - share) * np.cov(rest.T, bias=True) + added
        gone = x[i] - rest.mean(axis=0)
        assert own[i] == pytest.approx(np.sqrt(gone @ np.linalg.solve(shrunk, gone)))


def test_a_reference_that_tells_nothing_has_a_reason() -> None:
    table = np.vstack([np.ones((8, 3)), np.eye(3)])
    with pytest.raises(Undefined, match="every vector of the model on the reference is the same"):
        judge(table, 8, How("knn", 2))
    with pytest.raises(Undefined, match="reference has 8 systems; 'knn' needs 11 with k = 10"):
        judge(table, 8, How())
