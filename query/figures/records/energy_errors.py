"""How well potentials predict energies, whatever their zero is."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

import altair as alt
import duckdb
import numpy as np
from numpy.typing import NDArray

from query.figures.drawing.chart import fade_unless, finish, inline, layered, picked, tooltips, zoom
from query.figures.drawing.guides import axis_of, diagonal, word
from query.figures.drawing.kinds import Kinds, encode_kinds
from query.figures.drawing.labels import format_number, property_label
from query.figures.drawing.looks import family_looks
from query.figures.drawing.questions import NothingToDraw, Row, ask_unless_missing

_ROW = 20  # px per model
_WIDTH = 620  # px of the errors
_SIDE = 140  # px of a panel of residuals
_ACROSS = 4  # panels per line
_MANY = 3000  # points, from which on they are small
_SEEN = 99  # percent of the residuals that a panel has room for; one system must not decide it
_ROOM = 1.25  # of that, to the edge of a panel
_HEAVY = 0.15  # of a mean, from which on one system's share of it is said
_FAR = 10  # times the mean, which it must be, as in a small dataset any system has a large share
# Thin and large, as outlines of the usual width would look filled.
_OUTLINE: dict[str, Any] = {"filled": False, "size": 36, "strokeWidth": 1}
_EDGE = 0.93  # of a panel, where what is beyond it stands, so that its frame cuts none of it
_REMEDY = "; encoders of potentials give energies: matterzoo ingest MODEL {}"
_MARKS = (
    "Lines: 95 % intervals. Ticks: medians over systems, of the models shown below.",
    "Below: whole systems in eV, not per atom, composition taken out on both axes; what is beyond "
    "a panel is an outline at its edge.",
)
_TITLES = {
    "model_id": "model",
    "mae_per_atom": "mean absolute error (eV/atom)",
    "low_per_atom": "95 % interval from",
    "high_per_atom": "to",
    "median_per_atom": "median (eV/atom)",
    "mae": "mean per system (eV)",
    "median_error": "median per system (eV)",
    "raw_mae": "with composition (eV)",
    "spearman": "rank correlation",
    "n": "systems",
    "rank": "constants fitted",
}
_SYSTEM = {
    "system_id": "system",
    "formula": "formula",
    "label_residual": "label (eV)",
    "predicted_residual": "predicted (eV)",
}


def energy_errors(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    property: str | None = None,
    source: str | None = None,
) -> alt.VConcatChart:
    """Draw the errors of each model's energies, once composition is taken out.

    Above, one row per model, the best first: the mean absolute error of residuals per atom with
    its 95 % interval. Below, for the best few
    models, the residuals of their predictions against those of the labels.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        property: Which labels; None is the only property that is an energy.
        source: The source of the labels; it may be a model. None is the only source that is not
            a model, or the model in the middle if only models have any.

    Returns:
        The chart; `answer` has one row per model, and per system of the best models.

    Raises:
        NothingToDraw: If there are no energies.
    """
    remedy = _REMEDY.format(dataset)
    answer = ask_unless_missing(
        connection,
        "energy_errors",
        "no labels of",
        remedy,
        dataset=dataset,
        property=property,
        source=source,
    )
    models = list({row["model_id"]: row for row in answer.rows}.values())
    drawn = [row for row in models if row["mae"] is not None]
    if not drawn:
        reasons = "; ".join(dict.fromkeys(row["reason"] for row in models))
        raise NothingToDraw((reasons or f"no model has energies on {dataset}") + remedy)
    best = [row["model_id"] for row in drawn if row["system_id"] is not None]
    found = {row["family"] for row in drawn}
    looks = {
        name: look for name, look in family_looks(connection, dataset).items() if name in found
    }
    kinds = encode_kinds("family", looks)
    first = answer.rows[0]
    warnings = dict.fromkeys(row["warning"] for row in models if row["warning"])
    charts: list[Any] = [_errors(_with_medians(models, answer.rows), kinds)]
    if best:
        charts.append(_residuals(answer.rows, best, kinds))
    against = f"{property_label(first['property'])} of {first['source']}"
    return finish(
        alt.vconcat(*charts),
        answer,
        f"Energies on {dataset} against the {against}",
        notes=[
            *_MARKS,
            *describe_outliers(answer.rows),
            *_source(first),
            *_absorbed(answer.rows),
            *map(_sentence, warnings),
        ],
        models=[row["model_id"] for row in models],
    )


def describe_outliers(rows: Sequence[Row]) -> list[str]:
    """Return a sentence per model on the system that makes much of its mean error, if one does.

    Args:
        rows: The rows of the statement.
    """
    found = []
    for model, errors in _errors_of_systems(rows).items():
        worst = max(errors, key=lambda system: errors[system])
        total, most = sum(errors.values()), errors[worst]
        if most >= _HEAVY * total and most >= _FAR * total / len(errors):
            rest = format_number((total - most) / (len(errors) - 1))
            found.append(
                f"One system, {worst}, makes {100 * most / total:.0f} % of the mean of {model}: "
                f"{format_number(most)} eV/atom; the mean of the others is {rest} eV/atom."
            )
    return found


def median_errors(rows: Sequence[Row]) -> dict[str, float]:
    """Return the median error in eV/atom over systems, by model, of those whose systems are shown.

    Args:
        rows: The rows of the statement.
    """
    errors = _errors_of_systems(rows)
    return {model: float(median(some.values())) for model, some in errors.items()}


def _errors_of_systems(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Return the errors per atom by model and system, of the models whose systems are shown."""
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        if row["label_residual"] is not None:
            error = abs(row["predicted_residual"] - row["label_residual"]) / row["n_atoms"]
            found.setdefault(row["model_id"], {})[row["system_id"]] = error
    return found


