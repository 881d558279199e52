"""The periodic table: cells of elements colored by their value, with symbol, value and count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt

from query.figures.drawing.chart import inline, layered, tooltips
from query.figures.drawing.looks import COLORS
from query.figures.drawing.questions import Row
from zoo.encoder import SYMBOLS

_NOBLE = (0, 2, 10, 18, 36, 54, 86, 118)  # the last element of each period
_GROUPS = 18
_APART = 2  # lines from period 6 to its elements 57 to 70, which stand below the table
_CELL = (44, 46)  # px, the width and the height of a cell
_PLACE = ("group", "line")
_MARKED = COLORS[4]  # stands out from all colors of the cells
# Of a cell's width: the size of letters, and what they are at most and at least, in pixels.
_SYMBOL, _VALUE, _COUNT = (0.34, 13, 0), (0.26, 11, 7), (0.19, 8.5, 7)


@dataclass(frozen=True)
class Look:
    """How values are drawn.

    Attributes:
        title: The title of the colors' legend.
        reverse: Whether low values are bright.
        titles: What tooltips show, by column.
        undefined: What tooltips of cells without a value show, by column.
    """

    title: str
    reverse: bool
    titles: Mapping[str, str]
    undefined: Mapping[str, str]


def place(number: int) -> tuple[int, int]:
    """Return the group and the line of an element; 57 to 70 and 89 to 102 have lines below.

    Args:
        number: The atomic number, from 1.
    """
    period = next(i for i, last in enumerate(_NOBLE) if number <= last)
    step, length = number - _NOBLE[period - 1], _NOBLE[period] - _NOBLE[period - 1]
    if length == 32 and 2 < step < 17:
        return step, period + 1 + _APART
    left = {2: 1, 8: 2, 18: _GROUPS, 32: 2}[length]
    return (step if step <= left else step + _GROUPS - length), period


def draw_table(rows: Sequence[Row], look: Look) -> alt.LayerChart:
    """Draw the values of elements, in as many lines as they need.

    Args:
        rows: One row per element, with kind (its symbol), value, written (the value as text), count
            (a text), marked, and the columns of the tooltips.
        look: How values are drawn.

    Returns:
        Layers: elements without a row, cells, undefined cells, frames of marked cells, and texts.
    """
    every = {symbol: place(number) for number, symbol in enumerate(SYMBOLS, 1)}
    placed = [row | dict(zip(_PLACE, every.pop(row["kind"]), strict=True)) for row in rows]
    last = max(row["line"] for row in placed)
    others: list[Row] = [
        {"kind": symbol, "group": group, "line": line}
        for symbol, (group, line) in every.items()
        if line <= last
    ]
    scale = alt.Scale(scheme="cividis", domain=[0, 1], clamp=True, reverse=look.reverse)
    bar = alt.Legend(orient="bottom", gradientLength=220, gradientThickness=12)
    light = f"(datum.value > 0.5) != {str(look.reverse).lower()}"
    inks = alt.ColorValue("white", condition=[{"test": light, "value": "black"}])
    at = _at(last)
    known = [row for row in placed if row["value"] is not None]
    columns = list(dict.fromkeys(["kind", "value", "written", "count", *look.titles, *_PLACE]))
    told = tooltips(look.titles)
    cells = alt.Chart(inline(known, columns)).encode(tooltip=told, **at)
    marked = [row for row in known if row["marked"]]
    frames = alt.Chart(inline(marked, ["kind", *_PLACE])).mark_rect(
        filled=False, stroke=_MARKED, strokeWidth=2, strokeDash=[3, 2]
    )
    return layered(
        _write(others, "kind", _SYMBOL, 0).encode(**at),
        cells.mark_rect().encode(
            color=alt.Color("value:Q", title=look.title, scale=scale, legend=bar)
        ),
        *_undefined([row for row in placed if row["value"] is None], look, last),
        frames.encode(**at),
        *(
            _write(known, column, size, down, columns).encode(color=inks, tooltip=told, **at)
            for column, size, down in (
                ("kind", _SYMBOL, -0.27),
                ("written", _VALUE, 0.06),
                ("count", _COUNT, 0.34),
            )
        ),
        width=_CELL[0] * _GROUPS,
        height=_CELL[1] * last,
    )


def _at(last: int) -> dict[str, alt.X | alt.Y]:
    """Return where a cell is, in a table of so many lines."""

    def band(count: int) -> alt.Scale:
        return alt.Scale(domain=list(range(1, count + 1)), paddingInner=0.06, paddingOuter=0)

    x = alt.X(field="group", type="ordinal", axis=None, scale=band(_GROUPS))
    return {"x": x, "y": alt.Y(field="line", type="ordinal", axis=None, scale=band(last))}


def _undefined(rows: Sequence[Row], look: Look, last: int) -> list[alt.Chart]:
    """Draw elements without a value: a gray cell, the symbol, and a cross."""
    told = {"tooltip": tooltips(look.undefined), **_at(last)}
    columns = list(dict.fromkeys(["kind", *look.undefined, *_PLACE]))
    cells = alt.Chart(inline(rows, columns)).mark_rect(style="grid")
    crossed = [row | {"cross": "×"} for row in rows]
    return [
        cells.encode(**told),
        _write(rows, "kind", _SYMBOL, -0.27, columns).encode(**told),
        _write(crossed, "cross", _SYMBOL, 0.14, [*columns, "cross"]).encode(**told),
    ]


def _write(
    rows: Sequence[Row],
    column: str,
    size: tuple[float, float, float],
    down: float,
    columns: Sequence[str] = ("kind", *_PLACE),
) -> alt.Chart:
    """Write a column as large as cells allow, so far below their middle; or not, if too small."""
    share, most, least = size
    fitting = f"min({most}, width / {_GROUPS} * {share})"
    texts = alt.Chart(inline(rows, columns)).mark_text(
        style="soft",
        baseline="middle",
        fontSize=alt.ExprRef(f"{fitting} < {least} ? 0 : {fitting}"),
        fontWeight="bold" if column == "kind" and down else "normal",
        dy=alt.ExprRef(f"width / {_GROUPS} * {down}"),
    )
    return texts.encode(text=alt.Text(field=column, type="nominal"))
