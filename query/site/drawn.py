"""The figures of a site's datasets, as specifications of Vega-Lite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from query import figures
from query.figures import NothingToDraw

# By name, the question that each answers.
FIGURES = {
    "alignment_matrix": "How alike are the models?",
    "model_tree": "Which models belong together?",
    "kinship": "What explains how alike they are?",
    "dimensions": "How many dimensions do their vectors have?",
    "probe": "What can be read from their vectors?",
}


def draw_figures(
    connection: duckdb.DuckDBPyConnection, datasets: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """Draw the figures of each dataset.

    Args:
        connection: A connection to a store, with our functions.
        datasets: The datasets.

    Returns:
        By dataset: name and question of each figure, its specification (`spec`), or None and the
        reason (`missing`).
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for dataset in datasets:
        for name, question in FIGURES.items():
            spec, missing = None, None
            try:
                spec = getattr(figures, name)(connection, dataset).to_dict()
            except NothingToDraw as nothing:
                missing = str(nothing)
            row = {"name": name, "question": question, "spec": spec, "missing": missing}
            found.setdefault(dataset, []).append(row)
    return found
