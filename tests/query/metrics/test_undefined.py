"""Where there is no value there is a reason, and never a number; wrong parameters are errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from query.metrics import METRICS, Comparison, Undefined, align, align_all, cka, cknna, mutual_knn

metrics = pytest.mark.parametrize("metric", METRICS)
RANDOM = np.random.RandomState(0)
A = RANDOM.normal(size=(40, 5))
B = RANDOM.normal(size=(40, 8))


def with_rows(x: np.ndarray, rows: list[int], value: float) -> np.ndarray:
    changed = x.copy()
    changed[rows] = value
    return changed


REASONS: list[tuple[Any, Any, dict[str, Any], str]] = [
    (A, B[:39], {}, "a has 40 systems and b 39: they cannot be paired"),
    (A, np.ones((40, 8)), {}, "every vector of b is the same after 'l2' normalization"),
    (A, np.full((40, 8), 0.1), {"normalize": "zscore"}, "every vector of b is the same"),
    (A, np.full((40, 8), 0.1), {"normalize": "none"}, "every vector of b is the same"),
    (
        np.arange(1.0, 41.0)[:, None],
        B,
        {},
        "every vector of a is the same after 'l2' normalization",
    ),
    (
        with_rows(A, [4], 0.0),
        B,
        {},
        "row 4 of a has only zeros, which normalization 'l2' cannot scale",
    ),
    (
        A,
        with_rows(B, [1, 5, 7, 9], 0.0),
        {"normalize": "max"},
        "4 rows (1, 5, 7, …) of b have only zeros, which normalization 'max' cannot",
    ),
    (with_rows(A, [2], np.nan), B, {}, "row 2 of a is not finite (NaN or infinity)"),
    (A, with_rows(B, [2, 3], np.inf), {}, "2 rows (2, 3) of b are not finite (NaN or infinity)"),
    (A[:0], B[:0], {}, "a has 0 systems of 5 dimensions"),
    (A[:, :0], B, {}, "a has 40 systems of 0 dimensions"),
    ([], [], {}, "a has shape (0,), expected (systems, dimensions)"),
    (A[:, 0], B, {}, "a has shape (40,), expected (systems, dimensions)"),
    (
        A * 1e200,
        B,
        {"normalize": "none"},
        "the largest element of a is 2.55e+200: float64 cannot hold",
    ),
    (A, B * 1e-100, {"normalize": "none"}, "the largest element of b is "),
]


@metrics
@pytest.mark.parametrize(("a", "b", "options", "reason"), REASONS)
def test_bad_vectors_give_a_reason(
    metric: str, a: Any, b: Any, options: dict[str, Any], reason: str
) -> None:
    result = align(a, b, metric, k=5, permutations=9, **options)
    assert result.value is None
    assert result.reason and result.reason.startswith(reason)
    assert (result.null_mean, result.null_std, result.p_value, result.calibrated) == (
        None,
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("metric", "n", "k", "reason"),
    [
        ("cknna", 20, 25, "n = 20 systems in common, but k = 25 needs at least 26"),
        ("mutual_knn", 20, 25, "n = 20 systems in common, but k = 25 needs at least 27"),
        ("mutual_knn", 26, 25, "n = 26 systems in common, but k = 25 needs at least 27"),
        ("cknna", 3, 1, "n = 3 systems in common, but k = 1 needs at least 4"),
        ("cka", 3, 25, "n = 3 systems in common, but cka needs at least 4"),
    ],
)
def test_too_few_systems(metric: str, n: int, k: int, reason: str) -> None:
    result = align(A[:n], B[:n], metric, k=k)
    assert (result.value, result.reason, result.n) == (None, reason, n)


def test_enough_systems() -> None:
    assert align(A[:26], B[:26], "cknna", k=25).value is not None
    assert align(A[:27], B[:27], "mutual_knn", k=25).value is not None
    assert align(A[:4], B[:4], "cka").value is not None


def test_one_hot_vectors_have_no_unbiased_alignment() -> None:
    one_hot = np.eye(40)
    assert (
        align(one_hot, A, "cka").reason == "the unbiased alignment of a with itself is not positive"
    )
    assert (
        align(A, one_hot, "cknna").reason
        == "the unbiased alignment of b with itself is not positive"
    )


def test_functions_raise_the_reason() -> None:
    with pytest.raises(Undefined, match="n = 3 systems in common, but k = 25 needs at least 26"):
        cknna(A[:3], B[:3])
    with pytest.raises(Undefined, match="n = 3 systems in common, but k = 2 needs at least 4"):
        mutual_knn(A[:3], B[:3], k=2)
    with pytest.raises(Undefined, match="every vector of b is the same"):
        cka(A, np.ones_like(B))


def test_the_reason_names_the_model() -> None:
    comparison = Comparison([A, np.ones_like(B)], names=["alpha", "beta"])
    ((_, _, found),) = align_all(comparison, ["cknna"], [(0, 1)])
    assert found.reason == "every vector of beta is the same after 'l2' normalization"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"metric": "cknn"},
            "unknown metric 'cknn'; did you mean 'cknna'\\? there are: cka, cknna",
        ),
        (
            {"estimator": "centred"},
            "unknown estimator of cknna 'centred'; did you mean 'centered'\\?",
        ),
        ({"metric": "mutual_knn", "estimator": "biased"}, "mutual_knn has no estimators"),
        ({"normalize": "L2"}, "unknown normalization 'L2'; did you mean 'l2'\\?"),
        ({"k": 0}, "k = 0, expected at least 1 neighbor"),
        ({"permutations": -1}, "permutations = -1, expected 0 or more"),
    ],
)
def test_wrong_parameters_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        align(A, B, **options)


@metrics
def test_any_array_will_do(metric: str) -> None:
    """Arrow's read-only buffers, float32, tensors and lists give the same."""
    single = A.astype(np.float32)
    read_only = pa.array(single.ravel()).to_numpy().reshape(single.shape)
    expected = align(single, B, metric).value
    for same in (read_only, torch.from_numpy(single), single.tolist(), np.asfortranarray(single)):
        assert align(same, B, metric).value == pytest.approx(expected, rel=1e-12)
