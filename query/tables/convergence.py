"""Do better models see matter more alike? Scores, published or measured, set against the alignment with a reference.

Kinship confounds the answer: models of one family align with each other, and are often good together. relation := 'cross-family'
leaves the reference's own family out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import duckdb
import numpy as np
from numpy.typing import NDArray

from query.engine.suggestions import unknown_name
from query.reading.selection import (
    Selection,
    Source,
    choose_sources,
    find_dataset,
    find_source,
    unknown_in_store,
)
from query.tables import energies
from query.tables.options import How, split_names
from query.tables.pairs import Row, align_pairs

ROW = (
    "STRUCT(model_id VARCHAR, score_value DOUBLE, unit VARCHAR, value DOUBLE, calibrated DOUBLE, p_value DOUBLE, "
    "n BIGINT, spearman DOUBLE, spearman_low DOUBLE, spearman_high DOUBLE, spearman_p DOUBLE, n_models BIGINT, "
    "reference VARCHAR, relation VARCHAR, family VARCHAR, dataset VARCHAR, score VARCHAR, test_set VARCHAR, "
    "source VARCHAR, metric VARCHAR, estimator VARCHAR, normalization VARCHAR, k BIGINT, reason VARCHAR)"
)
SCORES = """
    SELECT model_id, value AS score_value, unit, score, test_set, source FROM scores
    WHERE score = $score AND ($test_set IS NULL OR test_set = $test_set) AND ($source IS NULL OR source = $source)
    ORDER BY test_set, unit, model_id, source
"""
MODELS = "SELECT model_id, family, default_representation FROM models"
ABSENT = (
    None,
    "",
)  # the family and representation of a model that has scores but is not in the store
HOW_TO_ADD = "`matterzoo query --write \"INSERT INTO scores VALUES ('model', 'score', 0.1, 'unit', 'test set', 'source')\"`"
GROUP = ("metric", "test_set", "unit")
COPIED = (
    "value",
    "calibrated",
    "p_value",
    "n",
    "metric",
    "estimator",
    "normalization",
    "k",
    "reason",
)
RELATIONS = ("all", "cross-family")  # of the models to the reference
AN_ERROR = re.compile(
    r"(^|_)(mae|mse|rmse|error)($|_)"
)  # a score of this name is better the lower it is
LEAST_MODELS = 3
LEAST_FOR_INTERVAL = 5
RESAMPLES = 9999


def convergence(
    connection: duckdb.DuckDBPyConnection,
    dataset: str | None,
    reference: str | None,
    score: str | None,
    test_set: str | None,
    source: str | None,
    relation: str | None,
    label: str | None,
    how: How,
) -> list[Row]:
    """One row of `ROW` a metric and scored model, the reference left out, and under relation 'cross-family' its family and twins.

    reference: None is the model of the best score that has vectors here, as Edamadaka et al. (2025) chose theirs.
    score: one of table `scores`, or 'composition_residual_mae', which is measured here: mae_per_atom of `energy_errors`
    with this label and source, each model on all systems that it has predictions for, untrained twins left out.

    spearman: rank correlation of score and alignment over the models of one test set and unit that have both, n_models
    of them; NULL below 3, or where all scores or alignments are equal. It is of the numbers as they are: for an error
    (low is good) and a metric that grows with likeness it is negative where better models are more like the reference;
    a score of which high is good turns the sign, and so does a metric that falls with likeness. spearman_low to
    spearman_high: 95 % interval by a bootstrap over models; NULL below 5. Asymmetric metrics are taken from the
    reference to the model.
    """
    name = find_dataset(connection, dataset)
    relations = split_names(relation or RELATIONS[0])
    for chosen in relations:
        if chosen not in RELATIONS:
            raise ValueError(unknown_name("relation", chosen, RELATIONS))
    named = None if reference is None else find_source(connection, reference)
    scores = _scores(connection, name, score, test_set, source, label)
    asked = named or find_source(connection, _best(connection, name, scores))
    models = {model: known for model, *known in connection.execute(MODELS).fetchall()}
    scored = [row | {"family": models.get(row["model_id"], ABSENT)[0]} for row in scores]
    scored = [row for row in scored if row["model_id"] != asked.model_id]
    family = models[asked.model_id][0]
    if relations == ["cross-family"]:
        scored = [row for row in scored if row["family"] != family]
    ids = [row["model_id"] for row in scored]
    pairs = [(asked, Source(model, models.get(model, ABSENT)[1], True)) for model in ids]
    aligned = align_pairs(connection, {Selection(name): pairs}, how)
    known = {"reference": asked.label, "dataset": name}
    scored = [row for _ in how.metrics for row in scored]
    rows = [
        a | known | {column: b[column] for column in COPIED}
        for a, b in zip(scored, aligned, strict=True)
    ]
    found: list[Row] = []
    for chosen in relations:
        some = [row for row in rows if chosen == "all" or row["family"] != family]
        found += [
            row | {"relation": chosen} | correlation
            for row, correlation in zip(some, _correlations(some), strict=True)
        ]
    return found


def spearman(x: Sequence[float], y: Sequence[float]) -> tuple[float, float] | None:
    """Rank correlation and its two-sided p-value; None where it is undefined.

    The p-value is by permutation: all of them for up to 7 models, else 9,999 with a fixed seed.
    """
    from scipy.stats import (  # takes a second to import, which other questions need not wait
        permutation_test,
        rankdata,
    )

    a, b = rankdata(x), rankdata(y)
    if len(a) < LEAST_MODELS or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None

    def correlation(ranks: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        centered = ranks - ranks.mean(axis=axis, keepdims=True)
        other = b - b.mean()
        found: NDArray[np.float64] = (centered * other).sum(axis=axis) / np.sqrt(
            np.square(centered).sum(axis=axis) * np.square(other).sum()
        )
        return found

    test = permutation_test(
        (a,),
        correlation,
        permutation_type="pairings",
        vectorized=True,
        n_resamples=RESAMPLES,
        rng=0,
    )
    return float(test.statistic), float(test.pvalue)


def interval(x: Sequence[float], y: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % interval of the rank correlation by a bootstrap over models (percentiles, fixed seed).

    None below 5 models. Resamples in which all scores or alignments are equal have no correlation, and are left out.
    """
    from scipy.stats import rankdata

    n = len(x)
    if n < LEAST_FOR_INTERVAL:
        return None
    drawn = np.random.default_rng(0).integers(n, size=(RESAMPLES, n))
    a, b = (rankdata(np.asarray(values)[drawn], axis=1) - (n + 1) / 2 for values in (x, y))
    scale = np.sqrt(np.square(a).sum(axis=1) * np.square(b).sum(axis=1))
    defined = scale > 0
    if not defined.any():
        return None
    low, high = np.percentile((a * b).sum(axis=1)[defined] / scale[defined], [2.5, 97.5])
    return float(low), float(high)


