"""Matrices of values: cells colored by their value, with the value written in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt

from query.figures.drawing.chart import fade_unless, inline, tooltips
from query.figures.drawing.labels import direction_label, metric_label
from query.figures.drawing.questions import Row
from query.metrics import find_metric

_CELL = 36  # px, the width of a cell where there are few
_LEAST = 13  # px, below which names of lines would collide
_WHOLE = 620  # px of all cells, if they are many
_LETTERS = 0.38  # of a cell, the most that the size of its number is
_SPACIOUS = 0.17  # of a cell, the size of its number where that is more than 12 px
_READABLE = 7.5  # px, the least size at which numbers are written
_SPAN = 0.1  # of values, which all colors stand for at least, or noise would look like a pattern
_ITSELF = "#B4BAC0"  # of what is compared with itself, whose value says nothing


@dataclass(frozen=True)
class Cells:
    """What the lines and the columns of a matrix are.

    Attributes:
        down: The column of the rows that says in which line a cell is.
        across: The column that says in which column a cell is.
        lines: The names of the lines, from above.
        columns: The names of the columns, from the left.
        down_title: What the lines are, in words; None is nothing.
        across_title: What the columns are, in words; None is nothing.
        aside: Pixels that are left between the cells and the names.
        square: Whether lines and columns are the same things, so that the diagonal compares each
            with itself. It is gray, and colors are of the other values.
    """

    down: str
    across: str
    lines: Sequence[str]
    columns: Sequence[str]
    down_title: str | None = None
    across_title: str | None = None
    aside: int = 4
    square: bool = False

    def size(self) -> tuple[int, int]:
        """Return the width and the height of all cells in pixels."""
        most = max(len(self.lines), len(self.columns))
        cell = max(_LEAST, min(_CELL, _WHOLE / most))
        return round(cell * max(len(self.columns), 4)), round(cell * max(len(self.lines), 4))

    def x(self) -> alt.X:
        """Return the place of a column."""
        axis = alt.Axis(labelAngle=-90, ticks=False, domain=False, labelPadding=self.aside)
        names = list(self.columns)
        return alt.X(
            field=self.across, type="nominal", sort=names, title=self.across_title, axis=axis
        )

    def y(self) -> alt.Y:
        """Return the place of a line."""
        axis = alt.Axis(ticks=False, domain=False, labelPadding=self.aside)
        names = list(self.lines)
        return alt.Y(field=self.down, type="nominal", sort=names, title=self.down_title, axis=axis)


def draw_cells(
    rows: Sequence[Row], metric: str, cells: Cells, titles: Mapping[str, str], condition: str
) -> list[alt.Chart]:
    """Draw the values of a metric as cells: dark is far apart, undefined ones are crosses.

    Args:
        rows: The rows of an answer, one per cell, with its value and its reason.
        metric: The metric.
        cells: What the lines and columns are.
        titles: What tooltips show, by column; `tooltips`.
        condition: Which cells are not faded, an expression of Vega.

    Returns:
        The cells, their numbers, and the crosses, to be put into one chart of `cells.size()`.
    """
    lower = find_metric(metric).lower_is_closer
    known = [
        row | {"itself": cells.square and row[cells.down] == row[cells.across]}
        for row in rows
        if row["value"] is not None
    ]
    low, high = _find_ends([row["value"] for row in known if not row["itself"]])
    color = _color(metric, low, high, reverse=lower)
    at = {"x": cells.x(), "y": cells.y(), "opacity": fade_unless(condition)}
    light = [
        row | {"light": row["itself"] or (row["value"] > (low + high) / 2) != lower}
        for row in known
    ]
    rest = [row for row in rows if row["value"] is None]
    names = (cells.down, cells.across)
    cross = {**{name: titles[name] for name in names if name in titles}, "reason": "undefined"}
    columns = dict.fromkeys([*names, "value", *titles, "light", "itself"])
    drawn = alt.Chart(inline(light, list(columns)))
    told = tooltips(titles)  # also by numbers, which lie over the cells
    return [
        drawn.mark_rect().encode(color=color, tooltip=told, **at),
        _write(drawn, len(cells.columns)).encode(
            text=alt.Text("value:Q", format=".2f"),
            tooltip=told,
            color=alt.ColorValue("white", condition=[{"test": "datum.light", "value": "black"}]),
            **at,
        ),
        alt.Chart(inline(rest, list(cross)))
        .mark_text(style="soft", text="×")
        .encode(tooltip=tooltips(cross), **at),
    ]


def _find_ends(values: Sequence[float]) -> tuple[float, float]:
    """Return the values between which colors differ."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    room = max(0.0, _SPAN - (high - low)) / 2
    return low - room, high + room


def _color(metric: str, low: float, high: float, *, reverse: bool) -> alt.ColorValue:
    """Return the colors of values, gray on the diagonal, with a legend that says their ends."""
    color = {
        "test": "!datum.itself",
        "field": "value",
        "type": "quantitative",
        "title": f"{metric_label(metric)} ({direction_label(metric)})",
        "scale": {"scheme": "cividis", "domain": [low, high], "reverse": reverse, "clamp": True},
        "legend": {
            "orient": "bottom",
            "gradientLength": 220,
            "gradientThickness": 12,
            "values": [low, (low + high) / 2, high],
            "format": ".2f",
        },
    }
    return alt.ColorValue(_ITSELF, condition=color)


def _write(chart: alt.Chart, columns: int) -> alt.Chart:
    """Write numbers as large as the cells allow, or none if they could not be read."""
    cell = f"width / {columns}"
    fitting = f"min(max(12, {cell} * {_SPACIOUS}), {cell} * {_LETTERS})"
    return chart.mark_text(fontSize=alt.ExprRef(f"{fitting} < {_READABLE} ? 0 : {fitting}"))
