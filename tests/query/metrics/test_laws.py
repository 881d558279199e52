"""What must hold for any two models: symmetry, identity, invariances, with any tiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from query.engine import tiles
from query.engine.neighbors.nearest import nearest
from query.metrics import METRICS, NORMALIZATIONS, align

Matrix = NDArray[np.float64]

WAYS = [(name, way) for name, metric in METRICS.items() for way in metric.estimators or (None,)]
ways = pytest.mark.parametrize(("metric", "estimator"), WAYS)
# Reconstruction error learns from one half of the systems and is judged on the other; its laws are
# in its own tests.
exact_ways = pytest.mark.parametrize(
    ("metric", "estimator"), [w for w in WAYS if w[0] != "reconstruction_error"]
)
laws = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def two_models(seed: int, n: int | None = None) -> tuple[Matrix, Matrix]:
    """Return two models of 12 to 60 systems that share some of what they see."""
    random = np.random.default_rng(seed)
    n = n or int(random.integers(12, 60))
    latent = random.normal(size=(n, 3))
    noise, offset = random.choice([0.1, 1.0, 5.0]), random.choice([0.0, 2.0])
    dimensions = random.integers(2, 30, size=2)
    a, b = (
        latent @ random.normal(size=(3, d)) + noise * random.normal(size=(n, d)) + offset
        for d in dimensions
    )
    return a, b


def of_itself(metric: str, n: int) -> float:
    """Return what a model aligned with itself gives."""
    if metric == "information_imbalance":
        return (6 + 1) / n  # the mean place of the six nearest
    return 0.0 if METRICS[metric].lower_is_closer else 1.0


def value(a: Matrix, b: Matrix, metric: str, estimator: str | None, how: str = "l2") -> float:
    result = align(a, b, metric, k=6, estimator=estimator, normalize=how)
    assert result.value is not None, result.reason
    return result.value


@pytest.mark.parametrize(("metric", "estimator"), [w for w in WAYS if METRICS[w[0]].symmetric])
@laws
@given(seed=seeds)
def test_both_orders_give_the_same(metric: str, estimator: str | None, seed: int) -> None:
    a, b = two_models(seed)
    assert value(a, b, metric, estimator) == pytest.approx(
        value(b, a, metric, estimator), rel=1e-12
    )


@pytest.mark.parametrize(
    "metric", [name for name, metric in METRICS.items() if not metric.symmetric]
)
def test_the_others_say_which_way_they_go(metric: str) -> None:
    a, b = two_models(5, n=60)
    assert abs(value(a, b, metric, None) - value(b, a, metric, None)) > 0.01


@pytest.mark.parametrize("how", NORMALIZATIONS)
@exact_ways
@laws
@given(seed=seeds)
def test_a_model_aligns_fully_with_itself(
    metric: str, estimator: str | None, how: str, seed: int
) -> None:
    a, _ = two_models(seed)
    assert value(a, a, metric, estimator, how) == pytest.approx(
        of_itself(metric, len(a)), abs=1e-12
    )


@pytest.mark.parametrize("how", ["l2", "none"])
@exact_ways
@laws
@given(seed=seeds)
def test_rotations_and_reflections_change_nothing(
    metric: str, estimator: str | None, how: str, seed: int
) -> None:
    a, b = two_models(seed)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(b.shape[1],) * 2))[0]
    before, after = value(a, b, metric, estimator, how), value(a, b @ turn, metric, estimator, how)
    assert after == pytest.approx(before, rel=1e-8, abs=1e-10)
    assert value(b, b @ turn, metric, estimator, how) == pytest.approx(
        of_itself(metric, len(a)), abs=1e-8
    )


@pytest.mark.parametrize("how", NORMALIZATIONS)
@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1e3, 1e6, -1.0])
@ways
def test_scale_changes_nothing(metric: str, estimator: str | None, factor: float, how: str) -> None:
    a, b = two_models(7)
    before, after = (
        value(a, b, metric, estimator, how),
        value(a, factor * b, metric, estimator, how),
    )
    assert after == pytest.approx(before, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("factor", [1e-38, 1e38])
@ways
def test_the_whole_range_of_float32_is_safe(
    metric: str, estimator: str | None, factor: float
) -> None:
    a, b = two_models(7)
    before, after = (
        value(a, b, metric, estimator, "none"),
        value(a, factor * b, metric, estimator, "none"),
    )
    assert after == pytest.approx(before, rel=1e-9, abs=1e-12)


@exact_ways
@laws
@given(seed=seeds)
def test_the_order_of_systems_changes_nothing(
    metric: str, estimator: str | None, seed: int
) -> None:
    a, b = two_models(seed)
    order = np.random.default_rng(seed).permutation(len(a))
    after = value(a[order], b[order], metric, estimator)
    assert after == pytest.approx(value(a, b, metric, estimator), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("how", NORMALIZATIONS)
@laws
@given(seed=seeds)
def test_ranges(how: str, seed: int) -> None:
    """Unbiased CKNNA has no range: each of its three alignments has its own mask."""
    a, b = two_models(seed)
    assert -1 <= value(a, b, "cknna", "centered", how) <= 1
    assert 0 <= value(a, b, "mutual_knn", None, how) <= 1
    assert 0 <= value(a, b, "cka", "biased", how) <= 1
    assert -1 <= value(a, b, "cka", "unbiased", how) <= 1


@pytest.mark.parametrize("estimator", METRICS["cka"].estimators)
@laws
@given(seed=seeds)
def test_shifts_change_nothing_in_cka(estimator: str, seed: int) -> None:
    a, b = two_models(seed)
    before, after = (
        value(a, b, "cka", estimator, "none"),
        value(a, b + 1000.0, "cka", estimator, "none"),
    )
    assert after == pytest.approx(before, rel=1e-7, abs=1e-9)


def few_rows_at_a_time(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    monkeypatch.setattr(tiles, "TILE_BYTES", 7 * n * tiles.FLOAT64_BYTES)
    monkeypatch.setattr(tiles, "CPU_TILE", (7, 5))
    monkeypatch.setattr(tiles, "CPU_STACK", 9)


@ways
def test_tiles_change_nothing(
    metric: str, estimator: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = two_models(11, n=50)
    options = {"k": 6, "estimator": estimator, "permutations": 20}
    whole = align(a, b, metric, **options)
    few_rows_at_a_time(monkeypatch, 50)
    parts = align(a, b, metric, **options)
    assert whole.value is not None
    for field in ("value", "null_mean", "null_std", "p_value", "calibrated"):
        assert getattr(parts, field) == pytest.approx(getattr(whole, field), rel=1e-12, abs=1e-14)


@ways
def test_tiles_change_nothing_where_features_outnumber_systems(
    metric: str, estimator: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=(40, 300)), random.normal(size=(40, 200))
    whole = align(a, b, metric, k=6, estimator=estimator, permutations=9)
    few_rows_at_a_time(monkeypatch, 40)
    parts = align(a, b, metric, k=6, estimator=estimator, permutations=9)
    assert whole.value is not None
    assert parts.value == pytest.approx(whole.value, rel=1e-9)
    assert parts.null_mean == pytest.approx(whole.null_mean, rel=1e-9)


@pytest.mark.parametrize("tile", [1, 7, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_of_tied_neighbors_the_first_in_the_table_are_taken(
    dtype: torch.dtype, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of twenty copies of each of six vectors nineteen are equally near: the same five count."""
    monkeypatch.setattr(tiles, "CPU_TILE", (tile, 2 * tile))
    copies = np.tile(np.random.default_rng(0).normal(size=(6, 37)), (20, 1))
    x = torch.from_numpy(copies / np.linalg.norm(copies, axis=1, keepdims=True))
    expected = [[j for j in range(row % 6, 120, 6) if j != row][:5] for row in range(120)]
    assert nearest(x, 5, dtype=dtype).index.tolist() == expected


