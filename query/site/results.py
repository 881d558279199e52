"""What a site shows, read from a store once."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import duckdb
import pyarrow as pa

from query.figures.drawing.labels import natural_order
from query.statements import ask

METRICS = ("cknna", "cka")  # by neighbors, and by all distances
_SUBSAMPLES = (
    20  # of which intervals are, as in the figures; half as long again as values and nulls
)
Row = dict[str, Any]
Pair = tuple[str, str]  # two ids, in alphabetical order

_DATASETS = """
SELECT dataset, title, source, license, n_systems, n_unreadable, dataset_hash
FROM datasets WHERE list_contains($datasets, dataset) ORDER BY list_position($datasets, dataset)
"""
_SCORES = """
SELECT model_id, score, value, unit, test_set, source FROM scores
WHERE list_contains($models, model_id) ORDER BY ALL
"""
_CARDS = """
SELECT model_id, title, untrained_of, card FROM models WHERE list_contains($models, model_id)
"""
_RUNS = """
SELECT model_id, dataset, runtime, device, dtype, sum(sent)::BIGINT AS sent, sum(ok)::BIGINT AS ok,
    sum(failed)::BIGINT AS failed, sum(not_applicable)::BIGINT AS not_applicable,
    sum(seconds) AS seconds
FROM runs WHERE list_contains($datasets, dataset) AND status = 'ok' GROUP BY ALL ORDER BY ALL
"""


def unlikeness(row: Row) -> tuple[bool, float, float]:
    """Return what alignments of one metric are ordered by: the most alike first, undefined last.

    It is what is above chance, as values of pairs that share other numbers of systems cannot be
    compared; of equal ones, the value.

    Args:
        row: A row of `alignment_matrix`.
    """
    return row["value"] is None, -(row["calibrated"] or 0.0), -(row["value"] or 0.0)


@dataclass(frozen=True)
class Results:
    """All that is shown.

    Attributes:
        tables: By name, the tables that the site also has as Parquet: datasets, models, alignments,
            dimensions, exposure, scores, runs, failures.
        datasets: The datasets, in the order in which they were named.
        models: By id, what `provenance_models` says, with title, untrained_of, card and cite.
        alignments: By dataset, metric and pair (two ids in alphabetical order, or one twice), a
            row of `alignment_matrix`.
    """

    tables: dict[str, pa.Table]
    datasets: list[Row]
    models: dict[str, Row]
    alignments: dict[tuple[str, str, Pair], Row]

    def rows(self, table: str, **where: Any) -> list[Row]:
        """Return the rows of a table with some values.

        Args:
            table: Its name.
            where: Values by column.
        """
        rows = self._lists[table]
        return [row for row in rows if all(row[name] == value for name, value in where.items())]

    @cached_property
    def _lists(self) -> dict[str, list[Row]]:
        """The tables as rows, made once for all pages."""
        return {name: table.to_pylist() for name, table in self.tables.items()}

    def neighbors(self, model: str, dataset: str) -> list[Row]:
        """Return the other models on a dataset, the most alike first, undefined ones last.

        Args:
            model: A model's id.
            dataset: A dataset.

        Returns:
            By metric, the row of `alignment_matrix`; and `other`, the other model's id. The first
            of METRICS says who is most alike.
        """
        rows = self._others.get((dataset, model), {}).values()
        return sorted(rows, key=lambda row: unlikeness(row[METRICS[0]]))

    @cached_property
    def _others(self) -> dict[tuple[str, str], dict[str, Row]]:
        """By dataset and model, what `neighbors` returns by the other model, sorted out once."""
        found: dict[tuple[str, str], dict[str, Row]] = defaultdict(dict)
        for (dataset, metric, (a, b)), row in self.alignments.items():
            for one, other in ((a, b), (b, a)) if a != b else ():
                found[dataset, one].setdefault(other, {"other": other})[metric] = row
        return found

    @cached_property
    def pairs(self) -> dict[Pair, list[Row]]:
        """The alignments of each pair of models, over all datasets and metrics."""
        found: dict[Pair, list[Row]] = defaultdict(list)
        for (_, _, pair), row in self.alignments.items():
            if pair[0] != pair[1]:
                found[pair].append(row)
        return dict(sorted(found.items()))

    @cached_property
    def pages(self) -> dict[Pair, dict[Pair, list[Row]]]:
        """By pair that has a page of its own, the alignments of all pairs that are on it.

        Where an untrained twin stands for a model, the pair is on the page of the trained models:
        what it shows is how much of their alignment needs no training. It has a page of its own if
        the two are one model and its twin, or if the trained ones do not meet wherever it does.
        """
        found: dict[Pair, dict[Pair, list[Row]]] = defaultdict(dict)
        for pair, rows in self.pairs.items():
            found[self.page_of(*pair)][pair] = rows
        return dict(found)

    def page_of(self, model_a: str, model_b: str) -> Pair:
        """Return the pair on whose page two models are.

        Args:
            model_a: A model's id.
            model_b: The id of another, with which it has been compared.
        """
        pair = _in_order(model_a, model_b)
        trained = _in_order(*(self.models[name]["untrained_of"] or name for name in pair))
        where, there = (
            {(row["dataset"], row["metric"]) for row in self.pairs.get(names, ())}
            for names in (pair, trained)
        )
        return trained if where <= there else pair


def _in_order(model_a: str, model_b: str) -> Pair:
    return min(model_a, model_b), max(model_a, model_b)


# By the name of a table, the table function whose rows it has.
FUNCTIONS = {
    "alignments": "alignment_matrix",
    "dimensions": "dimensions",
    "exposure": "exposure",
}


def list_parts() -> list[tuple[str, str]]:
    """Return what is read for each dataset alone: a table's name, and SQL with $dataset."""
    alignments = [
        f"FROM alignment_matrix($dataset, metric := '{metric}', subsamples := {_SUBSAMPLES})"
        for metric in METRICS
    ]
    return [
        *(("alignments", sql) for sql in alignments),
        ("dimensions", f"FROM dimensions($dataset, subsamples := {_SUBSAMPLES})"),
        ("exposure", "FROM exposure($dataset)"),
    ]


