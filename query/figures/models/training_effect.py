"""How alike models are, beside how alike their untrained twins are: what training added."""

from __future__ import annotations

import re
from collections.abc import Sequence
from statistics import median
from typing import Any

import altair as alt
import duckdb

from query.figures.drawing.chart import fade_unless, finish, inline, layered, picked, tooltips, zoom
from query.figures.drawing.guides import axis_of, chance_levels, diagonal, level
from query.figures.drawing.kinds import Kinds, encode_kinds
from query.figures.drawing.labels import direction_label, format_fixed, metric_label, sample_label
from query.figures.drawing.looks import RELATION_LOOKS
from query.figures.drawing.names import write_names
from query.figures.drawing.pairs import name_pair
from query.figures.drawing.questions import NothingToDraw, Row
from query.metrics import find_metric
from query.statements import ask
from zoo.terminal import first_of

# In a reason of the statement.
_NO_TWIN = re.compile("the untrained twin of (.+) has no vectors here")
_NAMED = 6  # models that a note names
_DISTRIBUTED = 3  # pairs of a relation, from which on their distribution is drawn
_MANY = 300  # pairs, from which on marks are small
_MARKED = 8  # steps of a line, at most, that have the mark of its relation
_MARK = 110  # px², the size of a mark of two parts, of few pairs
_SMALL = 40  # of many
_SIDE = 340  # px of a panel
_TITLES = {
    "model_a": "model",
    "model_b": "and",
    "relation": "pair of",
    "value": "value",
    "twins_value": "their untrained twins",
    "twins_low": "twins from",
    "twins_high": "to",
    "twins_pairs": "pairs of twins",
    "gained": "gained",
    "null_mean": "by chance",
    "p_value": "p",
    "n": "systems",
    "reason": "undefined",
}


def training_effect(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    metric: str = "cknna",
    models: Sequence[str] | None = None,
    k: int | None = None,
    permutations: int | None = None,
) -> alt.HConcatChart:
    """Draw what training added to the alignment of each pair of trained models.

    One mark per pair: its alignment against that of the untrained twins. Where models have
    several twins, the mark is at the mean over their pairs, and a line goes from the lowest to the
    highest value. Pairs of which the twins have no value lie left of the dashed line, pairs that
    have none themselves below the other. A second panel has the differences as shares of pairs, of
    relations that have at least three.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        metric: The name of a metric.
        models: Names of trained models; None is every one with vectors there.
        k: The number of neighbors; None is the metric's default.
        permutations: Random pairings per pair of models, for the value by chance; None is 100.

    Returns:
        The chart; `answer` has one row per pair.

    Raises:
        NothingToDraw: If no pair has both values.
    """
    answer = ask(
        connection,
        "training_effect",
        dataset=dataset,
        metric=metric,
        models=models,
        k=k,
        permutations=permutations,
    )
    if not any(row["gained"] is not None for row in answer.rows):
        why = answer.rows[0]["reason"] if answer.rows else "fewer than two trained models"
        raise NothingToDraw(
            f"no pair of models with untrained twins ({why}): "
            f"matterzoo ingest MODEL,MODEL@untrained {dataset}"
        )
    rows = [
        row
        | {
            "relation": _words(row["relation"]),
            "order": list(RELATION_LOOKS).index(row["relation"]),
        }
        for row in answer.rows
    ]
    found = [
        relation for relation in RELATION_LOOKS if _words(relation) in {r["relation"] for r in rows}
    ]
    looks = {_words(relation): RELATION_LOOKS[relation] for relation in found}
    kinds = encode_kinds("relation", looks, "pairs of models")
    sample = sample_label(answer.rows)
    return finish(
        alt.hconcat(_pairs(rows, metric, kinds), *_shares(rows, metric, kinds)),
        answer,
        f"{metric_label(metric)} of models and of their untrained twins on {dataset} ({sample})",
        notes=[_medians(rows), *_gaps(rows)],
        models=[row[name] for row in rows for name in ("model_a", "model_b")],
    )


def _words(relation: str) -> str:
    return relation.replace("-", " ")


def _medians(rows: Sequence[Row]) -> str:
    """Return how many pairs of each relation there are, and what they gained."""
    words = []
    for relation in dict.fromkeys(r["relation"] for r in sorted(rows, key=lambda r: r["order"])):
        mine = [row for row in rows if row["relation"] == relation]
        gained = [row["gained"] for row in mine if row["gained"] is not None]
        middle = format_fixed(median(gained), 2, sign=True) if gained else "unknown"
        # A median of one pair in four must not look like that of all four.
        some = "" if len(gained) == len(mine) else f"{len(gained)} of "
        words.append(f"{relation} ({some}{len(mine)} pairs) {middle}")
    return f"Median gain: {', '.join(words)}."


def _gaps(rows: Sequence[Row]) -> list[str]:
    """Return why pairs lie in the strips beyond the dashed lines."""
    reasons = [row["reason"] for row in rows if row["gained"] is None]
    if not reasons:
        return []
    lacking = [found[1] for reason in reasons if (found := _NO_TWIN.fullmatch(reason or ""))]
    names = sorted(set(lacking))
    listed = first_of(names, _NAMED)
    why = [f"{len(lacking)} for which no untrained twin was run ({listed})"] if lacking else []
    others = len(reasons) - len(lacking)
    why += [f"{others} for the reason in their tooltip"] if others else []
    words = "Left of the dashed line, or below it, pairs have no place on the axis: "
    return [f"{words}{', '.join(why)}."]


