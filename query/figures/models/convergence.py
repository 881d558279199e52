"""Do better models see matter more like a reference? Alignment with it against an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import duckdb

from query.figures.drawing.chart import fade_unless, finish, inline, layered, picked, tooltips, zoom
from query.figures.drawing.guides import axis_of, level, word
from query.figures.drawing.kinds import Kinds, encode_kinds
from query.figures.drawing.labels import (
    format_fixed,
    format_number,
    format_p,
    metric_label,
    sample_label,
    score_label,
)
from query.figures.drawing.looks import family_looks
from query.figures.drawing.names import write_names
from query.figures.drawing.questions import NothingToDraw, Row, ask_unless_missing

_LEAST = 3  # models, below which there is no correlation
_FEW = 5  # models, below which a correlation says nothing
_COMPLAINTS = ("no score", "no model with a score", "no labels of")
_WIDTH, _HEIGHT = 360, 260  # px of a panel
_CLOSE = 0.1  # of a score, within which another model could as well be the reference
_ROOM = 0.12  # of the span of the values, beyond them
_TITLES = {
    "model_id": "model",
    "score_value": "error",
    "unit": "unit",
    "value": "alignment",
    "calibrated": "calibrated",
    "n": "systems",
    "k": "neighbors, k",
    "source": "source of the error",
}
_PANELS = {"all": "all models", "cross-family": "without its own family"}


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
) -> alt.VConcatChart:
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
        The chart; `answer` has one row per model, test set and panel.

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
    found = {row["family"] for row in answer.rows if row["value"] is not None}
    looks = {
        name: look for name, look in family_looks(connection, dataset).items() if name in found
    }
    kinds = encode_kinds("family", looks)
    lines = []
    for place, group in enumerate(groups):
        panels = [
            _panel(answer.rows, group, relation, 2 * place + side, kinds)
            for side, relation in enumerate(_PANELS)
            if len(_drawn(answer.rows, group, relation)) >= _LEAST
        ]
        lines.append(alt.hconcat(*panels).resolve_scale(x="shared", y="shared"))
    return finish(
        alt.vconcat(*lines),
        answer,
        f"Alignment with {answer.rows[0]['reference']} on {dataset}",
        notes=_notes(answer.rows, groups),
        models=[row["model_id"] for row in answer.rows],
    )


def _drawn(rows: Sequence[Row], group: tuple[str, str], relation: str) -> list[Row]:
    return [
        row
        for row in rows
        if (row["test_set"], row["unit"]) == group
        and row["relation"] == relation
        and row["value"] is not None
    ]


def _groups(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return the test sets and units for which enough models have both numbers."""
    drawn = [
        (row["test_set"], row["unit"])
        for row in rows
        if row["relation"] == "all" and row["value"] is not None
    ]
    return sorted({group for group in drawn if drawn.count(group) >= _LEAST})


def _panel(
    every: Sequence[Row], group: tuple[str, str], relation: str, place: int, kinds: Kinds
) -> Any:
    """Draw one point per model of a test set, with its name, and the rank correlation."""
    test_set, unit = group
    where = [] if test_set == every[0]["dataset"] else [f"on {test_set}"]
    of_group = [row for row in every if (row["test_set"], row["unit"]) == group]
    shown = [row for row in of_group if row["value"] is not None]
    mine = [row for row in of_group if row["relation"] == relation]
    rows = _drawn(every, group, relation)
    unit = "" if unit == "1" else f" ({unit})"
    best = next((row["reference_score"] for row in mine if row["reference_score"]), None)
    scores = [row["score_value"] for row in shown] + ([] if best is None else [best])
    ends = [_ends(values) for values in (scores, [row["value"] for row in shown])]
    x = axis_of("score_value", [f"{score_label(every[0]['score'])}{unit}", *where], ends[0])
    title = f"{metric_label(every[0]['metric'])} with {every[0]['reference']}"
    y = axis_of("value", f"{title} ({sample_label(every)})", ends[1], across=False)
    points = alt.Chart(inline(rows, [*_TITLES, "family"])).mark_point(filled=True, size=80)
    layers = [
        points.encode(
            x=x,
            y=y,
            color=kinds.color,
            shape=kinds.shape,
            opacity=fade_unless(picked("model_id"), kinds.chosen),
            tooltip=tooltips(_TITLES),
        ),
        write_names(rows, "model_id", x, y, (_WIDTH, _HEIGHT)),
        word(_describe(mine), 6, 12),
    ]
    if best is not None:  # below the words, which its line would cross
        layers[1:1] = _mark_reference(every[0]["reference"], best, x, ends[0])
    title = alt.TitleParams(_PANELS[relation], fontSize=12, frame="group")
    marks = zoom(layers[0], place)
    layers[0] = marks if place else marks.add_params(kinds.chosen)
    return layered(*layers, width=_WIDTH, height=_HEIGHT, title=title)


