"""What the table functions answer, as lists of rows. Arguments come from SQL, where NULL means the default."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, product

import duckdb
import numpy as np

from query.metrics import find_metric
from query.reading.selection import (
    Selection,
    at_least_one,
    choose_datasets,
    choose_sources,
    find_dataset,
    find_source,
)
from query.statistics import neighbor_joining as tree
from query.tables.options import How
from query.tables.pairs import ROW, Row, align_pairs

Connection = duckdb.DuckDBPyConnection
Names = Sequence[str] | None

NEAREST_MODEL = (
    "STRUCT(rank BIGINT, model_id VARCHAR, dataset VARCHAR, value DOUBLE, calibrated DOUBLE, p_value DOUBLE, "
    "n BIGINT, n_distinct BIGINT, dropped_a BIGINT, dropped_b BIGINT, metric VARCHAR, estimator VARCHAR, "
    "normalization VARCHAR, k BIGINT, null_mean DOUBLE, null_std DOUBLE, low DOUBLE, high DOUBLE, warning VARCHAR, "
    "reason VARCHAR)"
)
MATRIX = ROW.replace("warning VARCHAR", "place_a BIGINT, place_b BIGINT, warning VARCHAR")
NO_PLACE: Row = {"place_a": None, "place_b": None}
TREE = "STRUCT(node BIGINT, parent BIGINT, model_id VARCHAR, branch_length DOUBLE, reason VARCHAR, newick VARCHAR)"


def alignment(
    connection: Connection,
    model_a: str,
    model_b: str,
    dataset: str | None,
    systems: Names,
    how: How,
) -> list[Row]:
    """Two models: one row of `alignment.ROW` a dataset and metric."""
    pair = (find_source(connection, model_a), find_source(connection, model_b))
    datasets = choose_datasets(connection, dataset, pair)
    return align_pairs(connection, {select(name, systems): [pair] for name in datasets}, how)


def alignment_matrix(
    connection: Connection,
    dataset: str | None,
    models: Names,
    systems: Names,
    missing: str | None,
    ordered: bool | None,
    how: How,
) -> list[Row]:
    """All ordered pairs of models, also of a model with itself: rows of `MATRIX`.

    ordered: True adds place_a and place_b, the order of the leaves of a tree of these values.
    """
    pairs = {}
    for name in datasets_of(connection, dataset, models):
        sources = choose_sources(connection, models, name)
        pairs[select(name, systems)] = list(product(sources, sources))
    rows = [row | NO_PLACE for row in align_pairs(connection, pairs, how, missing)]
    if ordered:
        groups: dict[tuple[str, str], list[Row]] = {
            (name.dataset, metric): [] for name in pairs for metric in how.metrics
        }
        for row in rows:
            groups[row["dataset"], row["metric"]].append(row)
        for (name, _), group in groups.items():
            _place(name, group)
    return rows


def _place(dataset: str, rows: Sequence[Row]) -> None:
    """Fill in place_a and place_b of all ordered pairs of some models by one metric; undefined models have none."""
    nodes, _, _ = grow_tree(dataset, rows)
    leaves = [node.name for node in nodes if node.name is not None]
    places = {label: place for place, label in enumerate(leaves, start=1)}
    for row in rows:
        row |= {"place_a": places.get(row["model_a"]), "place_b": places.get(row["model_b"])}


def grow_tree(dataset: str, rows: Sequence[Row]) -> tuple[list[tree.Node], str, dict[str, str]]:
    """The tree of all ordered pairs of some models, its Newick text, and why other models have no place in it.

    Of a metric that falls with likeness, the tree is that of the largest value minus each. Raises ValueError where fewer
    than two models are aligned.
    """
    labels, values, reasons = _as_matrix(rows)
    if rows and find_metric(rows[0]["metric"]).lower_is_closer:
        values = np.nan_to_num(values).max() - values
    kept, left_out = without_undefined(labels, values, reasons)
    if len(kept) < 2:
        why = "; ".join(f"{label}: {reason}" for label, reason in left_out.items())
        raise ValueError(
            f"a tree needs two models aligned on {dataset}, found {len(kept)} ({why or 'no vectors'})"
        )
    return *tree.join([labels[i] for i in kept], values[np.ix_(kept, kept)]), left_out


def _as_matrix(rows: Sequence[Row]) -> tuple[list[str], tree.Matrix, np.ndarray]:
    """The models of all ordered pairs, their values (n, n), NaN where undefined, and the reasons (n, n)."""
    labels = list(dict.fromkeys(row["model_a"] for row in rows))
    size = (len(labels), len(labels))
    values = np.array([np.nan if row["value"] is None else row["value"] for row in rows])
    reasons = np.array([row["reason"] for row in rows], dtype=object)
    return labels, values.reshape(size), reasons.reshape(size)


def nearest_models(
    connection: Connection,
    model: str,
    dataset: str | None,
    top: int | None,
    models: Names,
    how: How,
) -> list[Row]:
    """The models most aligned with this one, the closest first, undefined ones last: rows of `NEAREST_MODEL`.

    `top` of them a dataset and metric.
    """
    count = at_least_one("top", top, default=10)
    asked = find_source(connection, model)
    pairs = {}
    for name in choose_datasets(connection, dataset, [asked]):
        others = [source for source in choose_sources(connection, models, name) if source != asked]
        pairs[select(name, None)] = [(asked, other) for other in others]
    found = align_pairs(connection, pairs, how)
    groups = groupby(found, lambda row: (row["dataset"], row["metric"]))
    return [row for _, rows in groups for row in _closest(list(rows), count)]


def model_tree(
    connection: Connection, dataset: str | None, models: Names, missing: str | None, how: How
) -> list[Row]:
    """The tree's nodes, depth first, then the models that have no place in it with the reason: rows of `TREE`."""
    name = find_dataset(connection, dataset)
    metric = how.one_metric("model_tree")
    if find_metric(metric).lower_is_closer:
        raise ValueError(
            f"model_tree needs a metric that grows with likeness, and {metric} falls: take cknna, or cka"
        )
    rows = alignment_matrix(connection, name, models, None, missing, False, how)
    nodes, newick, left_out = grow_tree(name, rows)
    drawn = [
        (node.number, node.parent, node.name, node.branch_length, None, newick) for node in nodes
    ]
    outside = [(None, None, label, None, reason, newick) for label, reason in left_out.items()]
    columns = ("node", "parent", "model_id", "branch_length", "reason", "newick")
    return [dict(zip(columns, values, strict=True)) for values in (*drawn, *outside)]


