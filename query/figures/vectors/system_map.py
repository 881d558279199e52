"""A map of the systems as one model sees them, colored by what is known about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

from query.figures.drawing.labels import format_number
from query.figures.drawing.looks import GRAY, SEQUENTIAL, assign_looks
from query.figures.drawing.plot import NothingToDraw, Plot, Row, styled
from query.statements import ask

_MOST_CATEGORIES = 7  # that have a look of their own
_MANY = 3000  # systems, from which on points are small, and pixels
_WIDE = 30  # the highest value over the lowest, from which on the colors are logarithmic
_SEEN = (1, 99)  # percentiles of the values between which colors differ
_ANY_MODEL = "FROM models_on(?) WHERE kind IN ('model', 'descriptor') LIMIT 1"
_NAMES = {"n_atoms": "atoms", "n_elements": "elements"}


@styled
def system_map(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    model: str | None = None,
    method: str | None = None,
    color: str | None = None,
    source: str | None = None,
    k: int | None = None,
    max_systems: int | None = None,
) -> Plot:
    """Draw one point per system, placed by a model's vectors.

    Systems for which the color is not known are gray rings.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        model: A model; None is the one that is most aligned with the others on average.
        method: "pca" or "umap"; None is "pca".
        color: "n_atoms", "n_elements", "formula", or a property of table labels; None is
            "n_atoms".
        source: The source of the labels; None is the one with the most.
        k: The number of neighbors of "umap"; None is its default.
        max_systems: The most systems that are drawn; None is 15,000.

    Returns:
        The figure; `answer` has one row per system.

    Raises:
        NothingToDraw: If there is no map, or the color is not known for any system.
    """
    if model is None and not connection.execute(_ANY_MODEL, [dataset]).fetchall():
        raise NothingToDraw(f"no model has vectors on {dataset}: matterzoo ingest MODEL {dataset}")
    answer = ask(
        connection,
        "system_map",
        dataset=dataset,
        model=model,
        method=method,
        color=color,
        source=source,
        k=k,
        max_systems=max_systems,
    )
    rows = answer.rows
    if rows[0]["reason"] is not None:
        raise NothingToDraw(rows[0]["reason"])
    if all(_is_unknown(row) for row in rows):
        name = rows[0]["color"]
        raise NothingToDraw(f"no system of {dataset} has a label '{name}': see FROM labels")
    plot = Plot(answer, f"{dataset} as {rows[0]['model_id']} sees it", width=6.6, height=5)
    axes = plot.subplots()
    _draw_points(plot, axes, rows)
    _label_axes(axes, rows[0])
    xs, ys = [row["x"] for row in rows], [row["y"] for row in rows]
    plot.add_tooltips(axes, xs, ys, map(_tooltip, rows))
    return plot


def _is_unknown(row: Row) -> bool:
    return row["value"] is None and row["category"] is None


def _draw_points(plot: Plot, axes: Axes, rows: Sequence[Row]) -> None:
    _draw_unknown(axes, [row for row in rows if _is_unknown(row)])
    if any(row["category"] is not None for row in rows):
        _draw_categories(axes, rows)
    else:
        _draw_values(plot, axes, [row for row in rows if row["value"] is not None])
    for points in axes.collections:
        points.set_rasterized(len(rows) > _MANY)


def _scatter(axes: Axes, rows: Sequence[Row], size: float, **options: Any) -> PathCollection:
    return axes.scatter([row["x"] for row in rows], [row["y"] for row in rows], size, **options)


def _size(rows: Sequence[Row]) -> float:
    return 26 if len(rows) <= 500 else 12 if len(rows) <= _MANY else 4


def _draw_unknown(axes: Axes, rows: Sequence[Row]) -> None:
    if rows:
        ring: dict[str, Any] = {"facecolors": "none", "edgecolors": GRAY, "linewidths": 0.6}
        _scatter(axes, rows, _size(rows), label=f"not known ({len(rows)})", **ring)
        axes.legend(loc="upper left", bbox_to_anchor=(0, -0.12))


def _draw_values(plot: Plot, axes: Axes, rows: Sequence[Row]) -> None:
    values = np.array([row["value"] for row in rows], dtype=float)
    # Beyond these percentiles all colors are equal: a single system must not decide the range.
    low, high = np.percentile(values, _SEEN).tolist()
    norm = LogNorm(low, high) if low > 0 and high > _WIDE * low else Normalize(low, high)
    points = _scatter(axes, rows, _size(rows), c=values, cmap=SEQUENTIAL, norm=norm, linewidths=0)
    extend = _extension(values, low, high)
    bar = plot.colorbar(points, ax=axes, shrink=0.8, aspect=24, pad=0.02, extend=extend)
    row = rows[0]
    if isinstance(norm, LogNorm):
        bar.set_ticks(LogLocator(subs=(1, 2, 5)))
        bar.ax.yaxis.set_major_formatter("{x:g}")
        bar.minorticks_off()
    elif row["color"] in _NAMES:
        bar.set_ticks(MaxNLocator(integer=True))
    unit = f" ({row['unit']})" if row["unit"] else ""
    source = f"\n{row['source']}" if row["source"] else ""
    bar.set_label(f"{_NAMES.get(row['color'], row['color'])}{unit}{source}")


def _extension(values: NDArray[np.float64], low: float, high: float) -> str:
    """Return on which sides of low to high there are more values, in Matplotlib's words."""
    return {(True, True): "both", (True, False): "min", (False, True): "max"}.get(
        (bool(values.min() < low), bool(values.max() > high)), "neither"
    )


def _draw_categories(axes: Axes, rows: Sequence[Row]) -> None:
    """Draw the most frequent categories with a look each, the rest in gray."""
    counted = Counter(row["category"] for row in rows if row["category"] is not None)
    frequent = sorted(counted, key=lambda name: (-counted[name], name))[:_MOST_CATEGORIES]
    rest = [row for row in rows if row["category"] not in (None, *frequent)]
    size = _size(rows)
    gray: dict[str, Any] = {"color": "#C4C4C4", "linewidths": 0, "zorder": 0}
    _scatter(axes, rest, size / 2, label=f"other ({len(rest)})", **gray)
    for name, look in assign_looks(frequent).items():
        some = [row for row in rows if row["category"] == name]
        shape: dict[str, Any] = {"color": look.color, "marker": look.marker, "linewidths": 0}
        _scatter(axes, some, size, label=f"{name} ({counted[name]})", **shape)
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1), title=rows[0]["color"], alignment="left"
    )


def _label_axes(axes: Axes, row: Row) -> None:
    if row["method"] == "pca":
        explained = f"{row['explained_x']:.0%} of the variance"
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xlabel(f"first direction ({explained}), n = {row['n']}")
        axes.set_ylabel(f"second direction ({row['explained_y']:.0%})")
        return
    how = f"{row['method']}, k = {row['k']}, n = {row['n']}"
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(f"{how}; distances far apart mean little")


def _tooltip(row: Row) -> str:
    known = row["category"] or (
        format_number(row["value"]) if row["value"] is not None else "not known"
    )
    unit = f" {row['unit']}" if row["unit"] else ""
    name = _NAMES.get(row["color"], row["color"])
    return f"{row['system_id']}\n{row['formula'] or ''}\n{name}: {known}{unit}"
