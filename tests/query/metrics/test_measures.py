"""Measures of one model: right, of the shape alone, with an interval, or a reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from query.engine import tiles
from query.engine.normalization import normalize
from query.metrics import (
    MEASURES,
    NORMALIZATIONS,
    Measured,
    Undefined,
    effective_rank,
    intrinsic_dimension,
    measure,
)
from query.metrics.shared.estimates import RowMeasure
from query.statistics.interval import paired_subsets, quantile, subset_k

Matrix = NDArray[np.float64]

WAYS = [(name, method) for name, found in MEASURES.items() for method in found.methods]
ways = pytest.mark.parametrize(("name", "method"), WAYS)
laws = settings(max_examples=15, deadline=None)
seeds = st.integers(0, 2**32 - 1)
RANDOM = np.random.RandomState(0)
A = RANDOM.normal(size=(40, 5))


def model(seed: int, n: int = 40) -> Matrix:
    """Return noisy vectors of up to 30 dimensions about three coordinates."""
    random = np.random.default_rng(seed)
    d = int(random.integers(2, 30))
    noise = random.choice([0.1, 1.0, 5.0])
    return random.normal(size=(n, 3)) @ random.normal(size=(3, d)) + noise * random.normal(
        size=(n, d)
    )


def value(x: Matrix, name: str, method: str, **options: Any) -> float:
    result = measure(x, name, method=method, k=8 if method == "mle" else None, **options)
    assert result.value is not None, result.reason
    return result.value


def spectrum(*sizes: float, n: int = 50) -> Matrix:
    """Return vectors in 12 dimensions that have these singular values once centered."""
    random = np.random.default_rng(0)
    columns = random.normal(size=(n, len(sizes)))
    left = np.linalg.qr(columns - columns.mean(axis=0))[0]
    right = np.linalg.qr(random.normal(size=(12, len(sizes))))[0]
    return left * np.array(sizes) @ right.T + 3.0


def cube(n: int, dimension: int, embedded: int) -> Matrix:
    """Return points drawn evenly from a hypercube, put into more dimensions."""
    random = np.random.RandomState(0)
    return random.uniform(size=(n, dimension)) @ random.normal(size=(dimension, embedded))


@pytest.mark.parametrize(
    ("shape", "method", "k", "expected"),
    [
        ((400, 5, 50), "mle", 5, 4.443991833008216),
        ((400, 5, 50), "mle", 50, 3.9211773878675165),
        ((400, 5, 50), "twonn", 50, 4.284764973585787),
        ((400, 2, 20), "mle", 5, 1.885486138523512),
        ((400, 2, 20), "mle", 50, 1.8246640240727077),
        ((400, 2, 20), "twonn", 50, 2.0320108690338787),
    ],
)
def test_intrinsic_dimension_agrees_with_scikit_dimension(
    shape: tuple[int, int, int], method: str, k: int, expected: float
) -> None:
    """Recorded from scikit-dimension 0.5.0: MLE().fit(x, n_neighbors=k) and TwoNN().fit(x)."""
    assert intrinsic_dimension(cube(*shape), method, k=k) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("method", "k"), [("mle", 10), ("twonn", 2)])
def test_intrinsic_dimension_of_a_5_cube_is_5(method: str, k: int) -> None:
    assert intrinsic_dimension(cube(3000, 5, 50), method, k=k) == pytest.approx(5, rel=0.1)


@laws
@given(seed=seeds)
def test_intrinsic_dimension_counts_copies_once(seed: int) -> None:
    x = model(seed)
    for method in ("mle", "twonn"):
        copied = np.concatenate([x, x[:5], x[:5]])
        assert intrinsic_dimension(copied, method, k=8) == pytest.approx(
            intrinsic_dimension(x, method, k=8), rel=1e-6
        )


@pytest.mark.parametrize("method", ["mle", "twonn"])
def test_intrinsic_dimension_does_not_depend_on_tiles(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = model(3, n=50)
    whole = intrinsic_dimension(x, method, k=8)
    monkeypatch.setattr(tiles, "TILE_BYTES", 7 * 50 * tiles.FLOAT64_BYTES)
    monkeypatch.setattr(tiles, "CPU_TILE", (7, 5))
    assert intrinsic_dimension(x, method, k=8) == pytest.approx(whole, rel=1e-12)


def test_the_measures_are_found() -> None:
    assert list(MEASURES) == ["effective_rank", "intrinsic_dimension"]


@pytest.mark.parametrize("shape", [(200, 7), (30, 30), (20, 60)])
def test_effective_rank_is_its_formula(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(1).normal(size=shape) * np.linspace(0.1, 3, shape[1])
    variances = np.linalg.eigvalsh(np.cov(x.T))[::-1][: min(shape[0] - 1, shape[1])]
    p = np.sqrt(variances) / np.sqrt(variances).sum()
    assert effective_rank(x) == pytest.approx(np.exp(-np.sum(p * np.log(p))), rel=1e-9)
    participation = np.trace(np.cov(x.T)) ** 2 / np.linalg.norm(np.cov(x.T)) ** 2
    assert effective_rank(x, "participation") == pytest.approx(participation, rel=1e-12)


@pytest.mark.parametrize(
    ("sizes", "entropy", "participation"),
    [
        ((1.0,), 1, 1),
        ((2.0,) * 7, 7, 7),
        ((3.0, 1.0), np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25)), (9 + 1) ** 2 / (81 + 1)),
        ((1.0, 1e-7), 1 + 1e-7 * (1 - np.log(1e-7)), 1),
    ],
)
def test_effective_rank_of_known_spectra(
    sizes: tuple[float, ...], entropy: float, participation: float
) -> None:
    assert effective_rank(spectrum(*sizes)) == pytest.approx(entropy, rel=1e-10)
    assert effective_rank(spectrum(*sizes), "participation") == pytest.approx(
        participation, rel=1e-10
    )


def test_a_circle_has_one_coordinate_in_two_directions() -> None:
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 2000)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert effective_rank(circle) == pytest.approx(2, rel=0.01)
    assert intrinsic_dimension(circle) == pytest.approx(1, rel=0.05)


@laws
@given(seed=seeds)
def test_effective_rank_ranges_from_one_to_what_fits(seed: int) -> None:
    x = model(seed, n=20)
    entropy, participation = (effective_rank(x, method) for method in ("entropy", "participation"))
    assert 1 <= participation <= entropy <= min(19, x.shape[1]) * (1 + 1e-12)


@ways
@laws
@given(seed=seeds)
def test_a_measure_is_of_the_shape_alone(name: str, method: str, seed: int) -> None:
    """Shift, rotation, scale and the order of the systems play no part."""
    x = model(seed)
    random = np.random.default_rng(seed)
    turn = np.linalg.qr(random.normal(size=(x.shape[1],) * 2))[0]
    before = value(x, name, method)
    for same in (
        x @ turn,
        -x,
        x + 10.0,
        1e-6 * x,
        1e6 * x,
        random.permutation(x),
        np.pad(x, ((0, 0), (0, 4))),
    ):
        assert value(same, name, method) == pytest.approx(before, rel=1e-6)


@ways
@pytest.mark.parametrize("factor", [1e-38, 1e38])
def test_the_whole_range_of_float32_is_safe(name: str, method: str, factor: float) -> None:
    x = model(7)
    assert value(factor * x, name, method) == pytest.approx(value(x, name, method), rel=1e-9)


@ways
@pytest.mark.parametrize("how", NORMALIZATIONS)
def test_normalizing_beforehand_changes_nothing(name: str, method: str, how: str) -> None:
    x = model(5)
    result = measure(x, name, method=method, k=8 if method == "mle" else None, normalize=how)
    assert result.value == pytest.approx(value(normalize(x, how).numpy(), name, method), rel=1e-12)
    assert result.normalization == how


def half_width(result: Measured) -> float:
    assert result.value is not None and result.low is not None and result.high is not None
    assert result.high - result.value == pytest.approx(result.value - result.low)
    return (result.high - result.low) / 2


@ways
def test_an_interval_compares_subsets_that_share_the_fewest_systems(name: str, method: str) -> None:
    """60 independent systems and 3 pairs of subsets leave 2.857 degrees of freedom."""
    x = model(3, n=61)
    size = 45 if name == "effective_rank" else 30
    drawn = paired_subsets(61, size, 5, seed=4)
    assert [len(set(a) & set(b)) for a, b in zip(drawn[::2], drawn[1::2], strict=True)] == [
        max(0, 2 * size - 61)
    ] * 3
    k = {"k": 7} if method == "mle" else {}
    values = np.array([measure(x[rows], name, method=method, **k).value for rows in drawn])
    result = measure(x, name, method=method, k=8 if method == "mle" else None, subsamples=5, seed=4)
    variance = (
        np.square(values[::2] - values[1::2]).mean() / 2 * size**2 / 61 / min(size, 61 - size)
    )
    assert half_width(result) == pytest.approx(
        quantile(1 / (1 / 3 + 1 / 60)) * variance**0.5, rel=1e-9
    )


@pytest.mark.parametrize(("method", "k"), [("mle", 20), ("twonn", None)])
def test_neighbors_within_subsets_are_theirs_alone(method: str, k: int | None) -> None:
    """Rows too few of whose neighbors among all are in a subset are among 200 of 400."""
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(400, 3)))
    drawn = paired_subsets(400, 200, 12, seed=0)
    found = MEASURES["intrinsic_dimension"]
    assert isinstance(found, RowMeasure)
    assert found.on_subsets(x, drawn, method, k) == pytest.approx(
        [found.value(x[rows], method, k, "a") for rows in drawn], rel=1e-12
    )
    assert np.isnan(found.on_subsets(x, drawn[:, :3], method, k)).all()


@ways
def test_the_same_seed_gives_the_same_interval(name: str, method: str) -> None:
    x = model(3, n=120)
    first, same, other = (
        measure(x, name, method=method, subsamples=10, seed=seed) for seed in (5, 5, 6)
    )
    assert first == same
    assert first.low != other.low
    assert first.value == other.value == measure(x, name, method=method).value


def test_subsamples_without_a_value_are_left_out() -> None:
    """Six of fifty systems differ: many halves hold fewer than the four that 'twonn' needs."""
    few = np.repeat(np.random.default_rng(0).normal(size=(1, 3)), 50, axis=0)
    few[:6] += np.random.default_rng(1).normal(size=(6, 3))
    assert half_width(measure(few, "intrinsic_dimension", method="twonn", subsamples=20)) > 0
    none = measure(A[:5], "intrinsic_dimension", method="twonn", subsamples=20)
    assert none.value is not None
    assert (none.low, none.high) == (None, None)


def test_neighbors_in_a_subset_are_as_many_while_they_are_close_and_as_far_beyond() -> None:
    assert [subset_k(k, 100, 50) for k in (1, 5, 12, 20, 50)] == [1, 5, 12, 12, 25]


@ways
@pytest.mark.parametrize(
    ("x", "options", "reason"),
    [
        (np.ones((60, 3)), {}, "every vector of alpha is the same"),
        (
            np.arange(1.0, 61.0)[:, None],
            {"normalize": "l2"},
            "every vector of alpha is the same after 'l2' norm",
        ),
        (
            np.where(np.arange(60)[:, None] == 4, np.nan, model(1, n=60)),
            {},
            "row 4 of alpha is not finite",
        ),
        (np.empty((0, 5)), {}, "alpha has 0 systems of 5 dimensions"),
        ([], {}, "alpha has shape (0,), expected (systems, dimensions)"),
    ],
)
def test_bad_vectors_give_a_reason(
    name: str, method: str, x: Any, options: dict[str, Any], reason: str
) -> None:
    result = measure(x, name, method=method, subsamples=9, **options, name="alpha")
    assert result.reason is not None and result.reason.startswith(reason)
    assert (result.value, result.low, result.high, result.n) == (None, None, None, len(x))


@pytest.mark.parametrize(
    ("x", "method", "reason"),
    [
        (A, "mle", "a has 40 different vectors, but k = 50 needs at least 51"),
        (
            np.repeat(A[:3], 20, axis=0),
            "twonn",
            "a has 3 different vectors, but twonn needs at least 4",
        ),
        (np.eye(60), "mle", "all neighbors of a system are equally far in a"),
        (np.eye(60), "twonn", "all neighbors of a system are equally far in a"),
    ],
)
def test_intrinsic_dimension_raises_a_reason(x: Matrix, method: str, reason: str) -> None:
    with pytest.raises(Undefined, match=f"^{reason}$"):
        intrinsic_dimension(x, method)


def test_effective_rank_raises_a_reason() -> None:
    with pytest.raises(Undefined, match=r"^every vector of alpha is the same$"):
        effective_rank(np.ones((9, 2)), name="alpha")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("effective_rnk", {}, "unknown measure 'effective_rnk'; did you mean 'effective_rank'"),
        (
            "effective_rank",
            {"method": "entropie"},
            "unknown method of effective_rank 'entropie'; did you mean 'entr",
        ),
        (
            "effective_rank",
            {"k": 5},
            "effective_rank has no neighbors, but k = 5 was asked for: leave it out",
        ),
        (
            "intrinsic_dimension",
            {"method": "two-nn"},
            "unknown method of intrinsic_dimension 'two-nn'; did you mean",
        ),
        ("intrinsic_dimension", {"k": 1}, "k = 1, expected at least 2 neighbors"),
        ("effective_rank", {"normalize": "L2"}, "unknown normalization 'L2'; did you mean 'l2'"),
        ("effective_rank", {"subsamples": -1}, "subsamples = -1, expected 0, or 2 and more"),
        ("effective_rank", {"subsamples": 1}, "subsamples = 1, expected 0, or 2 and more"),
    ],
)
def test_wrong_parameters_are_errors(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        measure(A, name, **options)


def test_what_a_result_says() -> None:
    result = measure(A, "intrinsic_dimension", k=9)
    assert (result.measure, result.method, result.k, result.n) == (
        "intrinsic_dimension",
        "mle",
        9,
        40,
    )
    assert measure(A, "intrinsic_dimension", method="twonn", k=9).k is None
    assert measure(A, "effective_rank").k is None
    assert (result.value, result.reason) == (intrinsic_dimension(A, k=9), None)


@ways
def test_any_array_will_do(name: str, method: str) -> None:
    """Arrow's read-only buffers, float32, tensors and lists give the same."""
    single = A.astype(np.float32)
    read_only = pa.array(single.ravel()).to_numpy().reshape(single.shape)
    expected = value(single, name, method)
    for same in (read_only, torch.from_numpy(single), single.tolist(), np.asfortranarray(single)):
        assert value(same, name, method, subsamples=2) == pytest.approx(expected, rel=1e-12)
