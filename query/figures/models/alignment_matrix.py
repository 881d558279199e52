"""How alike all pairs of models see a dataset, as a matrix in the order of their tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import duckdb

from query.figures.drawing.cells import Cells, draw_cells
from query.figures.drawing.chart import finish, inline, layered, picked, tooltips
from query.figures.drawing.glossary import explain_metric
from query.figures.drawing.kinds import Kinds, encode_kinds
from query.figures.drawing.labels import LEFT_OUT, metric_label, sample_label
from query.figures.drawing.looks import OTHER_LOOK, family_looks
from query.figures.drawing.questions import ask_for_tree

_ASIDE = 18  # px between cells and names, for the marks of families
_MARK = 10  # px between cells and the middle of these marks
_TITLES = {
    "model_a": "row",
    "model_b": "column",
    "value": "value",
    "null_mean": "by chance",
    "calibrated": "calibrated",
    "p_value": "p",
    "n": "systems",
    "k": "neighbors, k",
}
_MARKED = {"model_a": "model", "family": "family"}


def alignment_matrix(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    metric: str = "cknna",
    models: Sequence[str] | None = None,
    permutations: int | None = None,
) -> alt.LayerChart:
    """Draw a metric for all pairs of models: row a, column b is metric(a, b).

    Dark is far apart, also for metrics that are lower for closer models; the diagonal is gray, so
    that colors are of the pairs. Undefined values are crosses. The marks beside the names are
    those of the families.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        metric: The name of a metric.
        models: Names of models; None is every trained model and descriptor with vectors there.
        permutations: Random pairings per pair of models, for the value by chance; None is 100.

    Returns:
        The chart; `answer` has one row per cell.

    Raises:
        NothingToDraw: If there are not two models that can be compared.
    """
    answer = ask_for_tree(
        connection,
        "alignment_matrix",
        dataset=dataset,
        metric=metric,
        models=models,
        permutations=permutations,
    )
    places = {row["place_a"]: (row["model_a"], row["family_a"]) for row in answer.rows}
    families = dict(places[place] for place in sorted(places))
    found = dict.fromkeys(sorted(set(families.values())), OTHER_LOOK)
    looks = {
        name: look for name, look in family_looks(connection, dataset).items() if name in found
    }
    names = list(families)
    cells = Cells("model_a", "model_b", names, names, aside=_ASIDE, square=True)
    width, height = cells.size()
    condition = picked("model_a", "model_b")
    chart = layered(
        layered(*draw_cells(answer.rows, metric, cells, _TITLES, condition)),
        _mark_families(families, cells, encode_kinds("family", found | looks)),
        resolve={"scale": {"color": "independent", "shape": "independent"}},
        width=width,
        height=height,
    )
    return finish(
        chart,
        answer,
        f"{metric_label(metric)} on {dataset} ({sample_label(answer.rows)})",
        notes=[*filter(None, [explain_metric(metric)]), *([LEFT_OUT] if models is None else [])],
        models=families,
    )


def _mark_families(families: Mapping[str, str], cells: Cells, kinds: Kinds) -> Any:
    """Draw the mark of each model's family left of its row and below its column."""
    rows = [
        {"model_a": model, "model_b": model, "family": family} for model, family in families.items()
    ]
    marks = (
        alt.Chart(inline(rows, ("model_a", "model_b", "family")))
        .mark_point(filled=True, size=55)
        .encode(color=kinds.color, shape=kinds.shape, tooltip=tooltips(_MARKED))
    )
    below = alt.YValue(alt.ExprRef(f"height + {_MARK}"))
    return layered(
        marks.encode(x=alt.XValue(-_MARK), y=cells.y()), marks.encode(x=cells.x(), y=below)
    )
