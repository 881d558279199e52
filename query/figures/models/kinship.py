"""What explains how alike trained models are: a common family, common training data, or neither."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import duckdb

from query.figures.drawing.chart import finish, inline, layered, tooltips
from query.figures.drawing.guides import word
from query.figures.drawing.kinds import Kinds
from query.figures.drawing.labels import (
    direction_label,
    format_counts,
    format_fixed,
    format_p,
    metric_label,
    sample_label,
)
from query.figures.drawing.looks import family_looks
from query.figures.drawing.pairs import Cloud, draw_pairs, encode_pairs
from query.figures.drawing.questions import NothingToDraw, Row
from query.statements import ask
from zoo.terminal import first_of, plural

_LABELS = {
    "same-family": "same family",
    "same-training-data": "same training data",
    "neither": "neither",
    "unknown-training-data": "unknown training data",
}
_GOLDEN = 0.618034  # the golden ratio: its multiples spread evenly, whatever their number
_STRIP = 96  # px per relation
_WORDS = 16  # px from the top of a strip to the middle of its two lines of words
_SPREAD = 0.52  # of a strip, how wide its points are spread
_MIDDLE = 0.07  # of a strip, by which the points stand below its middle, and so below its words
_MEAN = 0.46  # of a strip, by which the mean stands below its middle
_ALIKE = "no p-value, as any shuffle of the models gives the same pairs"
_DRAWN = "no interval"  # how a warning begins that the figure shows in its own way
_LEAST = 5  # pairs that have an interval; random parts of fewer only find their ends again
_MOST = "SELECT max(n) FROM models_on(?) WHERE kind = 'model'"
_SHOWN = 3  # names of training sets in a tooltip
_TITLES = {
    "model_a": "model",
    "model_b": "and",
    "value": "value",
    "sets": "both trained on",
    "n": "systems",
    "k": "neighbors, k",
}
_MEANS = {
    "relation": "pairs of",
    "value": "mean",
    "low": "95 % interval from",
    "high": "to",
    "n_pairs": "pairs",
    "n_models": "models",
    "warning": "note",
    "reason": "and",
}


def kinship(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    *,
    metric: str = "cknna",
    k: int | None = None,
    permutations: int | None = None,
) -> alt.LayerChart:
    """Draw the alignments of all pairs of trained models, one strip per relation.

    Below each strip stands the mean with its 95 % interval; above it, the test against the pairs
    that have neither family nor training data in common. All pairs are compared over the systems
    that all trained models have, unless these are less than half of what one has.

    Args:
        connection: A connection to a store, with our functions.
        dataset: The name of a dataset.
        metric: The name of a metric.
        k: The number of neighbors; None is the metric's default.
        permutations: Permutations of the test; None is 9999, 0 is no test.

    Returns:
        The chart; `answer` has one row per pair.

    Raises:
        NothingToDraw: If there are not two pairs of trained models with vectors.
    """
    how = {"dataset": dataset, "metric": metric, "k": k, "permutations": permutations}
    # Values depend on n, so that relations are compared over systems that all models have.
    answer = ask(connection, "kinship", **how, missing="common")
    if _share_few(connection, dataset, answer.rows):
        answer = ask(connection, "kinship", **how, missing="pairwise")
    pairs = [row for row in answer.rows if row["value"] is not None]
    if not pairs:
        raise NothingToDraw(
            f"two models with training sets and vectors on {dataset} are needed: "
            f"matterzoo ingest MODEL {dataset}"
        )
    if len(pairs) == 1:
        names = f"{pairs[0]['model_a']} and {pairs[0]['model_b']}"
        raise NothingToDraw(
            f"{names} are the only pair of trained models on {dataset}, with nothing to compare "
            f"it to: matterzoo ingest MODEL {dataset}"
        )
    found = {row["relation"] for row in answer.rows}
    relations = [relation for relation in _LABELS if relation in found]
    kinds = encode_pairs(pairs, family_looks(connection, dataset))
    title = f"{metric_label(metric)} ({direction_label(metric)}, {sample_label(answer.rows)})"
    return finish(
        _draw(answer.rows, relations, title, kinds),
        answer,
        f"What explains {metric_label(metric)} on {dataset}",
        notes=_notes(answer.rows),
        models=[row[name] for row in pairs for name in ("model_a", "model_b")],
    )


def _share_few(connection: duckdb.DuckDBPyConnection, dataset: str, rows: Sequence[Row]) -> bool:
    """Return whether all models have less than half of the systems in common that one has."""
    ((most,),) = connection.execute(_MOST, [dataset]).fetchall()
    common = max((row["n"] for row in rows if row["value"] is not None), default=0)
    return 2 * common < (most or 0)


def _draw(rows: Sequence[Row], relations: Sequence[str], title: str, kinds: Kinds) -> Any:
    """Draw one strip per relation: its pairs, its mean below them, its test above."""
    order = [_LABELS[relation] for relation in relations]
    x = alt.X("value:Q", title=title, scale=alt.Scale(zero=False))
    y = alt.Y(
        "relation:N",
        title=None,
        sort=order,
        scale=alt.Scale(type="band", domain=order),
        axis=alt.Axis(domain=False, ticks=False),
    )
    aside = alt.YOffset("aside:Q", scale=alt.Scale(domain=[-0.5, 0.5]))
    neither = any(row["relation"] == "neither" and row["n_pairs"] for row in rows)
    points, means, words = [], [], []
    for place, relation in enumerate(relations):
        mine = [row for row in rows if row["relation"] == relation]
        points += _spread([row for row in mine if row["value"] is not None])
        means += [_mean(mine[0])] if mine[0]["mean"] is not None else []
        test = _describe(mine, "neither" if neither else "same data")
        words.append(word(test, 0, _STRIP * place + _WORDS, dx=6))
    cloud = Cloud(x, y, ("value", "relation", "aside"), _TITLES, {"yOffset": aside})
    columns = [*_MEANS, "aside"]
    middles, lines = (
        alt.Chart(inline(some, columns)).encode(y=y, yOffset=aside)
        for some in (means, [row for row in means if row["low"] is not None])
    )
    layers = [
        *draw_pairs(points, cloud, kinds, zooming=False),
        lines.mark_rule(style="ink", strokeWidth=2).encode(
            x=alt.X("low:Q"), x2=alt.X2(field="high")
        ),
        middles.mark_point(style="ink", shape="diamond", filled=True, size=80).encode(
            x=x, tooltip=tooltips(_MEANS)
        ),
    ]
    height = alt.Step(**{"step": _STRIP, "for": "position"})
    return layered(*layers, *words, width=460, height=height)


def _notes(rows: Sequence[Row]) -> list[str]:
    """Return what diamonds are, what limits the test, and how many models were left out."""
    means = {row["relation"]: row for row in rows if row["mean"] is not None}
    lacking = [_ends(row)[0] is None for row in means.values()]
    some = ", where there are models and pairs enough for one" if any(lacking) else ""
    interval = "" if all(lacking) else f", with its 95 % interval{some}"
    words = [f"Diamonds: the mean of each relation{interval}."]
    for relation, row in means.items():
        label = _LABELS[relation].capitalize()
        parts = (row["warning"] or "").split("; ")
        limits = [part for part in parts if part and not part.startswith(_DRAWN)]
        alike = [_ALIKE] if row["p_value"] is None and row["reason"] else []
        words += [f"{label}: {'; '.join((*limits, *alike))}."] if limits or alike else []
    sizes = {row["n"] for row in rows if row["value"] is not None}
    if len(sizes) > 1:
        words.append(
            f"Pairs share {format_counts(sizes)} systems: values depend on how many, so "
            "compare relations with care."
        )
    left_out = next((row["n_models"] for row in rows if row["relation"] not in _LABELS), 0)
    if left_out:
        words.append(
            f"Left out: {left_out} that were not trained (descriptors, twins, controls), or on "
            "nothing known."
        )
    return words


def _spread(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with how far aside they stand, so that those of one value are apart."""
    return [
        row
        | {
            "relation": _LABELS[row["relation"]],
            "aside": round(_MIDDLE + _SPREAD * (i * _GOLDEN % 1 - 0.5), 4),
            "sets": first_of(row["common_sets"] or [], _SHOWN) or None,
        }
        for i, row in enumerate(rows)
    ]


