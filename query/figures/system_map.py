"""A map of the systems as one model sees them, colored by what is known of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import duckdb
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

from query.figures.drawing.labels import format_number
from query.figures.drawing.looks import GRAY, SEQUENTIAL, assign_looks
from query.figures.drawing.plot import NothingToDraw, Plot, Row, styled
from query.statements import ask

MOST_KINDS = 7
MANY = 3000  # systems, from which points are small, and pixels
WIDE = 30  # highest over lowest value, from which the colors are logarithmic
SEEN = (1, 99)  # per cent of the values
SEEING = "FROM models_on(?) WHERE kind IN ('model', 'descriptor') LIMIT 1"
NAMES = {"n_atoms": "atoms", "n_elements": "elements"}


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
    """A point a system, by 'pca' or 'umap'. model: None is the one that is most aligned with the others on average.

    color: 'n_atoms' (default), 'n_elements', 'formula', or a property of table labels, of `source` where several tell
    it. Systems of which it is not known are gray rings. Raises NothingToDraw where there is no map, or nobody knows the
    property of any system.
    """
    if model is None and not connection.execute(SEEING, [dataset]).fetchall():
        raise NothingToDraw(f"no model has vectors on {dataset}: matterzoo ingest MODEL {dataset}")
    options = {
        "model": model,
        "method": method,
        "color": color,
        "source": source,
        "k": k,
        "max_systems": max_systems,
    }
    answer = ask(connection, "system_map", dataset=dataset, **options)
    rows = answer.rows
    if rows[0]["reason"] is not None:
        raise NothingToDraw(rows[0]["reason"])
    if all(row["value"] is None and row["category"] is None for row in rows):
        raise NothingToDraw(
            f"no system of {dataset} has a label '{rows[0]['color']}': see FROM labels"
        )
    plot = Plot(answer, f"{dataset} as {rows[0]['model_id']} sees it", width=6.6, height=5)
    axes = plot.subplots()
    _draw_missing(axes, [row for row in rows if row["value"] is None and row["category"] is None])
    if any(row["category"] is not None for row in rows):
        _draw_kinds(axes, rows)
    else:
        _draw_values(plot, axes, [row for row in rows if row["value"] is not None])
    for points in axes.collections:
        points.set_rasterized(len(rows) > MANY)
    _name(axes, rows[0])
    plot.add_tooltips(
        axes,
        [row["x"] for row in rows],
        [row["y"] for row in rows],
        [_tooltip(row) for row in rows],
    )
    return plot


def _size(rows: Sequence[Row]) -> float:
    return 26 if len(rows) <= 500 else 12 if len(rows) <= MANY else 4


def _draw_missing(axes: Axes, rows: Sequence[Row]) -> None:
    if rows:
        xs, ys = [row["x"] for row in rows], [row["y"] for row in rows]
        known = f"not known ({len(rows)})"
        axes.scatter(
            xs, ys, _size(rows), facecolors="none", edgecolors=GRAY, linewidths=0.6, label=known
        )
        axes.legend(loc="upper left", bbox_to_anchor=(0, -0.12))


def _draw_values(plot: Plot, axes: Axes, rows: Sequence[Row]) -> None:
    values = np.array([row["value"] for row in rows], dtype=float)
    low, high = np.percentile(
        values, SEEN
    ).tolist()  # beyond, all is as dark or as light: one system must not rule
    norm = LogNorm(low, high) if low > 0 and high > WIDE * low else Normalize(low, high)
    xs, ys = [row["x"] for row in rows], [row["y"] for row in rows]
    points = axes.scatter(xs, ys, _size(rows), c=values, cmap=SEQUENTIAL, norm=norm, linewidths=0)
    bar = plot.colorbar(
        points, ax=axes, shrink=0.8, aspect=24, pad=0.02, extend=_beyond(values, low, high)
    )
    if isinstance(norm, LogNorm):
        bar.set_ticks(LogLocator(subs=(1, 2, 5)))
        bar.ax.yaxis.set_major_formatter("{x:g}")
        bar.minorticks_off()
    elif rows[0]["color"] in NAMES:
        bar.set_ticks(MaxNLocator(integer=True))
    row = rows[0]
    unit = f" ({row['unit']})" if row["unit"] else ""
    source = f"\n{row['source']}" if row["source"] else ""
    bar.set_label(f"{NAMES.get(row['color'], row['color'])}{unit}{source}")


def _beyond(values: NDArray[np.float64], low: float, high: float) -> str:
    """On which sides of low to high there are more values, as Matplotlib calls it."""
    return {(True, True): "both", (True, False): "min", (False, True): "max"}.get(
        (bool(values.min() < low), bool(values.max() > high)), "neither"
    )


def _draw_kinds(axes: Axes, rows: Sequence[Row]) -> None:
    """The most frequent kinds with a look each, the rest in gray."""
    counted = Counter(row["category"] for row in rows if row["category"] is not None)
    frequent = sorted(counted, key=lambda name: (-counted[name], name))[:MOST_KINDS]
    rest = [row for row in rows if row["category"] not in (None, *frequent)]
    size = _size(rows)
    xs, ys = [row["x"] for row in rest], [row["y"] for row in rest]
    axes.scatter(
        xs, ys, size / 2, color="#C4C4C4", linewidths=0, label=f"other ({len(rest)})", zorder=0
    )
    for name, look in assign_looks(frequent).items():
        some = [row for row in rows if row["category"] == name]
        xs, ys = [row["x"] for row in some], [row["y"] for row in some]
        label = f"{name} ({counted[name]})"
        axes.scatter(xs, ys, size, color=look.color, marker=look.marker, linewidths=0, label=label)
    axes.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1), title=rows[0]["color"], alignment="left"
    )


def _name(axes: Axes, row: Row) -> None:
    if row["method"] == "pca":
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xlabel(
            f"first direction ({row['explained_x']:.0%} of the variance), n = {row['n']}"
        )
        axes.set_ylabel(f"second direction ({row['explained_y']:.0%})")
        return
    axes.set(xticks=[], yticks=[])
    axes.set_xlabel(
        f"{row['method']}, k = {row['k']}, n = {row['n']}; distances far apart mean little"
    )


def _tooltip(row: Row) -> str:
    known = row["category"] or (
        format_number(row["value"]) if row["value"] is not None else "not known"
    )
    unit = f" {row['unit']}" if row["unit"] else ""
    return f"{row['system_id']}\n{row['formula'] or ''}\n{NAMES.get(row['color'], row['color'])}: {known}{unit}"
