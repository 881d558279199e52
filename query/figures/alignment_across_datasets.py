"""How alike pairs of models see one dataset against how alike they see another."""

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

TICKS = (0, 0.2, 0.4, 0.6, 0.8, 1)


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
    """One panel a metric, one point a pair of models: its value on dataset_a across, on dataset_b up.

    Both datasets are narrowed to equally many systems (seed: which), since values depend on how many there are. metric:
    one or several, 'cka, rsa'. permutations: of which chance is the mean; few by default, as it takes most of the time.
    Which dataset a model was trained near to is for the reader to say. Raises NothingToDraw where fewer than two models
    have vectors on both.
    """
    asked: dict[str, Any] = {
        "metric": metric,
        "models": models,
        "k": k,
        "seed": seed,
        "permutations": permutations,
    }
    answer = ask(
        connection, "alignment_across_datasets", dataset_a=dataset_a, dataset_b=dataset_b, **asked
    )
    drawn = [row for row in answer.rows if row["on_a"] is not None and row["on_b"] is not None]
    if not drawn:
        raise NothingToDraw(
            f"two models with vectors on both {dataset_a} and {dataset_b} are needed: matterzoo ingest MODEL DATASET"
        )
    metrics = sorted({row["metric"] for row in drawn})
    plot = Plot(
        answer, f"{dataset_a} against {dataset_b}", width=1.8 + 3.6 * len(metrics), height=4.1
    )
    looks = family_looks(connection, dataset_a, dataset_b)
    for axes, name in zip(plot.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
        rows = [row for row in drawn if row["metric"] == name]
        draw_pairs(plot, axes, rows, Cloud("on_a", "on_b", _tooltip), looks)
        _finish(axes, rows, (dataset_a, dataset_b))
    add_pairs_legend(plot, drawn, looks)
    note_undefined(plot, answer.rows, ("on_a", "on_b"))
    return plot


def _finish(axes: Axes, drawn: Sequence[Row], datasets: Sequence[str]) -> None:
    """Equal axes, the diagonal, what chance gives, and on which side of the diagonal how many pairs are."""
    low = min(0.0, *(min(row["on_a"], row["on_b"]) for row in drawn)) - 0.03
    high = max(1.0, *(max(row["on_a"], row["on_b"]) for row in drawn)) + 0.03
    axes.axline((0, 0), slope=1, color=GRAY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    if drawn[0]["null_mean_a"] is not None:
        across, up = (
            median(row[column] for row in drawn) for column in ("null_mean_a", "null_mean_b")
        )
        axes.axvline(across, color=GRAY, linewidth=0.8, linestyle=":", zorder=1)
        axes.axhline(up, color=GRAY, linewidth=0.8, linestyle=":", zorder=1)
        axes.text(
            1.01,
            up,
            "chance",
            transform=axes.get_yaxis_transform(),
            verticalalignment="center",
            **WORDS,
        )
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal", title=drawn[0]["metric"])
    axes.set(xticks=TICKS, yticks=TICKS)
    axes.set(
        xlabel=f"on {datasets[0]} (n = {drawn[0]['n_a']})",
        ylabel=f"on {datasets[1]} (n = {drawn[0]['n_b']})",
    )
    _count(axes, drawn, datasets)


def _count(axes: Axes, drawn: Sequence[Row], datasets: Sequence[str]) -> None:
    above, below = (
        sum(side(row["on_b"], row["on_a"]) for row in drawn) for side in (operator.gt, operator.lt)
    )
    upper, lower = (
        reversed(datasets) if not find_metric(drawn[0]["metric"]).lower_is_closer else datasets
    )
    small: Any = {"transform": axes.transAxes, **WORDS}
    axes.text(
        0.03,
        0.97,
        f"more alike on {upper}:\n{above} of {len(drawn)} pairs",
        verticalalignment="top",
        **small,
    )
    axes.text(
        0.97,
        0.1,
        f"more alike on {lower}:\n{below} of {len(drawn)} pairs",
        horizontalalignment="right",
        **small,
    )


def _tooltip(row: Row) -> str:
    return (
        f"{row['model_a']} · {row['model_b']}\n{row['metric']} {format_number(row['on_a'])} and {format_number(row['on_b'])}, "
        f"calibrated {format_number(row['calibrated_a'])} and {format_number(row['calibrated_b'])}\nn = {row['n_a']}"
        + (f", k = {row['k']}" if row["k"] is not None else "")
    )
