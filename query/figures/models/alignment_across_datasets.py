"""How alike pairs of models see one dataset, against how alike they see another."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import altair as alt
import duckdb

from query.figures.drawing.chart import finish, layered
from query.figures.drawing.guides import axis_of, chance_levels, diagonal, word
from query.figures.drawing.kinds import Kinds
from query.figures.drawing.labels import metric_label
from query.figures.drawing.looks import family_looks
from query.figures.drawing.pairs import (
    Cloud,
    count_undefined,
    draw_pairs,
    encode_pairs,
    name_outstanding,
)
from query.figures.drawing.questions import NothingToDraw, Row
from query.metrics import find_metric
from query.statements import ask

_SIDE = 320  # px of a panel
_EDGE = 30  # px at the top and at the bottom of a panel, where two lines of words stand
_ROOM = 0.08  # of the span of the values, beyond them
_TITLES = {
    "model_a": "model",
    "model_b": "and",
    "on_a": "on the first dataset",
    "on_b": "on the second",
    "calibrated_a": "calibrated on the first",
    "calibrated_b": "calibrated on the second",
    "n_a": "systems",
    "k": "neighbors, k",
}


def alignment_across_datasets(
    connection: duckdb.DuckDBPyConnection,
    dataset_a: str,
    dataset_b: str,
    *,
    metric: str | None = None,
    models: Sequence[str] | None = None,
    k: int | None = None,
    seed: int | None = None,
    permutations: int | None = None,
) -> alt.HConcatChart:
    """Draw the alignment of each pair of models on one dataset against that on another.

    There is one panel per metric. Both datasets are narrowed to equally many systems, since values
    depend on how many there are. Which dataset a model was trained near to, you have to judge.

    Args:
        connection: A connection to a store, with our functions.
        dataset_a: The name of the dataset across.
        dataset_b: The name of the dataset up.
        metric: One or several names of metrics, "cka, rsa"; None is those of the statement.
        models: Names of models; None is every trained model and descriptor with vectors on both.
        k: The number of neighbors; None is the metric's default.
        seed: Chooses the systems; None is 0.
        permutations: Random pairings per pair of models, for the value by chance, which takes
            most of the time; None is 20.

    Returns:
        The chart; `answer` has one row per pair and metric.

    Raises:
        NothingToDraw: If fewer than two models have vectors on both datasets.
    """
    answer = ask(
        connection,
        "alignment_across_datasets",
        dataset_a=dataset_a,
        dataset_b=dataset_b,
        metric=metric,
        models=models,
        k=k,
        seed=seed,
        permutations=permutations,
    )
    drawn = [row for row in answer.rows if row["on_a"] is not None and row["on_b"] is not None]
    if not drawn:
        raise NothingToDraw(
            f"two models with vectors on both {dataset_a} and {dataset_b} are needed: "
            "matterzoo ingest MODEL DATASET"
        )
    kinds = encode_pairs(drawn, family_looks(connection, dataset_a, dataset_b))
    panels = [
        layered(
            *_panel(
                [row for row in drawn if row["metric"] == name],
                (dataset_a, dataset_b),
                kinds,
                place,
            ),
            width=_SIDE,
            height=_SIDE,
        )
        for place, name in enumerate(sorted({row["metric"] for row in drawn}))
    ]
    return finish(
        alt.hconcat(*panels),
        answer,
        f"Alignment on {dataset_a} against {dataset_b}",
        notes=count_undefined(answer.rows, ("on_a", "on_b")),
        models=[row[name] for row in drawn for name in ("model_a", "model_b")],
    )


def _panel(
    drawn: Sequence[Row], datasets: Sequence[str], kinds: Kinds, place: int
) -> list[alt.Chart]:
    """Draw equal axes, the diagonal, what chance gives, the pairs, and the counts."""
    ends = _ends(drawn)
    metric = metric_label(drawn[0]["metric"])
    x = axis_of("on_a", f"{metric} on {datasets[0]} (n = {drawn[0]['n_a']})", ends)
    y = axis_of("on_b", f"{metric} on {datasets[1]} (n = {drawn[0]['n_b']})", ends, across=False)
    chance = _chance(x, y, drawn)
    layers = [diagonal(x, y, ends), *chance[:-1]]
    cloud = Cloud(x, y, ("on_a", "on_b"), _TITLES, {})
    layers += draw_pairs(drawn, cloud, kinds, place)
    low_is_alike = find_metric(drawn[0]["metric"]).lower_is_closer
    names = name_outstanding(drawn, cloud, _SIDE, low_is_alike=low_is_alike, edge=_EDGE)
    # Words over points, to be read.
    return [*layers, names, *chance[-1:], *_counts(drawn, datasets)]


def _ends(drawn: Sequence[Row]) -> tuple[float, float]:
    """Return the ends of both axes, with room for marks, and for words in two corners."""
    columns = ("on_a", "on_b", "null_mean_a", "null_mean_b")
    values = [row[column] for row in drawn for column in columns if row[column] is not None]
    low, high = min(values), max(values)
    room = _ROOM * (high - low) or _ROOM
    return low - room, high + room


def _chance(x: Any, y: Any, drawn: Sequence[Row]) -> list[alt.Chart]:
    if drawn[0]["null_mean_a"] is None:
        return []
    across, up = ([row[name] for row in drawn] for name in ("null_mean_a", "null_mean_b"))
    label = alt.Chart({"values": [{"on_b": max(up), "text": "chance"}]})
    # On the side that has no count of pairs at this height.
    lower = find_metric(drawn[0]["metric"]).lower_is_closer
    side: dict[str, Any] = {"align": "right", "dx": -4} if lower else {"align": "left", "dx": 4}
    words = label.mark_text(style="soft", dy=-6, **side).encode(
        x=alt.XValue("width" if lower else 0), y=y, text=alt.Text(field="text", type="nominal")
    )
    return [*chance_levels(x, across), *chance_levels(y, up), words]


def _counts(drawn: Sequence[Row], datasets: Sequence[str]) -> list[alt.Chart]:
    """Write on each side of the diagonal how many pairs are there."""
    above, below = (
        sum(side(row["on_b"], row["on_a"]) for row in drawn) for side in (operator.gt, operator.lt)
    )
    lower_is_closer = find_metric(drawn[0]["metric"]).lower_is_closer
    upper, lower = datasets if lower_is_closer else reversed(datasets)
    return [
        word(f"more alike on {upper}:\n{above:,} of {len(drawn):,} pairs", 8, 12),
        word(
            f"more alike on {lower}:\n{below:,} of {len(drawn):,} pairs",
            *("width", "height"),
            align="right",
            dx=-6,
            dy=-52,
        ),
    ]
