"""The information-imbalance plane: what each of two models tells about the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import duckdb

from query.figures.drawing.chart import finish, layered
from query.figures.drawing.guides import axis_of, diagonal, level, word
from query.figures.drawing.kinds import Kinds
from query.figures.drawing.looks import family_looks
from query.figures.drawing.pairs import (
    Cloud,
    count_undefined,
    draw_pairs,
    encode_pairs,
    name_outstanding,
    name_pair,
)
from query.figures.drawing.questions import NothingToDraw, Row
from query.statements import ask

_CORNERS = {
    (0, 0): "the same information",
    (1, 1): "unrelated",
    (0, 1): "a contains b",
    (1, 0): "b contains a",
}
_ORDER = (
    "Of a pair, a is the model that comes first by family, then by name. Where names stand at a "
    "point, x > y means that x tells more about y than y about x."
)
_MEANING = "Δ(a → b): how far apart b places the systems that are nearest in a; 1 is by chance."
_AXIS: Any = {"values": [0, 0.25, 0.5, 0.75, 1], "grid": False, "format": ".2f"}
_SIDE = 380  # px of a panel
_EDGE = 20  # px at its top and at its bottom, where words stand in the corners
_TITLES = {
    "model_a": "a",
    "model_b": "b",
    "a_to_b": "Δ(a → b)",
    "b_to_a": "Δ(b → a)",
    "teller": "tells more about the other",
    "n": "systems",
    "k": "neighbors, k",
}


def information_imbalance_plane(
    connection: duckdb.DuckDBPyConnection,
    dataset_a: str,
    *,
    dataset_b: str | None = None,
    models: Sequence[str] | None = None,
    k: int | None = None,
    seed: int | None = None,
) -> alt.HConcatChart:
    """Draw the information imbalances of each pair of models: Δ(a → b) across, Δ(b → a) up.

    There is one panel per dataset. Of a pair, a is the model that comes first by family, then
    name. Two datasets are narrowed to equally many systems.

    Args:
        connection: A connection to a store, with our functions.
        dataset_a: The name of a dataset.
        dataset_b: The name of another dataset; None is no other.
        models: Names of models; None is every trained model and descriptor with vectors there.
        k: The number of neighbors; None is 1.
        seed: Chooses the systems of two datasets; None is 0.

    Returns:
        The chart; `answer` has one row per pair and dataset.

    Raises:
        NothingToDraw: If fewer than two models have vectors.
    """
    answer = ask(
        connection,
        "information_imbalance_plane",
        dataset_a=dataset_a,
        dataset_b=dataset_b,
        models=models,
        k=k,
        seed=seed,
    )
    datasets = [dataset_a] if dataset_b is None else [dataset_a, dataset_b]
    where = " and ".join(datasets)
    if {row["dataset"] for row in _defined(answer.rows)} != set(datasets):
        raise NothingToDraw(
            f"two models with vectors on {where} are needed: matterzoo ingest MODEL DATASET"
        )
    defined = _defined(answer.rows)
    kinds = encode_pairs(defined, family_looks(connection, *datasets))
    most = max(1.16, *(max(row["a_to_b"], row["b_to_a"]) + 0.06 for row in defined))
    by_dataset = {name: [r for r in answer.rows if r["dataset"] == name] for name in datasets}
    panels = [
        layered(*_panel(rows, dataset, kinds, place, (-0.16, most)), width=_SIDE, height=_SIDE)
        for place, (dataset, rows) in enumerate(by_dataset.items())
    ]
    undefined = [
        note
        for dataset, rows in by_dataset.items()
        for note in count_undefined(rows, ("a_to_b", "b_to_a"), f"On {dataset}, ")
    ]
    return finish(
        alt.hconcat(*panels),
        answer,
        f"Information imbalance on {where}",
        notes=[_MEANING, _ORDER, *undefined],
        models=[row[name] for row in defined for name in ("model_a", "model_b")],
    )


def _defined(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["a_to_b"] is not None and row["b_to_a"] is not None]


def _panel(
    rows: Sequence[Row], dataset: str, kinds: Kinds, place: int, ends: tuple[float, float]
) -> list[alt.Chart]:
    """Draw the diagonal, the unit square, the pairs, and what the corners mean."""
    drawn = [row | {"teller": _teller(row)} for row in _defined(rows)]
    at = f"n = {drawn[0]['n']}, k = {drawn[0]['k']}"
    x = axis_of("a_to_b", f"Δ(a → b) on {dataset}, {at}", ends, **_AXIS)
    y = axis_of("b_to_a", "Δ(b → a)", ends, across=False, **_AXIS)
    edges = [level(channel, edge, "grid") for channel in (x, y) for edge in (0, 1)]
    cloud = Cloud(x, y, ("a_to_b", "b_to_a"), _TITLES, {})
    layers = [diagonal(x, y, (0, 1)), *edges, *draw_pairs(drawn, cloud, kinds, place)]
    layers.append(
        name_outstanding(drawn, cloud, _SIDE, low_is_alike=True, edge=_EDGE, name=_compare)
    )
    for (right, up), text in _CORNERS.items():
        corner: Any = ("width" if right else 6, 10 if up else "height")
        align, dx = ("right", -6) if right else ("left", 0)
        layers.append(word(text, *corner, align=align, dx=dx, dy=0 if up else -10))
    return layers


def _teller(row: Row) -> str:
    if row["a_to_b"] == row["b_to_a"]:
        return "neither"
    teller: str = row["model_a"] if row["a_to_b"] < row["b_to_a"] else row["model_b"]
    return teller


def _compare(row: Row) -> str:
    """Return 'x > y' of a pair of which x tells more about y."""
    pair = row["model_a"], row["model_b"]
    if row["teller"] not in pair:
        return name_pair(row)
    return " > ".join(pair if row["teller"] == row["model_a"] else reversed(pair))
