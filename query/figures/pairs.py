"""Clouds of pairs of models: those of one family in its color and marker, all others as gray rings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from query.figures.plot import GRAY, Kind, Plot

Row = dict[str, Any]
# Words inside the axes, readable on lines and points.
WORDS: Any = {
    "fontsize": 7,
    "color": GRAY,
    "bbox": {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1},
}
MANY = 200  # pairs, from which marks are small


class Cloud(NamedTuple):
    """What a point of the cloud is: the columns across and up, and what a row says under the mouse."""

    across: str
    up: str
    say: Callable[[Row], str]


def draw_pairs(
    plot: Plot, axes: Axes, rows: Sequence[Row], cloud: Cloud, looks: Mapping[str, Kind]
) -> None:
    """One point a row that has both values."""
    across, up, say = cloud
    defined = [row for row in rows if row[across] is not None and row[up] is not None]
    size, alpha = (26, 1.0) if len(defined) <= MANY else (10, 0.5)
    strangers = [row for row in defined if row["family_a"] != row["family_b"]]
    xs, ys = [row[across] for row in strangers], [row[up] for row in strangers]
    axes.scatter(
        xs,
        ys,
        size,
        facecolors="none",
        edgecolors=GRAY,
        linewidths=0.6,
        alpha=alpha,
        label="strangers",
    )
    for family, look in looks.items():
        kin = [row for row in defined if row["family_a"] == row["family_b"] == family]
        xs, ys = [row[across] for row in kin], [row[up] for row in kin]
        axes.scatter(
            xs, ys, size, color=look.color, marker=look.marker, linewidths=0, label=family, zorder=3
        )
    plot.say_at(
        axes,
        [row[across] for row in defined],
        [row[up] for row in defined],
        [say(row) for row in defined],
    )


def key_of_pairs(
    plot: Plot, rows: Sequence[Row], looks: Mapping[str, Kind], others: Sequence[Line2D] = ()
) -> None:
    """The legend of `draw_pairs`, for the families that have a pair, then handles that have a label of their own."""
    found = {row["family_a"] for row in rows if row["family_a"] == row["family_b"]}
    ring = Line2D(
        [], [], color=GRAY, marker="o", markerfacecolor="none", linestyle="", label="two families"
    )
    plot.key(
        {name: look for name, look in looks.items() if name in found},
        [ring, *others],
        title="pairs within",
    )


def note_undefined(plot: Plot, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Small print on pairs without a value: how many, and the most frequent reason."""
    reasons = [row["reason"] for row in rows if any(row[column] is None for column in columns)]
    if reasons:
        most = max(sorted(set(reasons)), key=reasons.count)
        plot.note(
            f"{len(reasons)} of {len(rows)} pairs undefined and not drawn, most often: {most}"
        )
