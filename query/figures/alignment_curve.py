"""How far a value is one of the two models, and how far of the number of systems and of k."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
from matplotlib.axes import Axes

from query.figures.drawing.labels import direction_label, format_number
from query.figures.drawing.looks import COLORS, GRAY, Look
from query.figures.drawing.plot import NothingToDraw, Plot, Row, styled
from query.metrics import Metric, find_metric
from query.statements import ask

LOOKS = {
    "highest": Look(COLORS[0], "o"),
    "lowest": Look(COLORS[4], "s"),
    "asked for": Look(COLORS[0], "o"),
}
MEANS = {
    ("highest", False): "most alike",
    ("highest", True): "least alike",
    ("lowest", False): "least alike",
    ("lowest", True): "most alike",
}
ROOM = 0.09  # of an axis: between numbers along it
GAP = 0.2  # of an axis: between labels of two lines each


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
    """Left: value against the number of systems. Right, where the metric has neighbors: against k, of all systems.

    ns, ks, repeats: see `alignment_curve`. model_a, model_b: without both, the most and the least alike pair of models
    of different families, of those with the one that is named. Raises NothingToDraw where no such pair has a value, and
    where there are too few systems to take parts of them.
    """
    given = {
        "metric": metric,
        "model_a": model_a,
        "model_b": model_b,
        "k": k,
        "repeats": repeats,
        "ns": ns,
        "ks": ks,
    }
    answer = ask(connection, "alignment_curve", dataset=dataset, **given)
    if not answer.rows:
        raise NothingToDraw(
            f"no two models of different families have a value on {dataset}: matterzoo ingest MODEL {dataset}"
        )
    if all(row["value"] is None for row in answer.rows):
        raise NothingToDraw(f"{metric} is undefined on {dataset}: {answer.rows[0]['reason']}")
    panels = _panels(answer.rows)
    if not panels:
        raise NothingToDraw(
            f"too few systems on {dataset} to take parts of them: n = {answer.rows[0]['n_all']}"
        )
    plot = Plot(
        answer, f"{metric} on {dataset}, by size", width=3.4 * len(panels) + 3.4, height=3.8
    )
    for axes, (along, rows) in zip(
        plot.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True
    ):
        _draw(plot, axes, along, rows)
    plot.axes[0].set_ylabel(f"{metric} ({direction_label(metric)})")
    _name(plot.axes[-1], *panels[-1], find_metric(metric))
    plot.add_note(
        f"Dashed: by chance. Bands: ± a deviation over {max(row['repeats'] for row in answer.rows)} random subsets."
    )
    return plot


def _panels(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """What there is to draw: along n, along k, with the rows of each."""
    found = [
        ("n", [row for row in rows if row["k"] == row["k_usual"]]),
        ("k", [row for row in rows if row["n"] == row["n_all"]]),
    ]
    return [(along, rows) for along, rows in found if len({row[along] for row in rows}) > 1]


def _draw(plot: Plot, axes: Axes, along: str, rows: Sequence[Row]) -> None:
    """A line a pair, with its chance; along: 'n' or 'k'."""
    for pair in dict.fromkeys(row["pair"] for row in rows):
        look = LOOKS[pair]
        line = [row for row in rows if row["pair"] == pair and row["value"] is not None]
        xs, ys = [row[along] for row in line], [row["value"] for row in line]
        axes.plot(xs, ys, color=look.color, marker=look.marker, markersize=5, linewidth=1.6)
        axes.plot(
            xs, [row["chance"] for row in line], color=look.color, linewidth=1, linestyle="--"
        )
        spread = [row["std"] or 0.0 for row in line]
        low, high = ([y + sign * s for y, s in zip(ys, spread, strict=True)] for sign in (-1, 1))
        axes.fill_between(xs, low, high, color=look.color, alpha=0.2, linewidth=0)
        plot.add_tooltips(axes, xs, ys, map(_tooltip, line))
    for row in rows:
        if row["value"] is None:
            x = row[along]
            axes.axvspan(
                x / 1.06, x * 1.06, fill=False, hatch="////", edgecolor="#B5B5B5", linewidth=0
            )
            plot.add_tooltips(axes, [x], [0.5], [_tooltip(row)])
    xs = sorted({row[along] for row in rows})
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(_apart(xs), [str(x) for x in _apart(xs)])
    fixed, other = ("k", "k_usual") if along == "n" else ("n", "n_all")
    values = sorted({row[other] for row in rows if row[other] is not None})
    at = f", at {fixed} = {' and '.join(map(str, values))}" if values else ""
    axes.set_xlabel(f"{'systems, n' if along == 'n' else 'neighbors, k'}{at}")
    axes.grid(True)


def _apart(xs: Sequence[int]) -> list[int]:
    """Of ascending numbers those that can be written on a log axis, not too near the one before."""
    least = (xs[-1] / xs[0]) ** ROOM
    kept = [xs[0]]
    for x in xs[1:]:
        if x > least * kept[-1]:
            kept.append(x)
    return kept


def _name(axes: Axes, along: str, rows: Sequence[Row], metric: Metric) -> None:
    """The pairs' names right of their lines' ends, moved apart where they would collide."""
    ends = {
        row["pair"]: row for row in rows if row["value"] is not None
    }  # rows ascend: the last one stays
    low, high = axes.get_ylim()
    floor = -1.0
    for pair, row in sorted(ends.items(), key=lambda item: item[1]["value"]):
        place = max((row["value"] - low) / (high - low), floor + GAP)
        floor = place
        kind = MEANS.get((pair, metric.lower_is_closer), pair)
        axes.annotate(
            f"{kind}:\n{row['model_a']} {'·' if metric.symmetric else '→'}\n{row['model_b']}",
            (row[along], row["value"]),
            (1.06, place),
            textcoords="axes fraction",
            va="center",
            fontsize=7.5,
            color=LOOKS[pair].color,
            arrowprops={"arrowstyle": "-", "color": GRAY, "linewidth": 0.6},
        )


def _tooltip(row: Row) -> str:
    where = f"n = {row['n']}" + ("" if row["k"] is None else f", k = {row['k']}")
    pair = f"{row['model_a']} · {row['model_b']}\n{where}: {row['metric']} {format_number(row['value'])}"
    if row["value"] is None:
        return f"{pair}: {row['reason']}"
    std = "" if row["std"] is None else f" ± {format_number(row['std'], 2)}"
    return f"{pair}{std}, by chance {format_number(row['chance'])}"
