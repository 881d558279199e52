"""Which models were trained on a dataset, or on what may overlap it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import duckdb

from query.figures.drawing.chart import fade_unless, finish, inline, layered, picked, tooltips
from query.figures.drawing.kinds import encode_kinds
from query.figures.drawing.labels import natural_order
from query.figures.drawing.looks import COLORS, GRAY, Look
from query.figures.drawing.model_rows import row_axis
from query.figures.drawing.questions import NothingToDraw, Row
from query.statements import ask
from query.tables.records.exposure import UNKNOWN_DATASET
from zoo.terminal import plural

_ROW = 18  # px per model
_COLUMN = 110  # px per answer
_LINES = "split(datum.label, ': ')"  # an answer in one line, what it is about in the next
_LETTERS = 40  # of a training set's name
# From the worst news for whoever evaluates on the dataset to the best.
_ANSWERS = {
    "same-set": ("yes: the same set", Look(COLORS[4], "square")),
    "may-overlap": ("may overlap: source in common", Look(COLORS[1], "diamond")),
    "not-compared": ("may overlap: nobody checked", Look(COLORS[3], "triangle-right")),
    "unknown": ("unknown: training data", Look(GRAY, "triangle-down")),
    "held-out": ("held out: part of the set", Look(COLORS[5], "triangle-up")),
    "other-matter": ("cannot overlap: other matter", Look(COLORS[0], "circle")),
    "untrained": ("untrained: no data", Look(GRAY, "cross")),
}
_TITLES = {
    "model_id": "model",
    "family": "family",
    "answer": "exposure",
    "training_set": "by",
    "reason": "because",
    "source": "source",
}


def exposure(connection: duckdb.DuckDBPyConnection, dataset: str) -> alt.LayerChart:
    """Draw one row per trained model: in the column of its answer a mark, and the set it is due to.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.

    Returns:
        The chart; `answer` has one row per model.

    Raises:
        NothingToDraw: If no trained model has vectors there, if nobody says what the dataset is
            taken from, or if the answer is the same for all models, for the same reason.
    """
    answer = ask(connection, "exposure", dataset=dataset)
    if not answer.rows:
        raise NothingToDraw(
            f"no trained model has vectors on {dataset}: matterzoo ingest MODEL {dataset}"
        )
    _refuse_one_answer(answer.rows, dataset)
    rows = [
        row | {"row_of": row["model_id"], "answer": _ANSWERS[row["exposure"]][0]}
        for row in sorted(
            answer.rows, key=lambda row: (row["family"], natural_order(row["model_id"]))
        )
    ]
    return finish(
        _draw(rows),
        answer,
        f"Exposure of models to {dataset} in training",
        notes=["By the names of training sets; no system was compared with another."],
        models=[row["row_of"] for row in rows],
    )


def _refuse_one_answer(rows: Sequence[Row], dataset: str) -> None:
    """Raise NothingToDraw if one sentence says the same as the figure would."""
    models = plural(len(rows), "trained model")
    if any(row["exposure"] == UNKNOWN_DATASET for row in rows):
        raise NothingToDraw(
            f"no record says what {dataset} is taken from, so nobody can tell which of {models} "
            "were trained on it: zoo/training_sets.toml takes such records"
        )
    first, *others = rows
    if others and all(row["reason"] == first["reason"] for row in others):
        answer = _ANSWERS[first["exposure"]][0]
        raise NothingToDraw(f"one answer for all {models}: {answer}, as {first['reason']}")


def _draw(rows: Sequence[Row]) -> Any:
    """Draw marks in a column per answer that some model has, and names of sets on the right."""
    found = {row["answer"] for row in rows}
    looks = {words: look for words, look in _ANSWERS.values() if words in found}
    kinds = encode_kinds("answer", looks, legend=False)  # the columns say the same
    x = _answers(list(looks))
    y = row_axis([row["row_of"] for row in rows])
    opacity = fade_unless(picked("row_of"))
    data = inline(rows, ("row_of", *_TITLES))
    marks = alt.Chart(data).mark_point(filled=True, size=80)
    named = [
        row | {"training_set": row["training_set"][:_LETTERS]}
        for row in rows
        if row["training_set"] is not None
    ]
    words = alt.Chart(inline(named, ("row_of", "answer", "training_set")))
    return layered(
        words.mark_text(style="soft", align="left", dx=10).encode(
            x=alt.XValue("width"),
            y=y,
            text=alt.Text(field="training_set", type="nominal"),
            opacity=opacity,
        ),
        marks.encode(
            x=x,
            y=y,
            color=kinds.color,
            shape=kinds.shape,
            opacity=opacity,
            tooltip=tooltips(_TITLES),
        ),
        width=_COLUMN * len(looks),
        height=alt.Step(_ROW),
    )


def _answers(names: Sequence[str]) -> alt.X:
    """Return the encoding of answers, each in two lines above its column."""
    return alt.X(
        field="answer",
        type="nominal",
        title=None,
        sort=list(names),
        scale=alt.Scale(domain=list(names)),
        axis=alt.Axis(
            labelAngle=0,
            orient="top",
            domain=False,
            ticks=False,
            labelLimit=_COLUMN,
            labelExpr=_LINES,
            labelPadding=16,  # room for the second line, which Vega writes below the first
        ),
    )
