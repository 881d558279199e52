"""How alike all pairs of models see a dataset, as a matrix in the order of their tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from query.figures.drawing.cells import draw_cells
from query.figures.drawing.labels import direction_label, format_number, sample_label
from query.figures.drawing.looks import OTHER_LOOK, Look, family_looks
from query.figures.drawing.plot import Plot, Row, styled
from query.figures.drawing.questions import ask_for_tree

_CELL = 0.17  # inches, the least width of a cell
_LEAST = 3.2  # inches, the least width of all cells
_STRIP, _GAP = 0.13, 0.04  # inches, of a strip that marks families, and before it
_COLUMN = 1.0  # inches, of a column of the legend


@styled
def alignment_matrix(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    metric: str = "cknna",
    models: Sequence[str] | None = None,
    permutations: int | None = None,
) -> Plot:
    """Draw a metric for all pairs of models: row a, column b is metric(a, b).

    Dark is far apart, also for metrics that are lower for closer models. Undefined values are
    hatched. The strips mark the families.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        metric: The name of a metric.
        models: Names of models; None is every trained model and descriptor with vectors there.
        permutations: Random pairings per pair of models, for the value by chance; None is 100.

    Returns:
        The figure; `answer` has one row per cell.

    Raises:
        NothingToDraw: If there are not two models that can be compared.
    """
    answer = ask_for_tree(
        connection,
        "alignment_matrix",
        dataset=dataset,
        metric=metric,
        models=models,
        permutations=permutations,
    )
    labels = {row["place_a"]: (row["model_a"], row["family_a"]) for row in answer.rows}
    places = sorted(labels)
    cells = _cells(answer.rows, places)
    size = max(_CELL, _LEAST / len(places)) * len(places)
    title = f"{metric} on {dataset} ({sample_label(answer.rows)})"
    plot = Plot(answer, title, width=size + 3.6, height=size + 2.4)
    axes = plot.subplots()
    image = draw_cells(axes, cells, metric)
    plot.add_cell_tooltips(axes, [[_tooltip(cell) for cell in line] for line in cells])
    families = {family: OTHER_LOOK for _, family in labels.values()}
    looks = families | family_looks(connection, dataset)
    _label_models(axes, [labels[place] for place in places], looks, int(size / _COLUMN) or 1)
    bar = plot.colorbar(image, ax=axes, shrink=0.6, aspect=24, pad=0.02)
    bar.set_label(f"{metric} ({direction_label(metric)})")
    return plot


def _cells(rows: Sequence[Row], places: Sequence[int]) -> list[list[Row]]:
    found = {(row["place_a"], row["place_b"]): row for row in rows}
    return [[found[a, b] for b in places] for a in places]


def _label_models(
    axes: Axes, labels: Sequence[tuple[str, str]], looks: Mapping[str, Look], columns: int
) -> None:
    """Write the models' names on both sides, with strips that mark their families.

    The legend of the families has this many columns.
    """
    count = len(labels)
    names = [name for name, _ in labels]
    axes.set_yticks(range(count), names, fontsize=7)
    axes.set_xticks(range(count), names, fontsize=7, rotation=90)
    axes.tick_params(length=0, pad=72 * (2 * _GAP + _STRIP))
    axes.spines[:].set_visible(False)
    _draw_strips(axes, [looks[family] for _, family in labels])
    shown = {family: looks[family] for family in sorted({family for _, family in labels})}
    axes.legend(
        [
            Line2D([], [], color=look.color, marker=look.marker, linestyle="none")
            for look in shown.values()
        ],
        shown,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=min(len(shown), columns),
        title="family",
        alignment="left",
        handletextpad=0.2,
        columnspacing=1,
    )


def _draw_strips(axes: Axes, looks: Sequence[Look]) -> None:
    """Draw a strip left of the rows and one below the columns, a piece per model."""
    aside = _GAP + _STRIP / 2
    inch = axes.get_figure(root=True).dpi_scale_trans  # type: ignore[union-attr]
    left = axes.get_yaxis_transform() + ScaledTranslation(-aside, 0, inch)
    below = axes.get_xaxis_transform() + ScaledTranslation(0, -aside, inch)
    for place, look in enumerate(looks):
        ends = (place - 0.5, place + 0.5)
        for transform, line, point in (
            (left, ((0, 0), ends), (0, place)),
            (below, (ends, (0, 0)), (place, 0)),
        ):
            at: dict[str, Any] = {
                "transform": transform,
                "clip_on": False,
                "scalex": False,
                "scaley": False,
            }
            axes.plot(*line, color=look.color, linewidth=72 * _STRIP, solid_capstyle="butt", **at)
            axes.plot(
                *point, color="white", marker=look.marker, markersize=4, markeredgewidth=0, **at
            )


def _tooltip(cell: Row) -> str:
    value = f"{cell['metric']} {format_number(cell['value'])}"
    pair = f"{cell['model_a']} · {cell['model_b']}\n{value}"
    if cell["value"] is None:
        return f"{pair}: {cell['reason']}"
    chance = f"by chance {format_number(cell['null_mean'])}"
    p = f"p = {format_number(cell['p_value'], 2)}"
    return f"{pair}, calibrated {format_number(cell['calibrated'])}\n{chance}, {p}, n = {cell['n']}"
