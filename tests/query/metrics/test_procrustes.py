"""Procrustes disparity against SciPy's, and what must hold for any two models."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.spatial
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from query.engine.normalization import normalize
from query.metrics import METRICS, NORMALIZATIONS, Comparison, align, procrustes
from query.statistics.null import permutations

Matrix = NDArray[np.float64]

laws = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def related(
    n: int, seed: int, shape: tuple[int, int] = (20, 12), noise: float = 0.5
) -> tuple[Matrix, Matrix]:
    """Return two models that see the same 6 coordinates."""
    random = np.random.default_rng(seed)
    latent = random.normal(size=(n, 6))
    a, b = (
        latent @ random.normal(size=(6, d)) + noise * random.normal(size=(n, d)) + 1.0
        for d in shape
    )
    return a, b


def any_two(seed: int) -> tuple[Matrix, Matrix]:
    """Return models of 12 to 60 systems and up to 80 dimensions, either of which may be larger."""
    random = np.random.default_rng(seed)
    shape = tuple(int(d) for d in random.integers(2, 80, size=2))
    return related(
        int(random.integers(12, 60)),
        seed,
        (shape[0], shape[1]),
        noise=random.choice([0.1, 1.0, 5.0]),
    )


def scipys(a: Matrix, b: Matrix) -> float:
    """Return SciPy's value, which requires equal dimensions."""
    width = max(a.shape[1], b.shape[1])
    padded = (np.pad(x, ((0, 0), (0, width - x.shape[1]))) for x in (a, b))
    return float(scipy.spatial.procrustes(*padded)[2])


@pytest.mark.parametrize("shape", [(20, 12), (12, 20), (7, 7), (200, 12), (150, 170)])
@pytest.mark.parametrize("how", NORMALIZATIONS)
def test_it_is_scipys_disparity(shape: tuple[int, int], how: str) -> None:
    a, b = related(130, seed=1, shape=shape)
    expected = scipys(normalize(a, how).numpy(), normalize(b, how).numpy())
    assert procrustes(a, b, normalize=how) == pytest.approx(expected, abs=1e-12)


@laws
@given(seed=seeds)
def test_it_is_symmetric_and_between_0_and_1(seed: int) -> None:
    a, b = any_two(seed)
    assert procrustes(a, b) == pytest.approx(procrustes(b, a), abs=1e-12)
    assert 0 <= procrustes(a, b) <= 1


@pytest.mark.parametrize("how", NORMALIZATIONS)
@laws
@given(seed=seeds)
def test_a_model_is_nowhere_from_itself(how: str, seed: int) -> None:
    for x in any_two(seed):
        assert 0 <= procrustes(x, x, normalize=how) < 1e-12


@laws
@given(seed=seeds)
def test_shape_alone_counts(seed: int) -> None:
    """Shift, rotation, reflection, scale, empty features and the order of systems play no part."""
    a, b = any_two(seed)
    random = np.random.default_rng(seed)
    turn = np.linalg.qr(random.normal(size=(b.shape[1],) * 2))[0]
    before = procrustes(a, b, normalize="none")
    for same in (b @ turn, -b, b + 7.0, 1e-6 * b, 1e6 * b, np.pad(b, ((0, 0), (0, 9)))):
        assert procrustes(a, same, normalize="none") == pytest.approx(before, abs=1e-10)
        assert procrustes(b, same, normalize="none") == pytest.approx(0, abs=1e-10)
    order = random.permutation(len(a))
    assert procrustes(a[order], b[order], normalize="none") == pytest.approx(before, abs=1e-12)


@pytest.mark.parametrize("factor", [1e-38, 1e38])
def test_the_whole_range_of_float32_is_safe(factor: float) -> None:
    a, b = related(40, seed=2)
    before = procrustes(a, b, normalize="none")
    assert procrustes(a, factor * b, normalize="none") == pytest.approx(before, rel=1e-9)


@pytest.mark.parametrize("shape", [(6, 5), (60, 5), (5, 60), (60, 70)])
def test_a_null_value_is_the_value_of_shuffled_vectors(shape: tuple[int, int]) -> None:
    a, b = related(40, seed=3, shape=shape)
    orders = permutations(40, 5, seed=3)
    null = METRICS["procrustes"].null(Comparison([a, b]), 0, 1, None, orders)
    assert null.dtype == torch.float64
    assert null.tolist() == pytest.approx(
        [procrustes(a, b[order.numpy()]) for order in orders], abs=1e-12
    )


def test_related_models_stand_out_and_unrelated_do_not() -> None:
    near = align(*related(80, seed=4), "procrustes", permutations=99, subsamples=20)
    assert near.p_value == 0.01
    assert near.value is not None and near.null_mean is not None and near.null_std is not None
    assert near.value < near.null_mean - 5 * near.null_std
    assert near.calibrated is not None and 0 < near.calibrated < 1
    assert near.low is not None and near.high is not None and near.low < near.value < near.high
    p_values = []
    for seed in range(40):
        random = np.random.default_rng(seed)
        pair = random.normal(size=(40, 6)), random.normal(size=(40, 5))
        p_values.append(align(*pair, "procrustes", permutations=39, seed=seed).p_value)
    assert 0.35 < np.mean(p_values) < 0.65


def test_it_falls_by_itself_where_dimensions_exceed_systems() -> None:
    """The metric's docstring warns of this for unrelated models, and the null shows it."""
    random = np.random.default_rng(0)
    found = [
        align(*random.normal(size=(2, 60, d)), "procrustes", permutations=19) for d in (2, 60, 600)
    ]
    values = [result.value for result in found]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.9
    assert values[-1] < 0.1
    assert all(result.value == pytest.approx(result.null_mean, abs=0.05) for result in found)


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        (np.ones((9, 3)), np.eye(9), "every vector of a is the same after 'l2' normalization"),
        (np.eye(9), np.ones((9, 3)), "every vector of b is the same after 'l2' normalization"),
        (np.eye(3), np.eye(3), "n = 3 systems in common, but procrustes needs at least 4"),
    ],
)
def test_it_is_undefined_with_a_reason(a: Matrix, b: Matrix, reason: str) -> None:
    result = align(a, b, "procrustes", permutations=9)
    assert (result.value, result.reason, result.p_value) == (None, reason, None)


def test_one_hot_vectors_are_a_shape() -> None:
    """They are a simplex with all corners equally far, which fits any rotation of itself."""
    assert procrustes(np.eye(9), np.eye(9)[:, ::-1]) == pytest.approx(0, abs=1e-12)
