"""Sums over all pairs of systems, from tiles and from features."""

from __future__ import annotations

import pytest
import torch

from query.engine import sums
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
