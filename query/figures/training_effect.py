"""How alike models are beside how alike their untrained twins are: what training added."""

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

LOOKS = {
    "same-family": Look(COLORS[0], "o"),
    "same-training-data": Look(COLORS[1], "s"),
    "neither": Look(COLORS[6], "x"),
    "unknown-training-data": Look(COLORS[7], "+"),
}
STYLES = dict(zip(LOOKS, ("-", "--", ":", "-."), strict=True))

MANY = 300  # pairs


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
    """Left: a mark a pair of trained models. Right: what training added, by kinship.

    models: None is every trained model with vectors there. Pairs whose twins have no value lie in the hatched strip on
    the left, those that have none themselves in the one below. Raises NothingToDraw where no pair has both.
    """
    given = {
        "dataset": dataset,
        "metric": metric,
        "models": models,
        "k": k,
        "permutations": permutations,
    }
    answer = ask(connection, "training_effect", **given)
    if not any(row["gained"] is not None for row in answer.rows):
        why = answer.rows[0]["reason"] if answer.rows else "fewer than two trained models"
        raise NothingToDraw(
            f"no pair of models with untrained twins ({why}): matterzoo ingest MODEL,MODEL@untrained {dataset}"
        )
    title = f"{metric} of models and of their untrained twins on {dataset} ({sample_label(answer.rows)})"
    plot = Plot(answer, title, width=10.5, height=5.4)
    left, right = plot.subplots(1, 2, width_ratios=(1.15, 1))
    _scatter(plot, left, answer.rows, metric)
    _spread(right, answer.rows, metric)
    return plot


def _scatter(plot: Plot, axes: Axes, rows: Sequence[Row], metric: str) -> None:
    known = [
        row[side]
        for row in rows
        for side in ("value", "twins_value", "null_mean")
        if row[side] is not None
    ]
    low, high = min(known), max(known)
    room = 0.05 * (high - low)
    for name, look in LOOKS.items():
        drawn = [row for row in rows if row["relation"] == name]
        missing = low - 2.5 * room  # where what is undefined lies
        xs, ys = (
            [missing if row[side] is None else row[side] for row in drawn]
            for side in ("twins_value", "value")
        )
        if drawn:
            label, size = f"{_words(name)} ({len(drawn)})", 22 if len(rows) < MANY else 9
            axes.scatter(
                xs,
                ys,
                c=look.color,
                marker=look.marker,
                s=size,
                alpha=0.75,
                linewidths=1,
                label=label,
            )
            plot.add_tooltips(axes, xs, ys, map(_tooltip, drawn))
    hatched: dict[str, Any] = {
        "fill": False,
        "hatch": "////",
        "edgecolor": "#DDDDDD",
        "linewidth": 0,
        "zorder": 0,
    }
    sides = (("twins_value", axes.axvspan, axes.set_xlim), ("value", axes.axhspan, axes.set_ylim))
    for side, strip, limit in sides:
        gaps = any(row[side] is None for row in rows)
        if gaps:
            strip(low - 4 * room, low - room, **hatched)
        limit(low - (4 if gaps else 1) * room, high + room)
    axes.plot([low, high], [low, high], color=GRAY, linewidth=1)
    _mark_chance(axes, [row["null_mean"] for row in rows if row["null_mean"] is not None])
    axes.set_box_aspect(1)
    axes.set_xlabel(f"{metric} of their untrained twins")
    axes.set_ylabel(f"{metric} of two models ({direction_label(metric)})")
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        handletextpad=0.2,
        title="pairs of models",
        alignment="left",
    )


def _words(relation: str) -> str:
    return relation.replace("-", " ")


def _mark_chance(axes: Axes, nulls: Sequence[float]) -> None:
    if nulls:
        chance = float(np.mean(nulls))
        axes.axhline(chance, color=GRAY, linewidth=0.8, linestyle=":")
        axes.axvline(chance, color=GRAY, linewidth=0.8, linestyle=":")
        axes.text(
            1.01,
            chance,
            "chance",
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=7.5,
            color=GRAY,
        )


def _spread(axes: Axes, rows: Sequence[Row], metric: str) -> None:
    """The share of pairs that gained at most so much, a line a kind of kinship."""
    for name, look in LOOKS.items():
        found = sorted(
            row["gained"] for row in rows if row["relation"] == name and row["gained"] is not None
        )
        if found:
            label = f"{_words(name)}: {np.median(found):+.2f}"
            axes.ecdf(found, color=look.color, linestyle=STYLES[name], linewidth=1.8, label=label)
    axes.axvline(0, color=GRAY, linewidth=0.8)
    way = "twins' − value" if find_metric(metric).lower_is_closer else "value − twins'"
    axes.set_xlabel(f"gained by training: {way}")
    axes.set_ylabel("share of pairs that gained at most this")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), title="median", alignment="left")
    axes.grid(True)


def _tooltip(row: Row) -> str:
    pair = f"{row['model_a']} · {row['model_b']}: {_words(row['relation'])}"
    if row["gained"] is None:
        return f"{pair}\n{format_number(row['value'])}, twins {format_number(row['twins_value'])}: {row['reason']}"
    values = f"{format_number(row['value'])}, twins {format_number(row['twins_value'])}, gained {row['gained']:+.3g}"
    chance = f"by chance {format_number(row['null_mean'])} ± {format_number(row['null_std'], 2)}, p = {format_number(row['p_value'], 2)}"
    return f"{pair}\n{values}\n{chance}, n = {row['n']}"
