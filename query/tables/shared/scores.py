"""Scores of models: published ones out of table `scores`, or one that is measured in the store."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np

from query.reading.selection import Selection, unknown_in_store
from query.tables.shared.energies import compare_predictions

MEASURED = "composition_residual_mae"  # the score that is mae_per_atom of `energy_errors`
ERROR_NAME = re.compile(r"(^|_)(mae|mse|rmse|error)($|_)")  # scores of which a low value is good

_STORED = """
    SELECT model_id, value, unit, score, test_set, source FROM scores
    WHERE score = $score AND ($test_set IS NULL OR test_set = $test_set)
    AND ($source IS NULL OR source = $source)
    ORDER BY test_set, unit, model_id, source
"""
_TWINS = "SELECT model_id FROM models WHERE untrained_of IS NOT NULL"
_HOW_TO_ADD = (
    "`matterzoo query --write "
    "\"INSERT INTO scores VALUES ('model', 'score', 0.1, 'unit', 'test set', 'source')\"`"
)


@dataclass(frozen=True)
class Score:
    """What a model scored on a test set.

    Attributes:
        model_id: The model, which the store need not have.
        value: The score.
        unit: Its unit; '1' for none.
        score: Its name.
        test_set: What it was measured on.
        source: Who says so, or who made the labels.
    """

    model_id: str
    value: float
    unit: str
    score: str
    test_set: str
    source: str


def read_scores(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    score: str | None,
    test_set: str | None,
    source: str | None,
    property_name: str | None,
) -> list[Score]:
    """Return the values of a score, measured or stored.

    Args:
        connection: A connection to a store.
        dataset: Where MEASURED is measured.
        score: The score's name.
        test_set: One of its test sets; None is all.
        source: Who published it, or made the labels that it is measured with.
        property_name: The property of these labels.

    Raises:
        ValueError: If there are none, or several for one model and test set.
    """
    if score == MEASURED:
        if test_set not in (None, dataset):
            raise ValueError(
                f"test_set = '{test_set}', but '{score}' is measured on {dataset} itself: "
                "leave it out"
            )
        return _measure_scores(connection, dataset, property_name, source)
    if property_name is not None:
        raise ValueError(
            f"property = '{property_name}', but '{score}' is not measured here: "
            f"only '{MEASURED}' takes one"
        )
    return _read_stored(connection, score, test_set, source)


def best_model(dataset: str, scores: Sequence[Score], present: Collection[str]) -> str:
    """Return the model of the lowest error.

    Args:
        dataset: The dataset, for the message.
        scores: The values of one score.
        present: The models that have vectors there; others are passed over.

    Raises:
        ValueError: If nobody knows whether high or low is good, if there are several test sets,
            or if no model with a score is present.
    """
    score, groups = scores[0].score, {(row.test_set, row.unit) for row in scores}
    if not ERROR_NAME.search(score):
        raise ValueError(
            f"whether a high or a low '{score}' is good is not known: "
            "name the model, reference := '…'"
        )
    if len(groups) > 1:
        sets = ", ".join(f"'{test_set}' in {unit}" for test_set, unit in sorted(groups))
        raise ValueError(
            f"'{score}' is of several test sets, {sets}: choose with test_set := '…', "
            "or name a reference"
        )
    found = [(row.value, row.model_id) for row in scores if row.model_id in present]
    if not found:
        raise ValueError(
            f"no model with a score '{score}' has vectors on {dataset}: "
            f"`matterzoo ingest MODEL {dataset}`"
        )
    return min(found)[1]


def _measure_scores(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    property_name: str | None,
    source: str | None,
) -> list[Score]:
    """Return mae_per_atom of the trained models, their test set being the dataset."""
    twins = {row[0] for row in connection.execute(_TWINS).fetchall()}
    compared = compare_predictions(
        connection, Selection(dataset), property_name=property_name, source=source
    )
    scores = []
    for found in compared:
        errors = found.errors()
        kept = ~np.isnan(errors)
        if kept.any() and found.model not in twins:
            value = float((errors[kept] / found.n_atoms[kept]).mean())
            origin = found.labels.of.source
            scores.append(Score(found.model, value, "eV/atom", MEASURED, dataset, origin))
    if not scores:
        raise ValueError(
            f"no trained model has energies to compare on {dataset}: "
            "FROM energy_errors says of each why"
        )
    return scores


def _read_stored(
    connection: duckdb.DuckDBPyConnection,
    score: str | None,
    test_set: str | None,
    source: str | None,
) -> list[Score]:
    chosen = {"score": score, "test_set": test_set, "source": source}
    rows = [Score(*row) for row in connection.execute(_STORED, chosen).fetchall()]
    if not rows:
        stored = connection.execute("SELECT DISTINCT score FROM scores").fetchall()
        known = {row[0] for row in stored}
        if score in known:
            raise ValueError(
                f"no score '{score}' of test_set {test_set!r} and source {source!r}: "
                "see FROM scores"
            )
        raise ValueError(unknown_in_store("score", score or "", known, f"add one: {_HOW_TO_ADD}"))
    for before, row in zip(rows, rows[1:], strict=False):
        if (before.test_set, before.unit, before.model_id) == (
            row.test_set,
            row.unit,
            row.model_id,
        ):
            raise ValueError(
                f"{row.model_id} has several values of '{score}' on '{row.test_set}', from "
                f"'{before.source}' and '{row.source}': choose with source := '…'"
            )
    return rows
