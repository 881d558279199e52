"""How alike all pairs of models see a dataset, as a matrix in the order of their tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from query.figures.plot import GREY, SEQUENTIAL, NothingToDraw, Plot, in_our_look, kinds, number
from query.metrics import find_metric
from query.statements import ask

Row = dict[str, Any]
INCH = 0.17  # a cell
WRITTEN = 24  # models up to which the values stand in the cells


@in_our_look
def heatmap(
    connection: duckdb.DuckDBPyConnection, dataset: str, *, metric: str = "cknna", models: Sequence[str] | None = None
) -> Plot:
    """The matrix of `alignment_matrix`; models: None is every trained model and descriptor with vectors there.

    Row a, column b is metric(a, b). The strip on the left marks the families. Dark is far apart, for metrics that fall
    with likeness too. Raises NothingToDraw below two models.
    """
    names = None if models is None else ",".join(models)
    answer = ask(connection, "heatmap", dataset=dataset, metric=metric, models=names)
    labels = {row["place_a"]: (row["model_a"], row["family_a"]) for row in answer.rows}
    if len(labels) < 2:
        raise NothingToDraw(f"two models are needed on {dataset}: make ingest MODEL=… DATASET={dataset}")
    places = sorted(labels)
    size = max(3.2, INCH * len(places))
    plot = Plot(answer, f"{metric} on {dataset}", width=size + 3.6, height=size + 2.4)
    axes = plot.subplots()
    cells = _cells(answer.rows, places)
    image = _draw(axes, cells, metric)
    plot.say_in(axes, [[_say(cell) for cell in line] for line in cells])
    _name(axes, [labels[place] for place in places])
    bar = plot.colorbar(image, ax=axes, shrink=0.6, aspect=24, pad=0.02)
    bar.set_label(f"{metric} ({'low' if find_metric(metric).lower_is_closer else 'high'} is alike)")
    return plot


def _cells(rows: Sequence[Row], places: Sequence[int]) -> list[list[Row]]:
    found = {(row["place_a"], row["place_b"]): row for row in rows}
    return [[found[a, b] for b in places] for a in places]


def _draw(axes: Axes, cells: list[list[Row]], metric: str) -> Any:
    values = np.array([[np.nan if cell["value"] is None else cell["value"] for cell in line] for line in cells])
    lower = find_metric(metric).lower_is_closer
    colors = colormaps[SEQUENTIAL + ("_r" if lower else "")].with_extremes(bad="white")
    image = axes.imshow(values, cmap=colors, vmin=min(0.0, np.nanmin(values)), vmax=max(1.0, np.nanmax(values)))
    for y, x in np.argwhere(np.isnan(values)):  # white alone could be taken for a value
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, hatch="////", edgecolor=GREY, linewidth=0))
    if len(cells) <= WRITTEN:
        for (y, x), value in np.ndenumerate(values):
            light = sum(image.cmap(image.norm(value))[:3]) > 1.5
            text = "" if np.isnan(value) else f"{value:.2f}".removeprefix("0")
            axes.text(x, y, text, ha="center", va="center", fontsize=5.5, color="black" if light else "white")
    return image


def _name(axes: Axes, labels: Sequence[tuple[str, str]]) -> None:
    """Models' names on both sides, and a strip with a colour a family."""
    count = len(labels)
    names = [name for name, _ in labels]
    axes.set_yticks(range(count), names, fontsize=7)
    axes.set_xticks(range(count), names, fontsize=7, rotation=90)
    axes.tick_params(length=0, pad=8)
    axes.spines[:].set_visible(False)
    looks = kinds(family for _, family in labels)
    for place, (_, family) in enumerate(labels):
        for corner in ((-0.5 - 0.35, place - 0.5), (place - 0.5, count - 0.5 + 0.1)):
            flat = corner[1] > count - 1
            size = (1.0, 0.25) if flat else (0.25, 1.0)
            axes.add_patch(Rectangle(corner, *size, color=looks[family].color, linewidth=0, clip_on=False))
    handles = [Rectangle((0, 0), 1, 1, color=look.color) for look in looks.values()]
    axes.legend(
        handles,
        looks,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=min(6, len(looks)),
        title="family",
        alignment="left",
        handlelength=0.8,
        handleheight=0.8,
        columnspacing=1,
    )


def _say(cell: Row) -> str:
    pair = f"{cell['model_a']} · {cell['model_b']}\n{cell['metric']} {number(cell['value'])}"
    if cell["value"] is None:
        return f"{pair}: {cell['reason']}"
    chance = f"by chance {number(cell['null_mean'])}, p = {number(cell['p_value'], 2)}, n = {cell['n']}"
    return f"{pair}, calibrated {number(cell['calibrated'])}\n{chance}"
