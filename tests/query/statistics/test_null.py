"""The permutation null: exact, reproducible, honest about chance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from query.metrics import METRICS, Comparison, Undefined, align, align_all, find_metric
from query.statistics.null import compare_with_null, permutations

Matrix = NDArray[np.float64]

WAYS = [(name, way) for name, metric in METRICS.items() for way in metric.estimators or (None,)]
ways = pytest.mark.parametrize(("metric", "estimator"), WAYS)


def models(n: int, seed: int, shared: float) -> tuple[Matrix, Matrix]:
    random = np.random.RandomState(seed)
    latent = shared * random.normal(size=(n, 3))
    a, b = (latent @ random.normal(size=(3, d)) + random.normal(size=(n, d)) for d in (6, 5))
    return a, b


@ways
def test_a_null_value_is_the_value_of_shuffled_vectors(metric: str, estimator: str | None) -> None:
    a, b = models(80, seed=1, shared=1.0)
    orders = permutations(80, 5, seed=3)
    chosen = find_metric(metric)
    comparison = Comparison([a, b], k=9)
    comparison.prepare([chosen])
    null = chosen.null(comparison, 0, 1, estimator, orders)
    again = [align(a, b[order.numpy()], metric, k=9, estimator=estimator).value for order in orders]
    assert null.dtype == torch.float64
    assert null.tolist() == pytest.approx(again, rel=1e-11, abs=1e-13)


@ways
def test_the_same_seed_gives_the_same_null(metric: str, estimator: str | None) -> None:
    a, b = models(60, seed=1, shared=1.0)
    first, same, other = (
        align(a, b, metric, k=9, estimator=estimator, permutations=30, seed=s) for s in (5, 5, 6)
    )
    assert first == same
    assert first.null_mean != other.null_mean
    assert first.value == other.value


@ways
def test_related_models_stand_out(metric: str, estimator: str | None) -> None:
    result = align(
        *models(80, seed=2, shared=2.0), metric, k=9, estimator=estimator, permutations=99
    )
    assert result.p_value == 0.01
    assert result.value is not None and result.null_mean is not None and result.null_std is not None
    closer = -1 if METRICS[metric].lower_is_closer else 1
    assert closer * (result.value - result.null_mean) > 5 * result.null_std
    assert result.calibrated is not None and 0 < result.calibrated < (
        1 if closer < 0 else result.value
    )


@ways
def test_unrelated_models_do_not(metric: str, estimator: str | None) -> None:
    """p-values of 60 independent pairs are spread evenly; one in twenty is calibrated above 0."""
    results = [
        align(
            *models(40, seed, shared=0.0),
            metric,
            k=6,
            estimator=estimator,
            permutations=39,
            seed=seed,
        )
        for seed in range(60)
    ]
    p_values = np.array([result.p_value for result in results])
    assert 0.4 < p_values.mean() < 0.6
    assert np.mean(p_values <= 0.1) < 0.22
    assert np.mean([result.calibrated > 0 for result in results]) < 0.14


@pytest.mark.parametrize(
    ("metric", "calibrated", "p_value"),
    [
        ("cka", 0.434964120388031, 0.009999999776482582),
        ("cknna", 0.2437957525253296, 0.009999999776482582),
        ("mutual_knn", 0.2542016804218292, 0.009999999776482582),
    ],
)
def test_calibration_agrees_with_its_authors_package(
    metric: str, calibrated: float, p_value: float
) -> None:
    """Recorded from calibrated-similarity 0.1.1: calibrate(a, b, metric, K=99), in float32."""
    random = np.random.RandomState(0)
    latent = random.normal(size=(60, 3))
    a = latent @ random.normal(size=(3, 6)) + random.normal(size=(60, 6))
    b = latent @ random.normal(size=(3, 5)) + random.normal(size=(60, 5))
    result = align(a, b, metric, k=10, permutations=99)
    assert result.calibrated == pytest.approx(calibrated, abs=2e-7)
    assert result.p_value == pytest.approx(p_value, rel=1e-6)


def test_the_arithmetic_of_a_null() -> None:
    null = compare_with_null(0.9, torch.arange(19, dtype=torch.float64) / 20)
    assert null.mean == pytest.approx(0.45)
    assert null.std == pytest.approx(np.std(np.arange(19) / 20, ddof=1))
    assert null.p_value == 2 / 20  # 0.90 itself is in the null
    assert null.calibrated == 0.0  # and is τ: the 19th smallest of 20
    assert compare_with_null(
        0.95, torch.arange(19, dtype=torch.float64) / 20
    ).calibrated == pytest.approx(0.5)
    past = compare_with_null(1.1, torch.arange(19, dtype=torch.float64) / 20)
    assert past.calibrated == pytest.approx(2.0)  # as an unbiased value at small n may be
    single = compare_with_null(0.5, torch.tensor([0.1], dtype=torch.float64))
    assert (single.std, single.p_value, single.calibrated) == (None, 0.5, 0.0)


def test_without_permutations_there_is_no_null() -> None:
    result = align(*models(60, seed=1, shared=1.0))
    assert (result.null_mean, result.null_std, result.p_value, result.calibrated) == (
        None,
        None,
        None,
        None,
    )


@ways
def test_many_models_at_once_give_what_two_give(metric: str, estimator: str | None) -> None:
    a, b = models(60, seed=1, shared=1.0)
    c, _ = models(60, seed=2, shared=1.0)
    tables = {"a": a, "b": b, "c": c}
    options = {"estimator": estimator, "permutations": 19, "subsamples": 3, "seed": 2}
    comparison = Comparison(list(tables.values()), names=list(tables), k=9)
    for _, (i, j), found in align_all(comparison, [metric], [(0, 1), (2, 1), (2, 2)], **options):
        names = list(tables)
        alone = align(tables[names[i]], tables[names[j]], metric, k=9, **options)
        for field in ("value", "null_mean", "null_std", "p_value", "calibrated", "low", "high"):
            assert getattr(found, field) == pytest.approx(
                getattr(alone, field), rel=1e-9, abs=1e-11
            )


def test_lower_is_closer_the_other_way_round() -> None:
    null = 1 - torch.arange(19, dtype=torch.float64) / 20
    mirrored = compare_with_null(0.05, null, lower_is_closer=True)
    assert mirrored.p_value == 1 / 20
    assert mirrored.calibrated == pytest.approx(0.5)
    assert compare_with_null(0.1, null, lower_is_closer=True).calibrated == 0.0
    assert compare_with_null(0.0, null, lower_is_closer=True).calibrated == 1.0


def test_orders_are_those_of_the_seed() -> None:
    assert torch.equal(permutations(9, 3, seed=4), permutations(9, 3, seed=4))
    with pytest.raises(Undefined, match="every vector of x is the same"):
        Comparison([np.ones((5, 2))], names=["x"]).vectors(0)
