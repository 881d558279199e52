"""How an alignment depends on the number of systems and on k."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import altair as alt
import duckdb

from query.figures.drawing.chart import fade_unless, finish, inline, layered, tooltips
from query.figures.drawing.kinds import Kinds, encode_kinds
from query.figures.drawing.labels import direction_label, metric_label
from query.figures.drawing.looks import COLORS, Look
from query.figures.drawing.questions import NothingToDraw, Row
from query.metrics import Metric, find_metric
from query.metrics.base import CROWDED
from query.statements import ask

_LOOKS = {
    "highest": Look(COLORS[0], "circle"),
    "lowest": Look(COLORS[4], "square"),
    "asked for": Look(COLORS[0], "circle"),
}
# What a pair's value means, by whether the metric is lower for closer models.
_MEANINGS = {
    ("highest", False): "most alike",
    ("highest", True): "least alike",
    ("lowest", False): "least alike",
    ("lowest", True): "most alike",
}
# The two warnings that most points have; see query.metrics.
_TIES = re.compile(r"(?P<percent>\d+)% of systems have ties at the k-th neighbor in (?P<model>.+)")
_LARGE_K = re.compile(r"k = \d+ of \d+ neighbors: ")
_WIDTH, _HEIGHT = 340, 260  # px of a panel
_CLOSE = 1.15  # times a tick, up to which there is no other tick
_ALONG = {"n": "systems, n", "k": "neighbors, k"}
_TITLES = {
    "line": "pair",
    "n": "systems",
    "k": "neighbors, k",
    "value": "value",
    "std": "± (standard deviation)",
    "chance": "by chance",
    "warning": "warning",
}
_UNDEFINED = {"line": "pair", "n": "systems", "k": "neighbors, k", "reason": "undefined"}


def alignment_curve(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    metric: str = "cknna",
    model_a: str | None = None,
    model_b: str | None = None,
    k: int | None = None,
    ns: Sequence[int] | None = None,
    ks: Sequence[int] | None = None,
    repeats: int | None = None,
) -> alt.HConcatChart:
    """Draw an alignment against the number of systems, and against k if the metric uses neighbors.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        metric: The name of a metric.
        model_a: A model. If model_b is None, too, the most and the least similar cross-family
            pairs are drawn; if only one model is given, those of its cross-family pairs.
        model_b: The other model.
        k: The number of neighbors in the panel over systems; None is the metric's default.
        ns: Numbers of systems; None is all systems, and halves of halves of them.
        ks: Numbers of neighbors; None is 2, 5, 10 and so on, as far as there are systems.
        repeats: How many random subsets per number of systems; None is 5.

    Returns:
        The chart; `answer` has one row per pair, n and k.

    Raises:
        NothingToDraw: If no such pair has a value, or there are too few systems to take subsets.
    """
    answer = ask(
        connection,
        "alignment_curve",
        dataset=dataset,
        metric=metric,
        model_a=model_a,
        model_b=model_b,
        k=k,
        ns=ns,
        ks=ks,
        repeats=repeats,
    )
    panels = _panels(answer.rows, dataset, metric)
    named = {row["pair"]: _name(row, find_metric(metric)) for row in answer.rows}
    kinds = encode_kinds("line", {named[pair]: _LOOKS[pair] for pair in named}, "pair")
    drawn = [
        _panel([row | {"line": named[row["pair"]]} for row in rows], along, kinds, metric, place)
        for place, (along, rows) in enumerate(panels)
    ]
    subsets = max(row["repeats"] for row in answer.rows)
    return finish(
        alt.hconcat(*drawn).resolve_scale(y="shared"),
        answer,
        f"{metric_label(metric)} on {dataset}, by size",
        notes=[
            f"Dashed: by chance. Bands: ± one standard deviation over {subsets} random subsets. "
            "Crosses: undefined.",
            *_describe_rings(answer.rows),
            *_describe_excess(answer.rows, metric),
        ],
    )


def _describe_rings(rows: Sequence[Row]) -> list[str]:
    """Return for which reasons points are rings: a k that is too large, ties, or others."""
    parts = [part for row in rows for part in (row["warning"] or "").split("; ") if part]
    ties = [found for part in parts if (found := _TIES.fullmatch(part))]
    most: dict[str, int] = {}
    for found in ties:
        most[found["model"]] = max(most.get(found["model"], 0), int(found["percent"]))
    large = any(_LARGE_K.match(part) for part in parts)
    why = [f"k is more than 1/{CROWDED} of the systems"] if large else []
    if most:
        shares = ", ".join(f"{share} % in {name}" for name, share in most.items())
        why.append(f"systems have ties at the k-th neighbor (up to {shares}), which count in part")
    if any(not _TIES.fullmatch(part) and not _LARGE_K.match(part) for part in parts):
        why.append("there is another reason, which the tooltip has")
    return [f"Rings: {', or '.join(why)}."] if why else []


def _describe_excess(rows: Sequence[Row], metric: str) -> list[str]:
    """Return that values may be above 1, if one is and the metric says that 1 is the same."""
    values = [row["value"] for row in rows if row["value"] is not None]
    if find_metric(metric).lower_is_closer or max(values) <= 1:
        return []
    return [f"The estimate of {metric_label(metric)} may exceed 1 if there are few systems."]


def _panels(rows: Sequence[Row], dataset: str, metric: str) -> list[tuple[str, list[Row]]]:
    """Return what there is to draw: "n" and "k", each with its rows."""
    if not rows:
        raise NothingToDraw(
            f"no two models of different families have a value on {dataset}: "
            f"matterzoo ingest MODEL {dataset}"
        )
    if all(row["value"] is None for row in rows):
        raise NothingToDraw(f"{metric} is undefined on {dataset}: {rows[0]['reason']}")
    found = [
        ("n", [row for row in rows if row["k"] == row["k_usual"]]),
        ("k", [row for row in rows if row["n"] == row["n_all"]]),
    ]
    panels = [(along, part) for along, part in found if len({row[along] for row in part}) > 1]
    if not panels:
        raise NothingToDraw(
            f"too few systems on {dataset} to take parts of them: n = {rows[0]['n_all']}"
        )
    return panels


def _panel(rows: Sequence[Row], along: str, kinds: Kinds, metric: str, place: int) -> Any:
    """Draw one line per pair, with its chance and its band, on a logarithmic axis."""
    fixed, other = ("k", "k_usual") if along == "n" else ("n", "n_all")
    values = sorted({row[other] for row in rows if row[other] is not None})
    at = f", at {fixed} = {' and '.join(map(str, values))}" if values else ""
    known = [
        row | {"low": row["value"] - spread, "high": row["value"] + spread}
        for row in rows
        if row["value"] is not None
        for spread in [row["std"] or 0.0]
    ]
    x = _across(rows, along, f"{_ALONG[along]}{at}")
    title = f"{metric_label(metric)} ({direction_label(metric)})"
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=False))
    columns = [*_TITLES, "low", "high"]
    seen = {"x": x, "color": kinds.color, "opacity": fade_unless(kinds.chosen)}
    base = alt.Chart(inline(known, columns)).encode(**seen)
    band = alt.Chart(inline(known, columns)).encode(x=x, color=kinds.color)
    lines = base.mark_line(strokeWidth=2).encode(y=y)
    gaps = alt.Chart(inline([row for row in rows if row["value"] is None], list(_UNDEFINED)))
    return layered(
        band.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", title=title), y2=alt.Y2(field="high")),
        base.mark_line(strokeDash=[5, 4], strokeWidth=1).encode(y=alt.Y("chance:Q", title=title)),
        lines if place else lines.add_params(kinds.chosen),
        *(
            alt.Chart(inline([row for row in known if bool(row["warning"]) == hollow], columns))
            .mark_point(filled=not hollow, size=60)
            .encode(y=y, shape=kinds.shape, tooltip=tooltips(_TITLES), **seen)
            for hollow in (False, True)
        ),
        gaps.mark_text(style="soft", text="×", fontSize=13, dy=-8).encode(
            x=x, y=alt.YValue("height"), tooltip=tooltips(_UNDEFINED)
        ),
        width=_WIDTH,
        height=_HEIGHT,
    )


def _across(rows: Sequence[Row], along: str, title: str) -> alt.X:
    """Return a logarithmic axis with a tick where there are values."""
    ticks = _apart(sorted({row[along] for row in rows}))
    return alt.X(
        f"{along}:Q",
        title=title,
        axis=alt.Axis(values=ticks, format="d", labelOverlap="greedy"),
        scale=alt.Scale(
            type="log",
            domain=[ticks[0] / 1.1, max(row[along] for row in rows) * 1.1],
            nice=False,
        ),
    )


def _apart(values: Sequence[int]) -> list[int]:
    """Return values of which each is well above the one before."""
    found = [values[0]]
    for value in values:
        if value > _CLOSE * found[-1]:
            found.append(value)
    return found


def _name(row: Row, metric: Metric) -> str:
    """Return what a pair's value means, and its models."""
    meaning = _MEANINGS.get((row["pair"], metric.lower_is_closer), row["pair"])
    return f"{meaning}: {row['model_a']} {'·' if metric.symmetric else '→'} {row['model_b']}"
