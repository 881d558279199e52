"""Distances and counts in tiles: the kernels against torch."""

from __future__ import annotations

import pytest
import torch

from query.engine import tile_operations
from query.engine.tiles import upper
from tests.query.engine.tables import TILES, a_tile, table


@pytest.mark.parametrize(("part", "other"), TILES)
def test_kernels_and_torch_make_the_same_distances(part: slice, other: slice) -> None:
    x, tile = a_tile(part, other)
    squares, shift, rows = (
        x.square().sum(dim=1),
        x[:, 0].contiguous(),
        torch.zeros(60, dtype=torch.float64),
    )
    theirs, ours = torch.empty_like(tile), torch.empty_like(tile)
    tile_operations._find_distances_torch(tile, theirs, squares, shift, part, other)
    tile_operations.find_distances(tile, ours, squares, shift, part, other, rows)
    assert torch.allclose(ours, theirs, atol=1e-6)
    in_place = tile.clone()
    tile_operations.find_distances(in_place, in_place, squares, shift, part, other, rows.clone())
    assert torch.equal(in_place, ours)
    expected = torch.zeros(60, dtype=torch.float64)
    expected[part] += theirs.sum(dim=1, dtype=torch.float64)
    if part != other:
        expected[other] += theirs.sum(dim=0, dtype=torch.float64)
    assert torch.allclose(rows, expected, atol=1e-5)


@pytest.mark.parametrize("many", [4, 300])
@pytest.mark.parametrize("place", ["among all", "of the nearest", "of one"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kernels_and_torch_count_what_is_closer(many: int, place: str, dtype: torch.dtype) -> None:
    """Tile by tile, so that kernels choose how they count from what they counted before."""
    x = table(60, 7).to(dtype)
    x = x - x.mean(dim=0)
    squares, precision = x.square().sum(dim=1), 5e-7
    closeness = (squares / 2 - x @ x.T).fill_diagonal_(torch.inf)
    limits = (table(60, many, seed=1) / 2).to(dtype)
    limits[1:, 0] = closeness[1:, 0]  # a tie
    if place == "of the nearest":
        limits = closeness.sort(dim=1).values[:, :2].repeat(1, many // 2)
    if place == "of one":
        limits = limits[:, :1].expand(-1, many)
    band = precision * (squares[:, None] + limits.abs())
    expected = sum(
        (closeness[:, None] < edges[..., None]).sum(2) for edges in (limits - band, limits + band)
    )
    ordered = limits.sort(dim=1)
    for tally in (tile_operations.tally_closer, tile_operations._tally_closer_torch):
        tallies = torch.zeros(60, many + 1, dtype=torch.int32)
        for part, other in upper(60, 17, 23):
            given = (squares, part, other, ordered.values.contiguous(), precision, tallies)
            tally(x[part] @ x[other].T, *given)
        counts = tile_operations.closer_counts(tallies, ordered.indices)
        assert torch.equal(counts, expected.to(torch.int32))
        assert 0 < counts.sum() < 2 * 60 * counts.numel()
