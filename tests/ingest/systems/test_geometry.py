"""The nearest pair of atoms, over all periodic images."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ingest.systems import geometry
from ingest.systems.geometry import nearest_pair
from ingest.systems.validation import MIN_CELL_HEIGHT

COORDINATES = st.lists(st.tuples(*[st.integers(-30, 30)] * 3), min_size=1, max_size=6, unique=True)
SHAPES = st.tuples(*[st.integers(8, 40)] * 3, *[st.integers(-20, 20)] * 3)


@pytest.fixture(scope="module", params=[0, geometry.FEW], ids=["tree", "pairs"], autouse=True)
def few(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have the pairs found by a tree, as of many atoms, and by comparing all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geometry, "FEW", request.param)
        yield


@settings(deadline=None)
@given(COORDINATES, SHAPES, st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_the_nearest_pair_is_that_of_all_images(
    places: list[tuple[int, int, int]], shape: tuple[int, ...], pbc: tuple[bool, bool, bool]
) -> None:
    positions, periodic, within = np.array(places) / 10, np.array(pbc), 0.3
    a, b, c, xy, xz, yz = np.array(shape) / 10
    cell = np.array([[a, 0, 0], [xy, b, 0], [xz, yz, c]])
    assume((1 / np.linalg.norm(np.linalg.inv(cell), axis=0)).min() > MIN_CELL_HEIGHT)
    images = np.array(list(product(*(range(-9, 10) if along else [0] for along in pbc)))) @ cell
    distances = {
        (i, j): float(np.linalg.norm(positions[j] - positions[i] + images, axis=1).min())
        for i in range(len(positions))
        for j in range(i + 1, len(positions))
    }
    nearest = min(distances.values(), default=np.inf)
    found = (
        nearest_pair(positions, cell, periodic, within)
        if periodic.any()
        else nearest_pair(positions, None, None, within)
    )
    if found is None:
        assert nearest >= within - 1e-9
    else:
        assert found[2] == pytest.approx(nearest, abs=1e-9)
        assert distances[found[:2]] == pytest.approx(nearest, abs=1e-9)
