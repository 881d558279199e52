"""What an encoder returns becomes one vector, or is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.worker.pooling import to_vector


@given(
    st.lists(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), min_size=1, max_size=20),
    st.randoms(),
)
def test_pooling_does_not_depend_on_the_order_of_nodes(
    nodes: list[list[float]], random: Any
) -> None:
    shuffled = random.sample(nodes, len(nodes))
    mean = np.mean(nodes, axis=0)
    if not mean.astype(np.float32).any():
        with pytest.raises(ValueError, match="all zeros"):
            to_vector(nodes, "node", 3)
        return
    for order in (nodes, shuffled):
        np.testing.assert_allclose(to_vector(order, "node", 3), mean, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(0, 3), (3,), (2, 4), (2, 3, 1), ()])
def test_node_vectors_of_another_shape_are_failures(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(n_nodes, 3\)"):
        to_vector(np.ones(shape), "node", 3)
