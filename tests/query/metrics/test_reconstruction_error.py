"""The reconstruction error against scikit-matter's and its definition, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from query.engine.normalization import normalize
from query.metrics import METRICS, NORMALIZATIONS, Comparison, align, reconstruction_error
from query.statistics.null import permutations

Matrix = NDArray[np.float64]

laws = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def related(
    n: int, seed: int, noise: float = 0.5, shape: tuple[int, int] = (20, 12)
) -> tuple[Matrix, Matrix]:
    """Return two models that see the same 6 coordinates."""
    random = np.random.RandomState(seed)
    latent = random.normal(size=(n, 6))
    a, b = (latent @ random.normal(size=(6, d)) + noise * random.normal(size=(n, d)) for d in shape)
    return a, b


def any_two(seed: int, most: int = 14) -> tuple[Matrix, Matrix]:
    """Return models of 30 to 60 systems and up to `most` dimensions."""
    random = np.random.RandomState(seed)
    shape = tuple(int(d) for d in random.randint(2, most, size=2))
    noise = random.choice([0.1, 1.0, 5.0])
    return related(int(random.randint(30, 60)), seed, noise, (shape[0], shape[1]))


def restated(a: Matrix, b: Matrix) -> float:
    """Return the definition with one least-squares map after the other."""
    train, test, halves = np.s_[::2], np.s_[1::2], (np.s_[::4], np.s_[2::4])
    x, y = ((z - z[train].mean(axis=0)) / np.sqrt(z[train].var(axis=0).sum()) for z in (a, b))
    strongest = max(np.linalg.norm(x[half], 2) for half in halves)

    def fitted(rows: slice, cutoff: float) -> Matrix:
        left, sizes, right = np.linalg.svd(x[rows], full_matrices=False)
        kept = sizes > cutoff * strongest
        return right[kept].T / sizes[kept] @ left[:, kept].T @ y[rows]

    def squared(cutoff: float) -> float:
        both = zip(halves, halves[::-1], strict=True)
        return sum(
            np.sum((y[other] - x[other] @ fitted(half, cutoff)) ** 2) / len(y[other])
            for half, other in both
        )

    best = min(np.geomspace(1e-9, 0.9, 20), key=squared)
    return float(np.sqrt(np.sum((y[test] - x[test] @ fitted(train, best)) ** 2) / len(y[test])))


@pytest.mark.parametrize(
    ("n", "seed", "noise", "shape", "forth", "back"),
    [
        (130, 0, 0.5, (20, 12), 0.2578836511351639, 0.3406789716724902),
        (131, 1, 0.1, (5, 40), 0.44854465702894264, 0.04818309034752237),
        (60, 2, 0.5, (50, 90), 0.25022637557680794, 0.23934325859453626),
        (200, 3, 3.0, (30, 8), 0.9494191988052062, 0.9939964160834585),
        (64, 4, 0.0, (12, 16), 0.0, 0.0),
    ],
)
def test_it_is_scikit_matters(
    n: int, seed: int, noise: float, shape: tuple[int, int], forth: float, back: float
) -> None:
    """Recorded from scikit-matter 0.4.1 with our halves and λ judged by the squared error:

    train = np.arange(0, n, 2)
    folds = np.arange(0, len(train), 2), np.arange(1, len(train), 2)
    estimator = Ridge2FoldCV(
        np.geomspace(1e-9, 0.9, 20), alpha_type="relative", regularization_method="cutoff",
        cv=[folds], scoring="neg_mean_squared_error",
    )
    test = np.arange(1, n, 2)
    global_reconstruction_error(a, b, train_idx=train, test_idx=test, estimator=estimator)
    """
    a, b = related(n, seed, noise, shape)
    assert reconstruction_error(a, b, normalize="none") == pytest.approx(forth, abs=1e-12)
    assert reconstruction_error(b, a, normalize="none") == pytest.approx(back, abs=1e-12)


@pytest.mark.parametrize("how", NORMALIZATIONS)
@pytest.mark.parametrize("shape", [(20, 12), (3, 50), (90, 70), (160, 9)])
def test_it_is_its_definition(shape: tuple[int, int], how: str) -> None:
    a, b = related(131, seed=5, shape=shape)
    expected = restated(normalize(a, how).numpy(), normalize(b, how).numpy())
    assert reconstruction_error(a, b, normalize=how) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("how", NORMALIZATIONS)
@laws
@given(seed=seeds)
def test_a_model_reconstructs_itself(how: str, seed: int) -> None:
    a, _ = any_two(seed)
    assert 0 <= reconstruction_error(a, a, normalize=how) < 1e-9


def test_not_so_with_more_dimensions_than_training_systems() -> None:
    a, _ = related(60, seed=2, shape=(30, 2))
    assert reconstruction_error(a, a) > 0.01


@laws
@given(seed=seeds)
def test_what_b_lacks_it_cannot_reconstruct(seed: int) -> None:
    """b is a without a feature: from a to b nothing is missing, from b to a that feature is."""
    a, _ = any_two(seed)
    b = a[:, 1:]
    assert reconstruction_error(a, b, normalize="none") < 1e-9
    assert reconstruction_error(b, a, normalize="none") > 1e-3


@laws
@given(seed=seeds)
def test_shape_alone_counts(seed: int) -> None:
    """Shift, rotation, reflection, scale and empty features of either model play no part."""
    a, b = any_two(seed, most=60)
    before = reconstruction_error(a, b, normalize="none")
    pairs = [(same, b) for same in disguised(a, seed)] + [(a, same) for same in disguised(b, seed)]
    for pair in pairs:
        assert reconstruction_error(*pair, normalize="none") == pytest.approx(
            before, rel=1e-7, abs=1e-9
        )


def disguised(x: Matrix, seed: int) -> list[Matrix]:
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(x.shape[1],) * 2))[0]
    return [x @ turn, -x, x + 7.0, 1e-6 * x, 1e6 * x, np.pad(x, ((0, 0), (0, 9)))]


@laws
@given(seed=seeds)
def test_it_is_about_one_at_most(seed: int) -> None:
    a, b = any_two(seed)
    assert 0 <= reconstruction_error(a, b) < 2


def test_from_one_half_to_the_other_order_does_not_matter() -> None:
    """Halves are every other system; within a fold, or within the test half, order is free."""
    a, b = related(80, seed=6)
    random = np.random.default_rng(0)
    order = np.arange(80)
    for part in (order[::4], order[2::4], order[1::2]):
        part[:] = random.permutation(part)
    again = reconstruction_error(a[order], b[order])
    assert again == pytest.approx(reconstruction_error(a, b), rel=1e-9)
    assert again != pytest.approx(
        reconstruction_error(np.roll(a, 1, 0), np.roll(b, 1, 0)), rel=1e-3
    )


@pytest.mark.parametrize("factor", [1e-38, 1e38])
def test_the_whole_range_of_float32_is_safe(factor: float) -> None:
    a, b = related(40, seed=2)
    before = reconstruction_error(a, b, normalize="none")
    assert reconstruction_error(a, factor * b, normalize="none") == pytest.approx(before, rel=1e-9)
    assert reconstruction_error(factor * a, b, normalize="none") == pytest.approx(before, rel=1e-9)


@pytest.mark.parametrize("shape", [(6, 5), (60, 5), (5, 60), (60, 70)])
def test_a_null_value_is_the_value_of_shuffled_vectors(shape: tuple[int, int]) -> None:
    """A shuffled pairing chooses its own λ."""
    a, b = related(40, seed=3, shape=shape)
    orders = permutations(40, 5, seed=3)
    null = METRICS["reconstruction_error"].null(Comparison([a, b]), 0, 1, None, orders)
    assert null.dtype == torch.float64
    expected = [reconstruction_error(a, b[order.numpy()]) for order in orders]
    assert null.tolist() == pytest.approx(expected, rel=1e-9)


def test_related_models_stand_out_and_unrelated_do_not() -> None:
    near = align(*related(80, seed=4), "reconstruction_error", permutations=99, subsamples=20)
    assert near.p_value == 0.01
    assert near.value is not None and near.null_mean is not None and near.null_std is not None
    assert near.value < near.null_mean - 5 * near.null_std
    assert near.calibrated is not None and 0 < near.calibrated < 1
    assert near.low is not None and near.high is not None and near.low < near.value < near.high
    found = []
    for seed in range(40):
        random = np.random.default_rng(seed)
        pair = random.normal(size=(40, 6)), random.normal(size=(40, 5))
        found.append(align(*pair, "reconstruction_error", permutations=39, seed=seed))
    assert 0.35 < np.mean([result.p_value for result in found]) < 0.65
    assert np.mean([result.value for result in found]) == pytest.approx(1.1, abs=0.1)


def test_another_order_of_arguments_is_another_question() -> None:
    a, b = related(131, 1, 0.1, (5, 40))
    assert not METRICS["reconstruction_error"].symmetric
    forth, back = (
        align(*pair, "reconstruction_error", normalize="none").value for pair in ((a, b), (b, a))
    )
    assert (forth, back) == pytest.approx((0.44854465702894264, 0.04818309034752237))


COLLAPSED = np.vstack([np.ones((20, 3)), np.random.default_rng(0).normal(size=(20, 3))])


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        (np.ones((9, 3)), np.eye(9), "every vector of a is the same after 'l2' normalization"),
        (np.eye(9), np.ones((9, 3)), "every vector of b is the same after 'l2' normalization"),
        (
            np.eye(7),
            np.eye(7),
            "n = 7 systems in common, but reconstruction_error needs at least 8",
        ),
        (COLLAPSED, np.eye(40), "at least half of the systems have the same vector in a"),
        (np.eye(40), COLLAPSED, "at least half of the systems have the same vector in b"),
    ],
)
def test_it_is_undefined_with_a_reason(a: Matrix, b: Matrix, reason: str) -> None:
    result = align(a, b, "reconstruction_error", permutations=9)
    assert (result.value, result.reason, result.p_value) == (None, reason, None)


def test_nearly_half_the_same_is_enough() -> None:
    few = COLLAPSED.copy()
    few[0, 0] += 0.1
    result = align(few, np.eye(40), "reconstruction_error", permutations=30)
    assert result.value is not None
    assert np.isfinite([result.null_mean, result.null_std]).all()