def _sentence(warning: str) -> str:
    return f"{warning[0].upper()}{warning[1:]}."


def _absorbed(rows: Sequence[Row]) -> list[str]:
    """Return how many systems the model of the first rows lacks, and why."""
    mine = [row for row in rows if row["model_id"] == rows[0]["model_id"]]
    reasons = [row["absorbed"] for row in mine if row["absorbed"]]
    if not reasons:
        return []
    return [
        f"Left out: {len(reasons):,} of {len(mine):,} systems, of whose energy the fit to "
        "composition leaves nothing, as too few others have the same elements."
    ]


def _source(row: Row) -> list[str]:
    """Return why a model stands for the labels, if one does."""
    return [f"{row['source']}: {row['source_reason']}."] if row["source_reason"] else []


def _with_medians(models: Sequence[Row], rows: Sequence[Row]) -> list[Row]:
    medians = median_errors(rows)
    return [row | {"median_per_atom": medians.get(row["model_id"])} for row in models]


def _errors(rows: Sequence[Row], kinds: Kinds) -> Any:
    """Draw the errors in eV/atom, on a logarithmic axis."""
    known = [row for row in rows if row["mae_per_atom"] is not None]
    scale = _error_scale(known)
    order = [row["model_id"] for row in rows]
    axis = alt.Axis(domain=False, ticks=False, grid=True)
    y = alt.Y("model_id:N", title=None, sort=order, axis=axis)
    what = "error" if rows[0]["compared_with"] == "labels" else "difference"
    title = f"mean absolute {what} (eV/atom), composition taken out"

    def x(column: str) -> alt.X:
        return alt.X(f"{column}:Q", title=title, scale=scale, axis=alt.Axis(format="~g"))

    seen: dict[str, Any] = {
        "y": y,
        "color": kinds.color,
        "opacity": fade_unless(picked("model_id"), kinds.chosen),
    }
    base = alt.Chart(inline(known, [*_TITLES, "family"])).encode(**seen)
    bars = [row for row in known if row["low_per_atom"] is not None]
    names = ("model_id", "family", "low_per_atom", "high_per_atom")
    lines = alt.Chart(inline(bars, names)).encode(**seen)
    halfway = [row for row in known if row["median_per_atom"] is not None]
    medians = alt.Chart(inline(halfway, ("model_id", "family", "median_per_atom")))
    rest = [row for row in rows if row["mae_per_atom"] is None]
    words = alt.Chart(inline(rest, ("model_id", "reason")))
    return layered(
        lines.mark_rule(strokeWidth=2).encode(
            x=x("low_per_atom"), x2=alt.X2(field="high_per_atom")
        ),
        medians.mark_tick(thickness=2, size=_ROW - 6).encode(x=x("median_per_atom"), **seen),
        base.mark_point(filled=True, size=80)
        .encode(x=x("mae_per_atom"), shape=kinds.shape, tooltip=tooltips(_TITLES))
        .add_params(kinds.chosen),
        words.mark_text(style="soft", align="left", text="undefined").encode(
            x=alt.XValue(6), y=y, tooltip=tooltips({"model_id": "model", "reason": "undefined"})
        ),
        width=_WIDTH,
        height=alt.Step(_ROW),
    )


