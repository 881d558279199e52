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

RELATIONS = (
    "same-family",
    "same-training-data",
    "neither",
    "unknown-training-data",
)  # the last where there is any
GOLDEN = 0.618034  # its multiples spread evenly, whatever their number
SPREAD = 0.36
MEAN = 0.36  # of a strip, that the mean stands below it
LETTERS = 200  # of one reason, which may name many models
SHOWN = 3  # names of training sets under the mouse


@styled
def kinship(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    metric: str = "cknna",
    k: int | None = None,
    permutations: int | None = None,
) -> Plot:
    """A strip of pairs a relation, the mean with its 95 % interval below, and the test against 'neither' in words.

    Raises NothingToDraw where fewer than two trained models have vectors.
    """
    answer = ask(
        connection, "kinship", dataset=dataset, metric=metric, k=k, permutations=permutations
    )
    pairs = [row for row in answer.rows if row["value"] is not None]
    if not pairs:
        raise NothingToDraw(
            f"two models with training sets and vectors on {dataset} are needed: matterzoo ingest MODEL {dataset}"
        )
    plot = Plot(answer, f"What explains {metric} on {dataset}", width=8.6, height=4.4)
    axes = plot.subplots()
    looks = family_looks(connection, dataset)
    relations = [
        relation
        for relation in RELATIONS
        if any(row["relation"] == relation for row in answer.rows)
    ]
    neither = any(row["relation"] == "neither" and row["n_pairs"] for row in answer.rows)
    for place, relation in enumerate(relations):
        rows = [row for row in answer.rows if row["relation"] == relation]
        draw_pairs(
            plot,
            axes,
            _spread([row for row in rows if row["value"] is not None], place),
            CLOUD,
            looks,
        )
        _summarize(plot, axes, rows[0], place, "neither" if neither else "same data")
    _name(axes, relations, f"{metric} ({direction_label(metric)}, {sample_label(answer.rows)})")
    mean = Line2D([], [], color="black", marker="d", label="mean, 95 % interval")
    add_pairs_legend(plot, pairs, looks, [mean])
    _note(plot, answer.rows)
    return plot


def _note(plot: Plot, rows: Sequence[Row]) -> None:
    """What the test could not do, and who took no part."""
    words = [
        f"{row['relation']}: {row[column]}"
        for row in rows
        for column in ("warning", "reason")
        if row[column]
    ]
    if words:
        plot.add_note(
            "; ".join(
                textwrap.shorten(word, LETTERS, placeholder=" …") for word in dict.fromkeys(words)
            )
        )


def _spread(rows: Sequence[Row], place: int) -> list[Row]:
    """The rows with how far down they stand, so that those of one value are apart."""
    return [row | {"down": place + SPREAD * (i * GOLDEN % 1 - 0.5)} for i, row in enumerate(rows)]


def _summarize(plot: Plot, axes: Axes, row: Row, place: int, beside: str) -> None:
    """The mean and its interval; right of the axes what the test says, and beside what it was compared with."""
    words = [f"{row['n_pairs'] or 0} pairs"]
    if row["mean"] is not None:
        low, high = (row["mean"] if row[side] is None else row[side] for side in ("low", "high"))
        axes.plot([low, high], [place + MEAN] * 2, color="black", linewidth=1.4)
        axes.plot(row["mean"], place + MEAN, "d", color="black", markersize=6)
        plot.add_tooltips(axes, [row["mean"]], [place + MEAN], [_mean_tooltip(row)])
        words.append(f"mean {row['mean']:.2f}")
    if row["difference"] is not None:
        words.append(f"{round(row['difference'], 2) + 0.0:+.2f} beside {beside}")
        words.append(
            "no p-value" if row["p_value"] is None else f"p = {format_number(row['p_value'], 2)}"
        )
    text = "\n".join([", ".join(words[:2]), ", ".join(words[2:])])
    axes.text(
        1.02,
        place,
        text,
        transform=axes.get_yaxis_transform(),
        fontsize=7.5,
        verticalalignment="center",
    )


def _name(axes: Axes, relations: Sequence[str], label: str) -> None:
    names = [
        relation.replace("same-", "same\n").replace("unknown-", "unknown\n").replace("-", " ")
        for relation in relations
    ]
    axes.set_yticks(range(len(relations)), names)
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
        more = f" and {len(sets) - SHOWN} more" if len(sets) > SHOWN else ""
        lines.append(f"both trained on data of {', '.join(sets[:SHOWN])}{more}")
    return "\n".join(lines)


CLOUD = Cloud("value", "down", _tooltip)


def _mean_tooltip(row: Row) -> str:
    between = (
        row["warning"]
        if row["low"] is None
        else f"95 % interval {format_number(row['low'])} to {format_number(row['high'])}"
    )
    return f"{row['relation']}: mean {format_number(row['mean'])}\n{between}\n{row['n_pairs']} pairs of {row['n_models']} models"
