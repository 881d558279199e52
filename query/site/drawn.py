"""The figures of a site's datasets, as specifications of Vega-Lite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from query import figures
from query.assets import pack
from query.figures import NothingToDraw
from query.report.versions import per_color
from query.structures import draw_structures

# By name, the question that each answers.
FIGURES = {
    "alignment_matrix": "How alike are the models?",
    "model_tree": "Which models belong together?",
    "kinship": "What explains how alike they are?",
    "dimensions": "How many dimensions do their vectors have?",
    "probe": "What can be read from their vectors?",
    "system_map": "What do models see?",
}
_COLOR = "group"  # of the map, if it is known


def draw_figures(
    connection: duckdb.DuckDBPyConnection, datasets: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """Draw the figures of each dataset.

    Args:
        connection: A connection to a store, with our functions.
        datasets: The datasets.

    Returns:
        By dataset: name and question of each figure, its specification (`spec`), or None and the
        reason (`missing`); of the map also drawings of its systems, packed (`structures`).
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for dataset in datasets:
        for name, question in FIGURES.items():
            spec, missing = None, None
            try:
                chart = getattr(figures, name)(connection, **_options(connection, name, dataset))
                spec = chart.to_dict()
            except NothingToDraw as nothing:
                missing = str(nothing)
            row = {"name": name, "question": question, "spec": spec, "missing": missing}
            if name == "system_map" and spec is not None:
                systems = chart.answer.table.column("system_id").to_pylist()
                row["structures"] = pack(draw_structures(connection, systems))
            found.setdefault(dataset, []).append(row)
    return found


def _options(connection: duckdb.DuckDBPyConnection, name: str, dataset: str) -> dict[str, Any]:
    """Return what a figure is drawn with: the map is one of several models."""
    if name != "system_map":
        return {"dataset": dataset}
    versions = [version.options for version in per_color(connection, [dataset])]
    return dict(next((o for o in versions if o["color"] == _COLOR), versions[0]))
