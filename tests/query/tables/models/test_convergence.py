"""FROM convergence(...): scores beside alignments, and the correlation of both."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from scipy.stats import spearmanr

import query

HOW = "dataset := 'crystals', k := 5"

Connection = duckdb.DuckDBPyConnection


CONVERGENCE = f"convergence(reference := 'base', score := 'energy_mae', {HOW})"


def test_convergence_sets_scores_beside_alignments(con: Connection) -> None:
    rows = con.sql(
        f"SELECT model_id, score_value, unit, test_set, source, value, n, reason FROM {CONVERGENCE}"
    ).fetchall()
    assert [row[:5] for row in rows] == [
        (model, score, "eV/atom", "test", "paper")
        for model, score in (
            ("elsewhere", 0.2),
            ("far", 0.5),
            ("near", 0.1),
            ("noise", 0.9),
            ("rotated", 0.05),
        )
    ]
    assert rows[0][5:] == (None, 0, "nothing in common: no vectors of elsewhere on crystals")
    for model, *_, value, n, reason in rows[1:]:
        assert reason is None
        assert con.sql(f"SELECT value, n FROM alignment('base', '{model}', {HOW})").fetchall() == [
            (value, n)
        ]


def test_convergence_has_the_rank_correlation(con: Connection) -> None:
    rows = con.sql(
        f"SELECT DISTINCT spearman, spearman_p, n_models, reference, dataset, score "
        f"FROM {CONVERGENCE}"
    )
    ((rho, p, *rest),) = rows.fetchall()
    assert rho == pytest.approx(-1)
    assert p == pytest.approx(2 / math.factorial(4))
    assert rest == [4, "base", "crystals", "energy_mae"]


def test_few_models_are_a_warning(con: Connection) -> None:
    ((warning,),) = con.sql(f"SELECT DISTINCT warning FROM {CONVERGENCE}").fetchall()
    assert warning == (
        "4 models are too few for a rank correlation: even a perfect one has p = 0.083; "
        "expected 5 models or more"
    )


def test_the_correlation_is_of_the_numbers_as_they_are(con: Connection) -> None:
    asked = CONVERGENCE.replace("(", "(metric := ['cka', 'procrustes'], ", 1)
    rows = con.sql(
        f"SELECT DISTINCT metric, round(spearman, 9), n_models FROM {asked} ORDER BY 1"
    ).fetchall()
    # A low error is good: of better models, the likeness is high and the disparity low.
    assert rows == [("cka", -1.0, 4), ("procrustes", 1.0, 4)]


def test_without_a_reference_the_best_model_is_it(scored: Connection) -> None:
    scored.execute(
        "UPDATE scores SET value = 0.001 WHERE model_id = 'elsewhere'"
    )  # the best of all has no vectors
    chosen = f"score := 'energy_mae', {HOW}"
    asked = "SELECT DISTINCT reference, n_models, reference_score, reference_reason FROM {}"
    assert scored.sql(asked.format(f"convergence({chosen})")).fetchall() == [
        (
            "rotated",
            3,
            0.05,
            "the lowest energy_mae of the models with vectors here; next is near with 0.1 eV/atom",
        )
    ]
    named = f"convergence(reference := 'rotated', {chosen})"
    assert scored.sql(asked.format(named)).fetchall() == [("rotated", 3, 0.05, "it was named")]
    rest = "SELECT * EXCLUDE reference_reason FROM"
    assert (
        scored.sql(f"{rest} convergence({chosen})").fetchall()
        == scored.sql(f"{rest} {named}").fetchall()
    )
    scored.execute("UPDATE scores SET test_set = 'other' WHERE model_id = 'rotated'")
    with pytest.raises(
        duckdb.InvalidInputException,
        match="several test sets, 'other' in eV/atom, 'test' in eV/atom",
    ):
        scored.sql(f"FROM convergence({chosen})").fetchall()
    only = f"{chosen}, test_set := 'test'"
    scored.execute("DELETE FROM scores WHERE test_set = 'test' AND model_id != 'elsewhere'")
    with pytest.raises(
        duckdb.InvalidInputException,
        match="no model with a score 'energy_mae' has vectors on crystals",
    ):
        scored.sql(f"FROM convergence({only})").fetchall()
    scored.execute("UPDATE scores SET score = 'accuracy'")
    with pytest.raises(
        duckdb.InvalidInputException,
        match="whether a high or a low 'accuracy' is good is not known",
    ):
        scored.sql(f"FROM convergence({only.replace('energy_mae', 'accuracy')})").fetchall()


def test_the_references_own_family_may_be_left_out(scored: Connection) -> None:
    scored.execute("UPDATE models SET family = 'other' WHERE model_id IN ('noise', 'far')")
    every = scored.sql(
        f"SELECT model_id, relation, family FROM {CONVERGENCE} ORDER BY 1"
    ).fetchall()
    assert every == [
        ("elsewhere", "all", None), ("far", "all", "other"), ("near", "all", "family"),
        ("noise", "all", "other"), ("rotated", "all", "family"),
    ]  # fmt: skip
    others = CONVERGENCE.replace("(", "(relation := 'cross-family', ", 1)
    rows = scored.sql(
        f"SELECT model_id, relation, spearman, spearman_low, n_models FROM {others} ORDER BY 1"
    ).fetchall()
    assert rows == [
        (model, "cross-family", None, None, 2) for model in ("elsewhere", "far", "noise")
    ]


def test_scores_may_be_measured(energies: Connection) -> None:
    measured = "score := 'composition_residual_mae', source := 'DFT'"
    rows = energies.sql(f"""
        SELECT c.model_id, score_value = mae_per_atom, c.unit, score, c.test_set, c.source,
            reference, n_models
        FROM convergence({measured}, {HOW}) c
        JOIN energy_errors(dataset := 'crystals', source := 'DFT') e USING (model_id) ORDER BY 1
    """).fetchall()
    # Of the models with energies, base makes the smallest error, and rotated, as like base as can
    # be, the largest.
    common = (True, "eV/atom", "composition_residual_mae", "crystals", "DFT", "base", 4)
    assert rows == [(model, *common) for model in ("far", "near", "noise", "rotated")]
    ((rho, low, high),) = energies.sql(
        f"SELECT DISTINCT spearman, spearman_low, spearman_high FROM convergence({measured}, {HOW})"
    ).fetchall()
    assert rho == pytest.approx(spearmanr([0.1, 0.2, 0.5, 0.9], [3, 2, 1, 4]).statistic)
    assert (low, high) == (None, None)
    ((rho, low, high, n, warning),) = energies.sql(
        f"SELECT DISTINCT spearman, spearman_low, spearman_high, n_models, warning FROM "
        f"convergence({measured}, reference := 'partial', {HOW})"
    ).fetchall()
    assert (n, warning) == (5, None)
    assert low < rho < high


@pytest.fixture
def scored(store_path: Path, tmp_path: Path) -> Iterator[Connection]:
    copy = tmp_path / "matter.duckdb"
    copy.write_bytes(store_path.read_bytes())
    with query.connect(copy, read_only=False) as con:
        yield con


def test_each_test_set_has_a_correlation_of_its_own(scored: Connection) -> None:
    scored.execute(
        "INSERT INTO scores SELECT model_id, score, -value, unit, 'other', source FROM scores"
    )
    rows = scored.sql(
        f"SELECT DISTINCT test_set, round(spearman, 9) FROM {CONVERGENCE} ORDER BY 1"
    ).fetchall()
    assert rows == [("other", 1.0), ("test", -1.0)]
    chosen = CONVERGENCE.replace("(", "(test_set := 'other', ", 1)
    assert scored.sql(f"SELECT DISTINCT test_set FROM {chosen}").fetchall() == [("other",)]


def test_several_values_for_one_model_must_be_chosen_from(scored: Connection) -> None:
    scored.execute(
        "INSERT INTO scores VALUES ('far', 'energy_mae', 0.6, 'eV/atom', 'test', 'zenodo')"
    )
    with pytest.raises(
        duckdb.InvalidInputException,
        match="far has several values.*'paper' and 'zenodo'.*source := ",
    ):
        scored.sql(f"FROM {CONVERGENCE}").fetchall()
    chosen = CONVERGENCE.replace("(", "(source := 'paper', ", 1)
    assert len(scored.sql(f"FROM {chosen}").fetchall()) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "reference := 'base', score := 'energy_mea', dataset := 'crystals'",
            "did you mean 'energy_mae'",
        ),
        (
            "reference := 'base', score := 'x', dataset := 'crystals'",
            "has: energy_mae; add one: `matterzoo query --write",
        ),
        ("reference := 'base', dataset := 'crystals'", "no score ''"),
        ("reference := 'base', score := 'energy_mae'", "say which dataset"),
        ("dataset := 'crystals'", "no score ''"),
        (
            "reference := 'base', score := 'energy_mae', dataset := 'crystals', "
            "relation := 'cross-famly'",
            "did you mean 'cross-family'",
        ),
        (
            "reference := 'base', score := 'energy_mae', dataset := 'crystals', "
            "property := 'energy'",
            "property = 'energy', but 'energy_mae' is not measured here: only "
            "'composition_residual_mae' takes one",
        ),
        (
            "score := 'composition_residual_mae', dataset := 'crystals', test_set := 'x'",
            "test_set = 'x', but 'composition_residual_mae' is measured on crystals itself",
        ),
        (
            "score := 'composition_residual_mae', dataset := 'crystals'",
            "no labels of energy on crystals",
        ),
        (
            "reference := 'base', score := 'energy_mae', dataset := 'crystals', test_set := 'x'",
            "no score 'energy_mae' of test_set 'x' and source None",
        ),
    ],
)
def test_convergence_says_what_is_missing(con: Connection, arguments: str, message: str) -> None:
    with pytest.raises(duckdb.InvalidInputException, match=message):
        con.sql(f"FROM convergence({arguments})").fetchall()
