"""Names at points: each is written where it covers no other name and no point, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from query.figures.drawing.chart import inline
from query.figures.drawing.questions import Row

_SIZE = 10  # px, of letters, as the theme has it
_LETTER = 5.8  # px, as wide as a letter may be on average
_SMALL = 0.72  # of its size, to which a telephone shrinks a panel, but not its names
_MARK = 6  # px around a point that stay free
# Where a name may stand: its alignment, and pixels right and down from the point.
_PLACES = (
    *(("left", 8, 0), ("right", -8, 0), ("center", 0, -12), ("center", 0, 13)),
    *(("right", 6, 14), ("left", -6, 14), ("right", 6, -13), ("left", -6, -13)),
)
Box = tuple[float, float, float, float]  # left, top, right, bottom


def write_names(
    rows: Sequence[Row], name: str, x: Any, y: Any, size: tuple[int, int], *, edge: int = 0
) -> alt.Chart:
    """Write the names of points that have room; tooltips have those of all.

    Args:
        rows: One row per point, those that should have a name first.
        name: The column of names; a point without one is only kept free.
        x: The encoding across, made by `axis_of`.
        y: The encoding up, made by `axis_of`.
        size: The width and the height of the panel in pixels; in a larger one they have room, too.
        edge: Pixels at the top and at the bottom of the panel that other words take.

    Returns:
        The names.
    """
    columns = [channel.to_dict()["field"] for channel in (x, y)]
    ends = [channel.to_dict()["scale"]["domain"] for channel in (x, y)]
    points = [_pixels([row[column] for column in columns], ends, size) for row in rows]
    taken = [(px - _MARK, py - _MARK, px + _MARK, py + _MARK) for px, py in points]
    shown = []
    for number, (row, point) in enumerate(zip(rows, points, strict=True)):
        if row[name] is None:
            continue
        others = taken[:number] + taken[number + 1 :]
        place = _find_place(row[name], point, others, size, edge)
        if place is not None:
            box, side = place
            taken.append(box)
            shown.append(row | dict(zip(("align", "right", "down"), side, strict=True)))
    data = inline(shown, (name, *columns, "align", "right", "down"))
    moved = {key: alt.ExprRef(f"datum.{at}") for key, at in _MOVED.items()}
    marks = alt.Chart(data).mark_text(style="soft", baseline="middle", **moved)
    return marks.encode(x=x, y=y, text=alt.Text(field=name, type="nominal"))


_MOVED = {"align": "align", "dx": "right", "dy": "down"}


def _pixels(
    values: Sequence[float], ends: Sequence[Sequence[float]], size: tuple[int, int]
) -> tuple[float, float]:
    across, up = (
        (value - low) / (high - low) for value, (low, high) in zip(values, ends, strict=True)
    )
    return across * size[0], (1 - up) * size[1]


def _find_place(
    text: str, point: tuple[float, float], taken: Sequence[Box], size: tuple[int, int], edge: int
) -> tuple[Box, tuple[str, int, int]] | None:
    """Return a place for a name that is free and inside of the panel, if there is one.

    It is the first that is inside of the panel on a telephone, too, or else the first.
    """
    wide = _LETTER * len(text)
    found = []
    for side in _PLACES:
        box = _box(wide, point, side)
        if _is_inside(box, size, edge) and not any(_cover(box, other) for other in taken):
            found.append((box, side))
    small = (_SMALL * point[0], _SMALL * point[1]), (_SMALL * size[0], _SMALL * size[1])
    everywhere = (one for one in found if _is_inside(_box(wide, small[0], one[1]), small[1], edge))
    return next(everywhere, found[0] if found else None)


def _box(wide: float, point: tuple[float, float], side: tuple[str, int, int]) -> Box:
    align, right, down = side
    left = point[0] + right - {"left": 0.0, "right": wide, "center": wide / 2}[align]
    top = point[1] + down - _SIZE / 2
    return left, top, left + wide, top + _SIZE


def _is_inside(box: Box, size: tuple[float, float], edge: int) -> bool:
    left, top, right, bottom = box
    return left >= 0 and right <= size[0] and top >= edge and bottom <= size[1] - edge


def _cover(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
