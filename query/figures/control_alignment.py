"""Models whose alignment is known in advance: may the other numbers be believed?"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from query.figures.drawing.labels import format_number, sample_label
from query.figures.drawing.looks import COLORS, GRAY, assign_looks
from query.figures.drawing.plot import NothingToDraw, Plot, Row, styled
from query.statements import ask

WRONG = COLORS[4]
LINE = 0.42  # inches, a control
COLUMN = 0.86  # inches, a metric
SHOULD = {
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
    """Left: where each control lies between chance (0) and a thing with itself (1). Right: its values and verdicts.

    metric: several as 'cknna, cka'; None is those of the statement. The gray bars are the permutation null, two
    deviations to either side. Raises NothingToDraw where the store has no controls.
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
    plot = Plot(answer, title, width=5.6 + COLUMN * len(metrics), height=1.7 + LINE * len(names))
    ratios = (3.8, COLUMN * len(metrics))
    left, right = plot.subplots(1, 2, sharey=True, width_ratios=ratios)
    _between(plot, left, answer.rows, names, metrics)
    _table(plot, right, answer.rows, names, metrics)
    expected = {row["control"]: row["expected"] for row in answer.rows}
    left.set_yticks(
        range(len(names)), [f"{name}\n{SHOULD[expected[name]]}" for name in names], fontsize=7.5
    )
    left.set_ylim(len(names) - 0.5, -0.5)
    return plot


def _between(
    plot: Plot, axes: Axes, rows: Sequence[Row], names: Sequence[str], metrics: Sequence[str]
) -> None:
    """A line a control and metric: the value and its null, on the way from chance to itself."""
    looks = assign_looks(metrics)
    step = 0.76 / len(metrics)
    for row in rows:
        y = (
            names.index(row["control"])
            + (metrics.index(row["metric"]) - (len(metrics) - 1) / 2) * step
        )
        way = None if row["value"] is None else row["itself"] - row["null_mean"]
        if not way:
            axes.add_patch(_hatched(-0.03, y - step / 2, 1.06, step))
            plot.add_tooltips(axes, [0.5], [y], [_tooltip(row)])
            continue
        start, end = (
            (row[side] - row["null_mean"]) / way for side in ("chance_low", "chance_high")
        )
        axes.barh(y, end - start, left=start, height=step, color="#C9C9C9", linewidth=0)
        place, look = (row["value"] - row["null_mean"]) / way, looks[row["metric"]]
        edge, size = (look.color, 4.5) if row["holds"] else ("black", 9)
        axes.plot(
            place, y, color=look.color, marker=look.marker, markersize=size, markeredgecolor=edge
        )
        plot.add_tooltips(axes, [place], [y], [_tooltip(row)])
    for place in (0, 1):
        axes.axvline(place, color=GRAY, linewidth=0.8, linestyle=":", zorder=0)
    for y in range(1, len(names)):
        axes.axhline(y - 0.5, color="#E3E3E3", linewidth=0.6)
    axes.set_xticks([0, 0.5, 1], ["chance", "half way", "the same"])
    axes.set_xlabel(
        f"gray: permutation null, mean ± 2 deviations\n{sample_label(rows)}", fontsize=8
    )
    axes.tick_params(axis="y", length=0)


def _table(
    plot: Plot, axes: Axes, rows: Sequence[Row], names: Sequence[str], metrics: Sequence[str]
) -> None:
    """A cell a control and metric, with the value and whether it is what it must be."""
    looks = assign_looks(metrics)
    texts = [["" for _ in metrics] for _ in names]
    for row in rows:
        x, y = metrics.index(row["metric"]), names.index(row["control"])
        sign, color = ("✓", "black") if row["holds"] else ("✗", WRONG)
        weight = "normal" if row["holds"] else "bold"
        axes.text(
            x,
            y,
            f"{sign} {_short(row['value'])}",
            ha="center",
            va="center",
            fontsize=8,
            color=color,
            weight=weight,
        )
        if not row["holds"]:
            axes.add_patch(
                Rectangle(
                    (x - 0.46, y - 0.42), 0.92, 0.84, fill=False, edgecolor=WRONG, linewidth=1.5
                )
            )
        texts[y][x] = _tooltip(row)
    plot.add_cell_tooltips(axes, texts)
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


def _hatched(x: float, y: float, width: float, height: float) -> Rectangle:
    return Rectangle(
        (x, y), width, height, fill=False, hatch="////", edgecolor="#B5B5B5", linewidth=0
    )


def _short(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _tooltip(row: Row) -> str:
    first = f"{row['control_of']} · {row['control']}\n{row['metric']} {format_number(row['value'])}: {row['verdict']}"
    if row["value"] is None:
        return f"{first}\n{row['reason']}"
    chance = f"by chance {format_number(row['chance_low'])} to {format_number(row['chance_high'])}"
    return f"{first}\n{chance}, p = {format_number(row['p_value'], 2)}, with itself {format_number(row['itself'])}, n = {row['n']}"
