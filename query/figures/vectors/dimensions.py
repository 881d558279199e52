"""In how many directions each model's vectors vary."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import duckdb

from query.figures.drawing.chart import finish, layered
from query.figures.drawing.kinds import Kinds, encode_kinds
from query.figures.drawing.labels import method_label, natural_order, sample_label
from query.figures.drawing.looks import OTHER_LOOK, family_looks
from query.figures.drawing.model_rows import draw_rows, row_axis
from query.figures.drawing.questions import NothingToDraw, Row
from query.metrics.base import CROWDED
from query.statements import ask

_ROW = 22  # px per model
_TWIN = 0.82  # of a row, how far down in it a twin stands
_ROOM = 1.4  # from the lowest and the highest value to the ends of the axis, as a factor
_CONTROL = "a control"
_TITLES = {
    "model_id": "model",
    "value": "value",
    "low": "95 % interval from",
    "high": "to",
    "look": "family",
    "input": "input",
    "dimension": "numbers per vector",
    "n": "systems",
}


def dimensions(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    measure: str | None = None,
    subsamples: int | None = None,
    k: int | None = None,
) -> alt.LayerChart:
    """Draw a measure of each model's vectors, one row per model, grouped by input and family.

    A model's untrained twin is a ring in the same row. Controls stand below, in gray.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        measure: The name of a measure; None is the intrinsic dimension.
        subsamples: Random subsets of the systems, for 95 % intervals; None is 20, 0 is none.
        k: The number of neighbors; None is the measure's default.

    Returns:
        The chart; `answer` has one row per model.

    Raises:
        NothingToDraw: If no model has a value.
    """
    answer = ask(
        connection, "dimensions", dataset=dataset, measure=measure, subsamples=subsamples, k=k
    )
    defined = [row for row in answer.rows if row["value"] is not None]
    if not defined:
        reasons = "; ".join(sorted({row["reason"] for row in answer.rows}))
        raise NothingToDraw(
            f"no model has a value on {dataset}: {reasons or 'matterzoo ingest MODEL DATASET'}"
        )
    name = defined[0]["measure"].replace("_", " ")
    rows = [
        row | {"look": _CONTROL if row["kind"] == "control" else row["family"]}
        for row in answer.rows
    ]
    looks = family_looks(connection, dataset) | {_CONTROL: OTHER_LOOK}
    found = sorted({row["look"] for row in rows}, key=lambda look: (look == _CONTROL, look))
    kinds = encode_kinds("look", {look: looks.get(look, OTHER_LOOK) for look in found}, "family")
    method = method_label(defined[0]["method"])
    axis = f"{name} ({method}, {sample_label(defined)})"
    return finish(
        _draw(rows, axis, kinds),
        answer,
        f"{name.capitalize()} on {dataset}",
        notes=_notes(rows),
        models=[row["row_of"] for row in rows],
    )


def _draw(rows: Sequence[Row], title: str, kinds: Kinds) -> alt.LayerChart:
    """Draw intervals below points, twins below models, and a word where there is no value."""
    values = [row["value"] for row in rows if row["value"] is not None]
    ends = (min(values) / _ROOM, max(values) * _ROOM)
    scale = alt.Scale(type="log", domain=list(ends), nice=False)
    x = alt.X("value:Q", title=title, axis=alt.Axis(format="~g"), scale=scale)
    order = _order(rows)
    twins = [row for row in rows if row["kind"] == "twin"]
    models = [row for row in rows if row["kind"] != "twin"]
    layers = []
    for some, place in ((twins, _TWIN), (models, 0.5)):
        if some:
            hollow = some is twins
            layers += draw_rows(some, x, row_axis(order, place), kinds, _TITLES, hollow=hollow)
    layers[-1] = layers[-1].add_params(kinds.chosen)
    return layered(*layers, height=alt.Step(_ROW), width=460)


def _order(rows: Sequence[Row]) -> list[str]:
    """Return the names of the rows, in each family with their numbers as numbers."""
    looks = {row["row_of"]: row["look"] for row in rows}
    places = {look: place for place, look in enumerate(dict.fromkeys(looks.values()))}
    return sorted(looks, key=lambda name: (places[looks[name]], natural_order(name)))


def _notes(rows: Sequence[Row]) -> list[str]:
    lines = (
        ["Lines: 95 % intervals, from random subsets of the systems."]
        if any(row["low"] is not None for row in rows)
        else []
    )
    twins = any(row["kind"] == "twin" for row in rows)
    rings = ["Outlines, a little lower: the untrained twin of the model."] if twins else []
    crowded = {
        f"k = {row['k']} of {row['n'] - 1} neighbors is hardly a neighborhood: compare with care."
        for row in rows
        if row["value"] is not None and row["k"] and CROWDED * row["k"] > row["n"]
    }
    return lines + rings + sorted(crowded)