def select(dataset: str, systems: Names) -> Selection:
    return Selection(dataset, None if systems is None else tuple(systems))


def datasets_of(connection: Connection, dataset: str | None, models: Names) -> list[str]:
    """The dataset asked for, or all on which the named models (without names: any) have vectors."""
    named = None if models is None else [find_source(connection, model) for model in models]
    return choose_datasets(connection, dataset, named)


def _closest(rows: list[Row], count: int) -> list[Row]:
    """The first few of one metric's rows as rows of `NEAREST_MODEL`."""
    sign = 1 if find_metric(rows[0]["metric"]).lower_is_closer else -1
    # Rounded, so that of models equally aligned the first by name comes first.
    rows.sort(
        key=lambda row: (
            row["value"] is None,
            sign * round(row["value"] or 0.0, 12),
            row["model_b"],
        )
    )
    return [_ranked(place, row) for place, row in enumerate(rows[:count], start=1)]


def _ranked(place: int, row: Row) -> Row:
    model_id = {"rank": None if row["value"] is None else place, "model_id": row["model_b"]}
    return model_id | {
        name: value for name, value in row.items() if name not in ("model_a", "model_b")
    }


def without_undefined(
    labels: list[str], values: tree.Matrix, reasons: np.ndarray
) -> tuple[list[int], dict[str, str]]:
    """The models that are aligned with each other, and the rest with a reason; the one with most gaps goes first."""
    kept = list(range(len(labels)))
    left_out: dict[str, str] = {}
    while kept and np.isnan(values[np.ix_(kept, kept)]).any():
        gaps = np.isnan(values[np.ix_(kept, kept)]).sum(axis=1)
        worst = kept.pop(int(gaps.argmax()))
        left_out[labels[worst]] = next(reason for reason in reasons[worst] if reason is not None)
    return kept, left_out
