"""Controls, models whose alignment is known in advance: can the other numbers be believed?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import duckdb

from query.figures.drawing.chart import fade_unless, finish, inline, layered, tooltips
from query.figures.drawing.guides import axis_of, level
from query.figures.drawing.kinds import Kinds, encode_kinds
from query.figures.drawing.labels import format_fixed, metric_label, sample_label
from query.figures.drawing.looks import COLORS, assign_looks
from query.figures.drawing.questions import NothingToDraw, Row
from query.metrics import find_metric
from query.statements import ask

_LINES = "split(datum.label, ', ')"  # a control in one line, what is expected in the next
_WRONG = COLORS[4]  # the color of what does not hold
_LINE = 11  # px per value
_COLUMN = 72  # px per metric in the table
_TITLES = {
    "control_of": "reference",
    "control": "control",
    "metric": "metric",
    "value": "value",
    "verdict": "verdict",
    "chance_low": "by chance from",
    "chance_high": "to",
    "itself": "reference with itself",
    "p_value": "p",
    "n": "systems",
    "reason": "undefined",
}
_EXPECTED = {
    "same": "should be the same",
    "chance": "should be chance",
    "undefined": "should be undefined",
}


def control_alignment(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    metric: str | None = None,
    k: int | None = None,
    permutations: int | None = None,
) -> alt.HConcatChart:
    """Draw the alignment of each control with its reference, against what it must be.

    The first panel shows where each value lies between chance (0) and the reference with itself
    (1); the gray bars are the permutation null, two standard deviations to either side. The second
    has the values and whether they hold.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        metric: One or several names of metrics, "cknna, cka"; None is those of the statement.
        k: The number of neighbors; None is the metric's default.
        permutations: Random pairings per control, for the value by chance; None is 999.

    Returns:
        The chart; `answer` has one row per control and metric.

    Raises:
        NothingToDraw: If the store has no controls.
    """
    answer = ask(
        connection,
        "control_alignment",
        dataset=dataset,
        metric=metric,
        k=k,
        permutations=permutations,
    )
    if not answer.rows:
        raise NothingToDraw(f"no controls on {dataset}: matterzoo ingest bundled {dataset}")
    looks = {metric_label(name): look for name, look in _looks(answer.rows).items()}
    kinds = encode_kinds("metric", looks)
    expected = {
        row["control"]: f"{row['control']}, {_EXPECTED[row['expected']]}" for row in answer.rows
    }
    rows = [
        row | {"metric": metric_label(row["metric"]), "line": expected[row["control"]]}
        for row in answer.rows
    ]
    good = sum(row["holds"] for row in rows)
    down = alt.Y(
        "line:N",
        title=None,
        sort=list(expected.values()),
        scale=alt.Scale(type="band", paddingInner=0.15, domain=list(expected.values())),
        axis=alt.Axis(domain=False, ticks=False, labelLimit=330, labelExpr=_LINES),
    )
    return finish(
        alt.hconcat(
            _values(rows, down, kinds),
            _table(rows, list(expected.values()), list(looks)),
            spacing=16,
        ).resolve_scale(y="shared"),
        answer,
        f"Controls on {dataset}: {good} of {len(rows)} as expected",
        notes=[
            f"Gray: by chance, mean ± 2 standard deviations ({sample_label(rows)}).",
            *_lower(list(dict.fromkeys(row["metric"] for row in answer.rows))),
        ],
    )


def _lower(metrics: Sequence[str]) -> list[str]:
    """Return which metrics are low for what is alike, if any is."""
    names = [metric_label(name) for name in metrics if find_metric(name).lower_is_closer]
    return [f"Low is alike for {' and '.join(names)}; high is for the others."] if names else []


def _looks(rows: Sequence[Row]) -> dict[str, Any]:
    names = list(dict.fromkeys(row["metric"] for row in rows))
    looks = assign_looks(names)
    return {name: looks[name] for name in names}


def _values(rows: Sequence[Row], down: alt.Y, kinds: Kinds) -> Any:
    """Draw where each value lies between chance and the reference with itself."""
    placed = [row | _place(row) for row in rows if _way(row)]
    x = axis_of(
        "place",
        "from chance to the reference with itself",
        _ends(placed),
        values=[0, 0.5, 1],
        labelExpr="datum.value === 0 ? 'chance' : datum.value === 1 ? 'the same' : 'half way'",
        grid=False,
    )
    columns = [*_TITLES, "line", "place", "start", "end"]
    offset = alt.YOffset("metric:N", sort=kinds.color.to_dict()["scale"]["domain"])
    base = alt.Chart(inline(placed, columns)).encode(y=down, yOffset=offset)
    points = base.mark_point(filled=True, size=45).encode(
        x=x,
        color=kinds.color,
        shape=kinds.shape,
        opacity=fade_unless(kinds.chosen),
        tooltip=tooltips(_TITLES),
    )
    wrong = alt.Chart(inline([row for row in placed if not row["holds"]], columns))
    height = alt.Step(**{"step": _LINE, "for": "offset"})
    return layered(
        *(level(x, place) for place in (0, 1)),
        base.mark_rule(style="line", opacity=0.45, strokeWidth=_LINE - 3).encode(
            x=alt.X("start:Q"), x2=alt.X2(field="end")
        ),
        points.add_params(kinds.chosen),
        wrong.mark_point(size=160, stroke=_WRONG, strokeWidth=2).encode(
            x=x, y=down, yOffset=offset
        ),
        width=300,
        height=height,
    )


def _way(row: Row) -> float:
    """Return how far the reference with itself is from chance; 0 if there is no value."""
    return 0.0 if row["value"] is None else float(row["itself"] - row["null_mean"])


def _place(row: Row) -> dict[str, float]:
    columns = {"place": "value", "start": "chance_low", "end": "chance_high"}
    return {key: (row[name] - row["null_mean"]) / _way(row) for key, name in columns.items()}


def _ends(placed: Sequence[Row]) -> tuple[float, float]:
    values = [row[key] for row in placed for key in ("place", "start", "end")]
    return min([0.0, *values]) - 0.05, max([1.0, *values]) + 0.05


def _table(rows: Sequence[Row], lines: Sequence[str], metrics: Sequence[str]) -> alt.Chart:
    """Write one cell per control and metric, with the value and whether it holds."""
    cells = [
        row
        | {
            "text": ("" if row["holds"] else "× ")
            + ("undefined" if row["value"] is None else format_fixed(row["value"], 3))
        }
        for row in rows
    ]
    wrong = {"condition": [{"test": "!datum.holds", "value": _WRONG}]}
    axis = alt.Axis(orient="top", domain=False, ticks=False, labelLimit=200, labelAngle=-30)
    return (
        alt.Chart(inline(cells, [*_TITLES, "line", "text", "holds"]))
        .mark_text(style="ink", fontSize=11)
        .encode(
            x=alt.X("metric:N", sort=list(metrics), title=None, axis=axis),
            y=alt.Y("line:N", sort=list(lines), axis=None),
            text=alt.Text(field="text", type="nominal"),
            color=wrong,
            tooltip=tooltips(_TITLES),
        )
        .properties(name="written", width=_COLUMN * len(metrics))  # figures.js knows this name
    )
