"""Controls, models whose alignment is known in advance: can the other numbers be believed?"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from query.figures.drawing.labels import format_number, sample_label
from query.figures.drawing.looks import COLORS, GRAY, assign_looks
from query.figures.drawing.plot import NothingToDraw, Plot, Row, styled
from query.statements import ask

_WRONG = COLORS[4]  # the color of what does not hold
_LINE = 0.42  # inches per control
_COLUMN = 0.86  # inches per metric
_EXPECTED = {
    "same": "should be the same",
    "chance": "should be chance",
    "undefined": "should be undefined",
}


@styled
def control_alignment(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    metric: str | None = None,
    k: int | None = None,
    permutations: int | None = None,
) -> Plot:
    """Draw the alignment of each control with its reference, against what it must be.

    Left, where each value lies between chance (0) and the reference with itself (1); the gray bars
    are the permutation null, two standard deviations to either side. Right, the values and
    whether they hold.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        metric: One or several names of metrics, "cknna, cka"; None is those of the statement.
        k: The number of neighbors; None is the metric's default.
        permutations: Random pairings per control, for the value by chance; None is 999.

    Returns:
        The figure; `answer` has one row per control and metric.

    Raises:
        NothingToDraw: If the store has no controls.
    """
    answer = ask(
        connection,
        "control_alignment",
        dataset=dataset,
        metric=metric,
        k=k,
        permutations=permutations,
    )
    if not answer.rows:
        raise NothingToDraw(
            f"no controls on {dataset}: matterzoo ingest bundled {dataset} embeds them, too"
        )
    metrics = list(dict.fromkeys(row["metric"] for row in answer.rows))
    names = list(dict.fromkeys(row["control"] for row in answer.rows))
    good = sum(row["holds"] for row in answer.rows)
    title = f"Controls on {dataset}: {good} of {len(answer.rows)} as expected"
    plot = Plot(answer, title, width=5.6 + _COLUMN * len(metrics), height=1.7 + _LINE * len(names))
    ratios = (3.8, _COLUMN * len(metrics))
    left, right = plot.subplots(1, 2, sharey=True, width_ratios=ratios)
    _draw_values(plot, left, answer.rows, names, metrics)
    _draw_table(plot, right, answer.rows, names, metrics)
    expected = {row["control"]: _EXPECTED[row["expected"]] for row in answer.rows}
    labels = [f"{name}\n{expected[name]}" for name in names]
    left.set_yticks(range(len(names)), labels, fontsize=7.5)
    left.set_ylim(len(names) - 0.5, -0.5)
    return plot


def _draw_values(
    plot: Plot, axes: Axes, rows: Sequence[Row], names: Sequence[str], metrics: Sequence[str]
) -> None:
    """Draw, as one line per control and metric, the value and its null."""
    step = 0.76 / len(metrics)
    for row in rows:
        middle = names.index(row["control"])
        y = middle + (metrics.index(row["metric"]) - (len(metrics) - 1) / 2) * step
        _draw_value(plot, axes, row, y, step, metrics)
    for place in (0, 1):
        axes.axvline(place, color=GRAY, linewidth=0.8, linestyle=":", zorder=0)
    for y in range(1, len(names)):
        axes.axhline(y - 0.5, color="#E3E3E3", linewidth=0.6)
    axes.set_xticks([0, 0.5, 1], ["chance", "half way", "the same"])
    null = "gray: permutation null, mean ± 2 standard deviations"
    axes.set_xlabel(f"{null}\n{sample_label(rows)}", fontsize=8)
    axes.tick_params(axis="y", length=0)


def _draw_value(
    plot: Plot, axes: Axes, row: Row, y: float, step: float, metrics: Sequence[str]
) -> None:
    way = None if row["value"] is None else row["itself"] - row["null_mean"]
    if not way:
        axes.add_patch(_hatched(-0.03, y - step / 2, 1.06, step))
        plot.add_tooltips(axes, [0.5], [y], [_tooltip(row)])
        return
    start, end = ((row[side] - row["null_mean"]) / way for side in ("chance_low", "chance_high"))
    axes.barh(y, end - start, left=start, height=step, color="#C9C9C9", linewidth=0)
    place, look = (row["value"] - row["null_mean"]) / way, assign_looks(metrics)[row["metric"]]
    edge, size = (look.color, 4.5) if row["holds"] else ("black", 9)
    axes.plot(place, y, color=look.color, marker=look.marker, markersize=size, markeredgecolor=edge)
    plot.add_tooltips(axes, [place], [y], [_tooltip(row)])


def _draw_table(
    plot: Plot, axes: Axes, rows: Sequence[Row], names: Sequence[str], metrics: Sequence[str]
) -> None:
    """Draw one cell per control and metric, with the value and whether it holds."""
    texts = [["" for _ in metrics] for _ in names]
    for row in rows:
        x, y = metrics.index(row["metric"]), names.index(row["control"])
        _draw_cell(axes, row, x, y)
        texts[y][x] = _tooltip(row)
    plot.add_cell_tooltips(axes, texts)
    looks = assign_looks(metrics)
    for x, name in enumerate(metrics):
        look = looks[name]
        axes.plot(x, -0.75, color=look.color, marker=look.marker, markersize=6, clip_on=False)
        axes.annotate(
            name.replace("_", "\n"),
            (x, -0.75),
            (0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            annotation_clip=False,
        )
    axes.set_xlim(-0.5, len(metrics) - 0.5)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    axes.tick_params(axis="y", length=0, labelleft=False)


def _draw_cell(axes: Axes, row: Row, x: int, y: int) -> None:
    sign, color = ("✓", "black") if row["holds"] else ("✗", _WRONG)
    weight = "normal" if row["holds"] else "bold"
    value = "undefined" if row["value"] is None else f"{row['value']:.3f}"
    text = f"{sign} {value}"
    axes.text(x, y, text, ha="center", va="center", fontsize=8, color=color, weight=weight)
    if not row["holds"]:
        corner = (x - 0.46, y - 0.42)
        axes.add_patch(Rectangle(corner, 0.92, 0.84, fill=False, edgecolor=_WRONG, linewidth=1.5))


def _hatched(x: float, y: float, width: float, height: float) -> Rectangle:
    return Rectangle(
        (x, y), width, height, fill=False, hatch="////", edgecolor="#B5B5B5", linewidth=0
    )


def _tooltip(row: Row) -> str:
    value = f"{row['metric']} {format_number(row['value'])}"
    first = f"{row['control_of']} · {row['control']}\n{value}: {row['verdict']}"
    if row["value"] is None:
        return f"{first}\n{row['reason']}"
    low, high = format_number(row["chance_low"]), format_number(row["chance_high"])
    p = f"p = {format_number(row['p_value'], 2)}"
    itself = f"with itself {format_number(row['itself'])}"
    return f"{first}\nby chance {low} to {high}, {p}, {itself}, n = {row['n']}"
