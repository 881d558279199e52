"""How alike each layer of two models sees a dataset, with the best pair of layers framed."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
from matplotlib.patches import Rectangle

from query.figures.drawing.cells import draw_cells
from query.figures.drawing.labels import direction_label, format_number, sample_label
from query.figures.drawing.looks import COLORS
from query.figures.drawing.plot import NothingToDraw, Plot, Row, styled
from query.statements import ask

_CELL = 0.3  # inches, the width of a cell
_LEAST = 2.4  # inches, the least width of all cells
_FRAME = COLORS[4]  # stands out from all colors of the cells


@styled
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
) -> Plot:
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
        The figure; `answer` has one row per cell.

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
    lines = list(dict.fromkeys(row["layer_a"] for row in answer.rows))[::-1]
    columns = list(dict.fromkeys(row["layer_b"] for row in answer.rows))
    found = {(row["layer_a"], row["layer_b"]): row for row in answer.rows}
    cells = [[found[a, b] for b in columns] for a in lines]
    width, height = (max(_LEAST, _CELL * len(names)) for names in (columns, lines))
    title = f"{metric} on {dataset} ({sample_label(answer.rows)})"
    plot = Plot(answer, title, width=width + 2.6, height=height + 2.0)
    _draw(plot, cells, metric, (lines.index(best["layer_a"]), columns.index(best["layer_b"])))
    plot.add_note(_describe(best))
    return plot


def _draw(plot: Plot, cells: Sequence[Sequence[Row]], metric: str, best: tuple[int, int]) -> None:
    """Draw the cells, the axes' names and the frame; best: the line and the column of its cell."""
    axes = plot.subplots()
    image = draw_cells(axes, cells, metric)
    plot.add_cell_tooltips(axes, [[_tooltip(cell) for cell in line] for line in cells])
    line, column = best
    frame = Rectangle((column - 0.5, line - 0.5), 1, 1, fill=False, edgecolor=_FRAME, linewidth=2)
    frame.set_clip_on(False)
    axes.add_patch(frame)
    axes.set_yticks(range(len(cells)), [row[0]["layer_a"] for row in cells], fontsize=7)
    names = [cell["layer_b"] for cell in cells[0]]
    axes.set_xticks(range(len(names)), names, fontsize=7, rotation=90)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_ylabel(cells[0][0]["model_a"])
    axes.set_xlabel(cells[0][0]["model_b"])
    bar = plot.colorbar(image, ax=axes, shrink=0.8, aspect=24, pad=0.02)
    bar.set_label(f"{metric} ({direction_label(metric)})")


def _describe(best: Row) -> str:
    """Return what the frame marks, and how it compares with chance."""
    pair = f"Framed: the best pair, {best['layer_a']} and {best['layer_b']}"
    value = f"{pair}, {best['metric']} {format_number(best['value'])}"
    if best["p_value"] is None:
        return f"{value}."
    chance = f"The best pair by chance has {format_number(best['null_mean'])} on average"
    return f"{value}. {chance}: p = {format_number(best['p_value'], 2)}."


def _tooltip(cell: Row) -> str:
    pair = f"{cell['layer_a']} · {cell['layer_b']}\n{cell['metric']} {format_number(cell['value'])}"
    if cell["value"] is None:
        return f"{pair}: {cell['reason']}"
    if cell["p_value"] is None:
        return f"{pair}, n = {cell['n']}"
    calibrated = f"calibrated {format_number(cell['calibrated'])}"
    return f"{pair}, {calibrated}\np = {format_number(cell['p_value'], 2)}, n = {cell['n']}"
