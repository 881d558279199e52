"""The neighbor-joining tree of the models, drawn so that branches are as long as the models are apart."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence

import duckdb
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from query.figures.drawing.looks import OTHER_LOOK, Look, assign_looks, family_looks
from query.figures.drawing.plot import Plot, Row, styled
from query.figures.drawing.questions import ask_for_tree

INCH = 0.17  # a model
COLORED = ("family", "input", "training")
WRAP = 34  # letters, of a name in the key


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
    """Left to right from wherever the drawing begins to the models, one line each; branches below zero as zero.

    color: 'family', 'input' or 'training', what the marks tell. models: None is every trained model and descriptor with
    vectors there. Raises NothingToDraw below two models that can be compared.
    """
    if color not in COLORED:
        raise ValueError(f"color = {color!r}, expected one of {', '.join(COLORED)}")
    answer = ask_for_tree(
        connection, "model_tree", dataset=dataset, metric=metric, models=models, k=k
    )
    leaves = [row for row in answer.rows if row["model"] is not None and row["node"] is not None]
    outside = [row for row in answer.rows if row["node"] is None]
    title = f"Tree of {len(leaves)} models on {dataset}, by {metric}"
    plot = Plot(answer, title, width=9, height=INCH * len(leaves) + (1.5 if outside else 1.2))
    axes = plot.subplots()
    _branches(axes, [row for row in answer.rows if row["node"] is not None])
    looks = _looks(connection, dataset, color, leaves)
    for row in leaves:
        look = looks[row[color]]
        axes.plot(
            row["x"],
            row["y"],
            color=look.color,
            marker=look.marker,
            markersize=6,
            markeredgewidth=0,
            zorder=3,
        )
    plot.add_tooltips(
        axes, [row["x"] for row in leaves], [row["y"] for row in leaves], map(_tooltip, leaves)
    )
    _frame(axes, leaves)
    plot.add_legend({textwrap.fill(name, WRAP): look for name, look in looks.items()}, title=color)
    if outside:
        plot.add_note(
            "Without a place: " + "; ".join(f"{row['model']} ({row['reason']})" for row in outside)
        )
    return plot


def _looks(
    connection: duckdb.DuckDBPyConnection, dataset: str, color: str, leaves: Sequence[Row]
) -> dict[str, Look]:
    """A look for each of the values drawn."""
    drawn = sorted({row[color] for row in leaves})
    known: Mapping[str, Look] = (
        family_looks(connection, dataset) if color == "family" else assign_looks(drawn)
    )
    return {name: known.get(name, OTHER_LOOK) for name in drawn}


def _branches(axes: Axes, nodes: Sequence[Row]) -> None:
    place = {row["node"]: (row["x"], row["y"]) for row in nodes}
    children = [row for row in nodes if row["parent"] is not None]
    along = [((place[row["parent"]][0], row["y"]), (row["x"], row["y"])) for row in children]
    across = [
        ((place[row["parent"]][0], place[row["parent"]][1]), (place[row["parent"]][0], row["y"]))
        for row in children
    ]
    axes.add_collection(
        LineCollection(along + across, colors="black", linewidths=0.9, capstyle="projecting")
    )
    axes.autoscale_view()


def _frame(axes: Axes, leaves: Sequence[Row]) -> None:
    """Names on the right, each led to by dots, and a bar for the scale."""
    count, far = len(leaves), max(row["x"] for row in leaves)
    end = far * 1.03
    for row in leaves:
        axes.plot(
            [row["x"], end],
            [row["y"]] * 2,
            color="#C9C9C9",
            linewidth=0.7,
            linestyle=(0, (1, 2)),
            zorder=0,
        )
    axes.set_xlim(-0.01 * far, end)
    axes.set_ylim(count + 0.9, -0.6)
    axes.set_yticks([row["y"] for row in leaves], [row["model"] for row in leaves], fontsize=7.5)
    axes.yaxis.tick_right()
    axes.tick_params(length=0)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    size = _round(far / 4)
    axes.plot([0, size], [count + 0.1] * 2, color="black", linewidth=2, solid_capstyle="butt")
    axes.annotate(
        f"{size:g} √JSD",
        (size, count + 0.1),
        (5, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
    )


def _round(length: float) -> float:
    """The longest of 1, 2 and 5 times a power of ten that is not longer; 1 for no length."""
    if length <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(length))
    return max(step * power for step in (1, 2, 5) if step * power <= length * (1 + 1e-9))


def _tooltip(row: Row) -> str:
    sets = (
        textwrap.shorten(", ".join(row["training_sets"] or []), 100, placeholder=" …")
        or row["training"]
    )
    return f"{row['model']}\n{row['family']}, sees {row['input']}, branch {row['branch']:.3g}\ntrained on {sets}"
