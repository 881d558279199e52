"""How alike two models see atoms or residues: a periodic table, or one line per kind."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import duckdb

from query.figures.drawing.chart import finish, inline, layered, tooltips
from query.figures.drawing.labels import (
    direction_label,
    format_fixed,
    metric_label,
    sample_label,
)
from query.figures.drawing.looks import COLORS
from query.figures.drawing.periodic_table import Look, draw_table
from query.figures.drawing.questions import NothingToDraw, Row, ask_unless_missing
from query.metrics import find_metric

_LEVEL = 0.05  # of p, above which a value is not beyond chance
_ROW = 20  # px per kind
_SPREAD = 2  # standard deviations of chance that its line reaches on both sides
_SHOWN = 60  # kinds in lines
_ALL = "all"
# The letters of `systems.sequence`.
_RESIDUES = {
    **{"A": "alanine", "C": "cysteine", "D": "aspartate", "E": "glutamate", "F": "phenylalanine"},
    **{"G": "glycine", "H": "histidine", "I": "isoleucine", "K": "lysine", "L": "leucine"},
    **{"M": "methionine", "N": "asparagine", "P": "proline", "Q": "glutamine", "R": "arginine"},
    **{"S": "serine", "T": "threonine", "V": "valine", "W": "tryptophan", "Y": "tyrosine"},
    **{"X": "unknown", "U": "selenocysteine", "O": "pyrrolysine"},
}
_NODES = {"element": "atoms", "residue": "residues"}
_EXCHANGED = {
    "system": "whole systems change places",
    "within": "nodes of each system change places",
    "node": "all nodes change places, as if those of one system were independent",
}


def node_alignment(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    model_a: str,
    model_b: str,
    by: str | None = "element",
    metric: str = "cknna",
    k: int | None = None,
    exchange: str | None = None,
    per_system: int | None = None,
    permutations: int | None = None,
    rows: int | None = None,
) -> alt.LayerChart:
    """Draw how alike two models see the nodes of each kind.

    Elements are cells of the periodic table. Residues, systems, or all nodes have a line each, the
    most alike at the top, with a point for the value and a bar for chance.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        model_a: A model, or model#representation, of which the store has vectors of nodes.
        model_b: The other one.
        by: 'element', 'residue' or 'system'; None is all nodes together.
        metric: The name of a metric.
        k: The number of neighbors; None is the metric's default.
        exchange: Which nodes change places by chance; None is 'system'.
        per_system: How many nodes of each system are drawn; None takes all.
        permutations: How many exchanges the null is of; None is 100.
        rows: Nodes whose neighbors are found; None is all.

    Returns:
        The chart; `answer` has one row per kind.

    Raises:
        NothingToDraw: If the store lacks vectors of nodes, or no kind has a value.
    """
    answer = ask_unless_missing(
        connection,
        "node_alignment",
        "no vectors of nodes",
        dataset=dataset,
        model_a=model_a,
        model_b=model_b,
        by=by,
        metric=metric,
        k=k,
        exchange=exchange,
        per_system=per_system,
        permutations=permutations,
        rows=rows,
    )
    if not answer.rows:
        raise NothingToDraw(f"the store knows no {by} of the nodes of {dataset}")
    defined = [row for row in answer.rows if row["value"] is not None]
    if not defined:
        reason = answer.rows[0]["reason"]
        raise NothingToDraw(f"{model_a} and {model_b} have no {metric} of nodes: {reason}")
    nodes, first = _NODES.get(by or "", "nodes"), answer.rows[0]
    known = [_extend(row, by) for row in answer.rows]
    chart = _draw_elements(known, metric) if by == "element" else _draw_lines(known, metric, by)
    kinds = f", by {by}" if by else ""
    return finish(
        chart,
        answer,
        f"{metric_label(metric)} of {nodes}{kinds}: {first['model_a']} and {first['model_b']} on "
        f"{dataset} ({sample_label(defined)})",
        notes=_notes(known, by, nodes),
    )


def _extend(row: Row, by: str | None) -> Row:
    """Return a row with what is written of it: in parentheses what is not beyond chance."""
    chance = row["p_value"] is None or row["p_value"] > _LEVEL
    text = "" if row["value"] is None else format_fixed(row["value"], 2)
    return row | {
        "kind": _ALL if row["kind"] is None else row["kind"],
        "written": f"({text})" if chance else text,
        "count": f"{row['n']:,}",
        "beyond": "no" if chance else "yes",
        "marked": row["warning"] is not None,
    }


def _titles(by: str | None) -> dict[str, str]:
    """Return what tooltips show."""
    return {
        "kind": by or "nodes",
        "value": "value",
        "calibrated": "calibrated",
        "p_value": "p",
        "null_mean": "by chance",
        "n": _NODES.get(by or "", "nodes"),
        "n_systems": "systems",
        "warning": "note",
    }


def _undefined(by: str | None) -> dict[str, str]:
    nodes = {"n": _NODES.get(by or "", "nodes"), "n_systems": "systems"}
    return {"kind": by or "nodes", "reason": "undefined", **nodes}


def _draw_elements(rows: Sequence[Row], metric: str) -> alt.LayerChart:
    title = f"{metric_label(metric)} ({direction_label(metric)})"
    lower = find_metric(metric).lower_is_closer
    return draw_table(rows, Look(title, lower, _titles("element"), _undefined("element")))


def _draw_lines(rows: Sequence[Row], metric: str, by: str | None) -> alt.LayerChart:
    """Draw a line per kind, the most alike at the top and those without a value at the bottom."""
    sign = 1 if find_metric(metric).lower_is_closer else -1
    known = [row for row in rows if row["value"] is not None]
    known = sorted(known, key=lambda row: sign * float(row["value"]))[:_SHOWN]
    unknown = [row for row in rows if row["value"] is None][: _SHOWN - len(known)]
    named = [row | {"name": _name(row["kind"], by)} for row in [*known, *unknown]]
    order = [row["name"] for row in named]
    scale = alt.Scale(type="band", domain=order)
    axis = alt.Axis(grid=True, domain=False, ticks=False)
    y = alt.Y("name:N", title=None, sort=order, scale=scale, axis=axis)
    title = f"{metric_label(metric)} ({direction_label(metric)})"
    x = alt.X("value:Q", title=title, scale=alt.Scale(zero=True))
    chance = [
        {"name": row["name"]}
        | {"value": row["null_mean"] - _SPREAD * row["null_std"]}
        | {"high": row["null_mean"] + _SPREAD * row["null_std"]}
        for row in named
        if row["value"] is not None and row["null_std"] is not None
    ]
    shapes = {"yes": COLORS[0], "no": "transparent"}
    fill = alt.Fill("beyond:N", legend=None, scale=_of(shapes))
    columns = list(dict.fromkeys(["name", "beyond", *_titles(by)]))
    points = alt.Chart(inline(named[: len(known)], columns)).mark_point(
        size=60, stroke=COLORS[0], opacity=1
    )
    words = alt.Chart(inline(named[len(known) :], ["name", *_undefined(by)]))
    return layered(
        words.mark_text(style="soft", align="left", text="undefined").encode(
            x=alt.XValue(6), y=y, tooltip=tooltips(_undefined(by))
        ),
        alt.Chart(inline(chance, ("name", "value", "high")))
        .mark_rule(style="line", strokeWidth=6, opacity=0.5)
        .encode(x=x, x2=alt.X2(field="high"), y=y),
        points.encode(x=x, y=y, fill=fill, tooltip=tooltips(_titles(by))),
        width=460,
        height=alt.Step(_ROW),
    )


def _of(values: dict[str, str]) -> alt.Scale:
    return alt.Scale(domain=list(values), range=list(values.values()))


def _name(kind: str, by: str | None) -> str:
    known = by == "residue" and kind in _RESIDUES
    return f"{_RESIDUES[kind]}, {kind}" if known else kind


def _notes(rows: Sequence[Row], by: str | None, nodes: str) -> list[str]:
    """Return what marks mean, what is not drawn, and what chance is here."""
    table = by == "element"
    known = [row for row in rows if row["value"] is not None]
    chance = [row for row in known if row["beyond"] == "no"]
    notes = [f"Below each value: the number of {nodes}."] if table else []
    if not table and any(row["null_std"] is not None for row in known):
        notes.append(f"Bars: chance, its mean ± {_SPREAD} standard deviations.")
    if chance:
        mark = "In parentheses" if table else "Rings"
        notes.append(f"{mark}: not beyond chance (p > {_LEVEL}, or no p).")
    notes.append(f"By chance {_EXCHANGED[rows[0]['exchange']]}.")
    if marked := [row for row in known if row["marked"]]:
        mark = "Dashed frames" if table else "Weakened by what their tooltips say"
        notes.append(f"{mark}: {len(marked)} values with a note, such as: {marked[0]['warning']}.")
    if missing := [row for row in rows if row["value"] is None]:
        reasons = f"{missing[0]['kind']}: {missing[0]['reason']}"
        notes.append(f"Undefined: {len(missing)} of {len(rows)}, such as {reasons}.")
    if not table and len(rows) > _SHOWN:
        notes.append(f"Shown: {_SHOWN} of {len(rows)}.")
    return notes
