"""A map of the systems as one model sees them, colored by what is known about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import altair as alt
import duckdb
import numpy as np

from query.figures.drawing.chart import fade_unless, finish, inline, layered, tooltips, zoom
from query.figures.drawing.guides import axis_of
from query.figures.drawing.kinds import encode_kinds
from query.figures.drawing.looks import Look, assign_looks
from query.figures.drawing.questions import NothingToDraw, Row
from query.statements import ask

_MOST_CATEGORIES = 7  # that have a look of their own
_MANY = 3000  # systems, from which on points are small
_SIDE = 460  # px of the panel
_FLAT = (0.5, 1.3)  # the height of the panel over its width, at least and at most
_ROOM = 0.05  # of the span of the points, beyond them
_WIDE = 30  # the highest value over the lowest, from which on the colors are logarithmic
_SEEN = (1, 99)  # percentiles of the values between which colors differ
_ANY_MODEL = "FROM models_on(?) WHERE kind IN ('model', 'descriptor') LIMIT 1"
_NAMES = {"n_atoms": "atoms", "n_elements": "elements"}
_OTHER = Look("#C4C4C4", "circle")


def system_map(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    model: str | None = None,
    method: str | None = None,
    color: str | None = None,
    source: str | None = None,
    k: int | None = None,
    max_systems: int | None = None,
) -> alt.LayerChart:
    """Draw one point per system, placed by a model's vectors.

    Systems for which the color is not known are gray rings.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        model: A model; None is the one that is most aligned with the others on average.
        method: "pca" or "umap"; None is "pca".
        color: "n_atoms", "n_elements", "formula", or a property of table labels; None is
            "n_atoms".
        source: The source of the labels; None is the one with the most.
        k: The number of neighbors of "umap"; None is its default.
        max_systems: The most systems that are drawn; None is 15,000.

    Returns:
        The chart; `answer` has one row per system.

    Raises:
        NothingToDraw: If there is no map, or the color is not known for any system.
    """
    if model is None and not connection.execute(_ANY_MODEL, [dataset]).fetchall():
        raise NothingToDraw(f"no model has vectors on {dataset}: matterzoo ingest MODEL {dataset}")
    answer = ask(
        connection,
        "system_map",
        dataset=dataset,
        model=model,
        method=method,
        color=color,
        source=source,
        k=k,
        max_systems=max_systems,
    )
    rows = answer.rows
    if rows[0]["reason"] is not None:
        raise NothingToDraw(rows[0]["reason"])
    if all(_is_unknown(row) for row in rows):
        name = rows[0]["color"]
        raise NothingToDraw(f"no system of {dataset} has a label '{name}': see FROM labels")
    how = _describe(rows[0])
    return finish(
        _draw(rows),
        answer,
        f"{dataset} as {rows[0]['model_id']} sees it",
        notes=[*how, *_count_unknown(rows)],
        capital=False,
    )


def _is_unknown(row: Row) -> bool:
    return row["value"] is None and row["category"] is None


def _describe(row: Row) -> list[str]:
    if row["method"] == "pca":
        return [f"Principal components, n = {row['n']}."]
    how = f"{str(row['method']).upper()}, k = {row['k']}, n = {row['n']}"
    return [f"{how}; distances far apart mean little."]


def _count_unknown(rows: Sequence[Row]) -> list[str]:
    unknown = sum(map(_is_unknown, rows))
    return [f"Rings: not known ({unknown})."] if unknown else []


def _draw(rows: Sequence[Row]) -> Any:
    """Draw rings for what is not known, then points in the colors of values or of categories."""
    x, y = _axes(rows)
    name = _NAMES.get(rows[0]["color"], rows[0]["color"].replace("_", " "))
    titles = {"system_id": "system", "formula": "formula", "known": name}
    some = [row for row in rows if not _is_unknown(row)]
    rings = alt.Chart(inline(filter(_is_unknown, rows), ("system_id", "formula", "x", "y")))
    layers = [
        rings.mark_point(style="line", filled=False, size=_size(rows)).encode(
            x=x, y=y, tooltip=tooltips({"system_id": "system", "formula": "formula"})
        )
    ]
    categories = any(row["category"] is not None for row in rows)
    layers.append((_categories if categories else _values)(some, name, titles).encode(x=x, y=y))
    wide, high = (np.ptp([row[side] for row in rows]) or 1.0 for side in ("x", "y"))
    height = round(_SIDE * float(np.clip(high / wide, *_FLAT))) if _is_pca(rows) else _SIDE
    return layered(layers[0], zoom(layers[1]), width=_SIDE, height=height)


def _is_pca(rows: Sequence[Row]) -> bool:
    return bool(rows[0]["method"] == "pca")


def _size(rows: Sequence[Row]) -> int:
    return 45 if len(rows) <= 500 else 22 if len(rows) <= _MANY else 8


def _axes(rows: Sequence[Row]) -> tuple[Any, Any]:
    """Return both axes, with pixels of one length for principal components."""
    points = np.array([(row["x"], row["y"]) for row in rows])
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.maximum(high - low, 1e-9)
    pca = _is_pca(rows)
    if pca:  # as much as the panel shows of each, so that lengths mean the same
        wide = max(span[0], span[1] / _FLAT[1])
        span = np.array([wide, max(span[1], span[0] * _FLAT[0])])
    middle, reach = (low + high) / 2, span * (0.5 + _ROOM)
    ends = np.stack([middle - reach, middle + reach]).T.tolist()
    if not pca:
        plain: dict[str, Any] = {"labels": False, "ticks": False, "grid": False}
        across, up = (axis_of("x", None, ends[0], **plain), ends[1])
        return across, axis_of("y", None, up, across=False, **plain)
    shares = [f"{rows[0][name]:.0%} of the variance" for name in ("explained_x", "explained_y")]
    return (
        axis_of("x", f"first direction ({shares[0]})", ends[0], grid=False, tickCount=6),
        axis_of(
            "y", f"second direction ({shares[1]})", ends[1], across=False, grid=False, tickCount=6
        ),
    )


def _values(rows: Sequence[Row], name: str, titles: dict[str, str]) -> alt.Chart:
    """Draw points in colors of a scale, equal beyond the percentiles that are seen."""
    values = np.array([row["value"] for row in rows], dtype=float)
    low, high = np.percentile(values, _SEEN).tolist()
    logarithmic = low > 0 and high > _WIDE * low
    unit = f" ({rows[0]['unit']})" if rows[0]["unit"] else ""
    source = f", {rows[0]['source']}" if rows[0]["source"] else ""
    color = alt.Color(
        "value:Q",
        title=f"{name}{unit}{source}",
        scale=alt.Scale(
            type="log" if logarithmic else "linear",
            scheme="cividis",
            domain=[low, high],
            clamp=True,
            nice=False,
        ),
        legend=alt.Legend(orient="bottom", gradientLength=260, gradientThickness=12),
    )
    shown = [row | {"known": _with_unit(row)} for row in rows]
    marks = alt.Chart(inline(shown, [*titles, "value", "x", "y"]))
    return marks.mark_point(filled=True, size=_size(rows)).encode(
        color=color, tooltip=tooltips(titles)
    )


def _with_unit(row: Row) -> str:
    unit = f" {row['unit']}" if row["unit"] else ""
    return f"{row['value']:.4g}{unit}"


def _categories(rows: Sequence[Row], name: str, titles: dict[str, str]) -> alt.Chart:
    """Draw the most frequent categories with a look each, the rest in gray."""
    counted = Counter(row["category"] for row in rows)
    frequent = sorted(counted, key=lambda each: (-counted[each], each))[:_MOST_CATEGORIES]
    looks = {f"{each} ({counted[each]})": look for each, look in assign_looks(frequent).items()}
    rest = sum(row["category"] not in frequent for row in rows)
    if rest:
        looks[f"other ({rest})"] = _OTHER
    shown = [
        row
        | {
            "known": row["category"],
            "category": f"{row['category']} ({counted[row['category']]})"
            if row["category"] in frequent
            else f"other ({rest})",
        }
        for row in rows
    ]
    kinds = encode_kinds("category", looks, name)
    marks = alt.Chart(inline(shown, [*titles, "category", "x", "y"]))
    return (
        marks.mark_point(filled=True, size=_size(rows))
        .encode(
            color=kinds.color,
            shape=kinds.shape,
            opacity=fade_unless(kinds.chosen),
            tooltip=tooltips(titles),
        )
        .add_params(kinds.chosen)
    )
