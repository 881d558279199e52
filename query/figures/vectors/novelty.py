"""How much of a dataset is novel to each model, by what a reference covers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt
import duckdb

from query.figures.drawing.chart import fade_unless, finish, inline, layered, picked, tooltips
from query.figures.drawing.guides import axis_of, diagonal, level
from query.figures.drawing.kinds import Kinds, encode_kinds
from query.figures.drawing.labels import format_counts, method_label
from query.figures.drawing.looks import family_looks
from query.figures.drawing.model_rows import draw_rows, row_axis
from query.figures.drawing.questions import NothingToDraw, Row
from query.statements import ask

_ROW = 18  # px per model
_HEIGHT = 260  # px of the rows at least, however few they are, and of the distributions
_HIGHEST = 400  # px of the distributions at most
_DASHES = [
    [1, 0],
    [6, 3],
    [2, 2],
    [8, 2, 2, 2],
    [14, 3],
    [8, 2, 2, 2, 2, 2],
]  # of the first, second, … model of a family
_MANY = 12  # models, above which lines are gray and have no legend
_IS_PICKED = "datum.row_of === model"  # the parameter that `finish` makes
_LEVEL = 0.05  # the p-value up to which a system counts as novel, as in the statement
_TITLES = {
    "model_id": "model",
    "novel_share": "share of systems with p of at most 0.05",
    "median_p": "median p",
    "median_z": "median distance (standard deviations)",
    "most_novel": "the most novel system",
    "n": "systems",
    "n_reference": "systems of the reference",
    "n_shared": "systems of both",
}
_LINES = {"model_id": "model", "p": "p of at most", "share": "share of systems"}


def novelty(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    reference: str,
    *,
    method: str | None = None,
    k: int | None = None,
) -> alt.HConcatChart:
    """Draw how novel the systems of a dataset are to each model.

    One panel has a row per model: the share of systems with a conformal p of at most 0.05, which
    is 5 % of systems like those of the reference. The other has the distribution of p: the
    reference's own systems are on the diagonal.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The dataset whose systems are judged.
        reference: The dataset by which they are.
        method: 'knn' or 'mahalanobis'; None is 'knn'.
        k: Which neighbor of 'knn'; None is 10.

    Returns:
        The chart; `answer` has one row per model.

    Raises:
        NothingToDraw: If no model can tell.
    """
    answer = ask(connection, "novelty", dataset=dataset, reference=reference, method=method, k=k)
    known = [row for row in answer.rows if row["novel_share"] is not None]
    if not known:
        reasons = "; ".join(dict.fromkeys(row["reason"] for row in answer.rows))
        remedy = f"no model has vectors on both: matterzoo ingest MODEL {dataset},{reference}"
        raise NothingToDraw(
            f"nothing is known of {dataset} beside {reference}: {reasons or remedy}"
        )
    rows = [row | {"row_of": row["model_id"]} for row in answer.rows]
    found = {row["family"] for row in rows}
    looks = family_looks(connection, dataset)
    kinds = encode_kinds("family", {name: look for name, look in looks.items() if name in found})
    how = method_label(known[0]["method"]) + (f", k = {known[0]['k']}" if known[0]["k"] else "")
    return finish(
        _draw(rows, kinds, dataset, reference),
        answer,
        f"What of {dataset} is novel beside {reference} ({how})",
        notes=[
            f"n = {format_counts(row['n'] for row in known)} systems of {dataset}, judged by "
            f"{format_counts(row['n_reference'] for row in known)} of {reference}.",
            f"Dotted line and dashed diagonal: systems like those of {reference}.",
            f"Untrained twins and controls are left out.{_many(rows)}",
        ],
        models=[row["row_of"] for row in rows],
    )


def _draw(rows: Sequence[Row], kinds: Kinds, dataset: str, reference: str) -> Any:
    """Draw the shares, and beside them the distributions."""
    share = axis_of("novel_share", "share of novel systems (p ≤ 0.05)", (0, 1.02), tickCount=5)
    y = row_axis([row["row_of"] for row in rows])
    left = [level(share, _LEVEL), *draw_rows(rows, share, y, kinds, _TITLES, ends=None)]
    left[-1] = left[-1].add_params(kinds.chosen)
    p = axis_of("p", f"p, by the systems of {reference}", (0, 1), tickCount=5)
    part = axis_of("share", f"share of {dataset} with at most this p", (0, 1), across=False)
    right = [diagonal(p, part, (0, 1)), *_distributions(rows, p, part, kinds)]
    high = max(_HEIGHT, _ROW * len(rows))
    return alt.hconcat(
        layered(*left, width=280, height=high),
        layered(*right, width=280, height=min(high, _HIGHEST)),
        spacing=36,
    ).resolve_scale(color="independent", shape="independent", strokeDash="independent")


def _distributions(rows: Sequence[Row], p: Any, part: Any, kinds: Kinds) -> list[alt.Chart]:
    """Draw a line per model: with a legend if they are few, else gray but for what is picked."""
    steps = list(_steps(rows))
    lines = alt.Chart(inline(steps, ("row_of", "family", *_LINES))).encode(
        x=p, y=part, detail=alt.Detail(field="row_of", type="nominal"), tooltip=tooltips(_LINES)
    )
    names = list(dict.fromkeys(step["row_of"] for step in steps))
    if len(names) > _MANY:
        some = {"or": [_IS_PICKED, {"param": kinds.chosen.name, "empty": False}]}
        return [
            lines.mark_line(interpolate="step-after", strokeWidth=1, style="line", opacity=0.45),
            lines.transform_filter(some)
            .mark_line(interpolate="step-after", strokeWidth=2.5)
            .encode(color=_without_legend(kinds)),
        ]
    looks = {name: _line_look(steps, name, kinds) for name in names}
    return [
        lines.mark_line(interpolate="step-after", strokeWidth=2).encode(
            color=_per_model(alt.Color, [color for color, _ in looks.values()], names),
            strokeDash=_per_model(alt.StrokeDash, [dash for _, dash in looks.values()], names),
            opacity=fade_unless(picked("row_of"), kinds.chosen, opacity=0.9),
        )
    ]


def _without_legend(kinds: Kinds) -> alt.Color:
    return alt.Color(
        field="family", type="nominal", scale=kinds.color.to_dict()["scale"], legend=None
    )


def _line_look(steps: Sequence[Row], name: str, kinds: Kinds) -> tuple[str, list[int]]:
    """Return the color of a model's family, and the dashes of its place in the family."""
    step = next(step for step in steps if step["row_of"] == name)
    scale = kinds.color.to_dict()["scale"]
    return scale["range"][scale["domain"].index(step["family"])], _DASHES[step["nth"]]


def _per_model(channel: Any, values: Sequence[Any], names: Sequence[str]) -> Any:
    """Return an encoding of models; those of one title share a legend."""
    scale = alt.Scale(domain=list(names), range=list(values))
    legend = alt.Legend(symbolSize=300, symbolStrokeWidth=2, symbolOpacity=1)
    return channel(field="row_of", type="nominal", title="line of", scale=scale, legend=legend)


def _many(rows: Sequence[Row]) -> str:
    if sum(bool(row["p_values"]) for row in rows) <= _MANY:
        return ""
    return " A line is a model; pick one, or click a family in the legend, to see which."


def _steps(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the points of each model's distribution, from p = 0, and its place in its family."""
    known: Counter[str] = Counter()
    for row in rows:
        values = row["p_values"] or []
        nth = known[row["family"]] % len(_DASHES)
        known[row["family"]] += bool(values)
        for i, value in enumerate(values):
            yield row | {"nth": nth, "p": value, "share": i / (len(values) - 1)}
