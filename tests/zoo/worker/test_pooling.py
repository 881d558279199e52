"""What an encoder returns becomes one vector, or is refused."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.zoo.worker.toy import Toy, model_card, smiles_system
from zoo.encoder import NotApplicable, System
from zoo.worker.pooling import POOLINGS, full_name, split_name, to_nodes, to_vector

# Of one channel; of whole numbers, a mean of 0 is exactly 0.
DEFINITIONS: dict[str, Callable[[Sequence[int]], float]] = {
    "mean": statistics.fmean,
    "sum": math.fsum,
    "std": statistics.pstdev,
    "max": max,
}
NODES = st.lists(
    st.lists(st.integers(-(10**6), 10**6), min_size=3, max_size=3), min_size=1, max_size=20
)
pooled = pytest.mark.parametrize("pooling", POOLINGS)


@pooled
@given(NODES, st.randoms())
def test_pooling_is_what_it_is_called_in_any_order_of_nodes(
    pooling: str, nodes: list[list[int]], random: Any
) -> None:
    shuffled = random.sample(nodes, len(nodes))
    expected = np.array([DEFINITIONS[pooling](channel) for channel in zip(*nodes, strict=True)])
    if not expected.any():
        with pytest.raises((ValueError, NotApplicable), match="all zeros|std over nodes is 0"):
            to_vector(nodes, "node", 3, pooling)
        return
    for order in (nodes, shuffled):
        np.testing.assert_allclose(to_vector(order, "node", 3, pooling), expected, rtol=1e-6)


@pooled
def test_only_a_sum_tells_a_supercell_from_its_cell(pooling: str) -> None:
    nodes = np.random.default_rng(0).normal(size=(5, 3))
    once, twice = (to_vector(x, "node", 3, pooling) for x in (nodes, np.tile(nodes, (2, 1))))
    np.testing.assert_allclose(twice, once * (2 if pooling == "sum" else 1), rtol=1e-6)


def test_nodes_that_no_model_tells_apart_have_no_deviation() -> None:
    noise = np.random.default_rng(0).normal(size=(4, 3))
    with pytest.raises(NotApplicable, match=r"its 4 nodes have vectors that differ by no more"):
        to_vector(1 + 1e-6 * noise, "node", 3, "std", repeats=1e-5)
    with pytest.raises(NotApplicable, match="std over nodes is 0, as it has one node"):
        to_vector(noise[:1], "node", 3, "std", repeats=1e-5)
    assert to_vector(1 + 1e-4 * noise, "node", 3, "std", repeats=1e-5).any()


@pytest.mark.parametrize("shape", [(0, 3), (3,), (2, 4), (2, 3, 1), ()])
def test_node_vectors_of_another_shape_are_failures(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(n_nodes, 3\)"):
        to_vector(np.ones(shape), "node", 3)


@pytest.mark.parametrize("name", ["last", "last:sum", "last:std", "last:max", "layer-3:std"])
def test_names_are_split_and_put_together(name: str) -> None:
    assert full_name(*split_name(name)) == name
    assert split_name("last:mean") == split_name("last") == ("last", "mean")


def test_nodes_are_kept_if_it_is_known_which_they_are() -> None:
    crystal = System("a", "hash", numbers=np.array([8, 1, 1]))
    peptide = System("b", "hash", sequence="MK")
    rows = np.arange(6.0).reshape(3, 2)
    found = to_nodes(rows, 2, crystal, "structure")
    assert found.dtype == np.float32 and (found == rows).all()
    assert (to_nodes(rows[:2], 2, peptide, "sequence") == rows[:2]).all()
    with pytest.raises(NotApplicable, match="gives 2 nodes, and the system has 3 atoms: which of"):
        to_nodes(rows[:2], 2, crystal, "structure")
    with pytest.raises(NotApplicable, match="gives 3 nodes, .* has 2 residues in its sequence"):
        to_nodes(rows, 2, peptide, "backbone")
    with pytest.raises(ValueError, match="1 of the vector's 6 numbers are not finite"):
        to_nodes(np.where(rows == 3, np.nan, rows), 2, crystal, "structure")
    with pytest.raises(ValueError, match=r"shape \(3, 2\), expected \(n_nodes, 4\)"):
        to_nodes(rows, 4, crystal, "structure")


def test_one_forward_pass_gives_all_poolings(toy: Toy) -> None:
    asked = ["nodes", "nodes:sum", "nodes:std", "nodes:max"]
    card = model_card()
    (nodes,) = (each for each in card["representation"] if each["name"] == "nodes")
    card["representation"] += [nodes | {"name": name} for name in asked[1:]]
    systems = [smiles_system(word) for word in ("nodes", "alike", "matrix", "nan")]
    toy.write(systems, card=card, representations=asked).run()
    assert (toy.folder / "toy" / "asked.txt").read_text() == "nodes"
    found = {(r["system_id"], r["representation"]): r for r in toy.rows()}
    vectors = [found["nodes", name]["vector"] for name in asked]
    assert vectors == [[2, 2], [4, 4], [1, 0], [3, 2]]
    about = "std over nodes is 0, as its 2 nodes have vectors that differ by no more than the model"
    alike = found["alike", "nodes:std"]
    assert (alike["status"], alike["vector"]) == ("not_applicable", None)
    assert alike["reason"] == f"{about} repeats them (1e-05 of their norm)"
    assert found["matrix", "nodes:std"]["reason"] == "std over nodes is 0, as it has one node"
    assert {found["nan", name]["status"] for name in asked} == {"failed"}
