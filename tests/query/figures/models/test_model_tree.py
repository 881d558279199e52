"""The tree: its drawing agrees with what Biopython reads from the Newick text."""

from __future__ import annotations

import io
from typing import Any

import duckdb
import pytest
from Bio import Phylo

from query.figures import NothingToDraw, model_tree
from query.statements import ask, keep_answers
from tests.query.figures.conftest import SMALL, model_names
from tests.query.figures.scene import layers, overlapping, written

Connection = duckdb.DuckDBPyConnection


@pytest.fixture
def chart(small: Connection) -> Any:
    return model_tree(small, "crystals")


def leaves_of(chart: Any) -> list[dict[str, Any]]:
    """Return the leaves from top to bottom."""
    (marks,) = layers(chart, "point")
    return sorted(marks.rows, key=lambda row: float(row["y"]))


def test_leaves_lie_where_biopython_finds_them(chart: Any) -> None:
    drawn = Phylo.read(io.StringIO(chart.answer.rows[0]["newick"]), "newick")
    leaves = drawn.get_terminals()
    marks = leaves_of(chart)
    assert [row["model"] for row in marks] == [leaf.name for leaf in leaves]
    assert {leaf.name for leaf in leaves} == {
        *(model for model, _ in model_names(SMALL)),
        "counts",
        "rings",
    }
    many = f"Tree of {len(model_names(SMALL))} trained models and 2 descriptors on crystals"
    assert chart.usermeta["title"].startswith(many)
    assert [row["x"] for row in marks] == pytest.approx(
        [drawn.distance(leaf) for leaf in leaves], abs=1e-5
    )
    assert [row["y"] for row in marks] == list(range(len(leaves)))


def test_every_branch_has_its_length(chart: Any) -> None:
    _, along, joins, scale = layers(chart, "rule")
    lengths = sorted(row["x2"] - row["x"] for row in along.rows if row["x2"] > row["x"])
    branches = [row["branch"] for row in chart.answer.rows if row["branch"]]
    assert lengths == pytest.approx(sorted(branches), abs=1e-4)
    assert len(joins.rows) == len(along.rows)
    (bar,) = scale.rows
    far = max(row["x"] for row in leaves_of(chart))
    assert bar["text"] == f"{bar['x2']:g} √JSD" and far / 10 < bar["x2"] <= far / 4


def test_inner_nodes_lie_between_their_children(chart: Any) -> None:
    rows = chart.answer.rows
    for row in rows:
        children = [child["y"] for child in rows if child["parent"] == row["node"]]
        if children:
            assert min(children) < row["y"] < max(children)
            assert row["model"] is row["family"] is row["training"] is None


@pytest.mark.parametrize(
    ("color", "shown"),
    [
        ("family", {"alpha", "beta", "plain"}),
        ("input", {"structure", "smiles"}),
        ("training", {"OC20", "OC20 + OC22", "PDB and 3 more", "none"}),
    ],
)
def test_marks_show_families_inputs_or_training(
    small: Connection, color: str, shown: set[str]
) -> None:
    chart = model_tree(small, "crystals", color=color)
    encoding = layers(chart, "point")[0].encoding
    assert encoding["color"]["field"] == encoding["shape"]["field"] == color
    assert set(encoding["color"]["scale"]["domain"]) == shown
    values = {row["model"]: row[color] for row in chart.answer.rows}
    assert all(row[color] == values[row["model"]] for row in leaves_of(chart))


def test_unknown_training_is_not_none(own: Connection) -> None:
    own.execute("UPDATE models SET training_sets = NULL WHERE model_id = 'alpha-1'")
    rows = ask(own, "model_tree", dataset="crystals").rows
    assert [row["training"] for row in rows if row["model"] == "alpha-1"] == ["not known"]


def test_models_without_a_place_are_named(small: Connection) -> None:
    chart = model_tree(small, "crystals", models=["alpha-0", "alpha-1", "beta-0", "flat"])
    scale, note = chart.to_dict()["usermeta"]["notes"]
    assert "divergence of two models' CKNNA profiles" in scale
    assert note.startswith("Without a place: flat (every vector of flat is the same")
    assert "flat" not in [row["model"] for row in leaves_of(chart)]


def test_sixty_models(large: Connection) -> None:
    chart = model_tree(large, "crystals")
    assert len(leaves_of(chart)) == 62
    assert overlapping(chart) == []
    assert {"family-11-0", "counts", "family-00"} <= written(chart)
    (row,) = (row for row in leaves_of(chart) if row["model"] == "family-11-0")
    assert (row["family"], row["input"]) == ("family-11", "structure")
    assert row["sets"] == "PDB, QM9, ZINC, S22"


def test_a_tree_needs_two_models(small: Connection) -> None:
    with pytest.raises(
        NothingToDraw, match="a tree needs two models.*: matterzoo ingest MODEL crystals"
    ):
        model_tree(small, "crystals", models=["alpha-0"])
    with pytest.raises(NothingToDraw, match="a tree of 2 models is a line.*: matterzoo ingest"):
        model_tree(small, "crystals", models=["alpha-0", "beta-0"])
    with pytest.raises(
        ValueError, match="color = 'color', expected one of family, input, training"
    ):
        model_tree(small, "crystals", color="color")


def test_a_statement_is_run_once_while_answers_are_kept(small: Connection) -> None:
    """Three versions of the tree differ in their colors alone."""
    asked = {"dataset": "crystals", "metric": "cknna", "k": 5}
    with keep_answers():
        kept = ask(small, "model_tree", **asked)
        drawn = [model_tree(small, color=color, **asked) for color in ("family", "input")]
        assert all(chart.answer is kept for chart in drawn)
        assert ask(small, "model_tree", **asked | {"k": 6}) is not kept
    assert ask(small, "model_tree", **asked) is not kept
