"""Colors and shapes, the same for the same thing in every figure.

Figures are readable in black and white and by the color-blind: kinds differ in shape and in color,
values differ in lightness (cividis). A test simulates how they look to the color-blind.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import duckdb

from query.reading.selection import KIND
from query.sql.literals import literal
from query.statements import answer_of

# The first six are Okabe and Ito's, Color Universal Design (2008), without their yellow, which is
# too light on white. The other two, and GRAY, were searched for: they stand out from white and from
# dark about alike, and any eye tells them from the six and from each other. The blue has a contrast
# of 3.4 : 1 on dark; all blues of 4 : 1 and more are too close to another color.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8478FC", "#9C6C4A")
_STAR = "M0,-1L.24,-.32L.95,-.31L.38,.12L.59,.81L0,.4L-.59,.81L-.38,.12L-.95,-.31L-.24,-.32Z"
_TIMES = (
    "M-.9,-.55L-.55,-.9L0,-.35L.55,-.9L.9,-.55L.35,0L.9,.55L.55,.9L0,.35L-.55,.9L-.9,.55L-.35,0Z"
)
_PENTAGON = "M0,-.9L.86,-.28L.53,.73L-.53,.73L-.86,-.28Z"
_HEXAGON = "M.45,-.8L.9,0L.45,.8L-.45,.8L-.9,0L-.45,-.8Z"
_THIN = "M0,-1L.6,0L0,1L-.6,0Z"
SHAPES = (
    *("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", _TIMES, _STAR),
    *("triangle-left", "triangle-right", _PENTAGON, _HEXAGON),
)
# A path, so that a legend of filled marks has it, too.
RING = "M0,-1A1,1,0,1,1,0,1A1,1,0,1,1,0,-1ZM0,-.62A.62,.62,0,1,0,0,.62A.62,.62,0,1,0,0,-.62Z"
# Marks of two parts, which no family has: a relation of two models is not taken for a family.
_HOURGLASS = "M-.85,-.85L.85,-.85L-.85,.85L.85,.85Z"
_BOW_TIE = "M-.85,-.85L-.85,.85L.85,-.85L.85,.85Z"
_BARS = "M-.85,-.85L-.2,-.85L-.2,.85L-.85,.85ZM.2,-.85L.85,-.85L.85,.85L.2,.85Z"
_DASHES = "M-.85,-.85L-.85,-.2L.85,-.2L.85,-.85ZM-.85,.2L-.85,.85L.85,.85L.85,.2Z"
GRAY = "#707B7D"  # of whatever has no kind; 4 : 1 on white and on dark


@dataclass(frozen=True)
class Look:
    """How things of one kind look.

    Attributes:
        color: A hexadecimal color, "#0072B2".
        shape: A shape of Vega, "circle", or a path.
    """

    color: str
    shape: str


RELATION_LOOKS = {
    "same-family": Look(COLORS[0], _HOURGLASS),
    "same-training-data": Look(COLORS[1], _BOW_TIE),
    "neither": Look(COLORS[2], _BARS),
    "unknown-training-data": Look(GRAY, _DASHES),
}
# Of what is of no family of models or descriptors: a control, where one is asked for.
OTHER_LOOK = Look(GRAY, _THIN)


def assign_looks(names: Iterable[str]) -> dict[str, Look]:
    """Give each name a look of its own.

    Args:
        names: The names, in any order. Up to 96 different ones get looks that differ from each
            other in color or shape, up to 12 in shape.

    Returns:
        The looks by name, in alphabetical order; the same for the same set of names.
    """
    cycle = math.lcm(len(COLORS), len(SHAPES))  # after which shapes move on by one
    return {
        name: Look(COLORS[i % len(COLORS)], SHAPES[(i + i // cycle) % len(SHAPES)])
        for i, name in enumerate(sorted(set(names)))
    }


def family_looks(connection: duckdb.DuckDBPyConnection, *datasets: str) -> dict[str, Look]:
    """Give each family that has models or descriptors on some datasets a look of its own.

    Args:
        connection: A connection to a store, with our functions.
        datasets: Names of datasets.

    Returns:
        The looks by family, the same in all figures of the store.
    """
    found = {row["family"] for dataset in datasets for row in compared_models(connection, dataset)}
    sql = f"SELECT DISTINCT family FROM models WHERE {KIND} IN ('model', 'descriptor')"
    every = {row[0] for row in connection.execute(sql).fetchall()}
    looks = assign_looks(every | found)
    return {family: looks[family] for family in sorted(found)}


def compared_models(connection: duckdb.DuckDBPyConnection, dataset: str) -> list[dict[str, Any]]:
    """Return name and family of each model and descriptor on a dataset.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of the dataset.

    Returns:
        By name, with "model_id" and "family".
    """
    sql = (
        f"SELECT model_id, family FROM models_on({literal(dataset)}) "
        "WHERE kind IN ('model', 'descriptor') ORDER BY model_id"
    )
    return answer_of(connection, "models_on", sql).rows
