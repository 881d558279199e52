"""The figures of a site's datasets, as specifications of Vega-Lite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
from altair.utils.schemapi import debug_mode

from query import figures
from query.assets import pack
from query.figures import NothingToDraw
from query.figures.drawing.labels import color_label
from query.report.versions import per_color
from query.site.addresses import slug
from query.structures import draw_structures

# By name, the question that each answers.
FIGURES = {
    "alignment_matrix": "How alike are the models?",
    "model_tree": "Which models belong together?",
    "kinship": "What explains how alike they are?",
    "dimensions": "In how many directions do their vectors vary?",
    "probe": "What can be read from their vectors?",
    "system_map": "What do models see?",
}
_COLOR = "group"  # of the map at first, if it is known


def draw_figure(connection: duckdb.DuckDBPyConnection, name: str, dataset: str) -> dict[str, Any]:
    """Draw a figure of a dataset.

    Args:
        connection: A connection to a store, with our functions.
        name: One of FIGURES.
        dataset: The dataset.

    Returns:
        Name and question of the figure, its versions (`versions`), which is none with the reason
        (`missing`) where there is nothing to draw; of the map also drawings of its systems, packed
        (`structures`). A version has its specification (`spec`, and `packed` for a page), the name
        of its file (`file`) and what it is called among the others (`label`).
    """
    try:
        with debug_mode(False):  # or Altair would validate each part of a figure as it is made
            charts = list(_charts(connection, name, dataset))
    except NothingToDraw as nothing:
        return missing_figure(name, str(nothing))
    figure = missing_figure(name, None)
    if name == "system_map":
        systems = charts[0][1].answer.table.column("system_id").to_pylist()
        figure["structures"] = pack(draw_structures(connection, systems))
    versions: list[dict[str, Any]] = []
    for color, chart in charts:
        spec = chart.to_dict(validate=False)
        file = f"{name}-{slug(color)}" if versions else name
        label = color_label(color) + _by_a_model(connection, chart)
        versions.append({"label": label, "file": file, "spec": spec, "packed": pack(spec)})
    return figure | {"versions": versions}


def missing_figure(name: str, reason: str | None) -> dict[str, Any]:
    """Return a figure without versions.

    Args:
        name: One of FIGURES.
        reason: Why it has none.
    """
    question = FIGURES[name]
    return {
        "name": name,
        "question": question,
        "missing": reason,
        "structures": None,
        "versions": [],
    }


def _by_a_model(connection: duckdb.DuckDBPyConnection, chart: Any) -> str:
    """Return " predicted by …" if the color of a map is a label that a model gave."""
    sources = {row.get("source") for row in chart.answer.rows[:1]} - {None}
    sql = "SELECT model_id FROM models WHERE list_contains(?, model_id)"
    found = connection.execute(sql, [sorted(sources)]).fetchall()
    return "".join(f" predicted by {name}" for (name,) in found)


def _charts(
    connection: duckdb.DuckDBPyConnection, name: str, dataset: str
) -> Iterator[tuple[str, Any]]:
    """Yield a figure, the map by principal components once per color, with the color's name."""
    draw = getattr(figures, name)
    if name != "system_map":
        yield "", draw(connection, dataset=dataset)
        return
    of_colors = {
        version.options["color"]: version.options
        for version in per_color(connection, [dataset])
        if version.options["method"] == "pca"
    }
    for color in sorted(of_colors, key=lambda color: color != _COLOR):
        yield color, draw(connection, **of_colors[color])
