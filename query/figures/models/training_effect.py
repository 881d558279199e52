"""How alike models are, beside how alike their untrained twins are: what training added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import numpy as np
from matplotlib.axes import Axes

from query.figures.drawing.labels import direction_label, format_number, sample_label
from query.figures.drawing.looks import COLORS, GRAY, Look
from query.figures.drawing.plot import NothingToDraw, Plot, Row, styled
from query.metrics import find_metric
from query.statements import ask

_LOOKS = {
    "same-family": Look(COLORS[0], "o"),
    "same-training-data": Look(COLORS[1], "s"),
    "neither": Look(COLORS[6], "x"),
    "unknown-training-data": Look(COLORS[7], "+"),
}
_LINES = dict(zip(_LOOKS, ("-", "--", ":", "-."), strict=True))
_MANY = 300  # pairs, from which on marks are small
_HATCHED: dict[str, Any] = {
    "fill": False,
    "hatch": "////",
    "edgecolor": "#DDDDDD",
    "linewidth": 0,
    "zorder": 0,
}


@styled
def training_effect(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    metric: str = "cknna",
    models: Sequence[str] | None = None,
    k: int | None = None,
    permutations: int | None = None,
) -> Plot:
    """Draw what training added to the alignment of each pair of trained models.

    Left, one mark per pair: its alignment against that of the untrained twins. Where models have
    several twins, the mark is at the mean over their pairs, and a line goes from the lowest to the
    highest value. Pairs of which the twins have no value lie in a hatched strip on the left, pairs
    that have none themselves in one below. Right, the differences as shares of pairs, by relation.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        metric: The name of a metric.
        models: Names of trained models; None is every one with vectors there.
        k: The number of neighbors; None is the metric's default.
        permutations: Random pairings per pair of models, for the value by chance; None is 100.

    Returns:
        The figure; `answer` has one row per pair.

    Raises:
        NothingToDraw: If no pair has both values.
    """
    answer = ask(
        connection,
        "training_effect",
        dataset=dataset,
        metric=metric,
        models=models,
        k=k,
        permutations=permutations,
    )
    if not any(row["gained"] is not None for row in answer.rows):
        why = answer.rows[0]["reason"] if answer.rows else "fewer than two trained models"
        raise NothingToDraw(
            f"no pair of models with untrained twins ({why}): "
            f"matterzoo ingest MODEL,MODEL@untrained {dataset}"
        )
    sample = sample_label(answer.rows)
    title = f"{metric} of models and of their untrained twins on {dataset} ({sample})"
    plot = Plot(answer, title, width=10.5, height=5.4)
    left, right = plot.subplots(1, 2, width_ratios=(1.15, 1))
    _draw_pairs(plot, left, answer.rows, metric)
    _draw_shares(right, answer.rows, metric)
    return plot


def _draw_pairs(plot: Plot, axes: Axes, rows: Sequence[Row], metric: str) -> None:
    columns = ("value", "twins_value", "twins_low", "twins_high", "null_mean")
    known = [row[column] for row in rows for column in columns if row[column] is not None]
    low, high = min(known), max(known)
    room = 0.05 * (high - low)
    for relation in _LOOKS:
        drawn = [row for row in rows if row["relation"] == relation]
        if drawn:
            size = 22 if len(rows) < _MANY else 9
            _draw_relation(plot, axes, drawn, missing=low - 2.5 * room, size=size)
    sides = (("twins_value", axes.axvspan, axes.set_xlim), ("value", axes.axhspan, axes.set_ylim))
    for column, strip, limit in sides:
        gaps = any(row[column] is None for row in rows)
        if gaps:
            strip(low - 4 * room, low - room, **_HATCHED)
        limit(low - (4 if gaps else 1) * room, high + room)
    axes.plot([low, high], [low, high], color=GRAY, linewidth=1)
    _mark_chance(axes, [row["null_mean"] for row in rows if row["null_mean"] is not None])
    axes.set_box_aspect(1)
    axes.set_xlabel(f"{metric} of their untrained twins")
    axes.set_ylabel(f"{metric} of two models ({direction_label(metric)})")
    corner: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "alignment": "left"}
    axes.legend(handletextpad=0.2, title="pairs of models", **corner)


def _draw_relation(
    plot: Plot, axes: Axes, rows: Sequence[Row], *, missing: float, size: float
) -> None:
    """Draw the pairs of one relation; what is undefined lies at `missing`."""
    relation = rows[0]["relation"]
    look = _LOOKS[relation]
    xs, ys = (
        [missing if row[column] is None else row[column] for row in rows]
        for column in ("twins_value", "value")
    )
    axes.scatter(
        xs,
        ys,
        c=look.color,
        marker=look.marker,
        s=size,
        alpha=0.75,
        linewidths=1,
        label=f"{_words(relation)} ({len(rows)})",
    )
    _draw_spreads(axes, rows, look)
    plot.add_tooltips(axes, xs, ys, map(_tooltip, rows))


def _draw_spreads(axes: Axes, rows: Sequence[Row], look: Look) -> None:
    """Draw a line from the lowest to the highest value of several twins."""
    for row in rows:
        if row["twins_low"] is not None and row["value"] is not None:
            ends = [row["twins_low"], row["twins_high"]]
            axes.plot(ends, [row["value"]] * 2, color=look.color, linewidth=0.8, alpha=0.75)


def _words(relation: str) -> str:
    return relation.replace("-", " ")


def _mark_chance(axes: Axes, nulls: Sequence[float]) -> None:
    if nulls:
        chance = float(np.mean(nulls))
        line: dict[str, Any] = {"color": GRAY, "linewidth": 0.8, "linestyle": ":"}
        axes.axhline(chance, **line)
        axes.axvline(chance, **line)
        aside = axes.get_yaxis_transform()
        axes.text(1.01, chance, "chance", transform=aside, va="center", fontsize=7.5, color=GRAY)


def _draw_shares(axes: Axes, rows: Sequence[Row], metric: str) -> None:
    """Draw, as one line per relation, the share of pairs that gained at most so much."""
    for relation, look in _LOOKS.items():
        found = sorted(
            row["gained"]
            for row in rows
            if row["relation"] == relation and row["gained"] is not None
        )
        if found:
            label = f"{_words(relation)}: {np.median(found):+.2f}"
            style = _LINES[relation]
            axes.ecdf(found, color=look.color, linestyle=style, linewidth=1.8, label=label)
    axes.axvline(0, color=GRAY, linewidth=0.8)
    way = "twins' − value" if find_metric(metric).lower_is_closer else "value − twins'"
    axes.set_xlabel(f"gained by training: {way}")
    axes.set_ylabel("share of pairs that gained at most this")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), title="median", alignment="left")
    axes.grid(True)


def _tooltip(row: Row) -> str:
    pair = f"{row['model_a']} · {row['model_b']}: {_words(row['relation'])}"
    values = f"{format_number(row['value'])}, twins {format_number(row['twins_value'])}"
    if row["twins_low"] is not None:
        low, high = format_number(row["twins_low"]), format_number(row["twins_high"])
        values += f" ({low} to {high}, {row['twins_pairs']} pairs of them)"
    if row["gained"] is None:
        return f"{pair}\n{values}: {row['reason']}"
    null = f"{format_number(row['null_mean'])} ± {format_number(row['null_std'], 2)}"
    chance = f"by chance {null}, p = {format_number(row['p_value'], 2)}"
    return f"{pair}\n{values}, gained {row['gained']:+.3g}\n{chance}, n = {row['n']}"
