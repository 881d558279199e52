"""Colors of systems by what they are, or by a label: a scale of numbers, or categories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np

from query.figures.drawing.chart import fade_unless
from query.figures.drawing.kinds import encode_kinds
from query.figures.drawing.labels import color_label
from query.figures.drawing.looks import Look, assign_looks
from query.figures.drawing.questions import Row

# What the statement `system_map` knows of a system besides labels.
NUMBERS = ("n_atoms", "n_residues", "n_elements")
CATEGORIES = ("element", "group", "crystal_system", "rings", "formula")
_MOST_CATEGORIES = 11  # that have a look of their own
_WIDE = 30  # the highest value over the lowest, from which on the colors are logarithmic
_SEEN = (1, 99)  # percentiles of the values between which colors differ
_OTHER = Look("#C4C4C4", "circle")


@dataclass(frozen=True)
class Coloring:
    """How the points of a map are colored.

    Attributes:
        known: For rows with a color: "known", the words of tooltips, and "value" or "category".
        encodings: The channels of Altair.
        chosen: The categories that a reader clicks in the legend; None for numbers.
    """

    known: list[Row | None]
    encodings: Mapping[str, Any]
    chosen: alt.Parameter | None


def color_systems(rows: Sequence[Row], color: str) -> Coloring:
    """Make the colors of systems.

    Args:
        rows: Rows of the statement `system_map`, of which at least one has a color.
        color: One of NUMBERS or CATEGORIES, or the name of a label.

    Returns:
        The colors; `known` has one entry per row, None where the color is not known.
    """
    if color in CATEGORIES:
        counted = Counter(row[color] for row in rows if row[color] is not None)
        maps = len({row["model_id"] for row in rows})
        alike = {*Counter(row["system_id"] for row in rows).values()} == {maps}
        # Maps that differ in their systems have no common counts.
        return _color_by_category(
            [row[color] for row in rows], counted, color, maps if alike else None
        )
    if color in NUMBERS:
        return _color_by_number([row[color] for row in rows], color_label(color))
    first = next(row for row in rows if row["value"] is not None)
    unit = f" {first['unit']}" if first["unit"] else ""
    title = color_label(color) + (f" ({first['unit']})" if first["unit"] else "")
    title += f", {first['source']}" if first["source"] else ""
    return _color_by_number([row["value"] for row in rows], title, unit)


def _color_by_number(values: Sequence[float | None], title: str, unit: str = "") -> Coloring:
    """Return colors of a scale, equal beyond the percentiles that are seen."""
    known = np.array([value for value in values if value is not None], dtype=float)
    low, high = np.percentile(known, _SEEN).tolist()
    scale = alt.Scale(
        type="log" if low > 0 and high > _WIDE * low else "linear",
        scheme="cividis",
        domain=[low, high],
        clamp=True,
        nice=False,
    )
    legend = alt.Legend(orient="bottom", gradientLength=260, gradientThickness=12)
    return Coloring(
        [None if v is None else {"value": v, "known": f"{v:.4g}{unit}"} for v in values],
        {"color": alt.Color("value:Q", title=title, scale=scale, legend=legend)},
        None,
    )


def _color_by_category(
    values: Sequence[str | None], counted: Counter[str], color: str, maps: int | None
) -> Coloring:
    """Return a look for each of the most frequent categories, and gray for the rest.

    Their names have the count of their systems on each of so many maps, none if that is None.
    """

    def name(category: str, count: int) -> str:
        return f"{category} ({count // maps})" if maps else category

    frequent = sorted(counted, key=lambda each: (-counted[each], each))[:_MOST_CATEGORIES]
    names = {each: name(each, counted[each]) for each in frequent}
    looks = {names[each]: look for each, look in assign_looks(frequent).items()}
    rest = counted.total() - sum(counted[each] for each in frequent)
    other = name("other", rest)
    if rest:
        looks[other] = _OTHER
    kinds = encode_kinds("category", looks, color_label(color))
    return Coloring(
        [
            None if value is None else {"category": names.get(value, other), "known": value}
            for value in values
        ],
        {"color": kinds.color, "shape": kinds.shape, "opacity": fade_unless(kinds.chosen)},
        kinds.chosen,
    )
