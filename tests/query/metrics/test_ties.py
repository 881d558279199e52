"""Ties: identity, symmetry, order and precision hold if systems are equally near."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

import query
from query.engine.neighbors import candidates, lists, search
from query.engine.neighbors.lists import Neighborhoods
from query.engine.normalization import normalize, normalize_resolved
from query.metrics import (
    METRICS,
    Comparison,
    align,
    cknna,
    information_imbalance,
    measure,
    mutual_knn,
)
from query.statistics.null import compare_with_null
from tests.query import stores

Matrix = NDArray[np.float64]

laws = settings(max_examples=12, deadline=None)
seeds = st.integers(0, 2**32 - 1)
NEIGHBORLY = [name for name, metric in METRICS.items() if metric.lists]
metrics = pytest.mark.parametrize("metric", NEIGHBORLY)
KINDS = ("classes", "counts", "copies", "line")


def tied(seed: int, n: int = 40) -> Matrix:
    """Return a model that has few vectors, or few distances between them, or copies."""
    random = np.random.RandomState(seed)
    kind = KINDS[random.randint(len(KINDS))]
    if kind == "classes":
        return np.eye(5)[random.randint(0, 5, n)]
    if kind == "counts":
        return random.poisson(1.0, size=(n, 3)) + np.array([1.0, 0, 0])
    if kind == "copies":
        return np.repeat(random.normal(size=(n // 4, 4)), 4, axis=0)[random.permutation(n)]
    return np.arange(1.0, n + 1)[random.permutation(n), None] * [0, 1] + [3, 0]


def rotated(x: Matrix, seed: int) -> Matrix:
    return x @ np.linalg.qr(np.random.RandomState(seed).normal(size=(x.shape[1],) * 2))[0]


def value(a: Matrix, b: Matrix, metric: str, how: str = "l2", **options: str) -> float:
    result = align(a, b, metric, k=6, normalize=how, **options)
    assert result.value is not None, result.reason
    return result.value


@pytest.mark.parametrize("how", ["l2", "none"])
@metrics
@laws
@given(seed=seeds)
def test_a_copy_in_float32_that_is_turned_and_scaled_is_the_same(
    metric: str, how: str, seed: int
) -> None:
    x = tied(seed)
    own = value(x, x, metric, how)
    if metric != "information_imbalance":
        assert own == pytest.approx(1, abs=1e-12)
    single, other = x.astype(np.float32), (0.37 * rotated(x, seed)).astype(np.float32)
    assert value(single, other, metric, how) == pytest.approx(own, abs=1e-6)
    assert value(x, 1e6 * rotated(x, seed), metric, how) == pytest.approx(own, abs=1e-9)


@metrics
@laws
@given(seed=seeds)
def test_the_order_of_systems_decides_nothing(metric: str, seed: int) -> None:
    a, b = tied(seed), tied(seed ^ 1)
    order = np.random.RandomState(seed).permutation(len(a))
    assert value(a[order], b[order], metric) == pytest.approx(value(a, b, metric), abs=1e-11)
    if METRICS[metric].symmetric:
        assert value(b, a, metric) == pytest.approx(value(a, b, metric), abs=1e-11)


def chances(x: Matrix, k: int, products: bool) -> Matrix:
    """Return the probability of each system to be among the k nearest, ties broken at random."""
    far = -(x @ x.T) if products else cdist(x, x)
    np.fill_diagonal(far, np.inf)
    last = np.sort(far, axis=1)[:, k - 1 : k]
    closer = far < last - 1e-9
    equal = (np.abs(far - last) <= 1e-9) & ~closer
    return closer + equal * (k - closer.sum(axis=1, keepdims=True)) / equal.sum(
        axis=1, keepdims=True
    )


def weights(members: Neighborhoods) -> Matrix:
    n = len(members.start)
    found = np.zeros((n, n))
    for i in range(n):
        found[i, members.who[members.start[i] : members.sure[i]]] = 1
        found[i, members.who[members.sure[i] : members.stop[i]]] = members.share[i]
    np.fill_diagonal(found, 0)
    return found


@pytest.mark.parametrize("geometry", ["inner", "euclidean"])
@laws
@given(seed=seeds)
def test_weights_are_chances_for_any_k_and_any_systems(geometry: str, seed: int) -> None:
    x = tied(seed)
    comparison = Comparison([x], k=9, normalize="none")
    rows = np.sort(np.random.RandomState(seed).permutation(len(x))[:25])
    part = comparison.subset(rows)
    for k in (9, 4, 1):
        expected = chances(x, k, geometry == "inner")
        assert weights(comparison.neighbors(0, geometry, k)) == pytest.approx(expected, abs=1e-12)
        expected = chances(x[rows], k, geometry == "inner")
        assert weights(part.neighbors(0, geometry, k)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(40))
def test_lists_cut_to_some_systems_are_those_found_among_them(seed: int) -> None:
    """Copies among all systems, none among those left: lists are not numbered as systems."""
    random = np.random.default_rng(seed)
    n, k = int(random.integers(20, 60)), int(random.integers(1, 6))
    x = random.normal(size=(n // 2, 3)).astype(np.float32)[random.integers(0, n // 2, n)]
    rows = np.sort(random.choice(n, k + 12, replace=False))
    if seed % 2:
        rows = np.sort(rows[np.unique(x[rows], axis=0, return_index=True)[1]])
    vectors, resolution = normalize_resolved(x, "none")
    some = vectors[torch.from_numpy(rows)]
    found = [
        search.cut_lists(
            search.find_lists(vectors, k, "euclidean", resolution, "a"),
            rows,
            some,
            k,
            resolution.of_rows(rows),
            "a",
        ),
        search.find_lists(some, k, "euclidean", resolution.of_rows(rows), "a"),
    ]
    assert np.array_equal(*(weights(lists.first(k)) for lists in found))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@laws
@given(seed=seeds)
def test_a_gpus_search_finds_the_same_ties(dtype: torch.dtype, seed: int) -> None:
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for way in (candidates._search_cpu, candidates._search_torch):
            patch.setattr(candidates, "_search_cpu", way)
            found.append(
                weights(Comparison([tied(seed)], k=6, dtype=dtype).neighbors(0, "inner", 6))
            )
    assert np.array_equal(*found)


def test_unrelated_classes_agree_as_often_as_they_would_by_chance() -> None:
    """Of two equally frequent vectors in all combinations, models share half of the neighbors."""
    a, b = (np.eye(2)[np.arange(100) // step % 2] for step in (1, 2))
    result = align(a, b, "mutual_knn", k=5, permutations=200)
    assert result.value == pytest.approx(
        24 / 49
    )  # of 49 with the same vector in a, 24 have the same in b
    assert result.n_distinct == 2
    assert result.p_value is not None and result.p_value > 0.3


@pytest.mark.parametrize("kind", ["one formula", "two formulas"])
def test_both_layers_agree_on_tied_systems(kind: str, tmp_path: Path) -> None:
    random = np.random.RandomState(0)
    counts = random.poisson(1.0, size=(90, 3)) + [1.0, 0, 0]
    other = counts if kind == "one formula" else random.poisson(1.0, size=(90, 4)) + [1.0, 0, 0, 0]
    tables = {"m0": counts.astype(np.float32), "m1": rotated(other, 0).astype(np.float32)}
    path = stores.make(tmp_path / "matter.duckdb", tables)
    with query.connect(path) as con:
        for metric in ("cknna", "mutual_knn", "information_imbalance"):
            for part in ("true", "hash(system_id) % 3 > 0"):
                chosen = (
                    f"(SELECT list(system_id) FROM embeddings WHERE model_id = 'm0' AND {part})"
                )
                by_name = f"""
                    SELECT value
                    FROM alignment('m0', 'm1', metric := '{metric}', k := 5, systems := {chosen})
                """
                by_rows = f"""
                    SELECT {metric}(a.vector, b.vector, k := 5)
                    FROM embeddings a JOIN embeddings b USING (system_id)
                    WHERE a.model_id = 'm0' AND b.model_id = 'm1' AND {part}
                """
                expected = con.sql(by_name).fetchone()
                assert con.sql(by_rows).fetchone() == pytest.approx(expected, abs=1e-9)


RANDOM = np.random.RandomState(0)
X = RANDOM.normal(size=(400, 8)).astype(np.float32)
COPIED = np.concatenate([X, X[:40] + 1e-7 * RANDOM.normal(size=(40, 8)).astype(np.float32)])


@pytest.mark.parametrize("method", ["mle", "twonn"])
def test_last_bits_do_not_lower_the_intrinsic_dimension(method: str) -> None:
    plain, copied = (measure(x, "intrinsic_dimension", method=method, k=None) for x in (X, COPIED))
    assert (copied.n, copied.n_distinct) == (440, 400)
    assert copied.value == pytest.approx(plain.value, rel=1e-6)
    in_double = measure(COPIED.astype(np.float64), "intrinsic_dimension", method=method)
    assert in_double.n_distinct == 440  # float64 can tell these apart


def test_copies_but_for_last_bits_tie_exactly() -> None:
    exact = np.concatenate([X, X[:40]])
    assert cknna(COPIED, exact) == pytest.approx(1, abs=1e-6)
    assert mutual_knn(COPIED, exact) == 1
    assert align(COPIED, exact).n_distinct == 400


@pytest.mark.parametrize("how", ["l2", "none", "zscore"])
@metrics
def test_a_model_that_float32_cannot_tell_from_a_constant_has_no_value(
    metric: str, how: str
) -> None:
    noise = RANDOM.normal(size=(60, 7)) + 3
    collapsed = (1 + RANDOM.rand(7) + 1e-7 * RANDOM.normal(size=(60, 7))).astype(np.float32)
    reason = align(noise, collapsed, metric, normalize=how).reason
    assert reason and reason.startswith("every vector of b is the same")
    assert reason.endswith(", to the precision of float32")
    assert align(noise, collapsed.astype(np.float64), metric, k=5, normalize=how).value is not None


def test_collinear_vectors_of_one_side_are_constant_under_l2() -> None:
    line = (np.abs(RANDOM.normal(size=(60, 1))) * RANDOM.normal(size=7)).astype(np.float32)
    assert (
        align(line, X[:60]).reason
        == "every vector of a is the same after 'l2' normalization, to the precision of float32"
    )
    assert align(line, X[:60], normalize="none").n_distinct == 60


@pytest.mark.parametrize(
    ("kind", "spread", "alike"), [(np.float16, 3e-4, True), (np.float32, 3e-4, False)]
)
def test_the_precision_is_that_of_the_vectors_as_given(
    kind: type, spread: float, alike: bool
) -> None:
    x = (1 + spread * RANDOM.rand(30, 4)).astype(kind)
    assert (align(x, X[:30], k=5).value is None) == alike
    half = torch.from_numpy(np.ones((30, 4)) + spread * RANDOM.rand(30, 4)).to(torch.bfloat16)
    assert align(half, X[:30], k=5).value is None


def test_vectors_far_from_the_origin_keep_their_neighbors_in_float64() -> None:
    """Inner products of such vectors are all 1 to 12 digits, but not their distances."""
    near = RANDOM.normal(size=(200, 6))
    far = normalize(1 + 1e-6 * near, "none").numpy()
    expected = chances(far / np.linalg.norm(far, axis=1, keepdims=True) * 1e6, 9, products=False)
    assert weights(Comparison([far], k=9).neighbors(0, "inner", 9)) == pytest.approx(
        expected, abs=1e-9
    )


def test_tied_systems_are_warned_of() -> None:
    a = np.repeat(X[:20], 3, axis=0)
    assert align(a, X[:60], k=2).warning is None  # both copies, and no other system
    assert align(a, X[:60], k=1).warning == "100% of systems have ties at the k-th neighbor in a"
    assert align(a, X[:60], "cka").warning is None


def test_too_many_ties_are_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "LARGEST", 1000)
    result = align(np.eye(60), X[:60], "mutual_knn", k=5, permutations=9)
    assert result.value is None
    assert result.reason is not None
    assert result.reason.startswith(
        "the 60 distinct vectors of a tie so often at their k-th neighbor"
    )
    assert align(np.eye(60), X[:60], "information_imbalance", k=5).reason == result.reason
    assert align(X[:60], X[:60], "mutual_knn", k=5).value == 1
    assert align(np.eye(60), X[:60], "procrustes").value is not None


def test_values_that_differ_by_rounding_are_equal_to_the_null() -> None:
    null = torch.full((19,), 0.1 + 0.2, dtype=torch.float64)
    assert compare_with_null(0.3 + 1e-15, null).p_value == 1
    assert compare_with_null(0.3 - 1e-15, null, lower_is_closer=True).p_value == 1


def test_information_imbalance_of_classes_worked_by_hand() -> None:
    """Of ten systems of each of two vectors nine are at place 5 on average."""
    x = np.repeat(np.eye(2), 10, axis=0)
    assert information_imbalance(x, x, 3) == pytest.approx(2 / 20 * 5)
