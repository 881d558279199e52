"""Clouds of pairs of models: same-family pairs in their color, cross-family pairs as gray rings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from query.figures.drawing.chart import fade_unless, inline, picked, tooltips, zoom
from query.figures.drawing.kinds import Kinds, encode_kinds
from query.figures.drawing.looks import GRAY, RING, Look
from query.figures.drawing.names import write_names
from query.figures.drawing.questions import Row

_MANY = 200  # pairs, from which on marks are small and thin
_DENSE = 0.6  # their opacity, so that one sees where most are
_CROSS = "two families"
_ACROSS = Look(GRAY, RING)


@dataclass(frozen=True)
class Cloud:
    """What a point of a cloud is.

    Attributes:
        x: How far right it is.
        y: How far up it is.
        columns: The columns that both are made of.
        titles: What tooltips show, by column.
        others: Further channels: how far it is moved aside.
    """

    x: alt.X
    y: alt.Y
    columns: Sequence[str]
    titles: Mapping[str, str]
    others: Mapping[str, Any]


def encode_pairs(rows: Iterable[Row], looks: Mapping[str, Look]) -> Kinds:
    """Make the encodings of pairs by the family of both models.

    Args:
        rows: All rows that are drawn, with family_a and family_b.
        looks: The look of each family.

    Returns:
        The encodings, for the families that have a pair.
    """
    found = {_kind(row) for row in rows}
    every = {**looks, _CROSS: _ACROSS}
    kinds = {name: look for name, look in every.items() if name in found}
    return encode_kinds("kind", kinds, "pairs of models from")


def draw_pairs(
    rows: Sequence[Row], cloud: Cloud, kinds: Kinds, place: int = 0, *, zooming: bool = True
) -> list[alt.Chart]:
    """Draw one point per row that has both values.

    Args:
        rows: One row per pair of models, with family_a and family_b.
        cloud: What a point is.
        kinds: The encodings that `encode_pairs` made.
        place: The panel's number in the figure; the first one listens to the legend.
        zooming: Whether a reader can move and zoom the panel.

    Returns:
        Two layers: cross-family pairs as rings, then same-family pairs.
    """
    defined = [
        row | {"kind": _kind(row)}
        for row in rows
        if all(row[column] is not None for column in cloud.columns)
    ]
    many = len(defined) > _MANY
    size = 20 if many else 60
    names = list(dict.fromkeys([*cloud.columns, *cloud.titles, "kind"]))
    found = []
    for cross in (True, False):
        some = [row for row in defined if (row["kind"] == _CROSS) == cross]
        ring = {"shape": "circle", "strokeWidth": 1 if many else 2} if cross else {}
        marks = alt.Chart(inline(some, names)).mark_point(
            filled=not cross, size=size, clip=True, **ring
        )
        # A ring that is a path would show no tooltip in its middle.
        shape = {} if cross else {"shape": kinds.shape}
        dense = _DENSE if cross and many else 1.0
        opacity = fade_unless(picked("model_a", "model_b"), kinds.chosen, opacity=dense)
        found.append(
            marks.encode(
                x=cloud.x,
                y=cloud.y,
                color=kinds.color,
                opacity=opacity,
                tooltip=tooltips(cloud.titles),
                **shape,
                **cloud.others,
            )
        )
    marks = zoom(found[1], place) if zooming else found[1]
    return [found[0], marks if place else marks.add_params(kinds.chosen)]


def name_pair(row: Row) -> str:
    """Return the names of both models of a pair.

    Args:
        row: The pair, with model_a and model_b.
    """
    return f"{row['model_a']}, {row['model_b']}"


def name_outstanding(
    rows: Sequence[Row],
    cloud: Cloud,
    side: int,
    *,
    low_is_alike: bool,
    edge: int,
    name: Callable[[Row], str] = name_pair,
) -> alt.Chart:
    """Write the names of three pairs, if they have room: the most alike, and the least balanced.

    Args:
        rows: One row per pair of models, with both values of the cloud.
        cloud: What a point is; its columns are across and up.
        side: The width and the height of the panel in pixels.
        low_is_alike: Whether two models are the more alike the lower the values are.
        edge: Pixels at the top and at the bottom of the panel that other words take.
        name: What is written of a pair.

    Returns:
        The names.
    """
    across, up = cloud.columns
    toward = -1 if low_is_alike else 1
    found = [
        max(rows, key=lambda row: toward * (row[across] + row[up])),
        max(rows, key=lambda row: float(row[up] - row[across])),
        max(rows, key=lambda row: float(row[across] - row[up])),
    ]
    first = {_members(row): name(row) for row in found}
    named = [row | {"name": first.get(_members(row))} for row in rows]
    named.sort(key=lambda row: row["name"] is None)
    return write_names(named, "name", cloud.x, cloud.y, (side, side), edge=edge)


def _members(row: Row) -> tuple[str, str]:
    return row["model_a"], row["model_b"]


def _kind(row: Row) -> str:
    family: str = row["family_a"]
    return family if family == row["family_b"] else _CROSS


def count_undefined(rows: Sequence[Row], columns: Sequence[str], where: str = "") -> list[str]:
    """Return small print on pairs without a value: how many, and the most frequent reason.

    Args:
        rows: One row per pair of models, or several as of metrics, with reason.
        columns: The columns of which none may be NULL.
        where: The beginning of the sentence: "On crystals, ".

    Returns:
        A sentence, or none.
    """
    undefined = [row for row in rows if any(row[column] is None for column in columns)]
    if not undefined:
        return []
    reasons = [row["reason"] for row in undefined]
    most = max(sorted(set(reasons)), key=reasons.count)
    some, every = ({(r["model_a"], r["model_b"]) for r in each} for each in (undefined, rows))
    return [
        f"{where}{len(some):,} of {len(every):,} pairs are undefined and not drawn; "
        f"the most frequent reason: {most}"
    ]
