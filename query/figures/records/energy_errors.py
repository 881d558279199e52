"""How well potentials predict energies, whatever their zero is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from query.figures.drawing.labels import format_number
from query.figures.drawing.looks import GRAY, Look, family_looks
from query.figures.drawing.plot import NothingToDraw, Plot, Row, styled
from query.figures.drawing.questions import ask_unless_missing

_INCH = 0.19  # per model
_PANEL = 1.75  # inches
_MANY = 3000  # points, from which on a panel is drawn as pixels
_ACROSS = 4  # panels per line
_SEEN = 99  # percent of the residuals that a panel has room for; one system must not decide it
_ROOM = 1.25  # of that, to the edge of a panel
_REMEDY = "; encoders of potentials give energies: matterzoo ingest MODEL {}"


@styled
def energy_errors(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    property: str | None = None,
    source: str | None = None,
) -> Plot:
    """Draw the errors of each model's energies, once composition is taken out.

    Above, one row per model, the best first: the mean absolute error of residuals with its 95 %
    interval, the median, and the error with the composition left in. Below, for the best few
    models, the residuals of their predictions against those of the labels.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        property: Which labels; None is the only property that is an energy.
        source: The source of the labels; it may be a model. None is the only source that is not
            a model, or the model with the most energies if only models have any.

    Returns:
        The figure; `answer` has one row per model, and per system of the best models.

    Raises:
        NothingToDraw: If there are no energies.
    """
    remedy = _REMEDY.format(dataset)
    answer = ask_unless_missing(
        connection,
        "energy_errors",
        "no labels of",
        remedy,
        dataset=dataset,
        property=property,
        source=source,
    )
    models = list({row["model_id"]: row for row in answer.rows}.values())
    drawn = [row for row in models if row["mae"] is not None]
    if not drawn:
        reasons = "; ".join(dict.fromkeys(row["reason"] for row in models))
        raise NothingToDraw((reasons or f"no model has energies on {dataset}") + remedy)
    best = [row["model_id"] for row in drawn if row["system_id"] is not None]
    lines = -(-len(best) // _ACROSS)
    bars = 0.8 + _INCH * len(models)
    first = answer.rows[0]
    title = f"Energies on {dataset} against {first['property']} of {first['source']}"
    plot = Plot(answer, title, width=8.8, height=1 + bars + lines * (_PANEL + 0.25))
    grid = plot.add_gridspec(1 + lines, _ACROSS, height_ratios=[bars, *[_PANEL] * lines])
    looks = family_looks(connection, dataset)
    _draw_errors(plot, plot.add_subplot(grid[0, :]), models, looks)
    places = [grid[1 + i // _ACROSS, i % _ACROSS] for i in range(len(best))]
    _draw_residuals(plot, [plot.add_subplot(place) for place in places], best, looks)
    _add_legend(plot, {row["family"] for row in drawn}, looks)
    warnings = dict.fromkeys(row["warning"] for row in models if row["warning"])
    if warnings:
        plot.add_note("; ".join(warnings))
    return plot


def _add_legend(plot: Plot, families: set[str], looks: Mapping[str, Look]) -> None:
    gray: dict[str, Any] = {"color": GRAY, "linestyle": ""}
    middle = Line2D(
        [], [], marker="o", markerfacecolor="white", markersize=3.5, label="median", **gray
    )
    raw = Line2D([], [], marker="|", label="mean, with composition", **gray)
    shown = {family: look for family, look in looks.items() if family in families}
    plot.add_legend(shown, [middle, raw])


def _draw_errors(plot: Plot, axes: Axes, rows: Sequence[Row], looks: Mapping[str, Look]) -> None:
    """Draw the errors in eV per system, on a logarithmic axis."""
    axes.set_xscale("log")
    columns = ("mae", "median_error", "raw_mae")
    values = [row[column] for row in rows for column in columns if row[column]]
    low, high = min(values, default=1) / 1.5, max(values, default=1) * 1.5
    for down, row in enumerate(rows):
        if row["mae"] is None:
            small: dict[str, Any] = {"color": GRAY, "fontsize": 6.5, "verticalalignment": "center"}
            axes.text(low * 1.05, down, "undefined", **small)
            plot.add_tooltips(axes, [low * 1.1], [down], [_tooltip(row)])
        else:
            _draw_error(plot, axes, row, down, low, looks[row["family"]])
    axes.set_yticks(range(len(rows)), [row["model_id"] for row in rows], fontsize=7)
    axes.set(xlim=(low, high), ylim=(len(rows) - 0.4, -0.6))
    axes.set_xlabel("mean absolute error (eV per system)")
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def _draw_error(plot: Plot, axes: Axes, row: Row, down: float, least: float, look: Look) -> None:
    """Draw a model's errors; those below the axis stand at its end, `least`."""
    mean, middle, raw = (max(row[name], least) for name in ("mae", "median_error", "raw_mae"))
    if row["low"] is not None:
        whisker = [max(row["low"], least), row["high"]]
        axes.plot(whisker, [down] * 2, color=look.color, linewidth=1.2)
    axes.plot(mean, down, look.marker, color=look.color, markersize=6)
    axes.plot(middle, down, "o", color=look.color, markerfacecolor="white", markersize=3.5)
    axes.plot(raw, down, "|", color=GRAY, markersize=8)
    plot.add_tooltips(axes, [mean, raw], [down] * 2, [_tooltip(row)] * 2)