def read_part(connection: duckdb.DuckDBPyConnection, sql: str, dataset: str) -> pa.Table:
    """Read a part of `list_parts`.

    Args:
        connection: A connection to a store, with our functions.
        sql: The part's.
        dataset: The dataset.
    """
    return _table(connection, sql, {"dataset": dataset})


def read_results(
    connection: duckdb.DuckDBPyConnection,
    datasets: Sequence[str],
    parts: Mapping[str, Sequence[pa.Table]],
) -> Results:
    """Ask a store for all that a site shows.

    Args:
        connection: A connection to a store, with our functions.
        datasets: Names of datasets, which the store has.
        parts: By name, the tables that were read for each dataset, in the datasets' order.
    """
    names = {"datasets": list(datasets)}
    models = ask(connection, "provenance_models", datasets=",".join(datasets)).table
    failures = ask(connection, "provenance_failures", datasets=",".join(datasets)).table
    ids = {"models": models.column("model_id").to_pylist()}
    tables = {
        "datasets": _table(connection, _DATASETS, names),
        "models": models,
        **{name: pa.concat_tables(tables) for name, tables in parts.items()},
        "scores": _table(connection, _SCORES, ids),
        "runs": _table(connection, _RUNS, names),
        "failures": failures,
    }
    cards = {row["model_id"]: row for row in _table(connection, _CARDS, ids).to_pylist()}
    described = {
        row["model_id"]: _described(row, cards[row["model_id"]])
        for _, some in groupby(models.to_pylist(), key=lambda row: (row["kind"], row["family"]))
        for row in sorted(some, key=lambda row: natural_order(row["model_id"]))
    }
    citations = pa.array([described[name]["citation"] for name in ids["models"]], pa.string())
    tables["models"] = models.append_column("citation", citations)
    return Results(
        tables,
        tables["datasets"].to_pylist(),
        described,
        {
            (row["dataset"], row["metric"], (row["model_a"], row["model_b"])): row
            for row in tables["alignments"].to_pylist()
            if row["model_a"] <= row["model_b"]
        },
    )


def _described(model: Row, card: Row) -> Row:
    """Return a model with what its card says for readers."""
    content = json.loads(card["card"])
    return model | {
        "title": card["title"],
        "untrained_of": card["untrained_of"],
        "citation": content.get("provenance", {}).get("citation"),
        "note": content.get("provenance", {}).get("note"),
        "elements": content.get("elements"),
    }


def _table(connection: duckdb.DuckDBPyConnection, sql: str, values: Row) -> pa.Table:
    return connection.execute(sql, values).to_arrow_table()
