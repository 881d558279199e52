"""Clouds of pairs of models: same-family pairs in their color, cross-family pairs as gray rings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from query.figures.drawing.looks import GRAY, Look
from query.figures.drawing.plot import Plot, Row

_MANY = 200  # pairs, from which on marks are small


class Cloud(NamedTuple):
    """What a point of the cloud is.

    Attributes:
        across: The column that says how far right a point is.
        up: The column that says how far up it is.
        tooltip: The text of a row's tooltip.
    """

    across: str
    up: str
    tooltip: Callable[[Row], str]


def draw_pairs(
    plot: Plot, axes: Axes, rows: Sequence[Row], cloud: Cloud, looks: Mapping[str, Look]
) -> None:
    """Draw one point per row that has both values.

    Args:
        plot: The figure that gets the tooltips.
        axes: Where the points are drawn.
        rows: One row per pair of models, with family_a and family_b.
        cloud: What a point is.
        looks: The look of each family.
    """
    across, up, tooltip = cloud
    defined = [row for row in rows if row[across] is not None and row[up] is not None]
    size, alpha = (26, 1.0) if len(defined) <= _MANY else (10, 0.5)
    cross = [row for row in defined if row["family_a"] != row["family_b"]]
    axes.scatter(
        [row[across] for row in cross],
        [row[up] for row in cross],
        size,
        facecolors="none",
        edgecolors=GRAY,
        linewidths=0.6,
        alpha=alpha,
        label="cross-family",
    )
    for family, look in looks.items():
        same = [row for row in defined if row["family_a"] == row["family_b"] == family]
        xs, ys = [row[across] for row in same], [row[up] for row in same]
        axes.scatter(
            xs, ys, size, color=look.color, marker=look.marker, linewidths=0, label=family, zorder=3
        )
    xs, ys = [row[across] for row in defined], [row[up] for row in defined]
    plot.add_tooltips(axes, xs, ys, map(tooltip, defined))


def add_pairs_legend(
    plot: Plot, rows: Sequence[Row], looks: Mapping[str, Look], others: Sequence[Line2D] = ()
) -> None:
    """Add the legend of `draw_pairs`, for the families that have a pair.

    Args:
        plot: The figure.
        rows: The rows that were drawn.
        looks: The look of each family.
        others: Further entries: lines that have a label of their own.
    """
    found = {row["family_a"] for row in rows if row["family_a"] == row["family_b"]}
    ring = Line2D(
        [], [], color=GRAY, marker="o", markerfacecolor="none", linestyle="", label="cross-family"
    )
    plot.add_legend(
        {name: look for name, look in looks.items() if name in found},
        [ring, *others],
        title="same-family pairs",
    )


def note_undefined(plot: Plot, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Add small print on pairs without a value: how many, and the most frequent reason.

    Args:
        plot: The figure.
        rows: One row per pair of models, with reason.
        columns: The columns of which none may be NULL.
    """
    reasons = [row["reason"] for row in rows if any(row[column] is None for column in columns)]
    if reasons:
        most = max(sorted(set(reasons)), key=reasons.count)
        plot.add_note(
            f"{len(reasons)} of {len(rows)} pairs are undefined and not drawn; "
            f"the most frequent reason: {most}"
        )