def _best(connection: duckdb.DuckDBPyConnection, dataset: str, scores: list[Row]) -> str:
    """The model of the lowest error of those with vectors. Raises ValueError where 'best' says nothing."""
    score, groups = scores[0]["score"], {(row["test_set"], row["unit"]) for row in scores}
    if not AN_ERROR.search(score):
        raise ValueError(
            f"whether a high or a low '{score}' is good is not known: name the model, reference := '…'"
        )
    if len(groups) > 1:
        sets = ", ".join(f"'{test_set}' in {unit}" for test_set, unit in sorted(groups))
        raise ValueError(
            f"'{score}' is of several test sets, {sets}: choose with test_set := '…', or name a reference"
        )
    present = {source.model_id for source in choose_sources(connection, None, dataset)}
    found = [(row["score_value"], row["model_id"]) for row in scores if row["model_id"] in present]
    if not found:
        raise ValueError(
            f"no model with a score '{score}' has vectors on {dataset}: `make ingest MODEL=… DATASET=…`"
        )
    return str(min(found)[1])


def _scores(
    connection: duckdb.DuckDBPyConnection,
    dataset: str,
    score: str | None,
    test_set: str | None,
    source: str | None,
    label: str | None,
) -> list[Row]:
    """The values of a score, measured or stored. Raises ValueError where there are none."""
    if score == energies.SCORE:
        if test_set not in (None, dataset):
            raise ValueError(
                f"test_set = '{test_set}', but '{score}' is measured on {dataset} itself: leave it out"
            )
        return energies.measured_scores(connection, dataset, label, source)
    if label is not None:
        raise ValueError(
            f"property = '{label}', but '{score}' is not measured here: only '{energies.SCORE}' takes one"
        )
    return _stored_scores(connection, score, test_set, source)


def _stored_scores(
    connection: duckdb.DuckDBPyConnection,
    score: str | None,
    test_set: str | None,
    source: str | None,
) -> list[Row]:
    """The stored values of a score. Raises ValueError where there are none, or several for one model and test set."""
    chosen = {"score": score, "test_set": test_set, "source": source}
    rows: list[Row] = connection.execute(SCORES, chosen).to_arrow_table().to_pylist()
    if not rows:
        known = {
            row[0] for row in connection.execute("SELECT DISTINCT score FROM scores").fetchall()
        }
        if score in known:
            raise ValueError(
                f"no score '{score}' of test_set {test_set!r} and source {source!r}: see FROM scores"
            )
        raise ValueError(unknown_in_store("score", score or "", known, f"add one: {HOW_TO_ADD}"))
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
    both = [row["score_value"] for row in defined], [row["value"] for row in defined]
    rho, p = spearman(*both) or (None, None)
    low, high = (None, None) if rho is None else interval(*both) or (None, None)
    return {
        "spearman": rho,
        "spearman_p": p,
        "spearman_low": low,
        "spearman_high": high,
        "n_models": len(defined),
    }
