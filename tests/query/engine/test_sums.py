"""Sums over all pairs of systems, from tiles and from features."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from query.engine import sums
from query.engine.comparison import Comparison
from query.engine.tiles import triangle_strips
from tests.query.engine.tables import table


@pytest.mark.parametrize("width", [1, 8191, 8192, 20000])
def test_products_of_wide_tables(width: int) -> None:
    flat = table(5, width)
    assert torch.allclose(sums.products(flat), flat @ flat.T)


def test_features_and_tiles_give_the_same_kernel_products() -> None:
    models = [table(70, d, seed=d) for d in (3, 9, 40)]
    centered = [x - x.mean(dim=0) for x in models]
    given = [sums.Centered(z, z.square().sum(dim=1)) for z in centered]
    cpu = torch.device("cpu")
    tiled = sums.TilePass(given, frozenset({"kernels"}), [], device=cpu, side=16)
    featured = sums.FeaturePass(given, cpu, side=16)
    found = tiled.run(lambda products: None).kernels
    assert found == pytest.approx(featured.run(lambda products: None).kernels, rel=1e-12)


def test_a_strip_is_the_same_however_many_threads_there_are() -> None:
    x = table(100, 8192).to(torch.float32)  # long vectors, of which threads would share a product
    given = [sums.Centered(x - x.mean(dim=0), x.square().sum(dim=1).to(torch.float64))]
    usual, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 8):
            torch.set_num_threads(count)
            kinds, cpu = frozenset({"kernels", "distances"}), torch.device("cpu")
            found.append(sums.TilePass(given, kinds, [], device=cpu, side=64).find(0))
    finally:
        torch.set_num_threads(usual)
    for name, array in found[0].items():
        assert all(np.array_equal(array, other[name]) for other in found), name


class Strips:
    """Strips of another comparison; a `FoundStrips` that tells how many are alive."""

    side = 16

    def __init__(self, comparison: Comparison) -> None:
        self.comparison, self.most = comparison, 0

    def lists(self, model: int, geometry: str, k: int) -> None:
        return None

    def sums(self, kinds: frozenset[str]) -> Iterator[dict[str, Any]]:
        made: list[weakref.ref[Any]] = []
        with self.comparison.sums.in_strips(kinds) as find:
            for number in range(len(triangle_strips(self.comparison.n, self.side))):
                part = find(number)
                made.append(weakref.ref(part["distances"]))
                self.most = max(self.most, sum(each() is not None for each in made))
                yield part


def test_strips_are_added_without_holding_them_all() -> None:
    tables = [table(90, d, seed=d) for d in (3, 9)]
    whole = Comparison(tables, tile_side=16)
    strips = Strips(Comparison(tables, tile_side=16))
    joined = Comparison(tables, strips=strips)
    found = joined.sums.of_kind("distances").distances
    assert np.array_equal(found, whole.sums.of_kind("distances").distances)
    assert strips.most <= 2
