"""What stands in a panel besides its data: lines, words, and axes with chosen ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import altair as alt

Style = Literal["line", "dashed", "dotted", "grid"]


def axis_of(
    column: str,
    title: str | list[str] | None,
    ends: Sequence[float],
    *,
    across: bool = True,
    **axis: Any,
) -> Any:
    """Return the encoding of a quantity with an axis that has chosen ends.

    Args:
        column: The column.
        title: The axis's title, or its lines.
        ends: The lowest and the highest value that have room.
        across: For x; otherwise for y.
        **axis: Further properties of Vega-Lite's axis.

    Returns:
        An encoding of the channel x or y.
    """
    scale = alt.Scale(domain=list(ends), nice=False, zero=False)
    channel = alt.X if across else alt.Y
    return channel(
        field=column, type="quantitative", title=title, scale=scale, axis=alt.Axis(**axis)
    )


def diagonal(x: Any, y: Any, ends: Sequence[float]) -> alt.Chart:
    """Draw the line on which both values are equal, dashed.

    Args:
        x: The encoding across.
        y: The encoding up.
        ends: Where it begins and ends.

    Returns:
        The line.
    """
    names = x.to_dict()["field"], y.to_dict()["field"]
    points = [dict.fromkeys(names, end) for end in ends]
    return alt.Chart({"values": points}).mark_line(style="dashed").encode(x=x, y=y)


def level(channel: Any, value: float, style: Style = "dotted") -> alt.Chart:
    """Draw a line across the panel at a value.

    Args:
        channel: The encoding whose value it is: x for an upright line, y for a level one.
        value: The value.
        style: How the line looks.

    Returns:
        The line.
    """
    name = channel.to_dict()["field"]
    side = "x" if isinstance(channel, alt.X) else "y"
    line = alt.Chart({"values": [{name: value}]}).mark_rule(style=style)
    return line.encode(**{side: channel})


def chance_levels(channel: Any, values: Iterable[float]) -> list[alt.Chart]:
    """Draw dotted lines at the lowest and the highest value by chance, which differs by pair.

    Args:
        channel: The encoding whose values they are.
        values: The value by chance of each pair; none if it was not computed.

    Returns:
        The lines: two, one, or none.
    """
    ends = sorted(values)
    return [level(channel, end) for end in dict.fromkeys(ends[:1] + ends[-1:])]


def word(
    text: str,
    x: float | Literal["width"],
    y: float | Literal["height"],
    *,
    align: str = "left",
    dx: float = 0,
    dy: float = 0,
) -> alt.Chart:
    """Write words at a place of the panel.

    Args:
        text: The words; lines are separated by a line break.
        x: Pixels from the left, or "width", the right edge.
        y: Pixels from above, or "height", the lower edge.
        align: "left", "center" or "right" of the place.
        dx: Pixels by which they are moved right.
        dy: Pixels by which they are moved down.

    Returns:
        The words.
    """
    marks = alt.Chart({"values": [{"text": text}]}).mark_text(
        style="soft", align=align, dx=dx, dy=dy, lineBreak="\n", baseline="middle"
    )
    return marks.encode(
        text=alt.Text(field="text", type="nominal"), x=alt.XValue(x), y=alt.YValue(y)
    )
