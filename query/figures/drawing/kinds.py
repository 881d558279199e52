"""Kinds of marks, such as families: a color and a shape each, and a legend that filters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import altair as alt

from query.figures.drawing.looks import Look


@dataclass(frozen=True)
class Kinds:
    """The encodings by which a column of kinds is drawn.

    Attributes:
        color: The color of each kind, with the legend.
        shape: The shape of each kind, in the same legend.
        chosen: The kinds that a reader clicked in the legend; none is all. Add it to one layer
            by `add_params`, and fade the others: `fade_unless(chosen)`.
    """

    color: alt.Color
    shape: alt.Shape
    chosen: alt.Parameter


def encode_kinds(
    column: str, looks: Mapping[str, Look], title: str | None = None, *, legend: bool = True
) -> Kinds:
    """Make the encodings of a column of kinds.

    Args:
        column: The column that says of which kind a mark is.
        looks: The look of each kind, in the legend's order.
        title: The legend's title; None is the column's name.
        legend: Whether there is a legend.

    Returns:
        The encodings.
    """
    title = title or column.replace("_", " ")
    names = list(looks)
    colors = alt.Scale(domain=names, range=[look.color for look in looks.values()])
    shapes = alt.Scale(domain=names, range=[look.shape for look in looks.values()])
    return Kinds(
        alt.Color(
            field=column,
            type="nominal",
            scale=colors,
            title=title,
            legend=alt.Legend(symbolOpacity=1) if legend else None,
        ),
        alt.Shape(
            field=column,
            type="nominal",
            scale=shapes,
            title=title,
            **({} if legend else {"legend": None}),
        ),
        alt.selection_point(name=f"chosen_{column}", fields=[column], bind="legend"),
    )
