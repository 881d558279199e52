"""The matrix: its numbers agree with dense formulas, its order with the tree; 60 models fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import duckdb
import pytest

from query.figures import NothingToDraw, alignment_matrix
from tests.query.figures.conftest import SMALL, model_names
from tests.query.figures.restated import Matrix, information_imbalance, mutual_knn, unit
from tests.query.figures.scene import layers, overlapping, written

Connection = duckdb.DuckDBPyConnection
DRAWN = {*(model for model, _ in model_names(SMALL)), "counts", "rings"}


def labels(chart: Any) -> list[str]:
    names: list[str] = layers(chart, "rect")[0].encoding["y"]["sort"]
    return names


@pytest.mark.parametrize("metric", [mutual_knn, information_imbalance])
def test_cells_are_the_metric_of_row_and_column(
    small: Connection, metric: Callable[[Matrix, Matrix], float]
) -> None:
    names = [name for name in DRAWN if name != "counts"]  # which has equal distances
    chart = alignment_matrix(
        small, "crystals", metric=metric.__name__, models=names, permutations=0
    )
    order = labels(chart)
    assert set(order) == set(names)
    (cells,) = layers(chart, "rect")
    assert cells.encoding["x"]["sort"] == order
    found = {(row["model_a"], row["model_b"]): row["value"] for row in cells.rows}
    expected = {(a, b): metric(unit(a), unit(b)) for a in order for b in order}
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)
    # Dark is far apart, whichever way the metric goes.
    color = cells.encoding["color"]["condition"]
    assert color["scale"]["reverse"] == (metric is information_imbalance)
    # Colors are of the pairs, and the legend says their ends; the diagonal is gray.
    pairs = [value for (a, b), value in expected.items() if a != b]
    ends = pytest.approx([min(pairs), max(pairs)])
    assert color["scale"]["domain"] == ends and color["legend"]["values"][::2] == ends
    assert {row["model_a"] == row["model_b"] for row in cells.rows if row["itself"]} == {True}
    assert sum(row["itself"] for row in cells.rows) == len(order)


def test_the_order_is_that_of_the_tree(small: Connection) -> None:
    order = labels(alignment_matrix(small, "crystals", permutations=0))
    leaves = small.sql("""
        FROM model_tree('crystals', models :=
            (SELECT list(model_id) FROM models_on('crystals')
             WHERE kind IN ('model', 'descriptor')))
        SELECT model_id WHERE model_id IS NOT NULL ORDER BY node
    """).fetchall()
    assert order == [model for (model,) in leaves]
    assert set(order) == DRAWN
    for family, size in SMALL.items():
        places = [place for place, model in enumerate(order) if model.startswith(family)]
        assert places == list(range(places[0], places[0] + size))


def test_undefined_cells_are_crosses_with_a_reason(small: Connection) -> None:
    chart = alignment_matrix(
        small, "crystals", metric="cka", models=["alpha-0", "alpha-1", "flat"], permutations=0
    )
    crosses = [layer for layer in layers(chart, "text") if layer.mark.get("text") == "×"]
    reasons = [row["reason"] for row in crosses[0].rows]
    assert reasons == ["every vector of flat is the same after 'l2' normalization"] * 5


def test_a_tooltip_has_pair_value_chance_and_n(small: Connection) -> None:
    chart = alignment_matrix(small, "crystals", models=["alpha-0", "alpha-1"], permutations=20)
    (cells,) = layers(chart, "rect")
    shown = {tip["title"]: tip["field"] for tip in cells.encoding["tooltip"]}
    assert list(shown)[:6] == ["row", "column", "value", "by chance", "calibrated", "p"]
    row = next(row for row in cells.rows if row["model_a"] != row["model_b"])
    assert {row["model_a"], row["model_b"]} == {"alpha-0", "alpha-1"}
    assert row["n"] == 60 and set(shown.values()) <= row.keys()
    assert "CKNNA on crystals (n = 60, k = 25)" in written(chart)


def test_sixty_models(large: Connection) -> None:
    chart = alignment_matrix(large, "crystals", metric="mutual_knn", permutations=0)
    assert len(labels(chart)) == 62
    assert len(layers(chart, "rect")[0].rows) == 62 * 62
    marks = layers(chart, "point")[0].encoding
    looks = zip(marks["color"]["scale"]["range"], marks["shape"]["scale"]["range"], strict=True)
    assert len(set(looks)) == 13  # no two families alike


def test_names_have_room(small: Connection) -> None:
    assert overlapping(alignment_matrix(small, "crystals", permutations=0)) == []


@pytest.mark.parametrize("models", [["alpha-0"], ["alpha-0", "flat"]])
def test_a_matrix_needs_two_models(small: Connection, models: list[str]) -> None:
    message = (
        "a tree needs two models aligned on crystals, found 1 .*: matterzoo ingest MODEL crystals"
    )
    with pytest.raises(NothingToDraw, match=message):
        alignment_matrix(small, "crystals", models=models)


def test_controls_alone_are_no_matrix(own: Connection) -> None:
    own.execute("DELETE FROM models WHERE family <> 'checks'")
    with pytest.raises(NothingToDraw, match="a tree needs two models aligned on crystals, found 0"):
        alignment_matrix(own, "crystals")


def test_other_errors_are_raised_as_they_are(small: Connection) -> None:
    with pytest.raises(duckdb.InvalidInputException, match="did you mean 'crystals'"):
        alignment_matrix(small, "crystal")
