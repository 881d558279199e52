"""Nodes change places as a null says, and then its p-values are uniform for unrelated models."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from query.metrics import Comparison, align_all
from query.statistics.exchange import NULLS, Exchange, draw_per_system

SIZES = [3, 1, 3, 2, 3, 2, 5]  # of systems: those of 1 and 5 have no other of their size
SYSTEMS = np.repeat(np.arange(len(SIZES)), SIZES)
PERMUTATIONS = 19  # p ≤ 0.05 has probability 1/20 if the null is exact


@pytest.mark.parametrize("null", NULLS)
def test_only_what_may_changes_places(null: str) -> None:
    exchange = Exchange(SYSTEMS, null)
    every = np.arange(len(SYSTEMS))
    some = exchange.draw(8, 0)
    rest = np.setdiff1d(every, some)
    for parts in ([every], [some, rest]):
        orders = exchange.orders(parts, 60, seed=1)
        assert (np.sort(orders, axis=1) == every).all() and (orders != every).any()
        assert all((np.sort(orders[:, part]) == part).all() for part in parts)
        moved = (orders != every).any(axis=0).mean()
        assert moved <= exchange.movable
        if null == "within":
            assert (SYSTEMS[orders] == SYSTEMS).all()
        if null == "system":
            starts = np.searchsorted(SYSTEMS, SYSTEMS)
            offsets = every - starts
            assert (offsets[orders] == offsets).all()  # node by node
            sizes = np.array(SIZES)[SYSTEMS]
            assert (sizes[orders] == sizes).all()
    assert exchange.movable == {"system": 13 / 19, "within": 18 / 19, "node": 1}[null]


@pytest.mark.parametrize("null", NULLS)
def test_whole_systems_are_drawn(null: str) -> None:
    some = Exchange(SYSTEMS, null).draw(7, 3)
    assert len(some) >= 7 and (np.diff(some) > 0).all()
    whole = np.flatnonzero(np.isin(SYSTEMS, SYSTEMS[some]))
    assert null == "node" or np.array_equal(whole, some)


def test_as_many_nodes_of_each_system_are_drawn() -> None:
    some = draw_per_system(SYSTEMS, 2, seed=0)
    assert np.array_equal(SYSTEMS[some], np.repeat([0, 2, 3, 4, 5, 6], 2))
    assert len(set(some.tolist())) == 12
    assert Exchange(SYSTEMS[some], "system").movable == 1
    assert draw_per_system(SYSTEMS, 6, seed=0).size == 0


def clustered(random: np.random.Generator, systems: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return vectors of which those of a system are much alike."""
    centers = random.normal(size=(systems.max() + 1, 5))
    return (centers[systems] + 0.2 * random.normal(size=(len(systems), 5))).astype(np.float32)


def p_values(null: str, metric: str, rows: int | None, pairs: int) -> list[float]:
    random = np.random.default_rng(pairs)
    systems = np.repeat(np.arange(20), np.tile([2, 3], 10))
    found = []
    for seed in range(pairs):
        comparison = Comparison([clustered(random, systems) for _ in range(2)], k=4)
        how = {"permutations": PERMUTATIONS, "seed": seed, "rows": rows}
        how["exchange"] = Exchange(systems, null)
        ((_, _, one),) = align_all(comparison, [metric], [(0, 1)], **how)
        assert one.p_value is not None
        found.append(one.p_value)
    return found


@pytest.mark.parametrize(("metric", "rows"), [("cknna", None), ("cka", None), ("mutual_knn", 25)])
def test_clustered_nodes_make_unrelated_models_no_more_alike(metric: str, rows: int | None) -> None:
    found = np.array(p_values("system", metric, rows, 100))
    # Uniform over 1/20, …, 20/20: of 100, 5 at each; bounds of four standard deviations.
    assert (found <= 0.05).sum() <= 14
    assert 30 <= (found <= 0.5).sum() <= 70
    if metric != "cka":  # of freely shuffled nodes, every pair seems alike
        assert set(p_values("node", metric, rows, 8)) == {0.05}
