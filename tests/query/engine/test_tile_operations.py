"""Distances and counts in tiles: the kernels against torch."""

from __future__ import annotations

import pytest
import torch

from query.engine import tile_operations
from tests.query.engine.tables import TILES, a_tile, table


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