def _pairs(rows: Sequence[Row], metric: str, kinds: Kinds) -> Any:
    """Draw each pair's value against that of its twins; what is undefined lies aside."""
    columns = ("value", "twins_value", "twins_low", "twins_high", "null_mean")
    known = [row[column] for row in rows for column in columns if row[column] is not None]
    low, high = min(known), max(known)
    room = 0.05 * (high - low) or 0.05
    gaps = {name: any(row[name] is None for row in rows) for name in ("value", "twins_value")}
    name = metric_label(metric)
    ends = {key: (low - (4 if gaps[key] else 1) * room, high + room) for key in gaps}
    numbers = _numbers_from(low - room)
    x = axis_of("across", f"{name} of their untrained twins", ends["twins_value"], **numbers)
    title = f"{name} of two models ({direction_label(metric)})"
    y = axis_of("up", title, ends["value"], across=False, **numbers)
    aside = low - 2.5 * room
    drawn = [
        row
        | {
            "across": aside if row["twins_value"] is None else row["twins_value"],
            "up": aside if row["value"] is None else row["value"],
        }
        for row in rows
    ]
    nulls = [row["null_mean"] for row in rows if row["null_mean"] is not None]
    layers = [diagonal(x, y, (low, high)), *chance_levels(x, nulls), *chance_levels(y, nulls)]
    layers += [
        level(channel, low - room, "dashed")
        for channel, key in ((x, "twins_value"), (y, "value"))
        if gaps[key]
    ]
    layers += [*_marks(drawn, x, y, kinds), _names(drawn, metric, x, y)]
    return layered(*layers, width=_SIDE, height=_SIDE)


def _numbers_from(low: float) -> dict[str, Any]:
    """Return an axis without numbers, ticks and grid below a value.

    What lies there, in the strip of what is undefined, has no place on the axis.
    """
    aside = f"datum.value < {low}"
    nothing = {"condition": {"test": aside, "value": 0}, "value": 1}
    return {
        "labelExpr": f"{aside} ? '' : datum.label",
        "tickOpacity": nothing,
        "gridOpacity": nothing,
    }


def _names(drawn: Sequence[Row], metric: str, x: Any, y: Any) -> alt.Chart:
    """Name three pairs with twins: the most alike, and those that training changed the most."""
    known = [row for row in drawn if row["gained"] is not None]
    way = 1 if find_metric(metric).lower_is_closer else -1
    ends = [
        min(known, key=lambda row: float(way * row["value"])),
        *(choose(known, key=lambda row: float(row["gained"])) for choose in (min, max)),
    ]
    named = [row | {"name": name_pair(row) if row in ends else None} for row in drawn]
    named.sort(key=lambda row: row["name"] is None)
    return write_names(named, "name", x, y, (_SIDE, _SIDE))


def _marks(drawn: Sequence[Row], x: Any, y: Any, kinds: Kinds) -> list[alt.Chart]:
    """Draw the pairs, and a line from the lowest to the highest value of several twins."""
    opacity = fade_unless(picked("model_a", "model_b"), kinds.chosen, opacity=0.8)
    seen = {"y": y, "color": kinds.color, "opacity": opacity}
    spread = [row for row in drawn if row["twins_low"] is not None and row["value"] is not None]
    names = ("model_a", "model_b", "relation", "twins_low", "twins_high", "up")
    lines = alt.Chart(inline(spread, names)).mark_rule(clip=True)
    points = zoom(alt.Chart(inline(drawn, [*_TITLES, "across", "up"])))
    size = _MARK if len(drawn) < _MANY else _SMALL
    return [
        lines.encode(x=alt.X("twins_low:Q"), x2=alt.X2(field="twins_high"), **seen),
        points.mark_point(filled=True, size=size, clip=True)
        .encode(x=x, shape=kinds.shape, tooltip=tooltips(_TITLES), **seen)
        .add_params(kinds.chosen),
    ]


def _shares(rows: Sequence[Row], metric: str, kinds: Kinds) -> list[Any]:
    """Draw, as one line per relation with enough pairs, the share that gained at most so much."""
    steps = []
    for relation in dict.fromkeys(row["relation"] for row in rows):
        gains = sorted(
            row["gained"]
            for row in rows
            if row["relation"] == relation and row["gained"] is not None
        )
        if len(gains) < _DISTRIBUTED:
            continue
        apart = -(-len(gains) // _MARKED)
        for place, gain in enumerate([gains[0], *gains]):
            share, marked = place / len(gains), place > 0 and place % apart == 0
            row = {"relation": relation, "gained": gain, "share": share, "marked": marked}
            steps.append(row)
    if not steps:
        return []
    way = "twins' − value" if find_metric(metric).lower_is_closer else "value − twins'"
    x = alt.X("gained:Q", title=f"gained by training: {way}", scale=alt.Scale(zero=True))
    y = axis_of("share", "share of pairs that gained at most this", (0, 1), across=False)
    columns = ("relation", "gained", "share")
    lines = alt.Chart(inline(steps, columns))
    seen: dict[str, Any] = {"x": x, "y": y, "color": kinds.color}
    marked = alt.Chart(inline([step for step in steps if step["marked"]], columns))
    panel = layered(
        level(x, 0, "line"),
        lines.mark_line(interpolate="step-after", strokeWidth=2).encode(
            detail=alt.Detail("relation:N"), opacity=fade_unless(kinds.chosen), **seen
        ),
        marked.mark_point(filled=True, size=_MARK).encode(
            shape=kinds.shape, opacity=fade_unless(kinds.chosen), **seen
        ),
        width=_SIDE,
        height=_SIDE,
    )
    return [panel]