def _draw_residuals(
    plot: Plot, panels: Sequence[Axes], models: Sequence[str], looks: Mapping[str, Look]
) -> None:
    """Draw residuals in eV, all panels to one scale."""
    shown = [
        row
        for row in plot.answer.rows
        if row["model_id"] in models and row["label_residual"] is not None
    ]
    most = float(_ROOM * np.percentile(np.abs(_residuals(shown)), _SEEN))
    for axes, model in zip(panels, models, strict=True):
        rows = [row for row in shown if row["model_id"] == model]
        beyond = _draw_cloud(plot, axes, rows, most, looks[rows[0]["family"]])
        _draw_frame(axes, model, most, beyond)
    corner = panels[(len(panels) - 1) // _ACROSS * _ACROSS]
    corner.set_ylabel("predicted (eV)", fontsize=7.5)
    corner.set_xlabel("label (eV), both less\ntheir composition's part", fontsize=7.5)


def _residuals(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Return the residuals of labels and of predictions, (n, 2)."""
    return np.array([(row["label_residual"], row["predicted_residual"]) for row in rows])


def _draw_cloud(plot: Plot, axes: Axes, rows: Sequence[Row], most: float, look: Look) -> int:
    """Draw one point per system, and return how many lie beyond the panel.

    Those are rings at its edge, in their direction.
    """
    points = _residuals(rows)
    beyond = np.abs(points).max(axis=1) / most
    xs, ys = (points / np.maximum(beyond, 1)[:, None]).T
    dashed: dict[str, Any] = {"linewidth": 0.8, "linestyle": (0, (4, 3)), "zorder": 1}
    axes.plot([-most, most], [-most, most], color=GRAY, **dashed)
    faces = ["white" if far > 1 else look.color for far in beyond]
    shape: Any = {
        "marker": look.marker,
        "edgecolors": look.color,
        "rasterized": len(rows) > _MANY,
    }
    axes.scatter(xs, ys, 8, faces, linewidths=0.5, clip_on=False, zorder=3, **shape)
    plot.add_tooltips(axes, xs, ys, map(_system_tooltip, rows))
    return int((beyond > 1).sum())


def _draw_frame(axes: Axes, model: str, most: float, beyond: int) -> None:
    axes.set_title(model, fontsize=7.5, fontweight="normal")
    axes.set(xlim=(-most, most), ylim=(-most, most), aspect="equal")
    axes.tick_params(labelsize=6.5)
    if beyond:
        small: dict[str, Any] = {"horizontalalignment": "right", "fontsize": 6.5, "color": GRAY}
        axes.text(0.97, 0.03, f"{beyond} beyond", transform=axes.transAxes, **small)


def _tooltip(row: Row) -> str:
    if row["mae"] is None:
        return f"{row['model_id']}\n{row['reason']}"
    low, high = format_number(row["low"]), format_number(row["high"])
    interval = "" if row["low"] is None else f" ({low} to {high})"
    return (
        f"{row['model_id']}\n"
        f"of residuals {format_number(row['mae'])} eV{interval}, "
        f"{format_number(row['mae_per_atom'])} eV/atom, "
        f"median {format_number(row['median_error'])} eV\n"
        f"with composition {format_number(row['raw_mae'])} eV\n"
        f"rank correlation {format_number(row['spearman'])}, n = {row['n']}, "
        f"{row['rank']} constants fitted"
    )


def _system_tooltip(row: Row) -> str:
    label, predicted = (
        format_number(row[column]) for column in ("label_residual", "predicted_residual")
    )
    return (
        f"{row['system_id']}\n{row['formula'] or ''}\n"
        f"residuals: label {label} eV, predicted {predicted} eV"
    )
