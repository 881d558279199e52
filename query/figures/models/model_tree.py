"""The neighbor-joining tree of the models, with branches as long as the models are apart."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from query.figures.drawing.looks import OTHER_LOOK, Look, assign_looks, family_looks
from query.figures.drawing.plot import Plot, Row, styled
from query.figures.drawing.questions import ask_for_tree

_INCH = 0.17  # per model
_COLORED = ("family", "input", "training")
_WRAP = 34  # letters per line of a name in the legend


@styled
def model_tree(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    metric: str = "cknna",
    color: str = "family",
    models: Sequence[str] | None = None,
    k: int | None = None,
) -> Plot:
    """Draw the tree from left to right, one line per model.

    The tree has no root: it is drawn from the node at which its algorithm ended. Branches below
    zero are drawn as zero.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        metric: The name of a metric.
        color: What the marks tell: "family", "input" or "training".
        models: Names of models; None is every trained model and descriptor with vectors there.
        k: The number of neighbors; None is the metric's default.

    Returns:
        The figure; `answer` has one row per node, and per model without a place in the tree.

    Raises:
        NothingToDraw: If there are not two models that can be compared.
        ValueError: If color is none of the three.
    """
    if color not in _COLORED:
        raise ValueError(f"color = {color!r}, expected one of {', '.join(_COLORED)}")
    answer = ask_for_tree(
        connection, "model_tree", dataset=dataset, metric=metric, models=models, k=k
    )
    leaves = [row for row in answer.rows if row["model"] is not None and row["node"] is not None]
    outside = [row for row in answer.rows if row["node"] is None]
    title = f"Tree of {len(leaves)} models on {dataset}, by {metric}"
    plot = Plot(answer, title, width=9, height=_INCH * len(leaves) + (1.5 if outside else 1.2))
    axes = plot.subplots()
    _draw_branches(axes, [row for row in answer.rows if row["node"] is not None])
    looks = _looks(connection, dataset, color, leaves)
    for row in leaves:
        look = looks[row[color]]
        mark: dict[str, Any] = {"marker": look.marker, "markersize": 6, "markeredgewidth": 0}
        axes.plot(row["x"], row["y"], color=look.color, zorder=3, **mark)
    xs, ys = [row["x"] for row in leaves], [row["y"] for row in leaves]
    plot.add_tooltips(axes, xs, ys, map(_tooltip, leaves))
    _label_models(axes, leaves)
    plot.add_legend({textwrap.fill(name, _WRAP): look for name, look in looks.items()}, title=color)
    if outside:
        absent = "; ".join(f"{row['model']} ({row['reason']})" for row in outside)
        plot.add_note(f"Without a place: {absent}")
    return plot


def _looks(
    connection: duckdb.DuckDBPyConnection, dataset: str, color: str, leaves: Sequence[Row]
) -> dict[str, Look]:
    """Return a look for each of the values that are drawn."""
    drawn = sorted({row[color] for row in leaves})
    known: Mapping[str, Look] = (
        family_looks(connection, dataset) if color == "family" else assign_looks(drawn)
    )
    return {name: known.get(name, OTHER_LOOK) for name in drawn}


def _draw_branches(axes: Axes, nodes: Sequence[Row]) -> None:
    place = {row["node"]: (row["x"], row["y"]) for row in nodes}
    along, across = [], []
    for row in nodes:
        if row["parent"] is not None:
            x, y = place[row["parent"]]
            along.append(((x, row["y"]), (row["x"], row["y"])))
            across.append(((x, y), (x, row["y"])))
    axes.add_collection(
        LineCollection(along + across, colors="black", linewidths=0.9, capstyle="projecting")
    )
    axes.autoscale_view()


def _label_models(axes: Axes, leaves: Sequence[Row]) -> None:
    """Write the models' names on the right, with dots that lead to them, and a scale below."""
    count, far = len(leaves), max(row["x"] for row in leaves)
    end = far * 1.03
    dots: dict[str, Any] = {"linewidth": 0.7, "linestyle": (0, (1, 2)), "zorder": 0}
    for row in leaves:
        axes.plot([row["x"], end], [row["y"]] * 2, color="#C9C9C9", **dots)
    axes.set_xlim(-0.01 * far, end)
    axes.set_ylim(count + 0.9, -0.6)
    axes.set_yticks([row["y"] for row in leaves], [row["model"] for row in leaves], fontsize=7.5)
    axes.yaxis.tick_right()
    axes.tick_params(length=0)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    _draw_scale(axes, _round_down(far / 4), count + 0.1)


def _draw_scale(axes: Axes, size: float, down: float) -> None:
    axes.plot([0, size], [down] * 2, color="black", linewidth=2, solid_capstyle="butt")
    after: dict[str, Any] = {"textcoords": "offset points", "va": "center"}
    axes.annotate(f"{size:g} √JSD", (size, down), (5, 0), fontsize=8, **after)


def _round_down(length: float) -> float:
    """Return the longest of 1, 2 and 5 times a power of ten up to a length; 1 for no length."""
    if length <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(length))
    return max(step * power for step in (1, 2, 5) if step * power <= length * (1 + 1e-9))


def _tooltip(row: Row) -> str:
    sets = ", ".join(row["training_sets"] or [])
    trained = textwrap.shorten(sets, 100, placeholder=" …") or row["training"]
    return (
        f"{row['model']}\n{row['family']}, sees {row['input']}, branch {row['branch']:.3g}\n"
        f"trained on {trained}"
    )
