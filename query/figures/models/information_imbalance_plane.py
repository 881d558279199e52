"""The information-imbalance plane: what each of two models tells about the other."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
from matplotlib.axes import Axes

from query.figures.drawing.labels import format_number
from query.figures.drawing.looks import GRAY, WORDS, family_looks
from query.figures.drawing.pairs import Cloud, add_pairs_legend, draw_pairs, note_undefined
from query.figures.drawing.plot import NothingToDraw, Plot, Row, styled
from query.statements import ask

_CORNERS = {
    (0, 0): "the same information",
    (1, 1): "unrelated",
    (0, 1): "a contains b",
    (1, 0): "b contains a",
}
_TICKS = (0, 0.25, 0.5, 0.75, 1)


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
    """Draw the information imbalances of each pair of models: Δ(a → b) across, Δ(b → a) up.

    There is one panel per dataset. Of a pair, a is the model that comes first by family, then
    name. Two datasets are narrowed to equally many systems.

    Args:
        connection: A connection to a store, with our functions.
        dataset_a: The name of a dataset.
        dataset_b: The name of another dataset; None is no other.
        models: Names of models; None is every trained model and descriptor with vectors there.
        k: The number of neighbors; None is 1.
        seed: Chooses the systems of two datasets; None is 0.

    Returns:
        The figure; `answer` has one row per pair and dataset.

    Raises:
        NothingToDraw: If fewer than two models have vectors.
    """
    answer = ask(
        connection,
        "information_imbalance_plane",
        dataset_a=dataset_a,
        dataset_b=dataset_b,
        models=models,
        k=k,
        seed=seed,
    )
    datasets = [dataset_a] if dataset_b is None else [dataset_a, dataset_b]
    where = " and ".join(datasets)
    if {row["dataset"] for row in _defined(answer.rows)} != set(datasets):
        raise NothingToDraw(
            f"two models with vectors on {where} are needed: matterzoo ingest MODEL DATASET"
        )
    width = 2 + 3.8 * len(datasets)
    plot = Plot(answer, f"Information imbalance on {where}", width=width, height=4.5)
    looks = family_looks(connection, *datasets)
    grid = plot.subplots(1, len(datasets), squeeze=False)[0]
    for axes, dataset in zip(grid, datasets, strict=True):
        rows = [row for row in answer.rows if row["dataset"] == dataset]
        draw_pairs(plot, axes, rows, Cloud("a_to_b", "b_to_a", _tooltip), looks)
        _draw_frame(axes, _defined(rows), dataset if dataset_b else "")
    add_pairs_legend(plot, answer.rows, looks)
    note_undefined(plot, answer.rows, ("a_to_b", "b_to_a"))
    return plot


def _defined(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["a_to_b"] is not None and row["b_to_a"] is not None]


def _draw_frame(axes: Axes, drawn: Sequence[Row], title: str) -> None:
    """Draw the diagonal and the unit square, and write what its corners mean outside of it."""
    most = max(1.16, *(max(row["a_to_b"], row["b_to_a"]) + 0.06 for row in drawn))
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    for edge in (0, 1):
        axes.axhline(edge, color=GRAY, linewidth=0.4, zorder=0)
        axes.axvline(edge, color=GRAY, linewidth=0.4, zorder=0)
    for (x, y), text in _CORNERS.items():
        axes.text(
            0.985 if x else 0.015,
            0.985 if y else 0.015,
            text,
            transform=axes.transAxes,
            horizontalalignment="right" if x else "left",
            verticalalignment="top" if y else "bottom",
            **WORDS,
        )
    axes.set(xlim=(-0.16, most), ylim=(-0.16, most), aspect="equal", title=title)
    axes.set(xticks=_TICKS, yticks=_TICKS)
    axes.set(xlabel=f"Δ(a → b), n = {drawn[0]['n']}, k = {drawn[0]['k']}", ylabel="Δ(b → a)")


def _tooltip(row: Row) -> str:
    there, back = format_number(row["a_to_b"]), format_number(row["b_to_a"])
    return (
        f"a = {row['model_a']}, b = {row['model_b']}\n"
        f"Δ(a → b) {there}, Δ(b → a) {back}, n = {row['n']}, k = {row['k']}"
    )
