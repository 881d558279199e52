"""In how many directions each model's vectors vary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from query.figures.drawing.labels import format_number, sample_label
from query.figures.drawing.looks import GRAY, Look, family_looks
from query.figures.drawing.plot import NothingToDraw, Plot, Row, styled
from query.statements import ask

_INCH = 0.17  # per row
_GAP = 0.7  # of a row, between groups
_WIDE = 30  # the highest value over the lowest, from which on few ticks are enough
_BELOW = 0.28  # of a row, by which a twin stands below its model


@styled
def dimensions(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    measure: str | None = None,
    subsamples: int | None = None,
    k: int | None = None,
) -> Plot:
    """Draw a measure of each model's vectors, one row per model, grouped by input and family.

    A model's untrained twin is a ring in the same row. Controls stand below, in gray.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        measure: The name of a measure; None is the intrinsic dimension.
        subsamples: Random subsets of the systems, for 95 % intervals; None is 20, 0 is none.
        k: The number of neighbors; None is the measure's default.

    Returns:
        The figure; `answer` has one row per model.

    Raises:
        NothingToDraw: If no model has a value.
    """
    answer = ask(
        connection, "dimensions", dataset=dataset, measure=measure, subsamples=subsamples, k=k
    )
    defined = [row for row in answer.rows if row["value"] is not None]
    if not defined:
        reasons = "; ".join(sorted({row["reason"] for row in answer.rows}))
        raise NothingToDraw(
            f"no model has a value on {dataset}: {reasons or 'matterzoo ingest MODEL DATASET'}"
        )
    places = _places(answer.rows)
    name = defined[0]["measure"].replace("_", " ")
    height = 1.5 + _INCH * (max(places.values()) + 1)
    plot = Plot(answer, f"{name.capitalize()} on {dataset}", width=7.6, height=height)
    axes = plot.subplots()
    looks = family_looks(connection, dataset)
    _draw(plot, axes, places, looks)
    _label_models(axes, answer.rows, places)
    axes.set_xlabel(f"{name} ({defined[0]['method']}, {sample_label(defined)})")
    plot.add_legend(looks, _other_entries({row["kind"] for row in answer.rows}))
    return plot


def _other_entries(kinds: set[str]) -> list[Line2D]:
    """Return the entries of the legend that are not families."""
    gray: dict[str, Any] = {"color": GRAY, "linestyle": ""}
    entries = {
        "twin": Line2D(
            [], [], marker="o", markerfacecolor="white", label="its untrained twin", **gray
        ),
        "control": Line2D([], [], marker="s", label="a control", **gray),
    }
    return [entry for kind, entry in entries.items() if kind in kinds]


def _places(rows: Sequence[Row]) -> dict[str, float]:
    """Return how far down each row stands, by its name, with gaps between groups."""
    places: dict[str, float] = {}
    down, group = 0.0, None
    for row in rows:
        if row["row_of"] in places:
            continue
        if group is not None and group != _group(row):
            down += _GAP
        group = _group(row)
        places[row["row_of"]] = down
        down += 1
    return places


def _group(row: Row) -> tuple[str, ...]:
    return ("control",) if row["kind"] == "control" else (row["input"], row["family"])


def _draw(plot: Plot, axes: Axes, places: Mapping[str, float], looks: Mapping[str, Look]) -> None:
    rows = plot.answer.rows
    axes.set_xscale("log")
    for row in rows:
        if row["value"] is not None:
            _draw_value(plot, axes, row, places[row["row_of"]], looks)
    values = [row["value"] for row in rows if row["value"] is not None]
    low, high = min(values) / 1.6, max(values) * 1.6
    axes.set_xlim(low, high)
    small: dict[str, Any] = {"color": GRAY, "fontsize": 6.5, "va": "center"}
    for row in rows:
        if row["value"] is None:
            down = places[row["row_of"]]
            axes.text(low * 1.03, down, "undefined", **small)
            plot.add_tooltips(axes, [low * 1.1], [down], [_tooltip(row)])


def _draw_value(plot: Plot, axes: Axes, row: Row, down: float, looks: Mapping[str, Look]) -> None:
    twin = row["kind"] == "twin"
    down += _BELOW if twin else 0
    color, face, marker = _look(row, looks)
    if row["low"] is not None:
        # On a logarithmic axis, a whisker that reaches below 0 ends at the axis.
        whisker = [max(row["low"], 1e-3), row["high"]]
        axes.plot(whisker, [down] * 2, color=color, linewidth=0.6 if twin else 1.2, zorder=2)
    axes.plot(
        row["value"],
        down,
        marker,
        color=color,
        markerfacecolor=face,
        markersize=4.5 if twin else 6,
        zorder=2 if twin else 3,
    )
    plot.add_tooltips(axes, [row["value"]], [down], [_tooltip(row)])


def _look(row: Row, looks: Mapping[str, Look]) -> tuple[str, str, str]:
    """Return color, filling and marker."""
    if row["kind"] == "control":
        return GRAY, GRAY, "s"
    look = looks.get(row["family"], Look(GRAY, "o"))
    return look.color, "white" if row["kind"] == "twin" else look.color, look.marker


def _label_models(axes: Axes, rows: Sequence[Row], places: Mapping[str, float]) -> None:
    """Write the models' names on the left, and the input of each group on the right."""
    axes.set_yticks(list(places.values()), list(places), fontsize=7)
    axes.set_ylim(max(places.values()) + 0.8, -0.8)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    low, high = axes.get_xlim()
    steps = (1, 2, 5) if high > _WIDE * low else (1, 1.5, 2, 3, 5, 7)
    ticks = [step * 10.0**power for power in range(-3, 7) for step in steps]
    axes.set_xticks([tick for tick in ticks if low <= tick <= high])
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    first: dict[str, float] = {}
    for row in rows:
        name = "the controls" if row["kind"] == "control" else f"input: {row['input']}"
        first.setdefault(name, places[row["row_of"]])
    aside = axes.get_yaxis_transform()
    for text, down in first.items():
        axes.text(1.01, down, text, transform=aside, fontsize=7, color=GRAY, va="center")


def _tooltip(row: Row) -> str:
    lines = [row["model_id"], f"{row['measure']} {format_number(row['value'])}"]
    if row["value"] is None:
        lines.append(row["reason"])
    elif row["low"] is not None:
        lines[1] += f" ({format_number(row['low'])} to {format_number(row['high'])})"
    return "\n".join([*lines, f"vectors of {row['dimension']} numbers, n = {row['n']}"])
