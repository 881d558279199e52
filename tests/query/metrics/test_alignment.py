"""What stands beside a value: interval, null, reason and warning; and a GPU's value."""

from __future__ import annotations

import numpy as np
import pytest

from query.metrics import METRICS, Comparison, align, align_all
from tests.query.cases import related

WAYS = [(name, way) for name, metric in METRICS.items() for way in metric.estimators or (None,)]
ways = pytest.mark.parametrize(("metric", "estimator"), WAYS)


def test_intervals_and_nulls_are_the_same_for_the_same_seed() -> None:
    a, b = related(300, seed=3, dimensions=(7, 12))
    first, same, other = (align(a, b, subsamples=10, permutations=10, seed=s) for s in (1, 1, 2))
    assert first == same
    assert (first.low, first.null_mean) != (other.low, other.null_mean)
    assert first.low < first.value < first.high
    for bad in (-1, 1):
        with pytest.raises(ValueError, match=f"subsamples = {bad}, expected 0, or 2 and more"):
            align(a, b, subsamples=bad)


def test_a_pair_without_a_value_leaves_the_others_alone() -> None:
    a, b = related(60, seed=3, dimensions=(7, 12))
    given = Comparison([a, np.ones((60, 3)), b], names=["a", "flat", "b"], k=5)
    options = {"permutations": 9, "subsamples": 4}
    for metric in METRICS:
        found = {
            pair: r
            for _, pair, r in align_all(
                given, [metric], [(0, 1), (1, 1), (0, 2), (2, 1)], **options
            )
        }
        assert found[0, 2].value is not None
        for pair in ((0, 1), (1, 1), (2, 1)):
            assert found[pair].reason == "every vector of flat is the same after 'l2' normalization"
            assert (found[pair].low, found[pair].null_mean) == (None, None)


def test_long_vectors_are_pointed_out() -> None:
    a, b = related(60, seed=3, dimensions=(7, 12))
    a = a.copy()
    a[3] *= 1000
    assert align(a, b, k=5).warning is None  # under 'l2' lengths play no part
    warning = align(a, b, k=5, normalize="none").warning
    assert warning is not None
    assert warning.startswith("vectors of a differ much in length (median ")
    assert warning.endswith("a few rule 'none'")


@pytest.mark.parametrize(
    ("metric", "n", "k", "warning"),
    [
        ("cknna", 35, 25, "k = 25 of 34 neighbors: give 100 or more systems, or a smaller k"),
        ("mutual_knn", 99, 25, "k = 25 of 98 neighbors: give 100 or more systems, or a smaller k"),
        ("cknna", 100, 25, None),
        ("mutual_knn", 35, 8, None),
        ("information_imbalance", 35, None, None),
        ("cka", 35, None, None),
        ("cknna", 20, 25, None),  # it has a reason
    ],
)
def test_neighbors_that_are_most_of_the_systems_are_no_neighborhood(
    metric: str, n: int, k: int | None, warning: str | None
) -> None:
    a, b = np.random.default_rng(0).normal(size=(2, n, 6))
    found = align(a, b, metric, k=k, permutations=0)
    assert found.warning == warning
    assert (found.value is None) == (n == 20)


@pytest.mark.gpu
@ways
def test_a_gpu_finds_what_the_cpu_finds(metric: str, estimator: str | None) -> None:
    a, b = related(5000, seed=3, dimensions=(70, 120))
    options = {"estimator": estimator, "permutations": 20, "subsamples": 5}
    cpu, gpu = (align(a, b, metric, device=device, **options) for device in ("cpu", "cuda"))
    for field in ("value", "null_mean", "null_std", "low", "high"):
        assert getattr(gpu, field) == pytest.approx(getattr(cpu, field), rel=1e-5)
