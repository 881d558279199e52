"""How an alignment depends on the number of systems and on k."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
from matplotlib.axes import Axes

from query.figures.drawing.labels import direction_label, format_number
from query.figures.drawing.looks import COLORS, GRAY, Look
from query.figures.drawing.plot import NothingToDraw, Plot, Row, styled
from query.metrics import Metric, find_metric
from query.statements import ask

_LOOKS = {
    "highest": Look(COLORS[0], "o"),
    "lowest": Look(COLORS[4], "s"),
    "asked for": Look(COLORS[0], "o"),
}
# What a pair's value means, by whether the metric is lower for closer models.
_MEANINGS = {
    ("highest", False): "most alike",
    ("highest", True): "least alike",
    ("lowest", False): "least alike",
    ("lowest", True): "most alike",
}
_TICK_GAP = 0.09  # of an axis, between numbers along it
_LABEL_GAP = 0.2  # of an axis, between labels of three lines


@styled
def alignment_curve(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    metric: str = "cknna",
    model_a: str | None = None,
    model_b: str | None = None,
    k: int | None = None,
    ns: Sequence[int] | None = None,
    ks: Sequence[int] | None = None,
    repeats: int | None = None,
) -> Plot:
    """Draw an alignment against the number of systems, and against k if the metric uses neighbors.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        metric: The name of a metric.
        model_a: A model. If model_b is None, too, the most and the least similar cross-family
            pairs are drawn; if only one model is given, those of its cross-family pairs.
        model_b: The other model.
        k: The number of neighbors in the left panel; None is the metric's default.
        ns: Numbers of systems; None is all systems, and halves of halves of them.
        ks: Numbers of neighbors; None is 2, 5, 10 and so on, as far as there are systems.
        repeats: How many random subsets per number of systems; None is 5.

    Returns:
        The figure; `answer` has one row per pair, n and k.

    Raises:
        NothingToDraw: If no such pair has a value, or there are too few systems to take subsets.
    """
    answer = ask(
        connection,
        "alignment_curve",
        dataset=dataset,
        metric=metric,
        model_a=model_a,
        model_b=model_b,
        k=k,
        ns=ns,
        ks=ks,
        repeats=repeats,
    )
    panels = _panels(answer.rows, dataset, metric)
    width = 3.4 * len(panels) + 3.4
    plot = Plot(answer, f"{metric} on {dataset}, by size", width=width, height=3.8)
    grid = plot.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (along, rows) in zip(grid, panels, strict=True):
        _draw(plot, axes, along, rows)
    plot.axes[0].set_ylabel(f"{metric} ({direction_label(metric)})")
    _label_pairs(plot.axes[-1], *panels[-1], find_metric(metric))
    subsets = max(row["repeats"] for row in answer.rows)
    plot.add_note(
        f"Dashed: by chance. Bands: ± one standard deviation over {subsets} random subsets."
    )
    return plot


def _panels(rows: Sequence[Row], dataset: str, metric: str) -> list[tuple[str, list[Row]]]:
    """Return what there is to draw: "n" and "k", each with its rows."""
    if not rows:
        raise NothingToDraw(
            f"no two models of different families have a value on {dataset}: "
            f"matterzoo ingest MODEL {dataset}"
        )
    if all(row["value"] is None for row in rows):
        raise NothingToDraw(f"{metric} is undefined on {dataset}: {rows[0]['reason']}")
    found = [
        ("n", [row for row in rows if row["k"] == row["k_usual"]]),
        ("k", [row for row in rows if row["n"] == row["n_all"]]),
    ]
    panels = [(along, part) for along, part in found if len({row[along] for row in part}) > 1]
    if not panels:
        raise NothingToDraw(
            f"too few systems on {dataset} to take parts of them: n = {rows[0]['n_all']}"
        )
    return panels


def _draw(plot: Plot, axes: Axes, along: str, rows: Sequence[Row]) -> None:
    """Draw one line per pair, with its chance and its band."""
    for pair in dict.fromkeys(row["pair"] for row in rows):
        _draw_pair(plot, axes, along, [row for row in rows if row["pair"] == pair])
    for row in rows:
        if row["value"] is None:
            _mark_undefined(plot, axes, row[along], row)
    ticks = _sparse(sorted({row[along] for row in rows}))
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(ticks, [str(x) for x in ticks])
    fixed, other = ("k", "k_usual") if along == "n" else ("n", "n_all")
    values = sorted({row[other] for row in rows if row[other] is not None})
    at = f", at {fixed} = {' and '.join(map(str, values))}" if values else ""
    axes.set_xlabel(f"{'systems, n' if along == 'n' else 'neighbors, k'}{at}")
    axes.grid(True)


def _draw_pair(plot: Plot, axes: Axes, along: str, rows: Sequence[Row]) -> None:
    look = _LOOKS[rows[0]["pair"]]
    line = [row for row in rows if row["value"] is not None]
    xs, ys = [row[along] for row in line], [row["value"] for row in line]
    chance = [row["chance"] for row in line]
    axes.plot(xs, ys, color=look.color, marker=look.marker, markersize=5, linewidth=1.6)
    axes.plot(xs, chance, color=look.color, linewidth=1, linestyle="--")
    spread = [row["std"] or 0.0 for row in line]
    low, high = ([y + sign * s for y, s in zip(ys, spread, strict=True)] for sign in (-1, 1))
    axes.fill_between(xs, low, high, color=look.color, alpha=0.2, linewidth=0)
    plot.add_tooltips(axes, xs, ys, map(_tooltip, line))


def _mark_undefined(plot: Plot, axes: Axes, x: float, row: Row) -> None:
    axes.axvspan(x / 1.06, x * 1.06, fill=False, hatch="////", edgecolor="#B5B5B5", linewidth=0)
    plot.add_tooltips(axes, [x], [0.5], [_tooltip(row)])


def _sparse(xs: Sequence[int]) -> list[int]:
    """Return those of ascending numbers that have room along a logarithmic axis."""
    least = (xs[-1] / xs[0]) ** _TICK_GAP
    kept = [xs[0]]
    for x in xs[1:]:
        if x > least * kept[-1]:
            kept.append(x)
    return kept


def _label_pairs(axes: Axes, along: str, rows: Sequence[Row], metric: Metric) -> None:
    """Write the pairs' names right of their lines' ends, moved apart where they would collide."""
    # Rows ascend, so the last one of each pair stays.
    ends = {row["pair"]: row for row in rows if row["value"] is not None}
    low, high = axes.get_ylim()
    floor = -1.0
    for pair, row in sorted(ends.items(), key=lambda item: item[1]["value"]):
        place = max((row["value"] - low) / (high - low), floor + _LABEL_GAP)
        floor = place
        meaning = _MEANINGS.get((pair, metric.lower_is_closer), pair)
        axes.annotate(
            f"{meaning}:\n{row['model_a']} {'·' if metric.symmetric else '→'}\n{row['model_b']}",
            (row[along], row["value"]),
            (1.06, place),
            textcoords="axes fraction",
            va="center",
            fontsize=7.5,
            color=_LOOKS[pair].color,
            arrowprops={"arrowstyle": "-", "color": GRAY, "linewidth": 0.6},
        )


def _tooltip(row: Row) -> str:
    where = f"n = {row['n']}" + ("" if row["k"] is None else f", k = {row['k']}")
    value = f"{row['metric']} {format_number(row['value'])}"
    pair = f"{row['model_a']} · {row['model_b']}\n{where}: {value}"
    if row["value"] is None:
        return f"{pair}: {row['reason']}"
    std = "" if row["std"] is None else f" ± {format_number(row['std'], 2)}"
    return f"{pair}{std}, by chance {format_number(row['chance'])}"
