"""The tree of models, against known trees and SciPy's Jensen–Shannon distance."""

from __future__ import annotations

import io

import duckdb
import numpy as np
import pytest
from Bio import Phylo
from scipy.spatial.distance import jensenshannon

from query.statistics import neighbor_joining as tree
from query.statistics.neighbor_joining import Node, join, profile_distances

HOW = "dataset := 'crystals', k := 5"


def path_lengths(nodes: list[Node]) -> dict[tuple[str, str], float]:
    """The length of the way through the tree between any two leaves."""
    up = {node.number: (node.parent, node.branch_length or 0.0) for node in nodes}

    def climb(number: int) -> dict[int, float]:
        way, length = {number: 0.0}, 0.0
        while up[number][0] is not None:
            length += up[number][1]
            number = up[number][0]  # type: ignore[assignment]
            way[number] = length
        return way

    leaves = {node.name: climb(node.number) for node in nodes if node.name is not None}
    return {
        (a, b): min(
            leaves[a][shared] + leaves[b][shared] for shared in leaves[a].keys() & leaves[b].keys()
        )
        for a in leaves
        for b in leaves
    }


def test_additive_distances_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    # ((a:1, b:2):1.5, (c:1, (d:3, e:0.5):2):0) written out as distances.
    names = ["a", "b", "c", "d", "e"]
    upper = {
        "ab": 3,
        "ac": 3.5,
        "ad": 7.5,
        "ae": 5,
        "bc": 4.5,
        "bd": 8.5,
        "be": 6,
        "cd": 6,
        "ce": 3.5,
        "de": 3.5,
    }
    distances = np.array([[upper.get(a + b, upper.get(b + a, 0)) for b in names] for a in names])
    monkeypatch.setattr(tree, "profile_distances", lambda values: values)
    nodes, newick = join(names, distances)
    found = path_lengths(nodes)
    assert {pair: pytest.approx(length) for pair, length in found.items()} == {
        (a, b): distances[i, j] for i, a in enumerate(names) for j, b in enumerate(names)
    }
    drawn = Phylo.read(io.StringIO(newick), "newick")
    assert all(
        drawn.distance(a, b) == pytest.approx(length, abs=1e-5) for (a, b), length in found.items()
    )


def test_distances_are_scipys_jensen_shannon() -> None:
    values = np.random.default_rng(0).uniform(size=(6, 6))
    found = profile_distances(values)
    for i in range(6):
        for j in range(6):
            rows = jensenshannon(values[i], values[j], base=2)
            columns = jensenshannon(values[:, i], values[:, j], base=2)
            assert found[i, j] == pytest.approx((rows + columns) / 2, abs=1e-6)


def test_negative_alignments_count_as_none() -> None:
    values = np.array([[1.0, -0.1, 0.2], [-0.1, 1.0, 0.3], [0.2, 0.3, 1.0]])
    assert profile_distances(values) == pytest.approx(profile_distances(np.clip(values, 0, None)))
    assert profile_distances(np.eye(2))[0, 1] == pytest.approx(1)


@pytest.mark.parametrize("count", [2, 3])
def test_the_smallest_trees(count: int) -> None:
    names = [f"m{i}" for i in range(count)]
    nodes, newick = join(names, np.eye(count))
    assert sorted(node.name for node in nodes if node.name is not None) == names
    assert path_lengths(nodes)["m0", "m1"] == pytest.approx(1)
    assert newick.endswith(";")


def test_names_that_newick_would_misread_are_quoted() -> None:
    _, newick = join(["a-1.0@untrained", "b#all", "c"], np.eye(3))
    assert "a-1.0@untrained:" in newick
    assert "'b#all':" in newick
    leaves = Phylo.read(io.StringIO(newick), "newick").get_terminals()
    assert {leaf.name for leaf in leaves} == {"a-1.0@untrained", "b#all", "c"}


def test_model_tree(con: duckdb.DuckDBPyConnection) -> None:
    rows = con.sql(
        f"SELECT node, parent, model_id, branch_length, reason, newick FROM model_tree({HOW})"
    ).fetchall()
    nodes = {node: (parent, model) for node, parent, model, *_ in rows if node is not None}
    assert list(nodes) == list(range(len(nodes)))
    assert nodes[0] == (None, None)
    assert all(
        nodes[parent][1] is None and parent < node for node, (parent, _) in nodes.items() if node
    )
    leaves = [model for _, model in nodes.values() if model is not None]
    assert set(leaves) == {"base", "far", "near", "noise", "partial", "rotated", "scaled", "stale"}
    alike = sorted(leaves.index(model) for model in ("base", "rotated", "scaled"))
    assert alike[2] - alike[0] == 2
    assert len({row[5] for row in rows}) == 1


def test_models_without_a_value_are_named_with_the_reason(con: duckdb.DuckDBPyConnection) -> None:
    rows = con.sql(
        f"SELECT model_id, reason FROM model_tree({HOW}) WHERE node IS NULL ORDER BY ALL"
    ).fetchall()
    assert [model for model, _ in rows] == ["constant", "poisoned", "ragged"]
    assert "every vector of constant is the same" in rows[0][1]
    named = f"models := ['base', 'near', 'far', 'empty'], {HOW}"
    (row,) = con.sql(
        f"SELECT model_id, reason FROM model_tree({named}) WHERE node IS NULL"
    ).fetchall()
    assert row == ("empty", "nothing in common: no vectors of empty on crystals")


def test_two_models_that_share_nothing_cost_only_one(con: duckdb.DuckDBPyConnection) -> None:
    chosen = "models := ['base', 'near', 'constant'], metric := 'cka', dataset := 'crystals'"
    leaves = con.sql(
        f"SELECT model_id FROM model_tree({chosen}) WHERE node > 0 ORDER BY 1"
    ).fetchall()
    assert leaves == [("base",), ("near",)]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("model_tree()", r"say which dataset: dataset := '…'; stored: crystals, molecules"),
        (
            "model_tree(dataset := 'crystals', models := ['base'])",
            "a tree needs two models aligned on crystals, found 1",
        ),
        (
            "model_tree(dataset := 'crystals', models := ['base', 'constant'])",
            "found 1.*constant is the same",
        ),
        ("model_tree(dataset := 'crystals', models := [])", "found 0"),
        (
            "model_tree(dataset := 'crystals', metric := 'information_imbalance')",
            "model_tree needs a metric that grows with likeness, "
            "and information_imbalance falls: take cknna",
        ),
        (
            "model_tree(dataset := 'crystals', metric := 'cka, rsa')",
            "model_tree takes one metric, but 2 were given",
        ),
    ],
)
def test_a_tree_needs_two_models_and_a_likeness(
    con: duckdb.DuckDBPyConnection, sql: str, message: str
) -> None:
    with pytest.raises(duckdb.InvalidInputException, match=message):
        con.sql(f"FROM {sql}").fetchall()


def test_a_tree_that_was_grown_before_is_the_same() -> None:
    values = np.corrcoef(np.random.default_rng(0).normal(size=(7, 4)))
    nodes, newick = join("abcdefg", values)
    before = list(nodes)
    nodes.clear()
    assert join("abcdefg", np.asfortranarray(values)) == (before, newick)
    assert join("gfedcba", values)[1] != newick
    values[0, 1] = values[1, 0] = 0.9
    assert join("abcdefg", values)[1] != newick
