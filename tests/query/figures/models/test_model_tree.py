"""The tree: its drawing agrees with what Biopython reads from the Newick text."""

from __future__ import annotations

import io

import duckdb
import pytest
from Bio import Phylo
from matplotlib.collections import LineCollection

from query.figures import NothingToDraw, Plot, model_tree
from query.statements import ask, keep_answers
from tests.query.figures.conftest import SMALL, model_names
from tests.query.figures.texts import overlapping, written

Connection = duckdb.DuckDBPyConnection


@pytest.fixture
def plot(small: Connection) -> Plot:
    return model_tree(small, "crystals")


def labels(plot: Plot) -> list[str]:
    return [tick.get_text() for tick in plot.axes[0].get_yticklabels()]


def marks(plot: Plot) -> list[tuple[float, float, str, str]]:
    """Return the leaves from top to bottom: x, y, color, marker."""
    lines = [line for line in plot.axes[0].lines if line.get_marker() not in ("None", None)]
    found = [
        (*(float(v[0]) for v in line.get_data()), line.get_color(), line.get_marker())
        for line in lines
    ]
    return sorted(found, key=lambda mark: mark[1])


def test_leaves_lie_where_biopython_finds_them(plot: Plot) -> None:
    drawn = Phylo.read(io.StringIO(plot.answer.rows[0]["newick"]), "newick")
    leaves = drawn.get_terminals()
    assert labels(plot) == [leaf.name for leaf in leaves]
    assert {leaf.name for leaf in leaves} == {
        *(model for model, _ in model_names(SMALL)),
        "counts",
        "rings",
    }
    assert [mark[0] for mark in marks(plot)] == pytest.approx(
        [drawn.distance(leaf) for leaf in leaves], abs=1e-5
    )
    assert [mark[1] for mark in marks(plot)] == list(range(len(leaves)))


def test_every_branch_has_its_length(plot: Plot) -> None:
    (lines,) = (a for a in plot.axes[0].collections if isinstance(a, LineCollection))
    segments = [segment.tolist() for segment in lines.get_segments()]
    along = sorted(b[0] - a[0] for a, b in segments if a[1] == b[1] and a[0] != b[0])
    branches = [row["branch"] for row in plot.answer.rows if row["branch"]]
    assert along == pytest.approx(sorted(branches))
    # Other lines are vertical: they join a node with where the branches of its children start.
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in segments)


def test_inner_nodes_lie_between_their_children(plot: Plot) -> None:
    rows = plot.answer.rows
    for row in rows:
        children = [child["y"] for child in rows if child["parent"] == row["node"]]
        if children:
            assert min(children) < row["y"] < max(children)
            assert row["model"] is row["family"] is row["training"] is None


def test_the_scale_is_a_round_number(plot: Plot) -> None:
    (text,) = (text for text in written(plot) if text.endswith(" √JSD"))
    size = float(text.split()[0])
    (bar,) = (line for line in plot.axes[0].lines if line.get_linewidth() == 2)
    assert list(bar.get_xdata()) == [0, size]
    far = max(mark[0] for mark in marks(plot))
    assert far / 10 < size <= far / 4


@pytest.mark.parametrize(
    ("color", "shown"),
    [
        ("family", {"alpha", "beta", "plain"}),
        ("input", {"structure", "smiles"}),
        ("training", {"sea", "sea + shore", "sky and 3 more", "none"}),
    ],
)
def test_marks_show_families_inputs_or_training(
    small: Connection, color: str, shown: set[str]
) -> None:
    plot = model_tree(small, "crystals", color=color)
    (key,) = plot.legends
    assert {text.get_text() for text in key.get_texts()} == shown
    looks = {
        text.get_text(): (line.get_color(), line.get_marker())
        for text, line in zip(key.get_texts(), key.get_lines(), strict=True)
    }
    values = {row["model"]: row[color] for row in plot.answer.rows}
    assert [mark[2:] for mark in marks(plot)] == [looks[values[name]] for name in labels(plot)]


def test_unknown_training_is_not_none(own: Connection) -> None:
    own.execute("UPDATE models SET training_sets = NULL WHERE model_id = 'alpha-1'")
    rows = ask(own, "model_tree", dataset="crystals").rows
    assert [row["training"] for row in rows if row["model"] == "alpha-1"] == ["not known"]


def test_models_without_a_place_are_named(small: Connection) -> None:
    plot = model_tree(small, "crystals", models=["alpha-0", "alpha-1", "beta-0", "flat"])
    (note,) = (text for text in written(plot) if text.startswith("Without a place"))
    assert note.startswith("Without a place: flat (every vector of flat is the same")
    assert "flat" not in labels(plot)
    assert overlapping(plot) == []


def test_sixty_models(large: Connection) -> None:
    plot = model_tree(large, "crystals")
    assert len(labels(plot)) == 62
    assert overlapping(plot) == []
    (tooltip,) = (
        tooltip for tooltip in plot.tooltips() if tooltip.text.startswith("family-11-0\n")
    )
    assert tooltip.text.splitlines()[1].startswith("family-11, sees structure, branch 0.")
    assert tooltip.text.splitlines()[2] == "trained on sky, sand, snow, soil"


def test_a_tree_needs_two_models(small: Connection) -> None:
    with pytest.raises(
        NothingToDraw, match="a tree needs two models.*: matterzoo ingest MODEL crystals"
    ):
        model_tree(small, "crystals", models=["alpha-0"])
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
        assert all(plot.answer is kept for plot in drawn)
        assert ask(small, "model_tree", **asked | {"k": 6}) is not kept
    assert ask(small, "model_tree", **asked) is not kept
