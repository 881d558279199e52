"""Do models err more on what is novel to them?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import duckdb

from query.figures.drawing.chart import finish, layered
from query.figures.drawing.guides import axis_of, level
from query.figures.drawing.kinds import Kinds, encode_kinds
from query.figures.drawing.labels import property_label
from query.figures.drawing.looks import family_looks
from query.figures.drawing.model_rows import draw_rows, row_axis
from query.figures.drawing.questions import NothingToDraw, Row, ask_unless_missing

_ROW = 20  # px per model
_ROOM = 1.5  # from the lowest and the highest error to the ends of the axis, as a factor
_TITLES = {
    "model_id": "model",
    "spearman": "rank correlation of novelty and error",
    "low": "95 % interval from",
    "high": "to",
    "p_value": "p",
    "novel_error": "error of the most novel quarter (eV/atom)",
    "other_error": "error of the others (eV/atom)",
    "n": "systems",
    "n_reference": "systems of the reference",
}


def novelty_errors(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    reference: str | None = None,
    property: str | None = None,
    source: str | None = None,
    method: str | None = None,
    k: int | None = None,
) -> alt.HConcatChart:
    """Draw each model's errors of energies on what is novel to it, and on the rest.

    One panel has a row per model: the rank correlation of novelty and error per atom with its
    95 % interval. The other has the mean error of the most novel quarter, and as a ring that of the
    other systems.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The dataset whose systems are judged.
        reference: The dataset by which they are; None is the dataset itself.
        property: Which labels; None is the only property that is an energy.
        source: Who made the labels; None is the only one that is no model.
        method: 'knn' or 'mahalanobis'; None is 'knn'.
        k: Which neighbor of 'knn'; None is 10.

    Returns:
        The chart; `answer` has one row per model.

    Raises:
        NothingToDraw: If there are no energies.
    """
    given = {"property": property, "source": source, "method": method, "k": k}
    answer = ask_unless_missing(
        connection,
        "novelty_errors",
        "no labels of",
        f"; encoders of potentials give energies: matterzoo ingest MODEL {dataset}",
        dataset=dataset,
        reference=reference,
        **given,
    )
    rows = [row | {"row_of": row["model_id"]} for row in answer.rows]
    known = [row for row in rows if row["spearman"] is not None]
    if not known:
        reasons = "; ".join(dict.fromkeys(row["reason"] for row in rows))
        none = f"no model has energies there: matterzoo ingest MODEL {dataset}"
        raise NothingToDraw(f"novelty and error cannot be compared on {dataset}: {reasons or none}")
    found, first = {row["family"] for row in rows}, known[0]
    looks = family_looks(connection, dataset)
    kinds = encode_kinds("family", {name: look for name, look in looks.items() if name in found})
    return finish(
        _draw(rows, known, kinds),
        answer,
        f"Errors on what is novel: {dataset} beside {first['reference']}",
        notes=[
            "Rank correlations: lines are 95 % intervals over systems. Mean errors: filled, the "
            "quarter of the systems that is the most novel to a model; rings, the others.",
            f"Errors against {property_label(first['property'])} of {first['source']}, "
            "composition taken out.",
        ],
        models=[row["row_of"] for row in rows],
    )


def _draw(rows: Sequence[Row], known: Sequence[Row], kinds: Kinds) -> Any:
    names = [row["row_of"] for row in rows]
    rank = axis_of("spearman", "rank correlation of novelty and error", (-1, 1), tickCount=5)
    left = [level(rank, 0), *draw_rows(rows, rank, row_axis(names), kinds, _TITLES)]
    left[-1] = left[-1].add_params(kinds.chosen)
    errors = [row[name] for row in known for name in ("novel_error", "other_error") if row[name]]
    ends = [min(errors, default=1) / _ROOM, max(errors, default=1) * _ROOM]
    scale = alt.Scale(type="log", domain=ends, nice=False, clamp=True)
    right = []
    for column, hollow in (("other_error", True), ("novel_error", False)):
        x = alt.X(
            field=column,
            type="quantitative",
            title="mean error (eV/atom)",
            scale=scale,
            axis=alt.Axis(format="~g", tickCount=5),
        )
        y = row_axis(names, labels=False)
        right += draw_rows(known, x, y, kinds, _TITLES, ends=None, hollow=hollow)
    height = alt.Step(_ROW)
    return alt.hconcat(
        layered(*left, width=280, height=height),
        layered(*right, width=280, height=height),
        spacing=24,
    )
