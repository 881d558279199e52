"""Do better models see matter more like a reference? Alignment with it against a score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
from matplotlib.axes import Axes

from query.figures.drawing.labels import format_number, sample_label
from query.figures.drawing.looks import WORDS, Look, family_looks
from query.figures.drawing.plot import NothingToDraw, Plot, Row, styled
from query.figures.drawing.questions import ask_unless_missing

LEAST = 3  # models, below which there is no correlation
LACKS = ("no score", "no model with a score", "no labels of")
PANELS = {"all": "all models", "cross-family": "without its own family"}


@styled
def convergence(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    score: str,
    *,
    reference: str | None = None,
    metric: str = "cknna",
    test_set: str | None = None,
    source: str | None = None,
    property: str | None = None,
    k: int | None = None,
) -> Plot:
    """A row of panels a test set: all models with the score, and those of other families than the reference.

    score: published, or 'composition_residual_mae', measured here. reference: None is the best scored model. Each panel
    says the rank correlation, its interval and p. Raises NothingToDraw where no test set has three models.
    """
    asked: dict[str, Any] = {
        "dataset": dataset,
        "score": score,
        "reference": reference,
        "metric": metric,
        "test_set": test_set,
    }
    answer = ask_unless_missing(
        connection, "convergence", LACKS, **asked, source=source, property=property, k=k
    )
    groups = _groups(answer.rows)
    if not groups:
        raise NothingToDraw(
            f"three models with '{score}' on one test set and vectors on {dataset} are needed: matterzoo ingest MODEL "
            f"{dataset}"
        )
    looks = family_looks(connection, dataset)
    name = next(row["reference"] for row in answer.rows)
    plot = Plot(
        answer, f"Alignment with {name} on {dataset}", width=8.8, height=0.7 + 3.3 * len(groups)
    )
    panels = plot.subplots(len(groups), len(PANELS), squeeze=False, sharey=True, sharex="row")
    for line, (test, unit) in zip(panels, groups, strict=True):
        for axes, relation in zip(line, PANELS, strict=True):
            rows = [
                row
                for row in answer.rows
                if (row["test_set"], row["unit"], row["relation"]) == (test, unit, relation)
            ]
            _draw(plot, axes, [row for row in rows if row["value"] is not None], looks)
            _write_correlation(axes, rows, relation)
            axes.set_xlabel(f"{score}{'' if unit == '1' else f' ({unit})'}\n{test}")
        line[0].set_ylabel(f"{metric} with {name}\n({sample_label(answer.rows)})")
    found = {row["family"] for row in answer.rows if row["value"] is not None}
    plot.add_legend({family: look for family, look in looks.items() if family in found})
    _note(plot, answer.rows, groups)
    return plot


def _groups(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Test sets and units for which enough models have both numbers."""
    drawn = [
        (row["test_set"], row["unit"])
        for row in rows
        if row["relation"] == "all" and row["value"] is not None
    ]
    return sorted({group for group in drawn if drawn.count(group) >= LEAST})


def _draw(plot: Plot, axes: Axes, rows: Sequence[Row], looks: dict[str, Look]) -> None:
    for row in rows:
        look = looks[row["family"]]
        axes.plot(row["score_value"], row["value"], look.marker, color=look.color, markersize=6)
    axes.grid()
    xs, ys = [row["score_value"] for row in rows], [row["value"] for row in rows]
    plot.add_tooltips(axes, xs, ys, [_tooltip(row) for row in rows])


def _write_correlation(axes: Axes, rows: Sequence[Row], relation: str) -> None:
    axes.set_title(PANELS[relation])
    row: Row = next(iter(rows), {"n_models": 0, "spearman": None})
    words = f"{row['n_models']} models"
    if row["spearman"] is None:
        words += f": no rank correlation ({'three are needed' if row['n_models'] < LEAST else 'all values are equal'})"
    else:
        between = (
            ""
            if row["spearman_low"] is None
            else f" ({row['spearman_low']:.2f} to {row['spearman_high']:.2f})"
        )
        words = f"rank correlation {row['spearman']:.2f}{between}\np = {format_number(row['spearman_p'], 2)}, {words}"
    axes.margins(y=0.25)
    axes.text(0.02, 0.98, words, transform=axes.transAxes, verticalalignment="top", **WORDS)


def _note(plot: Plot, rows: Sequence[Row], groups: Sequence[tuple[str, str]]) -> None:
    everyone = [row for row in rows if row["relation"] == "all"]
    few = sorted(
        {row["test_set"] for row in everyone if (row["test_set"], row["unit"]) not in groups}
    )
    absent = sorted(
        {f"{row['model_id']} ({row['reason']})" for row in everyone if row["value"] is None}
    )
    words = [f"fewer than three models: {'; '.join(few)}"] * bool(few) + [
        f"not drawn: {'; '.join(absent)}"
    ] * bool(absent)
    if words:
        plot.add_note(". ".join(words))


def _tooltip(row: Row) -> str:
    near = f", k = {row['k']}" if row["k"] is not None else ""
    return (
        f"{row['model_id']}\n{row['score']} {format_number(row['score_value'])} {row['unit']}\n{row['metric']} "
        f"{format_number(row['value'])}, calibrated {format_number(row['calibrated'])}, n = {row['n']}{near}\n{row['source']}"
    )
