"""Maps of the systems as models see them, colored by what is known about the systems."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import altair as alt
import duckdb
import numpy as np

from query.figures.drawing.chart import finish, inline, layered, tooltips, zoom
from query.figures.drawing.guides import axis_of
from query.figures.drawing.labels import color_label, format_counts, natural_order
from query.figures.drawing.looks import GRAY, compared_models
from query.figures.drawing.questions import NothingToDraw, Row
from query.figures.drawing.system_colors import CATEGORIES, NUMBERS, color_systems
from query.statements import ask
from query.tables.vectors.system_map import MOST

_SIZES = (8, 60)  # square px of a point: the least and the most
_COVERED = 30_000  # square px of all points together, as far as they keep to _SIZES
_SIDE = 460  # px of the panel, as wide as high, so that lengths mean the same across and up
_ROOM = 0.05  # of the span of the points, beyond them
_LARGE = 5  # times the area of the others has the point of the system that is shown
_SYSTEMS = "SELECT max(n) FROM models_on(?) WHERE list_contains(?, model_id)"
_NAMED = 8  # models that are not drawn, up to which the small print names them
_FACTS = ("system_id", "formula", "x", "y", "model_id")
Ends = dict[str, list[float]]  # of an axis, by model


def system_map(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    model: str | Sequence[str] | None = None,
    maps: int | None = None,
    method: str | None = None,
    color: str | None = None,
    source: str | None = None,
    k: int | None = None,
    max_systems: int | None = None,
) -> alt.LayerChart:
    """Draw one point per system, placed by a model's vectors.

    Systems for which the color is not known are gray rings. Of several models one is shown, which
    a reader chooses (the parameter "seen_by"); the parameter "shown" is a system that is marked.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        model: A model, or several; None is the one that is most aligned with the others on average.
        maps: If no model is named, so many, at first one per family; None is 1.
        method: "pca" or "umap"; None is "pca".
        color: "n_atoms", "n_residues", "n_elements", "formula", "element" (the most frequent one),
            "group" (of that element), "crystal_system" (by the space group in AFLOW's labels),
            "rings" (of SMILES), or a property of table labels; None is "n_atoms".
        source: The source of the labels; None is the one with the most.
        k: The number of neighbors of "umap"; None is its default.
        max_systems: The most systems that are drawn; None is 15,000.

    Returns:
        The chart; `answer` has one row per model and system.

    Raises:
        NothingToDraw: If there is no map, or the color is not known for any system.
    """
    every = [row["model_id"] for row in compared_models(connection, dataset)]
    if model is None and not every:
        raise NothingToDraw(f"no model has vectors on {dataset}: matterzoo ingest MODEL {dataset}")
    color = color or "n_atoms"
    answer = ask(
        connection,
        "system_map",
        dataset=dataset,
        model=model,
        maps=maps,
        method=method,
        label=None if color in (*NUMBERS, *CATEGORIES) else color,
        source=source,
        k=k,
        max_systems=max_systems,
    )
    rows = [row for row in answer.rows if row["reason"] is None]
    if not rows:
        raise NothingToDraw(answer.rows[0]["reason"])
    unknown = _find_unknown(rows, color)
    if len(unknown) == len({row["system_id"] for row in rows}):
        raise NothingToDraw(f"no system of {dataset} has a label '{color}': see FROM labels")
    models = list(dict.fromkeys(row["model_id"] for row in rows))
    n = _count_systems(connection, rows, dataset, max_systems or MOST)
    seen_by = models[0] if len(models) == 1 else "each model"
    return finish(
        _draw(rows, color, models),
        answer,
        f"{dataset} as {seen_by} sees it",
        notes=[
            *_describe(rows, n, models, every),
            *([f"Rings: not known ({len(unknown)})."] * any(unknown)),
        ],
        capital=False,
    )


def _find_unknown(rows: Sequence[Row], color: str) -> set[str]:
    column = color if color in (*NUMBERS, *CATEGORIES) else "value"
    return {row["system_id"] for row in rows if row[column] is None}


def _count_systems(
    connection: duckdb.DuckDBPyConnection, rows: Sequence[Row], dataset: str, most: int
) -> str:
    """Return how many systems a map has, and of how many if not of all that its models have."""
    shown, counts = {row["model_id"] for row in rows}, {row["n"] for row in rows}
    n = format_counts(counts)
    if max(counts) < most:
        return n
    ((every,),) = connection.execute(_SYSTEMS, [dataset, list(shown)]).fetchall()
    return f"{n} drawn at random of {every:,} systems" if most < every else n


def _describe(
    rows: Sequence[Row], n: str, models: Sequence[str], every: Sequence[str]
) -> list[str]:
    how = f"Principal components, n = {n}."
    if rows[0]["method"] != "pca":
        name = str(rows[0]["method"]).upper()
        how = f"{name}, k = {rows[0]['k']}, n = {n}; distances far apart mean little."
    if len(models) == 1:
        return [how]
    absent = sorted(set(every) - set(models), key=natural_order)
    some = f" of {len(every)}" if absent else ""
    which = ", those most like all others, one per family first" if some else ""
    names = f" Left out: {', '.join(absent)}." if 0 < len(absent) <= _NAMED else ""
    chosen = f"{len(models)}{some} models to choose from{which}; each has a plane of its own."
    return [how, chosen + names]


def _draw(rows: Sequence[Row], color: str, models: Sequence[str]) -> Any:
    """Draw rings for what is not known, then points in the colors of values or of categories."""
    coloring = color_systems(rows, color)
    pairs = list(zip(rows, coloring.known, strict=True))
    # What is equal stands together, which packs to little.
    pairs.sort(key=lambda pair: pair[0]["system_id"])
    rings = [row for row, known in pairs if known is None]
    points = [row | known for row, known in pairs if known is not None]
    x, y = _axes(rows, models)
    size = min(max(_SIZES[0], round(_COVERED / rows[0]["n"])), _SIZES[1])
    here: dict[str, Any] = {"x": x, "y": y, "size": _enlarge(size)}
    titles = {"system_id": "system", "formula": "formula", "known": color_label(color)}
    titles = {name: title for name, title in titles.items() if name == "known" or _has(rows, name)}
    shown = tooltips({name: title for name, title in titles.items() if name != "known"})
    colored = "value" if coloring.chosen is None else "category"
    drawn = alt.Chart(inline(points, [*_FACTS, "known", colored]))
    layers = [
        alt.Chart(inline(rings, _FACTS))
        .mark_point(style="line", filled=False)
        .encode(tooltip=shown, **here),
        drawn.mark_point(filled=True, stroke=GRAY, strokeWidth=0.6).encode(
            tooltip=tooltips(titles), **coloring.encodings, **here
        ),
    ]
    if coloring.chosen is not None:
        layers[1] = layers[1].add_params(coloring.chosen)
    params = [alt.param("shown", value="")]
    if len(models) > 1:
        layers = [layer.transform_filter("datum.model_id === seen_by") for layer in layers]
        layers.append(_name_models(rows))
        bind = alt.binding_select(options=list(models), name="As seen by ")
        params.append(alt.param("seen_by", value=models[0], bind=bind))
    layers[1] = zoom(layers[1])
    chosen = [param.param for param in params]
    return layered(*layers, params=chosen, width=_SIDE, height=_SIDE)


def _has(rows: Sequence[Row], column: str) -> bool:
    return any(row[column] is not None for row in rows)


def _enlarge(size: int) -> Any:
    """Return the size of points, of which the one that is shown is larger."""
    return alt.SizeValue(
        size, condition={"test": "datum.system_id === shown", "value": size * _LARGE}
    )


def _axes(rows: Sequence[Row], models: Sequence[str]) -> tuple[Any, Any]:
    """Return both axes, with pixels of one length for principal components."""
    pca = rows[0]["method"] == "pca"
    across, up = _find_ends(rows, square=pca)
    titles: list[str | None] = [None, None]
    if pca:
        titles = ["first direction", "second direction"]
        if len(models) == 1:
            shares = [f"{100 * rows[0][name]:.0f} %" for name in ("explained_x", "explained_y")]
            titles = [f"{t} ({s} of the variance)" for t, s in zip(titles, shares, strict=True)]
    plain: dict[str, Any] = {"labels": False, "ticks": False}
    return tuple(
        axis_of(
            column,
            title,
            _choose_ends(ends),
            across=column == "x",
            grid=False,
            **({"tickCount": 6} if pca else plain),
        )
        for column, title, ends in (("x", titles[0], across), ("y", titles[1], up))
    )


def _find_ends(rows: Sequence[Row], *, square: bool) -> tuple[Ends, Ends]:
    """Return the ends of both axes by model, as far apart on both if they are to be square."""
    across: Ends = {}
    up: Ends = {}
    for model, some in groupby(rows, key=lambda row: str(row["model_id"])):
        points = np.array([(row["x"], row["y"]) for row in some])
        low, high = points.min(axis=0), points.max(axis=0)
        span = np.maximum(high - low, 1e-9)
        if square:
            span[:] = span.max()
        middle, reach = (low + high) / 2, span * (0.5 + _ROOM)
        for ends, end in ((across, 0), (up, 1)):
            ends[model] = [middle[end] - reach[end], middle[end] + reach[end]]
    return across, up


def _choose_ends(ends: Ends) -> Sequence[Any]:
    """Return the ends of an axis, those of the model that a reader chooses if there are several."""
    if len(ends) == 1:
        return next(iter(ends.values()))
    return [alt.ExprRef(f"{json.dumps(ends)}[seen_by][{i}]") for i in (0, 1)]


def _name_models(rows: Sequence[Row]) -> alt.Chart:
    """Write above the panel which model is shown, and how much of the variance."""
    words = {}
    for row in rows:
        shares = [row[name] and 100 * row[name] for name in ("explained_x", "explained_y")]
        much = "" if None in shares else ": {:.0f} % and {:.0f} % of the variance".format(*shares)
        words[row["model_id"]] = {"model_id": row["model_id"], "text": row["model_id"] + much}
    marks = alt.Chart({"values": list(words.values())}).mark_text(
        style="ink", align="left", fontSize=11, baseline="bottom", clip=False
    )
    chosen = marks.transform_filter("datum.model_id === seen_by")
    return chosen.encode(
        text=alt.Text(field="text", type="nominal"), x=alt.XValue(0), y=alt.YValue(-4)
    )
