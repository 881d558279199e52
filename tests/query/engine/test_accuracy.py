"""How exact values are if tiles are float32, on easy and on difficult vectors.

That is so beyond 2,048 systems.

Every value is compared with its definition in float64 (`dense.py`). The bounds, which are the
documented ones, hold because vectors are normalized and centered in float64, sums are added in
float64 chunks, and neighbors are scored again in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from query.engine import tiles
from query.engine.comparison import Comparison
from query.metrics import METRICS, Undefined, align, choose_estimator
from tests.query.cases import CASES, COPIES, benign, collapsed, many_copies, many_lengths, with_row
from tests.query.dense import REVERSED, Matrix, Value, dense_values
from tests.query.golden.vectors import pairs, recorded, scaled

N = 2_200  # tiles beyond query.engine.tiles.SMALL, of several sizes
K = 10

# The largest relative error of a value, whatever the vectors: about five times the largest below.
BOUNDS: dict[Value, float] = {
    ("cknna", "unbiased"): 1e-12,
    ("cknna", "centered"): 1e-12,
    ("mutual_knn", None): 1e-15,
    ("cka", "unbiased"): 2e-6,
    ("cka", "biased"): 2e-6,
    ("distance_correlation", "unbiased"): 1e-6,
    ("distance_correlation", "biased"): 1e-6,
    ("information_imbalance", None): 2e-5,
    ("information_imbalance", REVERSED): 2e-5,
    ("rsa", "pearson"): 1e-6,
}
values = pytest.mark.parametrize("value", BOUNDS, ids=lambda value: "-".join(filter(None, value)))


def find(comparison: Comparison, value: Value) -> float:
    metric, estimator = value
    if estimator == REVERSED:
        return comparison.value(METRICS[metric], 1, 0, None)
    return comparison.value(METRICS[metric], 0, 1, estimator)


def comparison_of(pair: tuple[Matrix, Matrix], how: str = "l2", **options: Any) -> Comparison:
    return Comparison(pair, names=["a", "b"], normalize=how, **({"k": K} | options))


# 'l2' takes scale and length away before anything can go wrong with them, so such cases are checked
# under 'none'.
CHECKED = [
    ("benign", N, "l2", K),
    ("common_mean", N, "l2", K),
    ("common_mean", N, "none", K),
    ("tiny", N, "none", K),
    ("huge", N, "none", K),
    ("duplicated", N, "l2", K),
    ("many_copies", N, "l2", COPIES + 4),
    ("many_lengths", N, "none", K),
    ("integers", N, "none", K),
    ("integers", N, "l2", K),
]


def with_all_sums(comparison: Comparison) -> Comparison:
    """Compute what all metrics take in one pass."""
    comparison.sums.compute({kind for metric in METRICS.values() for kind in metric.needs})
    return comparison


@pytest.fixture(scope="module", params=CHECKED, ids=lambda case: "-".join(map(str, case[:3])))
def checked(request: pytest.FixtureRequest) -> Iterator[tuple[Comparison, dict[Value, float]]]:
    """Return a comparison of a case in float32, and its values in float64 from the definitions."""
    case, n, how, k = request.param
    pair = CASES[case](n)
    comparison = with_all_sums(comparison_of(pair, how, k=k))
    assert comparison.dtype == torch.float32
    a, b = (scaled(x, how) for x in pair)
    yield comparison, dense_values(a, b, k)


@values
def test_float32_stays_within_its_bounds(
    checked: tuple[Comparison, dict[Value, float]], value: Value
) -> None:
    comparison, expected = checked
    assert find(comparison, value) == pytest.approx(expected[value], rel=BOUNDS[value])


@pytest.mark.parametrize("package", ["dcor", "rsatoolbox", "dadapy"])
def test_the_definitions_are_what_packages_find(package: str) -> None:
    """The bounds then do not rest on our reading of the papers alone."""
    for row in recorded(package):
        a, b = (scaled(x, row["normalize"]) for x in pairs()[row["case"]])
        found = dense_values(a, b, row.get("k", 1))
        expected = {
            "dcor": lambda row: {("distance_correlation", row["estimator"]): row["value"]},
            "rsatoolbox": lambda row: {("rsa", "pearson"): row["value"]},
            "dadapy": lambda row: {
                ("information_imbalance", None): row["from_a"],
                ("information_imbalance", REVERSED): row["from_b"],
            },
        }[package](row)
        assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-11)


@values
@pytest.mark.parametrize("case", ["benign", "common_mean", "integers"])
def test_both_precisions_agree(case: str, value: Value) -> None:
    pair = CASES[case](400)
    double = find(comparison_of(pair, dtype=torch.float64), value)
    assert find(comparison_of(pair, dtype=torch.float32), value) == pytest.approx(
        double, rel=BOUNDS[value]
    )
    assert double == pytest.approx(
        dense_values(*(scaled(x, "l2") for x in pair), K)[value], rel=1e-10
    )


@pytest.mark.parametrize("sides", [(3, 4), (7, 50), (64, 512), (4096, 8192)])
@pytest.mark.parametrize("case", ["common_mean", "duplicated", "many_copies"])
def test_tiles_change_no_neighbor_and_no_value(
    case: str, sides: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = CASES[case](200)
    whole = comparison_of(pair, dtype=torch.float32)
    monkeypatch.setattr(tiles, "CPU_TILE", sides)
    parts = comparison_of(pair, dtype=torch.float32, tile_side=sides[0])
    for i in range(2):
        for one, other in zip(
            parts.neighbors(i, "inner", K), whole.neighbors(i, "inner", K), strict=True
        ):
            assert np.array_equal(one, other)
    for value in BOUNDS:
        if value[0] in ("cknna", "mutual_knn"):
            assert find(parts, value) == find(whole, value)
        else:
            assert find(parts, value) == pytest.approx(find(whole, value), rel=BOUNDS[value])


@pytest.fixture(scope="module", params=[K, COPIES + 4])
def orders(request: pytest.FixtureRequest) -> tuple[Comparison, Comparison]:
    """Return a comparison of many copies, and one of the same systems in another order."""
    a, b = many_copies(N)
    order = np.random.RandomState(0).permutation(N)
    pairs = (a, b), (a[order], b[order])
    one, other = (with_all_sums(comparison_of(pair, k=request.param)) for pair in pairs)
    return one, other


@values
def test_the_order_of_tied_systems_changes_nothing(
    orders: tuple[Comparison, Comparison], value: Value
) -> None:
    """Copies are copies in both models, so it does not matter which of them a list holds."""
    one, other = orders
    assert find(other, value) == pytest.approx(find(one, value), rel=BOUNDS[value])


@pytest.mark.parametrize("geometry", ["inner", "euclidean"])
def test_all_copies_are_neighbors_alike(geometry: str) -> None:
    copies = np.arange(N) % (N // COPIES)
    a = benign(N // COPIES)[0][copies]
    members = comparison_of((a, a), "none" if geometry == "euclidean" else "l2").neighbors(
        0, geometry, K
    )
    for row in (0, 149, 753, N - 1):
        its = members.who[members.start[row] : members.stop[row]]
        assert sorted(its.tolist()) == np.flatnonzero(copies == copies[row]).tolist()
        assert members.sure[row] == members.start[row]
        assert members.share[row] == K / (COPIES - 1)


@pytest.mark.parametrize("case", ["benign", "common_mean", "many_lengths"])
def test_cknna_of_all_neighbors_is_unbiased_cka(case: str) -> None:
    comparison = comparison_of(CASES[case](300), k=299, dtype=torch.float32)
    expected = find(comparison, ("cka", "unbiased"))
    assert find(comparison, ("cknna", "unbiased")) == pytest.approx(
        expected, rel=BOUNDS["cka", "unbiased"]
    )


A, B = benign(N)
metrics = pytest.mark.parametrize("metric", METRICS)


@metrics
@pytest.mark.parametrize(
    ("b", "reason"),
    [
        (with_row(B, 7, 0.0), "row 7 of b has only zeros, which normalization 'l2' cannot scale"),
        (with_row(B, 7, np.nan), r"row 7 of b is not finite \(NaN or infinity\)"),
        (with_row(B, 7, -np.inf), r"row 7 of b is not finite \(NaN or infinity\)"),
        (
            collapsed(B),
            "every vector of b is the same after 'l2' normalization, to the precision of float64",
        ),
    ],
    ids=["zero", "nan", "infinity", "collapsed"],
)
def test_vectors_without_a_value_give_the_reason(metric: str, b: Matrix, reason: str) -> None:
    comparison = comparison_of((A, b))
    for one, other in ((0, 1), (1, 0), (1, 1)):
        with pytest.raises(Undefined, match=f"^{reason}$"):
            comparison.value(METRICS[metric], one, other, choose_estimator(METRICS[metric], None))


@metrics
@pytest.mark.parametrize("n", [K - 1, K, K + 1, K + 2])
def test_too_few_systems_give_the_reason(metric: str, n: int) -> None:
    chosen = METRICS[metric]
    result = align(A[:n], B[:n], metric, k=K)
    if n >= chosen.least_systems(K):
        assert result.value is not None, result.reason
    else:
        assert result.value is None
        assert result.reason.startswith(f"n = {n} systems in common, but ")
        assert n <= K + 1


def test_lengths_that_vary_strongly_are_warned_of() -> None:
    lengths = many_lengths(N)
    assert align(*lengths, "mutual_knn", normalize="none").warning
    assert align(lengths[0], B, "mutual_knn", normalize="none").warning
    assert align(A, lengths[1], "mutual_knn", normalize="none").warning
    assert align(A, B, "mutual_knn", normalize="none").warning is None
    assert align(*lengths, "mutual_knn").warning is None, "'l2' has taken them away"
