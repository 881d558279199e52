"""What explains how alike trained models are: a common family, common training data, or neither."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import duckdb
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from query.figures.drawing.labels import direction_label, format_number, sample_label
from query.figures.drawing.looks import family_looks
from query.figures.drawing.pairs import Cloud, add_pairs_legend, draw_pairs
from query.figures.drawing.plot import NothingToDraw, Plot, Row, styled
from query.statements import ask

_LABELS = {
    "same-family": "same\nfamily",
    "same-training-data": "same\ntraining data",
    "neither": "neither",
    "unknown-training-data": "unknown\ntraining data",
}
_GOLDEN = 0.618034  # the golden ratio: its multiples spread evenly, whatever their number
_SPREAD = 0.36  # of a strip, how wide it is
_MEAN = 0.36  # of a strip, by which the mean stands below it
_LETTERS = 200  # of one reason, which may name many models
_SHOWN = 3  # names of training sets in a tooltip


@styled
def kinship(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    metric: str = "cknna",
    k: int | None = None,
    permutations: int | None = None,
) -> Plot:
    """Draw the alignments of all pairs of trained models, one strip per relation.

    Below each strip stands the mean with its 95 % interval; right of it, the test against the
    pairs that have neither family nor training data in common.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        metric: The name of a metric.
        k: The number of neighbors; None is the metric's default.
        permutations: Permutations of the test; None is 9999, 0 is no test.

    Returns:
        The figure; `answer` has one row per pair.

    Raises:
        NothingToDraw: If fewer than two trained models have vectors.
    """
    answer = ask(
        connection, "kinship", dataset=dataset, metric=metric, k=k, permutations=permutations
    )
    pairs = [row for row in answer.rows if row["value"] is not None]
    if not pairs:
        raise NothingToDraw(
            f"two models with training sets and vectors on {dataset} are needed: "
            f"matterzoo ingest MODEL {dataset}"
        )
    plot = Plot(answer, f"What explains {metric} on {dataset}", width=8.6, height=4.4)
    axes = plot.subplots()
    looks = family_looks(connection, dataset)
    found = {row["relation"] for row in answer.rows}
    relations = [relation for relation in _LABELS if relation in found]
    neither = any(row["relation"] == "neither" and row["n_pairs"] for row in answer.rows)
    for place, relation in enumerate(relations):
        rows = [row for row in answer.rows if row["relation"] == relation]
        defined = [row for row in rows if row["value"] is not None]
        draw_pairs(plot, axes, _spread(defined, place), _CLOUD, looks)
        _draw_mean(plot, axes, rows[0], place)
        _write_test(axes, rows[0], place, "neither" if neither else "same data")
    label = f"{metric} ({direction_label(metric)}, {sample_label(answer.rows)})"
    _draw_frame(axes, relations, label)
    mean = Line2D([], [], color="black", marker="d", label="mean, 95 % interval")
    add_pairs_legend(plot, pairs, looks, [mean])
    _add_note(plot, answer.rows)
    return plot


def _add_note(plot: Plot, rows: Sequence[Row]) -> None:
    """Note what the test could not do, and which models were left out."""
    words = [
        f"{row['relation']}: {row[column]}"
        for row in rows
        for column in ("warning", "reason")
        if row[column]
    ]
    if words:
        short = [
            textwrap.shorten(word, _LETTERS, placeholder=" …") for word in dict.fromkeys(words)
        ]
        plot.add_note("; ".join(short))


def _spread(rows: Sequence[Row], place: int) -> list[Row]:
    """Return the rows with how far down they stand, so that those of one value are apart."""
    return [row | {"down": place + _SPREAD * (i * _GOLDEN % 1 - 0.5)} for i, row in enumerate(rows)]


def _draw_mean(plot: Plot, axes: Axes, row: Row, place: int) -> None:
    if row["mean"] is not None:
        low, high = (row["mean"] if row[side] is None else row[side] for side in ("low", "high"))
        axes.plot([low, high], [place + _MEAN] * 2, color="black", linewidth=1.4)
        axes.plot(row["mean"], place + _MEAN, "d", color="black", markersize=6)
        plot.add_tooltips(axes, [row["mean"]], [place + _MEAN], [_mean_tooltip(row)])


def _write_test(axes: Axes, row: Row, place: int, baseline: str) -> None:
    """Write, right of the axes, the mean, and its difference from the baseline."""
    words = [f"{row['n_pairs'] or 0} pairs"]
    if row["mean"] is not None:
        words.append(f"mean {row['mean']:.2f}")
    if row["difference"] is not None:
        words.append(f"{round(row['difference'], 2) + 0.0:+.2f} against {baseline}")
        p = row["p_value"]
        words.append("no p-value" if p is None else f"p = {format_number(p, 2)}")
    text = "\n".join([", ".join(words[:2]), ", ".join(words[2:])])
    aside = axes.get_yaxis_transform()
    axes.text(1.02, place, text, transform=aside, fontsize=7.5, verticalalignment="center")


def _draw_frame(axes: Axes, relations: Sequence[str], label: str) -> None:
    axes.set_yticks(range(len(relations)), [_LABELS[relation] for relation in relations])
    axes.set_ylim(len(relations) - 0.4, -0.4)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_xlabel(label)


def _tooltip(row: Row) -> str:
    near = f", k = {row['k']}" if row["k"] is not None else ""
    lines = [
        f"{row['model_a']} · {row['model_b']}",
        f"{row['metric']} {format_number(row['value'])}, n = {row['n']}{near}",
    ]
    sets = row["common_sets"]
    if sets:
        more = f" and {len(sets) - _SHOWN} more" if len(sets) > _SHOWN else ""
        lines.append(f"both trained on data of {', '.join(sets[:_SHOWN])}{more}")
    return "\n".join(lines)


_CLOUD = Cloud("value", "down", _tooltip)


def _mean_tooltip(row: Row) -> str:
    low, high = format_number(row["low"]), format_number(row["high"])
    interval = row["warning"] if row["low"] is None else f"95 % interval {low} to {high}"
    count = f"{row['n_pairs']} pairs of {row['n_models']} models"
    return f"{row['relation']}: mean {format_number(row['mean'])}\n{interval}\n{count}"
