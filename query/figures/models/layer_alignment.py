"""How alike each layer of two models sees a dataset, with the best pair of layers framed."""

from __future__ import annotations

import altair as alt
import duckdb

from query.figures.drawing.cells import Cells, draw_cells
from query.figures.drawing.chart import finish, inline, layered
from query.figures.drawing.labels import format_number, format_p, metric_label, sample_label
from query.figures.drawing.looks import COLORS
from query.figures.drawing.questions import NothingToDraw, Row
from query.statements import ask

_FRAME = COLORS[4]  # stands out from all colors of the cells
_TITLES = {
    "layer_a": "row",
    "layer_b": "column",
    "value": "value",
    "calibrated": "calibrated",
    "p_value": "p",
    "n": "systems",
    "k": "neighbors, k",
}


def layer_alignment(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    model_a: str,
    model_b: str,
    metric: str = "cknna",
    k: int | None = None,
    pooling: str | None = None,
    permutations: int | None = None,
) -> alt.LayerChart:
    """Draw a metric for all pairs of layers of two models, the best pair framed.

    Dark is far apart, also for metrics that are lower for closer models.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        model_a: A model, whose layers are the lines, the first at the bottom.
        model_b: The other one, whose layers are the columns.
        metric: The name of a metric.
        k: The number of neighbors; None is the metric's default.
        pooling: How vectors of nodes became vectors of systems; None is their mean.
        permutations: Shuffled pairings of the systems, which the null of the best pair is from;
            None is 100.

    Returns:
        The chart; `answer` has one row per cell.

    Raises:
        NothingToDraw: If no pair of layers has a value.
    """
    options = {"metric": metric, "k": k, "pooling": pooling, "permutations": permutations}
    answer = ask(
        connection, "layer_alignment", dataset=dataset, model_a=model_a, model_b=model_b, **options
    )
    best = next((row for row in answer.rows if row["best"]), None)
    if best is None:
        reason = answer.rows[0]["reason"]
        raise NothingToDraw(f"no two layers of {model_a} and {model_b} have a {metric}: {reason}")
    cells = Cells(
        "layer_a",
        "layer_b",
        list(dict.fromkeys(row["layer_a"] for row in answer.rows))[::-1],
        list(dict.fromkeys(row["layer_b"] for row in answer.rows)),
        best["model_a"],
        best["model_b"],
    )
    width, height = cells.size()
    marks = draw_cells(answer.rows, metric, cells, _TITLES, "true")
    return finish(
        layered(*marks, _frame(best, cells), width=width, height=height),
        answer,
        f"{metric_label(metric)} on {dataset} ({sample_label(answer.rows)})",
        notes=[_describe(best)],
    )


def _frame(best: Row, cells: Cells) -> alt.Chart:
    """Draw a frame around the best cell."""
    rect = alt.Chart(inline([best], (cells.down, cells.across)))
    return rect.mark_rect(filled=False, stroke=_FRAME, strokeWidth=3).encode(
        x=cells.x(), y=cells.y()
    )


def _describe(best: Row) -> str:
    """Return what the frame marks, and how it compares with chance."""
    pair = f"Framed: the best pair, {best['layer_a']} and {best['layer_b']}"
    value = f"{pair}, {metric_label(best['metric'])} {format_number(best['value'])}"
    if best["p_value"] is None:
        return f"{value}."
    chance = f"The best pair by chance has {format_number(best['null_mean'])} on average"
    return f"{value}. {chance}: {format_p(best['p_value'])}."
