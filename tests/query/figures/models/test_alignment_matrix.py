"""The matrix: its numbers agree with dense formulas, its order with the tree; 60 models fit."""

from __future__ import annotations

from collections.abc import Callable

import duckdb
import matplotlib
import numpy as np
import pytest

from query.figures import NothingToDraw, Plot, alignment_matrix
from tests.query.figures.conftest import SMALL, model_names
from tests.query.figures.restated import Matrix, information_imbalance, mutual_knn, unit
from tests.query.figures.texts import overlapping, written

Connection = duckdb.DuckDBPyConnection
DRAWN = {*(model for model, _ in model_names(SMALL)), "counts", "rings"}


def labels(plot: Plot) -> list[str]:
    return [tick.get_text() for tick in plot.axes[0].get_yticklabels()]


@pytest.mark.parametrize("metric", [mutual_knn, information_imbalance])
def test_cells_are_the_metric_of_row_and_column(
    small: Connection, metric: Callable[[Matrix, Matrix], float]
) -> None:
    names = [name for name in DRAWN if name != "counts"]  # which has equal distances
    plot = alignment_matrix(small, "crystals", metric=metric.__name__, models=names, permutations=0)
    order = labels(plot)
    assert set(order) == set(names)
    assert [tick.get_text() for tick in plot.axes[0].get_xticklabels()] == order
    (image,) = plot.axes[0].images
    expected = [[metric(unit(a), unit(b)) for b in order] for a in order]
    np.testing.assert_allclose(image.get_array(), expected, atol=1e-6)
    # Dark is far apart, whichever way the metric goes.
    lightness = [
        sum(image.cmap(image.norm(value))[:3])
        for value in (metric(unit(order[0]), unit(order[0])), 0.6)
    ]
    assert lightness[0] > lightness[1]


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


def test_undefined_cells_are_hatched_with_a_reason(small: Connection) -> None:
    plot = alignment_matrix(
        small, "crystals", metric="cka", models=["alpha-0", "alpha-1", "flat"], permutations=0
    )
    assert sum(patch.get_hatch() is not None for patch in plot.axes[0].patches) == 5
    assert (
        sum(
            "undefined: every vector of flat is the same" in tooltip.text
            for tooltip in plot.tooltips()
        )
        == 5
    )


def test_a_tooltip_has_pair_value_chance_and_n(small: Connection) -> None:
    plot = alignment_matrix(small, "crystals", models=["alpha-0", "alpha-1"], permutations=20)
    row = next(
        row
        for row in plot.answer.rows
        if (row["model_a"], row["model_b"]) == ("alpha-0", "alpha-1")
    )
    (tooltip,) = [
        tooltip for tooltip in plot.tooltips() if tooltip.text.startswith("alpha-0 · alpha-1\n")
    ]
    assert f"cknna {row['value']:.3g}, calibrated {row['calibrated']:.3g}" in tooltip.text
    assert tooltip.text.endswith("n = 60")
    assert (tooltip.width, tooltip.height) > (0.05, 0.05)
    assert plot.title == "cknna on crystals (n = 60, k = 25)"


@pytest.mark.parametrize("models", [["alpha-0", "beta-0"], None])
def test_strips_lie_between_the_names_and_the_cells(
    small: Connection, models: list[str] | None
) -> None:
    plot = alignment_matrix(small, "crystals", models=models, permutations=0)
    plot.draw_without_rendering()
    axes = plot.axes[0]
    strips = [line for line in axes.lines if line.get_linewidth() > 5]
    assert len(strips) == 2 * len(labels(plot))
    half = strips[0].get_linewidth() / 2 * plot.dpi / 72
    names = max(tick.get_window_extent().x1 for tick in axes.get_yticklabels())
    below = max(tick.get_window_extent().y1 for tick in axes.get_xticklabels())
    left, bottom = (line.get_window_extent() for line in strips[:2])
    assert names < left.x0 - half < left.x1 + half < axes.bbox.x0
    assert below < bottom.y0 - half < bottom.y1 + half < axes.bbox.y0


def test_sixty_models(large: Connection) -> None:
    plot = alignment_matrix(large, "crystals", metric="mutual_knn", permutations=0)
    assert len(labels(plot)) == 62
    assert len(plot.tooltips()) == 62 * 62
    assert overlapping(plot) == []
    assert {"family-00", "family-11", "plain"} <= written(plot)
    looks = {
        (line.get_color(), line.get_marker()) for line in plot.axes[0].get_legend().get_lines()
    }
    assert len(looks) == 13  # no two families alike


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


def test_layouts_that_a_user_has_set_change_nothing(small: Connection) -> None:
    plain = alignment_matrix(small, "crystals", permutations=0).png()
    with matplotlib.rc_context({"figure.autolayout": True}):
        assert alignment_matrix(small, "crystals", permutations=0).png() == plain
