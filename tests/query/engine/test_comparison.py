"""What the metrics share: lists, sums over all pairs, subsets, nulls of matrices, intervals; and CPU against torch."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from query.engine import compared_models, devices, sums, tile_operations, tiles
from query.engine.neighbors.nearest import _search_cpu, _search_torch, nearest
from query.metrics import METRICS, Comparison, Undefined, align, align_all, matrices
from query.metrics.matrices import Moments, double_centered, null_moments, u_centered
from query.statistics.interval import margin, paired_subsets, quantile
from query.statistics.null import permutations
from tests.query.cases import related

Matrix = NDArray[np.float64]

WAYS = [(name, way) for name, metric in METRICS.items() for way in metric.estimators or (None,)]
ways = pytest.mark.parametrize(("metric", "estimator"), WAYS)
CORRELATIONS = [
    (name, way) for name, way in WAYS if isinstance(METRICS[name], matrices.MatrixCorrelation)
]


def table(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)))


@pytest.mark.parametrize("geometry", ["inner", "euclidean"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tile", [(1, 3), (13, 8), (1024, 2048)])
def test_lists_are_those_of_a_full_sort(
    geometry: str, dtype: torch.dtype, tile: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "CPU_TILE", tile)
    x = table(90, 6) + 3
    values = (x @ x.T).numpy() if geometry == "inner" else -(cdist(x, x) ** 2)
    np.fill_diagonal(values, -np.inf)
    order = np.argsort(-values, axis=1)[:, :12]
    found = nearest(x, 12, geometry, dtype=dtype)
    assert np.array_equal(found.index, order)
    expected = np.take_along_axis(values, order, axis=1)
    assert found.value == pytest.approx(expected if geometry == "inner" else -expected, rel=1e-12)


@pytest.mark.parametrize("k", [1, 9, 88, 89])
def test_any_k_up_to_all_other_systems(k: int) -> None:
    index = nearest(table(90, 6), k, dtype=torch.float32).index
    assert all(len({*row, i}) == k + 1 for i, row in enumerate(index.tolist()))
    longer = nearest(table(90, 6), 89, dtype=torch.float32)
    assert np.array_equal(longer.index[:, :k], index)


def test_float32_tiles_lose_no_neighbor_to_rounding() -> None:
    """All systems but for 1e-9 at one place: no product of float32 can tell them apart, float64 does."""
    x = torch.ones(200, 8, dtype=torch.float64) + 1e-9 * table(200, 8)
    x[0] = -1.0  # the frame is not that of the cluster alone
    assert np.array_equal(
        nearest(x, 5, "euclidean", dtype=torch.float32).index, nearest(x, 5, "euclidean").index
    )


def a_tile(part: slice, other: slice) -> tuple[torch.Tensor, torch.Tensor]:
    """Centered vectors, and the inner products of some with others, in float32."""
    x = table(60, 7).to(torch.float32)
    x = x - x.mean(dim=0)
    return x, x[part] @ x[other].T


TILES = [(slice(0, 25), slice(0, 25)), (slice(0, 25), slice(25, 60))]


@pytest.mark.parametrize(("part", "other"), TILES)
def test_kernels_and_torch_find_the_same_candidates(part: slice, other: slice) -> None:
    x, tile = a_tile(part, other)
    bonus = x @ x[0]
    found = []
    for search in (_search_cpu, _search_torch):
        values, index = torch.full((60, 6), -torch.inf), torch.zeros((60, 6), dtype=torch.int32)
        search(tile.clone(), bonus, part, other, values, index)
        order = values.argsort(dim=1, descending=True)
        found.append((values.gather(1, order), index.gather(1, order)))
    filled = found[0][0] > -torch.inf
    assert filled[part].all()
    assert torch.equal(filled[other], torch.ones(other.stop - other.start, 6, dtype=torch.bool))
    assert torch.allclose(found[0][0], found[1][0])
    assert torch.equal(found[0][1][filled], found[1][1][filled])


@pytest.mark.parametrize(("part", "other"), TILES)
def test_kernels_and_torch_make_the_same_distances(part: slice, other: slice) -> None:
    x, tile = a_tile(part, other)
    squares, shift, rows = (
        x.square().sum(dim=1),
        x[:, 0].contiguous(),
        torch.zeros(60, dtype=torch.float64),
    )
    theirs = tile.clone()
    tile_operations._become_distances_torch(theirs, squares, shift, part, other)
    tile_operations.become_distances(tile, squares, shift, part, other, rows)
    assert torch.allclose(tile, theirs, atol=1e-6)
    expected = torch.zeros(60, dtype=torch.float64)
    expected[part] += theirs.sum(dim=1, dtype=torch.float64)
    if part != other:
        expected[other] += theirs.sum(dim=0, dtype=torch.float64)
    assert torch.allclose(rows, expected, atol=1e-5)


@pytest.mark.parametrize(("part", "other"), TILES)
def test_kernels_and_torch_count_the_same(part: slice, other: slice) -> None:
    x, tile = a_tile(part, other)
    squares = x.square().sum(dim=1)
    limits = (table(60, 4, seed=1) / 2).to(torch.float32)
    limits[0, 0] = (squares[other] / 2 - tile)[0, 3]  # a tie
    counts = [torch.zeros(60, 4, dtype=torch.int32) for _ in range(2)]
    tile_operations.count_closer(tile, squares, part, other, limits, 5e-7, counts[0])
    tile_operations._count_closer_torch(tile, squares, part, other, limits, 5e-7, counts[1])
    assert torch.equal(*counts)
    assert counts[0].sum() > 0


@pytest.mark.parametrize("width", [1, 8191, 8192, 20000])
def test_products_of_wide_tables(width: int) -> None:
    flat = table(5, width)
    assert torch.allclose(sums.products(flat), flat @ flat.T)


def test_features_and_tiles_give_the_same_kernel_products() -> None:
    models = [table(70, d, seed=d) for d in (3, 9, 40)]
    centered = [x - x.mean(dim=0) for x in models]
    given = [sums.Centered(z, z.square().sum(dim=1)) for z in centered]
    tiled = sums.sum_pairs(
        given, frozenset({"kernels"}), [], device=torch.device("cpu"), side=16
    ).kernels
    assert tiled == pytest.approx(sums.feature_products(given, torch.device("cpu")), rel=1e-12)


@ways
def test_a_subset_is_what_its_vectors_alone_would_give(metric: str, estimator: str | None) -> None:
    """Few systems are left, so that most lists are too short and have to be found anew."""
    a, b = related(80, seed=4, dimensions=(7, 12))
    whole = Comparison([a, b], k=6)
    whole.prepare([METRICS[metric]])
    for kept in (75, 30):
        rows = np.sort(np.random.default_rng(kept).choice(80, kept, replace=False))
        found = whole.subset(rows).value(METRICS[metric], 0, 1, estimator)
        alone = align(a[rows], b[rows], metric, k=6, estimator=estimator).value
        assert found == pytest.approx(alone, rel=1e-11)


@pytest.mark.parametrize("how", ["max", "zscore", "none"])
def test_a_subset_is_normalized_as_its_vectors_alone_would_be(how: str) -> None:
    a, b = related(80, seed=4, dimensions=(7, 12))
    rows = np.arange(0, 80, 2)
    found = (
        Comparison([a, b], k=6, normalize=how)
        .subset(rows)
        .value(METRICS["cknna"], 0, 1, "unbiased")
    )
    assert found == pytest.approx(align(a[rows], b[rows], k=6, normalize=how).value, rel=1e-12)


def test_vectors_that_do_not_fit_in_memory_come_from_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = related(80, seed=4, dimensions=(7, 12))
    inside = align(a, b, "distance_correlation").value
    monkeypatch.setattr(devices, "_free_memory", lambda: 0)
    monkeypatch.setattr(compared_models, "KEPT_BYTES", 0)
    assert align(a, b, "distance_correlation").value == inside


def test_tables_are_read_when_their_turn_comes() -> None:
    a, b = related(80, seed=4, dimensions=(7, 12))
    asked: list[str] = []

    def give(name: str, x: Matrix) -> Any:
        def read() -> Matrix:
            asked.append(name)
            return x

        return read

    late = Comparison([give("a", a), give("b", b)], n=80)
    assert asked == []
    ((_, _, found),) = align_all(late, ["cknna"], [(0, 1)])
    assert asked == ["a", "b"]
    assert found.value == align(a, b).value
    with pytest.raises(
        ValueError, match="say n, the number of systems, where the first table is a function"
    ):
        Comparison([give("a", a)])


def test_what_is_ahead_is_what_is_done() -> None:
    class Counter:
        ahead = done = 0

        def expect(self, products: int) -> None:
            self.ahead += products

        def advance(self, products: int) -> None:
            self.done += products

    progress = Counter()
    given = Comparison(list(related(200, seed=4, dimensions=(7, 12))), k=6, progress=progress)
    list(align_all(given, list(METRICS), [(0, 1), (1, 1)], permutations=3))
    assert progress.ahead == progress.done > 0


def test_a_device_that_is_not_there() -> None:
    a, b = related(30, seed=4, dimensions=(7, 12))
    with pytest.raises(
        ValueError, match="unknown device 'gpu', expected 'cpu', 'cuda' or 'cuda:1'"
    ):
        align(a, b, device="gpu")
    with pytest.raises(
        RuntimeError, match="no device 'cuda:99': torch sees [0-9]+ NVIDIA GPUs; use 'cpu'"
    ):
        align(a, b, device="cuda:99")


def symmetric(n: int, seed: int, *, diagonal: bool) -> Matrix:
    random = np.random.default_rng(seed).normal(size=(n, n)) ** 3
    if diagonal:
        return double_centered(random + random.T)
    hollow: Matrix = random + random.T
    np.fill_diagonal(hollow, 0.0)
    hollow -= hollow.sum() / (n * (n - 1))
    np.fill_diagonal(hollow, 0.0)
    return hollow


@pytest.mark.parametrize("diagonal", [True, False])
@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_moments_are_those_of_all_pairings(n: int, diagonal: bool) -> None:
    a, b = (symmetric(n, seed, diagonal=diagonal) for seed in (n, n + 50))
    shuffled = [np.sum(a * b[np.ix_(order, order)]) for order in itertools.permutations(range(n))]
    mean, deviation = null_moments(Moments.of(a), Moments.of(b), diagonal=diagonal)
    assert mean == pytest.approx(np.mean(shuffled), abs=1e-12)
    assert deviation == pytest.approx(np.std(shuffled), rel=1e-12)


def test_u_centered_rows_sum_to_0_and_pair_as_song_says() -> None:
    x = table(9, 4).numpy()
    kernel = u_centered(x @ x.T)
    assert kernel.sum(axis=1) == pytest.approx(np.zeros(9), abs=1e-12)
    assert kernel.diagonal() == pytest.approx(np.zeros(9))


@pytest.mark.parametrize(("metric", "estimator"), CORRELATIONS + [("information_imbalance", None)])
def test_the_null_of_some_systems_stands_for_that_of_all(
    metric: str, estimator: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """600 systems, once with all pairings run over all of them, once over 150."""
    a, b = related(600, seed=3, dimensions=(7, 12))
    whole = align(a, b, metric, estimator=estimator, k=4, permutations=400)
    monkeypatch.setattr(matrices, "LARGEST", 150)
    part = align(a, b, metric, estimator=estimator, k=4, permutations=400)
    assert part.value == whole.value
    assert part.null_mean == pytest.approx(whole.null_mean, abs=0.2 * whole.null_std)
    assert part.null_std == pytest.approx(whole.null_std, rel=0.15)


@pytest.mark.parametrize(("metric", "estimator"), CORRELATIONS)
def test_the_states_moments_are_those_of_the_matrix(metric: str, estimator: str) -> None:
    a, _ = related(40, seed=3, dimensions=(7, 12))
    given = Comparison([a])
    given.prepare([METRICS[metric]])
    found = given.state(METRICS[metric], 0).moments[estimator]
    expected = Moments.of(METRICS[metric].matrix(given.vectors(0), estimator))
    for field in ("n", "square", "row_square", "trace", "diagonal_square"):
        assert getattr(found, field) == pytest.approx(
            getattr(expected, field), rel=1e-9, abs=1e-9 * expected.square
        )


def test_the_interval_of_a_mean_is_the_textbook_one() -> None:
    x = np.random.default_rng(0).normal(size=500)
    for size in (100, 250, 450):
        values = x[paired_subsets(500, size, 8000, seed=1)].mean(axis=1)
        assert margin(values, 500, size) == pytest.approx(
            1.9652 * x.std(ddof=1) / 500**0.5, rel=0.03
        )
    assert np.isnan(margin(np.array([np.nan, 1.0, 2.0, np.nan]), 500, 250))
    assert quantile(3) == pytest.approx(3.182, rel=1e-3)  # of any table of Student's t


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


def test_orders_are_those_of_the_seed() -> None:
    assert torch.equal(permutations(9, 3, seed=4), permutations(9, 3, seed=4))
    with pytest.raises(Undefined, match="every vector of x is the same"):
        Comparison([np.ones((5, 2))], names=["x"]).vectors(0)


@pytest.mark.gpu
@ways
def test_a_gpu_finds_what_the_cpu_finds(metric: str, estimator: str | None) -> None:
    a, b = related(5000, seed=3, dimensions=(70, 120))
    options = {"estimator": estimator, "permutations": 20, "subsamples": 5}
    cpu, gpu = (align(a, b, metric, device=device, **options) for device in ("cpu", "cuda"))
    for field in ("value", "null_mean", "null_std", "low", "high"):
        assert getattr(gpu, field) == pytest.approx(getattr(cpu, field), rel=1e-5)


def test_scratch_files_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(devices, "_free_memory", lambda: 0)
    align(*related(80, seed=4, dimensions=(7, 12)), "distance_correlation")
    assert list(tmp_path.iterdir()) == []


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
