"""In how many directions each model's vectors vary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from query.figures.drawing.labels import format_number, sample_label
from query.figures.drawing.looks import GRAY, Look, family_looks
from query.figures.drawing.plot import NothingToDraw, Plot, Row, styled
from query.statements import ask

INCH = 0.17  # a row
GAP = 0.7  # of a row, between groups
WIDE = 30  # highest over lowest, from which few ticks do
BELOW = 0.28  # of a row, that a twin stands below its model


@styled
def dimensions(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    measure: str | None = None,
    subsamples: int | None = None,
    k: int | None = None,
) -> Plot:
    """One row a model, grouped by input and family, its untrained twin a ring in the same row; controls below, in gray.

    measure: any of `dimensions`, by default the intrinsic dimension. Whiskers are 95 % intervals from random parts of
    the systems. Raises NothingToDraw where no model has a value.
    """
    answer = ask(
        connection, "dimensions", dataset=dataset, measure=measure, subsamples=subsamples, k=k
    )
    defined = [row for row in answer.rows if row["value"] is not None]
    if not defined:
        reasons = sorted({row["reason"] for row in answer.rows})
        raise NothingToDraw(
            f"no model has a value on {dataset}: {'; '.join(reasons) or 'matterzoo ingest MODEL DATASET'}"
        )
    places = _place(answer.rows)
    name = defined[0]["measure"].replace("_", " ")
    plot = Plot(
        answer,
        f"{name.capitalize()} on {dataset}",
        width=7.6,
        height=1.5 + INCH * (max(places.values()) + 1),
    )
    axes = plot.subplots()
    looks = family_looks(connection, dataset)
    _draw(plot, axes, answer.rows, places, looks)
    _name(axes, answer.rows, places)
    axes.set_xlabel(f"{name} ({defined[0]['method']}, {sample_label(defined)})")
    twin = Line2D(
        [],
        [],
        color=GRAY,
        marker="o",
        markerfacecolor="white",
        linestyle="",
        label="its untrained twin",
    )
    control = Line2D([], [], color=GRAY, marker="s", linestyle="", label="a control")
    found = {row["kind"] for row in answer.rows}
    plot.add_legend(
        looks, [handle for kind, handle in (("twin", twin), ("control", control)) if kind in found]
    )
    return plot


def _place(rows: Sequence[Row]) -> dict[str, float]:
    """How far down each row stands, by its name; a gap between groups."""
    places: dict[str, float] = {}
    down, group = 0.0, None
    for row in rows:
        if row["row_of"] in places:
            continue
        if group is not None and group != _group(row):
            down += GAP
        group = _group(row)
        places[row["row_of"]] = down
        down += 1
    return places


def _group(row: Row) -> tuple[str, ...]:
    return ("control",) if row["kind"] == "control" else (row["input"], row["family"])


def _draw(
    plot: Plot,
    axes: Axes,
    rows: Sequence[Row],
    places: Mapping[str, float],
    looks: Mapping[str, Look],
) -> None:
    axes.set_xscale("log")
    for row in rows:
        if row["value"] is None:
            continue
        twin = row["kind"] == "twin"
        down = places[row["row_of"]] + (BELOW if twin else 0)
        color, face, marker = _look(row, looks)
        if row["low"] is not None:  # on a logarithmic axis a whisker below 0 ends at the axis
            axes.plot(
                [max(row["low"], 1e-3), row["high"]],
                [down, down],
                color=color,
                linewidth=0.6 if twin else 1.2,
                zorder=2,
            )
        size = 4.5 if twin else 6
        axes.plot(
            row["value"],
            down,
            marker,
            color=color,
            markerfacecolor=face,
            markersize=size,
            zorder=2 if twin else 3,
        )
        plot.add_tooltips(axes, [row["value"]], [down], [_tooltip(row)])
    values = [row["value"] for row in rows if row["value"] is not None]
    low, high = min(values) / 1.6, max(values) * 1.6
    axes.set_xlim(low, high)
    for row in rows:
        if row["value"] is None:
            axes.text(
                low * 1.03,
                places[row["row_of"]],
                "undefined",
                color=GRAY,
                fontsize=6.5,
                va="center",
            )
            plot.add_tooltips(axes, [low * 1.1], [places[row["row_of"]]], [_tooltip(row)])


def _look(row: Row, looks: Mapping[str, Look]) -> tuple[str, str, str]:
    """Color, filling, marker."""
    if row["kind"] == "control":
        return GRAY, GRAY, "s"
    look = looks.get(row["family"], Look(GRAY, "o"))
    return look.color, "white" if row["kind"] == "twin" else look.color, look.marker


def _name(axes: Axes, rows: Sequence[Row], places: Mapping[str, float]) -> None:
    """Models' names on the left, the input of each group on the right."""
    axes.set_yticks(list(places.values()), list(places), fontsize=7)
    axes.set_ylim(max(places.values()) + 0.8, -0.8)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    low, high = axes.get_xlim()
    steps = (1, 2, 5) if high > WIDE * low else (1, 1.5, 2, 3, 5, 7)
    ticks = [step * 10.0**power for power in range(-3, 7) for step in steps]
    axes.set_xticks([tick for tick in ticks if low <= tick <= high])
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())
    first: dict[str, float] = {}
    for row in rows:
        name = "the controls" if row["kind"] == "control" else f"input: {row['input']}"
        first.setdefault(name, places[row["row_of"]])
    for text, down in first.items():
        axes.text(
            1.01,
            down,
            text,
            transform=axes.get_yaxis_transform(),
            fontsize=7,
            color=GRAY,
            va="center",
        )


def _tooltip(row: Row) -> str:
    lines = [row["model_id"], f"{row['measure']} {format_number(row['value'])}"]
    if row["value"] is None:
        lines.append(row["reason"])
    elif row["low"] is not None:
        lines[1] += f" ({format_number(row['low'])} to {format_number(row['high'])})"
    return "\n".join([*lines, f"vectors of {row['dimension']} numbers, n = {row['n']}"])