def _mean(row: Row) -> Row:
    """Return the mean of a relation, with its interval if it has one."""
    low, high = _ends(row)
    place = {"relation": _LABELS[row["relation"]], "value": row["mean"], "aside": _MEAN}
    return row | place | {"low": low, "high": high}


def _ends(row: Row) -> tuple[float | None, float | None]:
    """Return the interval of a mean, none of a few pairs."""
    return (row["low"], row["high"]) if row["n_pairs"] >= _LEAST else (None, None)


def _describe(rows: Sequence[Row], baseline: str) -> str:
    """Return the mean of a relation, its range if pairs are few, and its difference from others."""
    row, values = rows[0], [row["value"] for row in rows if row["value"] is not None]
    words = [plural(row["n_pairs"] or 0, "pair")]
    if row["mean"] is not None:
        words.append(f"mean {format_fixed(row['mean'], 2)}")
    if 1 < len(values) < _LEAST:
        ends = [format_fixed(end, 2) for end in (min(values), max(values))]
        words[-1] += f", range {' to '.join(ends)}"
    if row["difference"] is not None:
        words.append(f"{_difference(row['difference'])} {baseline}")
        p = row["p_value"]
        words.append("no p-value" if p is None else format_p(p, row["p_least"]))
    return "\n".join(line for line in (", ".join(words[:2]), ", ".join(words[2:])) if line)


def _difference(value: float) -> str:
    """Return '+0.24 against' or, of what is nothing in two digits, 'within 0.005 of'."""
    rounded = format_fixed(value, 2, sign=True)
    return f"{rounded} against" if rounded.strip("+−0.") else "within 0.005 of"
