"""Do better models see matter more like a reference? Alignment with it against an error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
from matplotlib.axes import Axes

from query.figures.drawing.labels import format_number, sample_label
from query.figures.drawing.looks import WORDS, Look, family_looks
from query.figures.drawing.plot import NothingToDraw, Plot, Row, styled
from query.figures.drawing.questions import ask_unless_missing

_LEAST = 3  # models, below which there is no correlation
_COMPLAINTS = ("no score", "no model with a score", "no labels of")
_PANELS = {"all": "all models", "cross-family": "without its own family"}


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
    """Draw each model's alignment with a reference model against the model's score.

    There is one row of panels per test set: all models with the score, and those of other families
    than the reference. Each panel has the rank correlation, its interval and its p-value.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        score: A score of table scores, or "composition_residual_mae", which is computed from the
            models' own energies.
        reference: A model; None is the one with the best score.
        metric: The name of a metric.
        test_set: The only test set to draw; None is all.
        source: The source of the labels for "composition_residual_mae"; None is the only one.
        property: Which labels it is computed with; None is the only property that is an energy.
        k: The number of neighbors; None is the metric's default.

    Returns:
        The figure; `answer` has one row per model, test set and panel.

    Raises:
        NothingToDraw: If no test set has three models, or the store lacks scores or labels.
    """
    answer = ask_unless_missing(
        connection,
        "convergence",
        _COMPLAINTS,
        dataset=dataset,
        score=score,
        reference=reference,
        metric=metric,
        test_set=test_set,
        source=source,
        property=property,
        k=k,
    )
    groups = _groups(answer.rows)
    if not groups:
        raise NothingToDraw(
            f"three models with '{score}' on one test set and vectors on {dataset} are needed: "
            f"matterzoo ingest MODEL {dataset}"
        )
    looks = family_looks(connection, dataset)
    name = answer.rows[0]["reference"]
    title, height = f"Alignment with {name} on {dataset}", 0.7 + 3.3 * len(groups)
    plot = Plot(answer, title, width=8.8, height=height)
    panels = plot.subplots(len(groups), len(_PANELS), squeeze=False, sharey=True, sharex="row")
    for line, group in zip(panels, groups, strict=True):
        _draw_group(plot, line, group, looks)
    found = {row["family"] for row in answer.rows if row["value"] is not None}
    plot.add_legend({family: look for family, look in looks.items() if family in found})
    _add_note(plot, answer.rows, groups)
    return plot


def _groups(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return the test sets and units for which enough models have both numbers."""
    drawn = [
        (row["test_set"], row["unit"])
        for row in rows
        if row["relation"] == "all" and row["value"] is not None
    ]
    return sorted({group for group in drawn if drawn.count(group) >= _LEAST})


def _draw_group(
    plot: Plot, line: Sequence[Axes], group: tuple[str, str], looks: Mapping[str, Look]
) -> None:
    """Draw the panels of one test set."""
    every = plot.answer.rows
    test_set, unit = group
    for axes, relation in zip(line, _PANELS, strict=True):
        wanted = (test_set, unit, relation)
        rows = [row for row in every if (row["test_set"], row["unit"], row["relation"]) == wanted]
        _draw_points(plot, axes, [row for row in rows if row["value"] is not None], looks)
        _write_correlation(axes, rows)
        axes.set_title(_PANELS[relation])
        axes.set_xlabel(f"{every[0]['score']}{'' if unit == '1' else f' ({unit})'}\n{test_set}")
    line[0].set_ylabel(
        f"{every[0]['metric']} with {every[0]['reference']}\n({sample_label(every)})"
    )


def _draw_points(plot: Plot, axes: Axes, rows: Sequence[Row], looks: Mapping[str, Look]) -> None:
    for row in rows:
        look = looks[row["family"]]
        axes.plot(row["score_value"], row["value"], look.marker, color=look.color, markersize=6)
    axes.grid()
    xs, ys = [row["score_value"] for row in rows], [row["value"] for row in rows]
    plot.add_tooltips(axes, xs, ys, map(_tooltip, rows))


def _write_correlation(axes: Axes, rows: Sequence[Row]) -> None:
    row: Row = next(iter(rows), {"n_models": 0, "spearman": None})
    words = f"{row['n_models']} models"
    if row["spearman"] is None:
        why = "three are needed" if row["n_models"] < _LEAST else "all values are equal"
        words += f": no rank correlation ({why})"
    else:
        low, high = row["spearman_low"], row["spearman_high"]
        interval = "" if low is None else f" ({low:.2f} to {high:.2f})"
        p = format_number(row["spearman_p"], 2)
        words = f"rank correlation {row['spearman']:.2f}{interval}\np = {p}, {words}"
    axes.margins(y=0.25)
    axes.text(0.02, 0.98, words, transform=axes.transAxes, verticalalignment="top", **WORDS)


def _add_note(plot: Plot, rows: Sequence[Row], groups: Sequence[tuple[str, str]]) -> None:
    """Note the test sets and the models that are not drawn."""
    every = [row for row in rows if row["relation"] == "all"]
    few = sorted({row["test_set"] for row in every if (row["test_set"], row["unit"]) not in groups})
    absent = sorted(
        {f"{row['model_id']} ({row['reason']})" for row in every if row["value"] is None}
    )
    words = [f"fewer than three models: {'; '.join(few)}"] if few else []
    words += [f"not drawn: {'; '.join(absent)}"] if absent else []
    if words:
        plot.add_note(". ".join(words))


def _tooltip(row: Row) -> str:
    near = f", k = {row['k']}" if row["k"] is not None else ""
    value, calibrated = format_number(row["value"]), format_number(row["calibrated"])
    return (
        f"{row['model_id']}\n{row['score']} {format_number(row['score_value'])} {row['unit']}\n"
        f"{row['metric']} {value}, calibrated {calibrated}, n = {row['n']}{near}\n{row['source']}"
    )
