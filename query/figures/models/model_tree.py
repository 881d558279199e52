"""The neighbor-joining tree of the models, with branches as long as the models are apart."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import duckdb

from query.figures.drawing.chart import fade_unless, finish, inline, layered, picked, tooltips
from query.figures.drawing.kinds import Kinds, encode_kinds
from query.figures.drawing.labels import LEFT_OUT, metric_label
from query.figures.drawing.looks import OTHER_LOOK, Look, assign_looks, family_looks
from query.figures.drawing.model_kinds import count_kinds
from query.figures.drawing.questions import NothingToDraw, Row, ask_for_tree

_LINE = 17  # px per model
_LEAST = 3  # models, as two are joined by one branch
_WIDTH = 480  # px of the branches
_COLORED = ("family", "input", "training")
_TITLES = {
    "model": "model",
    "family": "family",
    "input": "input",
    "sets": "trained on",
    "branch": "branch (√JSD)",
}


def model_tree(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    metric: str = "cknna",
    color: str = "family",
    models: Sequence[str] | None = None,
    k: int | None = None,
) -> alt.LayerChart:
    """Draw the tree from left to right, one line per model.

    The tree has no root: it is drawn from the node at which its algorithm ended. Branches below
    zero are drawn as zero.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        metric: The name of a metric.
        color: What the marks tell: "family", "input" or "training".
        models: Names of models; None is every trained model and descriptor with vectors there.
        k: The number of neighbors; None is the metric's default.

    Returns:
        The chart; `answer` has one row per node, and per model without a place in the tree.

    Raises:
        NothingToDraw: If there are not three models that can be compared.
        ValueError: If color is none of the three.
    """
    if color not in _COLORED:
        raise ValueError(f"color = {color!r}, expected one of {', '.join(_COLORED)}")
    answer = ask_for_tree(
        connection, "model_tree", dataset=dataset, metric=metric, models=models, k=k
    )
    leaves = [row for row in answer.rows if row["model"] is not None and row["node"] is not None]
    if len(leaves) < _LEAST:
        raise NothingToDraw(
            f"a tree of {len(leaves)} models is a line: their alignment says how far they are "
            f"apart: matterzoo ingest MODEL {dataset}"
        )
    outside = [row for row in answer.rows if row["node"] is None]
    looks = _looks(connection, dataset, color, leaves)
    nodes = [row for row in answer.rows if row["node"] is not None]
    absent = [f"{row['model']} ({row['reason']})" for row in outside]
    return finish(
        _draw(nodes, leaves, encode_kinds(color, looks)),
        answer,
        f"Tree of {count_kinds(row['kind'] for row in leaves)} on {dataset}, by "
        f"{metric_label(metric)}",
        notes=[
            "√JSD: square root of the Jensen-Shannon divergence of two models' "
            f"{metric_label(metric)} profiles. A model's profile is its values with all models, "
            "as shares of their sum.",
            *([LEFT_OUT] if models is None else []),
            *([f"Without a place: {'; '.join(absent)}"] if absent else []),
        ],
        models=[row["model"] for row in leaves],
    )


def _looks(
    connection: duckdb.DuckDBPyConnection, dataset: str, color: str, leaves: Sequence[Row]
) -> dict[str, Look]:
    """Return a look for each of the values that are drawn."""
    drawn = sorted({row[color] for row in leaves})
    known: Mapping[str, Look] = (
        family_looks(connection, dataset) if color == "family" else assign_looks(drawn)
    )
    return {name: known.get(name, OTHER_LOOK) for name in drawn}


def _draw(nodes: Sequence[Row], leaves: Sequence[Row], kinds: Kinds) -> Any:
    """Draw the branches, the marks, the names on the right, and a scale below."""
    count, far = len(leaves), max(row["x"] for row in leaves) or 1.0
    hidden: dict[str, Any] = {"title": None, "axis": None}
    across = alt.Scale(domain=[-0.01 * far, far * 1.03], nice=False, zero=False)
    x = alt.X("x:Q", scale=across, **hidden)
    downward = alt.Scale(domain=[count + 0.9, -0.6], nice=False, zero=False)
    y = alt.Y("y:Q", scale=downward, **hidden)
    shown = [row | {"sets": _name_sets(row)} for row in leaves]
    column = kinds.color.to_dict()["field"]
    base = alt.Chart(inline(shown, list(dict.fromkeys([*_TITLES, column, "x", "y"]))))
    opacity = fade_unless(picked("model"), kinds.chosen)
    size = _round_down(far / 4)
    scale = [{"x": 0, "x2": size, "y": count + 0.1, "text": f"{size:g} √JSD"}]
    below = alt.Chart({"values": scale})
    layers = [
        base.mark_rule(style="dotted").encode(x=x, y=y, x2=alt.X2Value("width")),
        *_branches(nodes, x, y),
        base.mark_point(filled=True, size=70)
        .encode(
            x=x,
            y=y,
            color=kinds.color,
            shape=kinds.shape,
            opacity=opacity,
            tooltip=tooltips(_TITLES),
        )
        .add_params(kinds.chosen),
        base.mark_text(style="ink", align="left", dx=6, fontSize=11).encode(
            x=alt.XValue("width"),
            y=y,
            text=alt.Text(field="model", type="nominal"),
            opacity=opacity,
        ),
        below.mark_rule(style="ink", strokeWidth=2).encode(x=x, x2=alt.X2(field="x2"), y=y),
        below.mark_text(style="soft", align="left", dx=5).encode(
            x=alt.X("x2:Q"), y=y, text=alt.Text(field="text", type="nominal")
        ),
    ]
    return layered(*layers, width=_WIDTH, height=_LINE * (count + 1.5))


def _branches(nodes: Sequence[Row], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Draw each branch along, and what joins it with its parent across."""
    place = {row["node"]: (row["x"], row["y"]) for row in nodes}
    along, joins = [], []
    for row in nodes:
        if row["parent"] is not None:
            start, level = place[row["parent"]]
            along.append({"x": start, "x2": row["x"], "y": row["y"]})
            joins.append({"x": start, "y": row["y"], "y2": level})
    line: Any = {"style": "ink", "strokeWidth": 1, "strokeCap": "square"}
    return [
        alt.Chart(inline(along, ("x", "x2", "y")))
        .mark_rule(**line)
        .encode(x=x, x2=alt.X2(field="x2"), y=y),
        alt.Chart(inline(joins, ("x", "y", "y2")))
        .mark_rule(**line)
        .encode(x=x, y=y, y2=alt.Y2(field="y2")),
    ]


def _round_down(length: float) -> float:
    """Return the longest of 1, 2 and 5 times a power of ten up to a length; 1 for no length."""
    if length <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(length))
    return max(step * power for step in (1, 2, 5) if step * power <= length * (1 + 1e-9))


def _name_sets(row: Row) -> str:
    sets = ", ".join(row["training_sets"] or [])
    return textwrap.shorten(sets, 100, placeholder=" …") or str(row["training"])
