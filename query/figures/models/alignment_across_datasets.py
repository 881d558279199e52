"""How alike pairs of models see one dataset, against how alike they see another."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from statistics import median
from typing import Any

import duckdb
from matplotlib.axes import Axes

from query.figures.drawing.labels import format_number
from query.figures.drawing.looks import GRAY, WORDS, family_looks
from query.figures.drawing.pairs import Cloud, add_pairs_legend, draw_pairs, note_undefined
from query.figures.drawing.plot import NothingToDraw, Plot, Row, styled
from query.metrics import find_metric
from query.statements import ask

_TICKS = (0, 0.2, 0.4, 0.6, 0.8, 1)


@styled
def alignment_across_datasets(
    connection: duckdb.DuckDBPyConnection,
    dataset_a: str,
    dataset_b: str,
    *,
    metric: str | None = None,
    models: Sequence[str] | None = None,
    k: int | None = None,
    seed: int | None = None,
    permutations: int | None = None,
) -> Plot:
    """Draw the alignment of each pair of models on one dataset against that on another.

    There is one panel per metric. Both datasets are narrowed to equally many systems, since values
    depend on how many there are. Which dataset a model was trained near to, you have to judge.

    Args:
        connection: A connection to a store, with our functions.
        dataset_a: The name of the dataset across.
        dataset_b: The name of the dataset up.
        metric: One or several names of metrics, "cka, rsa"; None is those of the statement.
        models: Names of models; None is every trained model and descriptor with vectors on both.
        k: The number of neighbors; None is the metric's default.
        seed: Chooses the systems; None is 0.
        permutations: Random pairings per pair of models, for the value by chance, which takes
            most of the time; None is 20.

    Returns:
        The figure; `answer` has one row per pair and metric.

    Raises:
        NothingToDraw: If fewer than two models have vectors on both datasets.
    """
    answer = ask(
        connection,
        "alignment_across_datasets",
        dataset_a=dataset_a,
        dataset_b=dataset_b,
        metric=metric,
        models=models,
        k=k,
        seed=seed,
        permutations=permutations,
    )
    drawn = [row for row in answer.rows if row["on_a"] is not None and row["on_b"] is not None]
    if not drawn:
        raise NothingToDraw(
            f"two models with vectors on both {dataset_a} and {dataset_b} are needed: "
            "matterzoo ingest MODEL DATASET"
        )
    metrics = sorted({row["metric"] for row in drawn})
    title = f"{dataset_a} against {dataset_b}"
    plot = Plot(answer, title, width=1.8 + 3.6 * len(metrics), height=4.1)
    looks = family_looks(connection, dataset_a, dataset_b)
    for axes, name in zip(plot.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
        rows = [row for row in drawn if row["metric"] == name]
        draw_pairs(plot, axes, rows, Cloud("on_a", "on_b", _tooltip), looks)
        _draw_frame(axes, rows, (dataset_a, dataset_b))
    add_pairs_legend(plot, drawn, looks)
    note_undefined(plot, answer.rows, ("on_a", "on_b"))
    return plot


def _draw_frame(axes: Axes, drawn: Sequence[Row], datasets: Sequence[str]) -> None:
    """Draw equal axes, the diagonal, what chance gives, and the counts on both sides."""
    low = min(0.0, *(min(row["on_a"], row["on_b"]) for row in drawn)) - 0.03
    high = max(1.0, *(max(row["on_a"], row["on_b"]) for row in drawn)) + 0.03
    axes.axline((0, 0), slope=1, color=GRAY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    if drawn[0]["null_mean_a"] is not None:
        _mark_chance(axes, drawn)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal", title=drawn[0]["metric"])
    axes.set(xticks=_TICKS, yticks=_TICKS)
    axes.set(
        xlabel=f"on {datasets[0]} (n = {drawn[0]['n_a']})",
        ylabel=f"on {datasets[1]} (n = {drawn[0]['n_b']})",
    )
    _write_counts(axes, drawn, datasets)


def _mark_chance(axes: Axes, drawn: Sequence[Row]) -> None:
    across, up = (median(row[column] for row in drawn) for column in ("null_mean_a", "null_mean_b"))
    axes.axvline(across, color=GRAY, linewidth=0.8, linestyle=":", zorder=1)
    axes.axhline(up, color=GRAY, linewidth=0.8, linestyle=":", zorder=1)
    aside = axes.get_yaxis_transform()
    axes.text(1.01, up, "chance", transform=aside, verticalalignment="center", **WORDS)


def _write_counts(axes: Axes, drawn: Sequence[Row], datasets: Sequence[str]) -> None:
    """Write on each side of the diagonal how many pairs are there."""
    above, below = (
        sum(side(row["on_b"], row["on_a"]) for row in drawn) for side in (operator.gt, operator.lt)
    )
    lower_is_closer = find_metric(drawn[0]["metric"]).lower_is_closer
    upper, lower = datasets if lower_is_closer else reversed(datasets)
    small: Any = {"transform": axes.transAxes, **WORDS}
    words = f"more alike on {upper}:\n{above} of {len(drawn)} pairs"
    axes.text(0.03, 0.97, words, verticalalignment="top", **small)
    words = f"more alike on {lower}:\n{below} of {len(drawn)} pairs"
    axes.text(0.97, 0.1, words, horizontalalignment="right", **small)


def _tooltip(row: Row) -> str:
    values, calibrated = (
        " and ".join(format_number(row[f"{column}_{side}"]) for side in "ab")
        for column in ("on", "calibrated")
    )
    near = f", k = {row['k']}" if row["k"] is not None else ""
    return (
        f"{row['model_a']} · {row['model_b']}\n{row['metric']} {values}, calibrated {calibrated}\n"
        f"n = {row['n_a']}{near}"
    )