def _error_scale(rows: Sequence[Row]) -> alt.Scale:
    columns = ("mae_per_atom", "low_per_atom", "high_per_atom", "median_per_atom")
    values = [row[column] for row in rows for column in columns if row[column]]
    low, high = min(values, default=1) / 1.5, max(values, default=1) * 1.5
    return alt.Scale(type="log", domain=[low, high], nice=False, clamp=True)


def _residuals(rows: Sequence[Row], models: Sequence[str], kinds: Kinds) -> Any:
    """Draw residuals in eV of the best models, all panels to one scale."""
    shown = [row for row in rows if row["model_id"] in models and row["label_residual"] is not None]
    points = np.array([(row["label_residual"], row["predicted_residual"]) for row in shown])
    most = float(_ROOM * np.percentile(np.abs(points), _SEEN))
    panels = [
        _panel([row for row in shown if row["model_id"] == model], most, place, kinds)
        for place, model in enumerate(models)
    ]
    return alt.concat(*panels, columns=_ACROSS, spacing=24)


def _panel(rows: Sequence[Row], most: float, place: int, kinds: Kinds) -> Any:
    """Draw one point per system; those beyond the panel are outlines at its edge."""
    beyond, ends = _clipped(rows, most), (-most, most)
    first = place % _ACROSS == 0
    labels = rows[0]["compared_with"] == "labels"
    what = "label" if labels else rows[0]["source"]
    x = axis_of("across", f"{what} (eV)", ends, tickCount=4)
    y = axis_of("up", "predicted (eV)" if first else None, ends, across=False, tickCount=4)
    layers = [diagonal(x, y, ends)]
    for far in (False, True):
        some = [row for row in beyond if row["far"] == far]
        marks = alt.Chart(inline(some, [*_SYSTEM, "family", "across", "up"])).mark_point(
            **(_OUTLINE if far else {"filled": True, "size": 16 if len(rows) <= _MANY else 5})
        )
        layers.append(
            marks.encode(x=x, y=y, color=kinds.color, shape=kinds.shape, tooltip=tooltips(_SYSTEM))
        )
    count = sum(row["far"] for row in beyond)
    if count:
        layers.append(word(f"{count} beyond", "width", "height", align="right", dx=-4, dy=-8))
    title = alt.TitleParams(rows[0]["model_id"], fontSize=11, fontWeight="normal", frame="group")
    marks = zoom(layers[0], place)
    return layered(marks, *layers[1:], width=_SIDE, height=_SIDE, title=title)


def _clipped(rows: Sequence[Row], most: float) -> list[Row]:
    """Return the rows with where they are drawn: beyond the panel, at its edge."""
    points: NDArray[np.float64] = np.array(
        [(row["label_residual"], row["predicted_residual"]) for row in rows]
    )
    beyond = np.abs(points).max(axis=1) / most
    places = (points * np.where(beyond > 1, _EDGE / beyond, 1)[:, None]).tolist()
    return [
        row | {"across": across, "up": up, "far": bool(far > 1)}
        for row, (across, up), far in zip(rows, places, beyond.tolist(), strict=True)
    ]
