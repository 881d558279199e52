"""Do better models see matter more alike? Published scores set against the alignment with a reference model."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.alignment import Row, align_pairs
from query.how import How
from query.vectors import Selection, Source, check_dataset, find_source, unknown

ROW = (
    "STRUCT(model_id VARCHAR, score_value DOUBLE, unit VARCHAR, value DOUBLE, calibrated DOUBLE, p_value DOUBLE, "
    "n BIGINT, spearman DOUBLE, spearman_p DOUBLE, n_models BIGINT, reference VARCHAR, dataset VARCHAR, "
    "score VARCHAR, test_set VARCHAR, source VARCHAR, metric VARCHAR, estimator VARCHAR, normalization VARCHAR, "
    "k BIGINT, reason VARCHAR)"
)
SCORES = """
    SELECT model_id, coalesce(default_representation, '') AS representation,
           value AS score_value, unit, score, test_set, source
    FROM scores LEFT JOIN models USING (model_id)
    WHERE score = $score AND ($test_set IS NULL OR test_set = $test_set) AND ($source IS NULL OR source = $source)
    ORDER BY test_set, unit, model_id, source
"""
HOW_TO_ADD = (
    "`python -m query --write \"INSERT INTO scores VALUES ('model', 'score', 0.1, 'unit', 'test set', 'source')\"`"
)
GROUP = ("metric", "test_set", "unit")
COPIED = ("value", "calibrated", "p_value", "n", "metric", "estimator", "normalization", "k", "reason")
LEAST_MODELS = 3
RESAMPLES = 9999


def convergence(
    connection: duckdb.DuckDBPyConnection,
    dataset: str | None,
    reference: str | None,
    score: str | None,
    test_set: str | None,
    source: str | None,
    how: How,
) -> list[Row]:
    """One row of `ROW` a metric and scored model, the reference left out.

    spearman: rank correlation of score and alignment over the models of one test set and unit that have both, n_models
    of them; NULL below 3, or where all scores or alignments are equal. It is of the numbers as they are: for an error
    (low is good) and a metric that grows with likeness it is negative where better models are more like the reference;
    a score of which high is good turns the sign, and so does a metric that falls with likeness. Asymmetric metrics are
    taken from the reference to the model.
    """
    name = check_dataset(connection, dataset)
    asked = find_source(connection, reference)
    scores = _scores(connection, score, test_set, source)
    scored = [row for row in scores if row["model_id"] != asked.model_id]
    pairs = [(asked, Source(row["model_id"], row.pop("representation"), True)) for row in scored]
    aligned = align_pairs(connection, {Selection(name): pairs}, how)
    known = {"reference": asked.label, "dataset": name}
    scored *= len(how.metrics)
    rows = [a | known | {column: b[column] for column in COPIED} for a, b in zip(scored, aligned, strict=True)]
    return [row | correlation for row, correlation in zip(rows, _correlations(rows), strict=True)]


def spearman(x: Sequence[float], y: Sequence[float]) -> tuple[float, float] | None:
    """Rank correlation and its two-sided p-value; None where it is undefined.

    The p-value is by permutation: all of them for up to 7 models, else 9,999 with a fixed seed.
    """
    from scipy.stats import permutation_test, rankdata  # takes a second to import, which other questions need not wait

    a, b = rankdata(x), rankdata(y)
    if len(a) < LEAST_MODELS or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None

    def correlation(ranks: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        centred = ranks - ranks.mean(axis=axis, keepdims=True)
        other = b - b.mean()
        found: NDArray[np.float64] = (centred * other).sum(axis=axis) / np.sqrt(
            np.square(centred).sum(axis=axis) * np.square(other).sum()
        )
        return found

    test = permutation_test(
        (a,), correlation, permutation_type="pairings", vectorized=True, n_resamples=RESAMPLES, rng=0
    )
    return float(test.statistic), float(test.pvalue)


def _scores(
    connection: duckdb.DuckDBPyConnection, score: str | None, test_set: str | None, source: str | None
) -> list[Row]:
    """The stored values of a score. Raises ValueError where there are none, or several for one model and test set."""
    chosen = {"score": score, "test_set": test_set, "source": source}
    rows: list[Row] = connection.execute(SCORES, chosen).to_arrow_table().to_pylist()
    if not rows:
        known = {row[0] for row in connection.execute("SELECT DISTINCT score FROM scores").fetchall()}
        if score in known:
            raise ValueError(f"no score '{score}' of test_set {test_set!r} and source {source!r}: see FROM scores")
        raise ValueError(unknown("score", score or "", known, f"add one: {HOW_TO_ADD}"))
    for before, row in zip(rows, rows[1:], strict=False):
        if all(before[column] == row[column] for column in ("test_set", "unit", "model_id")):
            raise ValueError(
                f"{row['model_id']} has several values of '{score}' on '{row['test_set']}', from '{before['source']}' "
                f"and '{row['source']}': choose with source := '…'"
            )
    return rows


def _correlations(rows: list[Row]) -> list[Row]:
    """For each row the correlation over its metric, test set and unit."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[column] for column in GROUP), []).append(row)
    found = {group: _correlation(members) for group, members in groups.items()}
    return [found[tuple(row[column] for column in GROUP)] for row in rows]


def _correlation(rows: list[Row]) -> Row:
    defined = [row for row in rows if row["value"] is not None]
    rho = spearman([row["score_value"] for row in defined], [row["value"] for row in defined])
    return {"spearman": rho and rho[0], "spearman_p": rho and rho[1], "n_models": len(defined)}