def test_ties_of_different_vectors_are_ties() -> None:
    """Integer features are scaled so that no product is exact: rounding must not choose."""
    counts = np.random.default_rng(0).integers(0, 3, size=(80, 4))
    exact = counts @ counts.T
    np.fill_diagonal(exact, -1)
    expected = [np.lexsort((np.arange(80), -row))[:9].tolist() for row in exact]
    for factor in (1.0, 0.1, 1 / 3, 1e-6):
        for dtype in (torch.float32, torch.float64):
            assert (
                nearest(torch.from_numpy(counts * factor), 9, dtype=dtype).index.tolist()
                == expected
            )


@exact_ways
def test_duplicated_systems_keep_the_laws(metric: str, estimator: str | None) -> None:
    a, b = two_models(13, n=30)
    a, b = np.repeat(a, 3, axis=0), np.repeat(b, 3, axis=0)
    own = value(a, a, metric, estimator)
    assert (
        own == pytest.approx(of_itself(metric, len(a)), abs=1e-12)
        or metric == "information_imbalance"
    )
    if METRICS[metric].symmetric:
        assert value(a, b, metric, estimator) == pytest.approx(
            value(b, a, metric, estimator), rel=1e-12
        )
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(a.shape[1],) * 2))[0]
    assert value(a, a @ turn, metric, estimator) == pytest.approx(own, abs=1e-9)
