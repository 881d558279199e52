"""How well potentials predict energies, whatever their zero is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from query.figures.drawing.labels import format_number
from query.figures.drawing.looks import GRAY, Look, family_looks
from query.figures.drawing.plot import NothingToDraw, Plot, Row, styled
from query.figures.drawing.questions import ask_unless_missing

INCH = 0.19  # a model
PANEL = 1.75  # inches
MANY = 3000  # points, from which a panel is drawn as pixels
ACROSS = 4
SEEN = 99  # per cent of the residuals that a panel is made for, so that one system does not rule it
WITHIN = 1.25
MEND = "; encoders of potentials give energies: matterzoo ingest MODEL {}"


@styled
def energy_errors(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    property: str | None = None,
    source: str | None = None,
) -> Plot:
    """Above a row a model, the best first: the mean absolute error of residuals with its 95 % interval, and without.

    Below, for the best few, the residual of its predictions against that of the labels. property, source: which labels;
    a source may be a model. Where none but models tell energies, they are compared with the one that tells most. Raises
    NothingToDraw where there are no energies.
    """
    mend = MEND.format(dataset)
    answer = ask_unless_missing(
        connection,
        "energy_errors",
        "no labels of",
        mend,
        dataset=dataset,
        property=property,
        source=source,
    )
    models = {row["model_id"]: row for row in answer.rows}
    drawn = {model: row for model, row in models.items() if row["mae"] is not None}
    if not drawn:
        why = (
            "; ".join(dict.fromkeys(row["reason"] for row in models.values()))
            or f"no model tells energies on {dataset}"
        )
        raise NothingToDraw(why + mend)
    best = [model for model, row in drawn.items() if row["system_id"] is not None]
    lines = -(-len(best) // ACROSS)
    bars = 0.8 + INCH * len(models)
    plot = Plot(
        answer, _title(answer.rows[0], dataset), width=8.8, height=1 + bars + lines * (PANEL + 0.25)
    )
    grid = plot.add_gridspec(1 + lines, ACROSS, height_ratios=[bars, *[PANEL] * lines])
    looks = family_looks(connection, dataset)
    _draw_errors(plot, plot.add_subplot(grid[0, :]), list(models.values()), looks)
    _draw_residuals(
        plot,
        [plot.add_subplot(grid[1 + i // ACROSS, i % ACROSS]) for i in range(len(best))],
        best,
        looks,
    )
    found = {row["family"] for row in drawn.values()}
    raw = Line2D([], [], color=GRAY, marker="|", linestyle="", label="mean, zeros and all")
    middle = Line2D(
        [],
        [],
        color=GRAY,
        marker="o",
        markerfacecolor="white",
        markersize=3.5,
        linestyle="",
        label="median",
    )
    plot.add_legend(
        {family: look for family, look in looks.items() if family in found}, [middle, raw]
    )
    warnings = dict.fromkeys(row["warning"] for row in models.values() if row["warning"])
    if warnings:
        plot.add_note("; ".join(warnings))
    return plot


def _title(row: Row, dataset: str) -> str:
    return f"Energies on {dataset} against {row['property']} of {row['source']}"


def _draw_errors(plot: Plot, axes: Axes, rows: Sequence[Row], looks: Mapping[str, Look]) -> None:
    """eV a system, on a logarithmic axis."""
    axes.set_xscale("log")
    values = [
        row[column] for row in rows for column in ("mae", "median_error", "raw_mae") if row[column]
    ]
    low, high = min(values, default=1) / 1.5, max(values, default=1) * 1.5
    for down, row in enumerate(rows):
        if row["mae"] is None:
            axes.text(
                low * 1.05, down, "undefined", color=GRAY, fontsize=6.5, verticalalignment="center"
            )
            plot.add_tooltips(axes, [low * 1.1], [down], [_tooltip(row)])
            continue
        look = looks[row["family"]]
        if row["low"] is not None:
            axes.plot(
                [max(row["low"], low), row["high"]], [down, down], color=look.color, linewidth=1.2
            )
        axes.plot(max(row["mae"], low), down, look.marker, color=look.color, markersize=6)
        axes.plot(
            max(row["median_error"], low),
            down,
            "o",
            color=look.color,
            markerfacecolor="white",
            markersize=3.5,
        )
        axes.plot(max(row["raw_mae"], low), down, "|", color=GRAY, markersize=8)
        plot.add_tooltips(
            axes,
            [max(row["mae"], low), max(row["raw_mae"], low)],
            [down, down],
            [_tooltip(row)] * 2,
        )
    axes.set_yticks(range(len(rows)), [row["model_id"] for row in rows], fontsize=7)
    axes.set(
        xlim=(low, high), ylim=(len(rows) - 0.4, -0.6), xlabel="mean absolute error (eV per system)"
    )
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def _draw_residuals(
    plot: Plot, panels: Sequence[Axes], models: Sequence[str], looks: Mapping[str, Look]
) -> None:
    """Residuals in eV, all panels to one scale; those beyond are rings at the edge, in their direction."""
    shown = [
        row
        for row in plot.answer.rows
        if row["model_id"] in models and row["label_residual"] is not None
    ]
    most = WITHIN * np.percentile(
        [np.abs((row["label_residual"], row["predicted_residual"])) for row in shown], SEEN
    )
    for axes, model in zip(panels, models, strict=True):
        rows = [row for row in shown if row["model_id"] == model]
        points = np.array([(row["label_residual"], row["predicted_residual"]) for row in rows])
        beyond = np.abs(points).max(axis=1) / most
        xs, ys = (points / np.maximum(beyond, 1)[:, None]).T
        look = looks[rows[0]["family"]]
        axes.plot(
            [-most, most], [-most, most], color=GRAY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1
        )
        faces = ["white" if far > 1 else look.color for far in beyond]
        shape: Any = {
            "marker": look.marker,
            "edgecolors": look.color,
            "rasterized": len(rows) > MANY,
        }
        axes.scatter(xs, ys, 8, faces, linewidths=0.5, clip_on=False, zorder=3, **shape)
        plot.add_tooltips(axes, xs, ys, [_system_tooltip(row) for row in rows])
        _name(axes, model, most, int((beyond > 1).sum()))
    corner = panels[(len(panels) - 1) // ACROSS * ACROSS]
    corner.set_ylabel("predicted (eV)", fontsize=7.5)
    corner.set_xlabel("label (eV), both less\ntheir composition's part", fontsize=7.5)


def _name(axes: Axes, model: str, most: float, beyond: int) -> None:
    axes.set_title(model, fontsize=7.5, fontweight="normal")
    axes.set(xlim=(-most, most), ylim=(-most, most), aspect="equal")
    axes.tick_params(labelsize=6.5)
    if beyond:
        words = f"{beyond} beyond"
        axes.text(
            0.97,
            0.03,
            words,
            transform=axes.transAxes,
            horizontalalignment="right",
            fontsize=6.5,
            color=GRAY,
        )


def _tooltip(row: Row) -> str:
    if row["mae"] is None:
        return f"{row['model_id']}\n{row['reason']}"
    between = (
        ""
        if row["low"] is None
        else f" ({format_number(row['low'])} to {format_number(row['high'])})"
    )
    return (
        f"{row['model_id']}\nof residuals {format_number(row['mae'])} eV{between}, {format_number(row['mae_per_atom'])} eV/atom, "
        f"median {format_number(row['median_error'])} eV\n"
        f"with its zero {format_number(row['raw_mae'])} eV\nrank correlation {format_number(row['spearman'])}, n = {row['n']}, "
        f"{row['rank']} constants fitted"
    )


def _system_tooltip(row: Row) -> str:
    return (
        f"{row['system_id']}\n{row['formula'] or ''}\nresiduals: label {format_number(row['label_residual'])} eV, "
        f"predicted {format_number(row['predicted_residual'])} eV"
    )
