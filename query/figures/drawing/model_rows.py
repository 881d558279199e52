"""One row per model: a point, its interval, and a word where it has no value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from query.figures.drawing.chart import fade_unless, inline, picked, tooltips
from query.figures.drawing.kinds import Kinds
from query.figures.drawing.questions import Row

_UNDEFINED = {"model_id": "model", "reason": "undefined"}


def row_axis(names: Sequence[str], place: float = 0.5, *, labels: bool = True) -> alt.Y:
    """Return the encoding of the column row_of, down the panel.

    Args:
        names: The rows' names, from above; a name may be repeated.
        place: How far down in its row a mark stands, from 0 to 1.
        labels: Whether the names are written.
    """
    order = list(dict.fromkeys(names))
    return alt.Y(
        field="row_of",
        type="nominal",
        title=None,
        sort=order,
        scale=alt.Scale(type="band", domain=order),
        axis=alt.Axis(grid=True, domain=False, ticks=False, labels=labels),
        bandPosition=place,
    )


def draw_rows(
    rows: Sequence[Row],
    x: alt.X,
    y: alt.Y,
    kinds: Kinds,
    titles: Mapping[str, str],
    *,
    ends: tuple[str, str] | None = ("low", "high"),
    hollow: bool = False,
) -> list[alt.Chart]:
    """Draw a point per row with its interval below it.

    Args:
        rows: One row per model, with row_of, model_id, reason, and the column that `x` shows.
        x: The value's encoding, whose scale has a domain; an interval that reaches below it is cut
            there.
        y: The row's encoding; see `row_axis`.
        kinds: The encodings of the kinds of models; their column is in the rows.
        titles: What tooltips show, by column.
        ends: The columns of the interval's ends; None draws none.
        hollow: Whether points are outlines, as those of untrained twins.

    Returns:
        The words "undefined", the intervals if there are any, and the points.
    """
    column, kind = x.to_dict()["field"], kinds.color.to_dict()["field"]
    known = [row for row in rows if row[column] is not None]
    opacity = fade_unless(picked("row_of"), kinds.chosen)
    seen: dict[str, Any] = {"x": x, "y": y, "color": kinds.color, "opacity": opacity}
    unknown = [row for row in rows if row[column] is None]
    words = alt.Chart(inline(unknown, ("row_of", kind, "model_id", "reason")))
    found = [
        words.mark_text(style="soft", align="left", text="undefined").encode(
            x=alt.XValue(6), y=y, tooltip=tooltips(_UNDEFINED)
        )
    ]
    if ends is not None:
        low, high = ends
        lowest = x.to_dict()["scale"]["domain"][0]
        bars = [
            row | {column: max(row[low], lowest), high: max(row[high], lowest)}
            for row in known
            if row[low] is not None
        ]
        lines = alt.Chart(inline(bars, ("row_of", kind, column, high)))
        width = 1 if hollow else 2
        found.append(
            lines.mark_rule(clip=True, strokeWidth=width).encode(x2=alt.X2(field=high), **seen)
        )
    points = alt.Chart(inline(known, list(dict.fromkeys(["row_of", kind, column, *titles]))))
    # Outlines of the usual width would make small shapes look filled.
    thin = {"strokeWidth": 1.2} if hollow else {}
    marks = points.mark_point(filled=not hollow, size=70, **thin)
    found.append(marks.encode(shape=kinds.shape, tooltip=tooltips(titles), **seen))
    return found
