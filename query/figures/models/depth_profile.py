"""What becomes of a dataset along the depth of each model: two panels over relative depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import duckdb

from query.figures.drawing.chart import fade_unless, finish, inline, layered, picked, tooltips
from query.figures.drawing.kinds import Kinds, encode_kinds
from query.figures.drawing.labels import direction_label, metric_label, sample_label
from query.figures.drawing.looks import OTHER_LOOK, family_looks
from query.figures.drawing.questions import NothingToDraw, Row, ask_unless_missing

_DASHES = {"trained": [1, 0], "untrained": [4, 3]}
_COLUMNS = (
    "model_id",
    "row_of",
    "layer",
    "depth",
    "family",
    "weights",
    "value",
    "p_value",
    "n",
    "measured",
    "reference",
)
_TITLES = {
    "model_id": "model",
    "layer": "layer",
    "value": "alignment",
    "reference": "with",
    "p_value": "p",
    "measured": "dimension",
    "n": "systems",
}


def depth_profile(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    reference: str | None = None,
    metric: str = "cknna",
    k: int | None = None,
    pooling: str | None = None,
    measure: str | None = None,
    permutations: int | None = None,
) -> alt.HConcatChart:
    """Draw each model's alignment with a reference, and a measure of its vectors, along its depth.

    A line is a model, dashed if it is untrained, and a point a layer of it.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        reference: A model, or model#representation; None is each model's own default
            representation.
        metric: The name of a metric.
        k: The number of neighbors, of the metric and the measure; None is the default of each.
        pooling: How vectors of nodes became vectors of systems; None is their mean.
        measure: The name of a measure; None is the intrinsic dimension.
        permutations: Shuffled pairings of the systems, for p in tooltips; None is 100.

    Returns:
        The chart; `answer` has one row per layer.

    Raises:
        NothingToDraw: If no model has layers on the dataset, or none of them has a value.
    """
    options: dict[str, Any] = {"reference": reference, "metric": metric, "k": k, "pooling": pooling}
    answer = ask_unless_missing(
        connection,
        "depth_profile",
        "no model has layers",
        dataset=dataset,
        measure=measure,
        permutations=permutations,
        **options,
    )
    rows = [_extend(row) for row in answer.rows]
    aligned = [row for row in rows if row["value"] is not None]
    measured = [row for row in rows if row["measured"] is not None]
    if not aligned:
        raise NothingToDraw(f"no layer has a {metric} on {dataset}: {rows[0]['reason']}")
    looks = family_looks(connection, dataset)
    families = sorted({row["family"] for row in rows})
    kinds = encode_kinds("family", {name: looks.get(name, OTHER_LOOK) for name in families})
    whom = reference or "the model's own default"
    title = f"{metric_label(metric)} with {whom} ({direction_label(metric)})"
    panels = [_panel(aligned, "value", title, kinds)]
    if measured:
        panels.append(_panel(measured, "measured", measured[0]["measure"].replace("_", " "), kinds))
    return finish(
        alt.hconcat(*panels),
        answer,
        f"Along the depth of models on {dataset} ({sample_label(answer.rows)})",
        notes=_notes(rows),
        models=[row["row_of"] for row in rows],
    )


def _extend(row: Row) -> Row:
    """Return a row with the model whose twin it is of, and whether its weights are trained."""
    trained = row["untrained_of"] is None
    more = {"row_of": row["model_id"] if trained else row["untrained_of"]}
    return row | more | {"weights": "trained" if trained else "untrained"}


def _notes(rows: Sequence[Row]) -> list[str]:
    lines = []
    if any(row["untrained_of"] is not None for row in rows):
        lines.append("Dashed: untrained twins.")
    for column, reason in (("value", "reason"), ("measured", "measured_note")):
        missing = [row for row in rows if row[column] is None]
        if missing:
            what = "alignment" if column == "value" else missing[0]["measure"].replace("_", " ")
            lines.append(f"Not drawn: {len(missing)} layers without {what}: {missing[0][reason]}.")
    return lines


def _panel(rows: Sequence[Row], column: str, title: str, kinds: Kinds) -> alt.LayerChart:
    """Draw a column over relative depth, a line per model and a point per layer."""
    chart = alt.Chart(inline(rows, _COLUMNS)).encode(
        x=alt.X("depth:Q", title="relative depth", scale=alt.Scale(domain=[0, 1])),
        y=alt.Y(f"{column}:Q", title=title, scale=alt.Scale(zero=False)),
        color=kinds.color,
        opacity=fade_unless(picked("row_of"), kinds.chosen),
    )
    dashes = alt.Scale(domain=list(_DASHES), range=list(_DASHES.values()))
    lines = chart.mark_line(strokeWidth=1.5).encode(
        detail=alt.Detail(field="model_id", type="nominal"),
        strokeDash=alt.StrokeDash("weights:N", title="weights", scale=dashes),
    )
    points = chart.mark_point(filled=True, size=45).encode(
        shape=kinds.shape, tooltip=tooltips(_TITLES)
    )
    if column == "value":  # one panel has what readers choose by, for both
        points = points.add_params(kinds.chosen)
    return layered(lines, points, width=360, height=300)
