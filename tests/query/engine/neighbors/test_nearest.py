"""Neighbor lists against a full sort, and the kernels against torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from query.engine import tiles
from query.engine.neighbors.candidates import _Frame, _search_cpu, _search_torch
from query.engine.neighbors.nearest import nearest
from tests.query.engine.tables import TILES, a_tile, table


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
    """All systems but one lie within 1e-9: no product of float32 tells them apart, float64 does."""
    x = torch.ones(200, 8, dtype=torch.float64) + 1e-9 * table(200, 8)
    x[0] = -1.0  # the frame is not that of the cluster alone
    assert np.array_equal(
        nearest(x, 5, "euclidean", dtype=torch.float32).index, nearest(x, 5, "euclidean").index
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("among", "k"), [(70, 4), (5, 5), (9, 3)])
def test_other_rows_find_neighbors_among_the_first(
    dtype: torch.dtype, among: int, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiles, "CPU_TILE", (13, 8))
    x = table(90, 6)
    x[80] = x[3]  # it is nobody's own neighbor, but this may be
    distances = cdist(x[70:], x[:among])
    found = nearest(x, k, "euclidean", dtype=dtype, rows=np.arange(70, 90), among=among)
    assert np.array_equal(found.index, np.argsort(distances, axis=1)[:, :k])
    expected = np.sort(distances, axis=1)[:, :k] ** 2
    assert found.value == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("part", "other"), TILES)
def test_kernels_and_torch_find_the_same_candidates(part: slice, other: slice) -> None:
    x, tile = a_tile(part, other)
    bonus = x @ x[0]
    frame = _Frame(x, bonus, torch.zeros(60), torch.zeros(60))
    found = []
    for search in (_search_cpu, _search_torch):
        values, index = torch.full((60, 6), -torch.inf), torch.zeros((60, 6), dtype=torch.int32)
        search(torch.empty_like(tile), frame, part, other, values, index)
        order = values.argsort(dim=1, descending=True)
        found.append((values.gather(1, order), index.gather(1, order)))
    filled = found[0][0] > -torch.inf
    assert filled[part].all()
    assert torch.equal(filled[other], torch.ones(other.stop - other.start, 6, dtype=torch.bool))
    assert torch.allclose(found[0][0], found[1][0])
    assert torch.equal(found[0][1][filled], found[1][1][filled])