def _mark_reference(name: str, score: float, x: Any, ends: tuple[float, float]) -> list[alt.Chart]:
    """Draw a line at the error of the reference, which is no point as it is its own."""
    side = "left" if score < sum(ends) / 2 else "right"
    marks = alt.Chart({"values": [{"score_value": score, "text": f"{name}, the reference"}]})
    words = marks.mark_text(style="soft", align=side, dx=4 if side == "left" else -4, dy=-8)
    text = alt.Text(field="text", type="nominal")
    return [level(x, score), words.encode(x=x, y=alt.YValue("height"), text=text)]


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Return ends of an axis that leave room for marks, names and words."""
    low, high = min(values), max(values)
    room = _ROOM * (high - low) or 0.1 * abs(high) or 1.0
    return low - room, high + 1.6 * room


def _describe(rows: Sequence[Row]) -> str:
    """Return the rank correlation, or why there is none."""
    row: Row = next(iter(rows), {"n_models": 0, "spearman": None})
    words = f"{row['n_models']} models"
    if row["spearman"] is None:
        why = "three are needed" if row["n_models"] < _LEAST else "all values are equal"
        return f"{words}: no rank correlation ({why})"
    low, high = row["spearman_low"], row["spearman_high"]
    interval = "" if low is None else f" ({format_fixed(low, 2)} to {format_fixed(high, 2)})"
    few = ", too few to conclude" if row["n_models"] < _FEW else ""
    rho = format_fixed(row["spearman"], 2)
    return f"rank correlation {rho}{interval}\n{format_p(row['spearman_p'])}, {words}{few}"


def _notes(rows: Sequence[Row], groups: Sequence[tuple[str, str]]) -> list[str]:
    """Return which test sets and models are not drawn."""
    every = [row for row in rows if row["relation"] == "all"]
    few = sorted({row["test_set"] for row in every if (row["test_set"], row["unit"]) not in groups})
    absent = sorted(
        {f"{row['model_id']} ({row['reason']})" for row in every if row["value"] is None}
    )
    words = [f"Fewer than three models: {'; '.join(few)}"] if few else []
    words += _rivals(every)
    for group in groups:
        n = len(_drawn(rows, group, "cross-family"))
        if n < _LEAST:
            reference = rows[0]["reference"]
            words.append(f"Without the family of {reference}, only {n} models: not drawn.")
    words += [f"Not drawn: {'; '.join(absent)}"] if absent else []
    return words


def _rivals(rows: Sequence[Row]) -> list[str]:
    """Return which model is so near to the reference in score that it could take its place."""
    near = [
        (abs(row["score_value"] / row["reference_score"] - 1), row["model_id"])
        for row in rows
        if row["reference_score"] and row["score_value"] is not None
    ]
    apart, name = min(near, default=(1.0, ""))
    if apart > _CLOSE:
        return []
    return [
        f"The scores of {rows[0]['reference']}, the reference, and {name} differ by only "
        f"{format_number(100 * apart, 2)} %: {name} could as well be the reference."
    ]
