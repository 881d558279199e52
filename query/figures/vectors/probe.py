"""How well a label can be read from each model's frozen vectors, beside baselines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import altair as alt
import duckdb

from query.figures.drawing.chart import finish, inline, layered
from query.figures.drawing.guides import axis_of, level
from query.figures.drawing.kinds import Kinds, encode_kinds
from query.figures.drawing.labels import format_counts, format_fixed, method_label, property_label
from query.figures.drawing.looks import OTHER_LOOK, family_looks
from query.figures.drawing.model_rows import draw_rows, row_axis
from query.figures.drawing.questions import NothingToDraw, Row, ask_unless_missing

_ROW = 22  # px per model or baseline
_TWIN = 0.82  # of a row, how far down in it a twin stands
_LOWEST = -0.3  # R² that the axis has room for; what is far below the mean label is all the same
_PLAIN = "no model"  # counts, size and mean: baselines of no family
_SCORES = {"r2": "R² of folds left out", "auc": "area under the curve (AUC) of folds left out"}
_WRONG = "share in the wrong class"
_REMEDY = (
    ". Labels that are no predictions come with a dataset such as g2, or with a .parquet file: "
    "matterzoo ingest MODEL mine.parquet"
)
_DESCRIBED = {  # baselines that are no models
    "counts": "atoms of each element, or residues of each kind",
    "size": "the number of atoms or residues",
    "mean": "the mean label",
}
_TITLES = {
    "model_id": "model",
    "value": "value",
    "low": "95 % interval from",
    "high": "to",
    "p_value": "p against shuffled labels",
    "best_baseline": "best baseline on its systems",
    "difference": "difference to that",
    "difference_low": "95 % interval from ",
    "difference_high": "to ",
    "error": "mean absolute error",
    "unit": "unit",
    "dimension": "numbers per vector",
    "n": "systems",
}


def probe(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    property: str | None = None,
    method: str | None = None,
    groups: str | None = None,
    permutations: int | None = None,
) -> alt.HConcatChart:
    """Draw how well a label can be read from vectors, one row per model, then the baselines.

    One panel has R² or AUC with its 95 % interval, the other the error in the label's unit. A
    model's untrained twin is a ring in the same row; a dashed line stands at the best baseline.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        property: The label; None is the one that the most systems have, and that is no prediction.
        method: 'ridge', 'logistic' or 'knn'; None is ridge, or logistic for two values.
        groups: What a fold never splits: 'formula', 'scaffold', 'family' or a label; None is
            systems that are the same.
        permutations: How often labels are shuffled for p; None is 100.

    Returns:
        The chart; `answer` has one row per model and baseline.

    Raises:
        NothingToDraw: If there is no such label, or too few systems have it.
    """
    given = {"property": property, "method": method, "groups": groups}
    unknown = ("no property was named", "no label '")
    values = {"dataset": dataset, "permutations": permutations, **given}
    try:
        answer = ask_unless_missing(connection, "probe", unknown, _REMEDY, **values)
    except NothingToDraw as nothing:
        if property is not None:
            raise
        known = f"{dataset} has no measured property, only predictions of models at most, so that "
        raise NothingToDraw(f"{known}nothing can be read from vectors{_REMEDY}") from nothing
    rows = [row | {"look": _look_of(row)} for row in answer.rows]
    models = [row for row in rows if row["kind"] != "baseline" and row["value"] is not None]
    if not models:
        reasons = dict.fromkeys(row["reason"] for row in rows if row["reason"])
        why = "; ".join(reasons) or f"no model has vectors: matterzoo ingest MODEL {dataset}"
        raise NothingToDraw(f"no model can be probed on {dataset}: {why}")
    first = models[0]
    looks = family_looks(connection, dataset) | {_PLAIN: OTHER_LOOK}
    found = sorted({row["look"] for row in rows}, key=lambda name: (name == _PLAIN, name))
    kinds = encode_kinds("look", {name: looks.get(name, OTHER_LOOK) for name in found}, "family")
    return finish(
        _draw(rows, kinds),
        answer,
        f"{property_label(first['property'])} on {dataset}, read from frozen vectors",
        notes=_notes(rows, first),
        models=[row["row_of"] for row in rows],
    )


def _look_of(row: Row) -> str:
    look: str = row["family"] or _PLAIN
    return look


def _draw(rows: Sequence[Row], kinds: Kinds) -> Any:
    """Draw scores, and beside them errors in the same rows."""
    first = next(row for row in rows if row["value"] is not None)
    known = [row for row in rows if row["value"] is not None]
    lows = [row["value"] if row["low"] is None else row["low"] for row in known]
    ends = (max(min([0.0, *lows]) - 0.02, _LOWEST), 1.02)
    how = method_label(first["method"])
    score = axis_of("shown", f"{_SCORES[first['score']]} ({how})", ends, tickCount=6)
    what = _WRONG if first["score"] == "auc" else f"mean absolute error ({first['unit']})"
    errors = [row["error"] for row in known]
    error = axis_of("error", what, (0.0, 1.08 * max(errors) or 1.0), tickCount=5)
    shown = [
        row | {"shown": None if row["value"] is None else max(row["value"], ends[0])}
        for row in rows
    ]
    best = _best_baseline(known)
    left = [] if best is None else [level(score, max(best["value"], ends[0]), "dashed")]
    left += _panel(shown, score, kinds, ("low", "high"))
    right = [*_panel(shown, error, kinds, None), *_counts(shown)]
    left[-1] = left[-1].add_params(kinds.chosen)
    height = alt.Step(_ROW)
    return alt.hconcat(
        layered(*left, width=400, height=height),
        layered(*right, width=180, height=height),
        spacing=24,
    )


def _panel(rows: Sequence[Row], x: Any, kinds: Kinds, ends: tuple[str, str] | None) -> list[Any]:
    """Draw twins as rings below models and baselines."""
    order, found = [row["row_of"] for row in rows if row["kind"] != "twin"], []
    for hollow, place in ((True, _TWIN), (False, 0.5)):
        some = [row for row in rows if (row["kind"] == "twin") == hollow]
        if some:
            y = row_axis(order, place, labels=ends is not None)
            found += draw_rows(some, x, y, kinds, _TITLES, ends=ends, hollow=hollow)
    return found


def _counts(rows: Sequence[Row]) -> list[alt.Chart]:
    """Write, right of the rows that have fewer systems than others, how many."""
    kept = [row for row in rows if row["kind"] != "twin"]
    most = max(row["n"] or 0 for row in kept)
    fewer = [
        {"row_of": row["row_of"], "count": f"n = {row['n']:,}"}
        for row in kept
        if row["value"] is not None and row["n"] < most
    ]
    if not fewer:
        return []
    texts = alt.Chart(inline(fewer, ("row_of", "count")))
    y = row_axis([row["row_of"] for row in kept], labels=False)
    return [
        texts.mark_text(style="soft", align="left", dx=6).encode(
            x=alt.XValue("width"), y=y, text=alt.Text(field="count", type="nominal")
        )
    ]


def _best_baseline(rows: Iterable[Row]) -> Row | None:
    baselines = [row for row in rows if row["kind"] == "baseline"]
    return max(baselines, key=lambda row: float(row["value"]), default=None)


def _describe_baselines(rows: Sequence[Row]) -> list[str]:
    """Return a note on the baselines, if there are any, and on those that are no models."""
    named = {row["model_id"] for row in rows if row["kind"] == "baseline"}
    words = "; ".join(f"{name}: {what}" for name, what in _DESCRIBED.items() if name in named)
    note = "Below the models: baselines, which learned nothing" + (f" ({words})." if words else ".")
    return [note] if named else []


def _describe_reversal(rows: Sequence[Row]) -> list[str]:
    """Return a note on two models of the same systems that R² and error rank differently."""
    if not rows or rows[0]["score"] != "r2":
        return []
    best_first = sorted(rows, key=lambda row: -float(row["value"]))
    for one, other in pairwise(best_first):
        if one["value"] > other["value"] and one["error"] > other["error"]:
            return [
                f"R² weighs large errors the most, the mean error all alike: {one['model_id']} has "
                f"a higher R² than {other['model_id']}, and a larger error."
            ]
    return []


def _notes(rows: Sequence[Row], first: Row) -> list[str]:
    """Return what marks mean, how folds were made, and what weakens the numbers."""
    known = [row for row in rows if row["value"] is not None]
    most = max(row["n"] for row in known)
    less = ", unless a row says less" if any(row["n"] < most for row in known) else ""
    of = format_counts(row["n_groups"] for row in known)
    found = [
        f"Labels of {first['source']}; n = {most:,}{less}. {first['folds']} folds; systems of the "
        f"same {first['groups']} are in one fold ({of} groups). Lines: 95 % intervals."
    ]
    if any(row["kind"] == "twin" for row in rows):
        found.append("Outlines, a little lower: the untrained twin of the model.")
    found += _describe_baselines(rows)
    best = _best_baseline(known)
    if best is not None:
        found.append(f"Dashed: the best baseline, {best['model_id']}, n = {best['n']:,}.")
    models = [row for row in known if row["kind"] == "model" and row["n"] == most]
    found += _describe_reversal(models)
    below = sum(row["value"] < _LOWEST for row in known)
    if below:
        found.append(f"{below} values below {format_fixed(_LOWEST, 1)} stand at the left edge.")
    return [*found, *dict.fromkeys(row["warning"] for row in rows if row["warning"])]
