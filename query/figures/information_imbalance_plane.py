"""The information-imbalance plane: what each of two models tells of the other."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
from matplotlib.axes import Axes

from query.figures.drawing.labels import format_number
from query.figures.drawing.looks import GRAY, WORDS, family_looks
from query.figures.drawing.pairs import Cloud, add_pairs_legend, draw_pairs, note_undefined
from query.figures.drawing.plot import NothingToDraw, Plot, Row, styled
from query.statements import ask

CORNERS = {
    (0, 0): "the same information",
    (1, 1): "unrelated",
    (0, 1): "a contains b",
    (1, 0): "b contains a",
}


@styled
def information_imbalance_plane(
    connection: duckdb.DuckDBPyConnection,
    dataset_a: str,
    *,
    dataset_b: str | None = None,
    models: Sequence[str] | None = None,
    k: int | None = None,
    seed: int | None = None,
) -> Plot:
    """One panel a dataset, one point a pair of models: Δ(a → b) across, Δ(b → a) up.

    Of two datasets equally many systems are taken (seed: which). a is the model whose family, then name, comes first.
    Raises NothingToDraw below two models.
    """
    asked = {"dataset_a": dataset_a, "dataset_b": dataset_b, "models": models, "k": k, "seed": seed}
    answer = ask(connection, "information_imbalance_plane", **asked)
    datasets = [dataset_a] if dataset_b is None else [dataset_a, dataset_b]
    drawn = {
        row["dataset"]
        for row in answer.rows
        if row["a_to_b"] is not None and row["b_to_a"] is not None
    }
    if drawn != set(datasets):
        where = " and ".join(datasets)
        raise NothingToDraw(
            f"two models with vectors on {where} are needed: matterzoo ingest MODEL DATASET"
        )
    plot = Plot(
        answer,
        f"Information imbalance on {' and '.join(datasets)}",
        width=2 + 3.8 * len(datasets),
        height=4.5,
    )
    looks = family_looks(connection, *datasets)
    for axes, dataset in zip(
        plot.subplots(1, len(datasets), squeeze=False)[0], datasets, strict=True
    ):
        rows = [row for row in answer.rows if row["dataset"] == dataset]
        draw_pairs(plot, axes, rows, Cloud("a_to_b", "b_to_a", _tooltip), looks)
        _explain(axes, rows, dataset if dataset_b else "")
    add_pairs_legend(plot, answer.rows, looks)
    note_undefined(plot, answer.rows, ("a_to_b", "b_to_a"))
    return plot


def _explain(axes: Axes, rows: Sequence[Row], title: str) -> None:
    """The corners in words, outside the square that most points are in."""
    drawn = [row for row in rows if row["a_to_b"] is not None and row["b_to_a"] is not None]
    most = max(1.16, *(max(row["a_to_b"], row["b_to_a"]) + 0.06 for row in drawn))
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    for edge in (0, 1):
        axes.axhline(edge, color=GRAY, linewidth=0.4, zorder=0)
        axes.axvline(edge, color=GRAY, linewidth=0.4, zorder=0)
    for (x, y), text in CORNERS.items():
        axes.text(
            0.985 if x else 0.015,
            0.985 if y else 0.015,
            text,
            transform=axes.transAxes,
            horizontalalignment="right" if x else "left",
            verticalalignment="top" if y else "bottom",
            **WORDS,
        )
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axes.set(
        xlim=(-0.16, most),
        ylim=(-0.16, most),
        aspect="equal",
        title=title,
        xticks=ticks,
        yticks=ticks,
    )
    axes.set(xlabel=f"Δ(a → b), n = {drawn[0]['n']}, k = {drawn[0]['k']}", ylabel="Δ(b → a)")


def _tooltip(row: Row) -> str:
    a, b = row["model_a"], row["model_b"]
    there, back = format_number(row["a_to_b"]), format_number(row["b_to_a"])
    return f"a = {a}, b = {b}\nΔ(a → b) {there}, Δ(b → a) {back}, n = {row['n']}, k = {row['k']}"
