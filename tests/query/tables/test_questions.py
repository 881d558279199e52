"""Layer 3: nearest models and systems, convergence."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

import query
from query.metrics import METRICS
from query.statistics.rank_correlation import spearman, spearman_interval

HOW = "dataset := 'crystals', k := 5"

Connection = duckdb.DuckDBPyConnection
Vectors = dict[str, NDArray[np.float32]]


def test_nearest_models_come_best_first(con: Connection) -> None:
    rows = con.sql(f"SELECT rank, model_id, value FROM nearest_models('base', {HOW})").fetchall()
    assert [model for _, model, _ in rows] == [
        "partial", "rotated", "scaled", "stale", "near", "far", "noise", "constant", "poisoned", "ragged",
    ]  # fmt: skip
    assert [rank for rank, *_ in rows] == [1, 2, 3, 4, 5, 6, 7, None, None, None]


def test_nearest_models_are_alignments(con: Connection) -> None:
    shared = "value, calibrated, p_value, n, dropped_a, dropped_b, metric, estimator, normalization, k, null_mean, reason"
    asked = f"FROM nearest_models('near', {HOW}) WHERE model_id = 'partial'"
    aligned = f"FROM alignment('near', 'partial', {HOW})"
    assert (
        con.sql(f"SELECT {shared} {asked}").fetchall()
        == con.sql(f"SELECT {shared} {aligned}").fetchall()
    )


def test_nearest_models_may_be_chosen_and_few(con: Connection) -> None:
    chosen = f"models := ['far', 'near', 'base', 'noise'], {HOW}"
    rows = con.sql(f"SELECT model_id FROM nearest_models('base', top := 2, {chosen})").fetchall()
    assert rows == [("near",), ("far",)]
    both = con.sql(
        "SELECT dataset, count(*) FROM nearest_models('base', k := 5, top := 3) GROUP BY 1 ORDER BY 1"
    )
    assert both.fetchall() == [("crystals", 3), ("molecules", 3)]
    with pytest.raises(duckdb.InvalidInputException, match="top = 0, expected at least 1"):
        con.sql("FROM nearest_models('base', top := 0)").fetchall()


@pytest.mark.parametrize("metric", METRICS)
def test_the_nearest_come_first_whatever_the_metric(con: Connection, metric: str) -> None:
    chosen = f"models := ['noise', 'far', 'near', 'rotated'], metric := '{metric}', {HOW}"
    rows = con.sql(f"SELECT rank, model_id, value FROM nearest_models('base', {chosen})").fetchall()
    assert [rank for rank, *_ in rows] == [1, 2, 3, 4]
    assert [model for _, model, _ in rows] == ["rotated", "near", "far", "noise"]
    values = [value for *_, value in rows]
    assert values == sorted(values, reverse=not METRICS[metric].lower_is_closer)


def test_each_metric_has_nearest_models_of_its_own(con: Connection) -> None:
    both = f"FROM nearest_models('base', {HOW}, top := 2, metric := ['procrustes', 'cka'])"
    alone = [
        f"FROM nearest_models('base', {HOW}, top := 2, metric := '{metric}')"
        for metric in ("procrustes", "cka")
    ]
    assert [row[1] for row in con.sql(both).fetchall()] == [
        row[1] for sql in alone for row in con.sql(sql).fetchall()
    ]
    assert [row[0] for row in con.sql(both).fetchall()] == [1, 2, 1, 2]


def test_nearest_systems_have_the_largest_cosine(con: Connection, vectors: Vectors) -> None:
    rows = con.sql(
        "FROM nearest_systems('base', 'crystals/007', k := 4, dataset := 'crystals')"
    ).fetchall()
    unit = vectors["base"].astype(float)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    cosine = unit @ unit[7]
    best = [i for i in np.argsort(-cosine) if i != 7][:4]
    assert rows == [
        (rank, f"crystals/{i:03d}", f"X{i:03d}", pytest.approx(cosine[i]))
        for rank, i in enumerate(best, start=1)
    ]


def test_nearest_systems_come_from_all_datasets_unless_told(con: Connection) -> None:
    counted = con.sql("""
        SELECT split_part(system_id, '/', 1) AS dataset, count(*)
        FROM nearest_systems('base', 'molecules/001', k := 1000) GROUP BY 1 ORDER BY 1
    """).fetchall()
    assert counted == [("crystals", 60), ("molecules", 39)]
    across = con.sql(
        "FROM nearest_systems('base', 'molecules/001', dataset := 'crystals')"
    ).fetchall()
    assert len(across) == 10
    assert all(row[1].startswith("crystals/") for row in across)


def test_systems_seen_as_equal_come_by_name(con: Connection) -> None:
    rows = con.sql("FROM nearest_systems('constant', 'crystals/001', k := 3)").fetchall()
    assert [row[1] for row in rows] == ["crystals/000", "crystals/002", "crystals/003"]
    assert [row[3] for row in rows] == [pytest.approx(1)] * 3


def test_an_undefined_cosine_is_null(con: Connection) -> None:
    last = con.sql(
        "FROM nearest_systems('poisoned', 'crystals/001', k := 99, dataset := 'crystals')"
    ).fetchall()[-1]
    assert last == (None, "crystals/003", "X003", None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "'base', 'crystals/0007'",
            "no system 'crystals/0007' in this store; did you mean 'crystals/00",
        ),
        (
            "'partial', 'crystals/000'",
            r"partial has no vector of 'crystals/000' \(not_applicable: does not know Xx\)",
        ),
        ("'partial', 'crystals/001'", "partial has no vector of 'crystals/001'"),
        ("'bas', 'crystals/001'", "did you mean 'base'"),
        ("'base', 'crystals/001', k := 0", "k = 0, expected at least 1"),
        ("'base', 'crystals/001', dataset := 'molecule'", "did you mean 'molecules'"),
        ("'ragged', 'crystals/001'", r"vectors of ragged differ in length \(15 to 16\)"),
    ],
)
def test_nearest_systems_of_what_is_not_there(
    con: Connection, arguments: str, message: str
) -> None:
    with pytest.raises(duckdb.InvalidInputException, match=message):
        con.sql(f"FROM nearest_systems({arguments})").fetchall()


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
        f"SELECT DISTINCT spearman, spearman_p, n_models, reference, dataset, score FROM {CONVERGENCE}"
    )
    ((rho, p, *rest),) = rows.fetchall()
    assert rho == pytest.approx(-1)
    assert p == pytest.approx(2 / math.factorial(4))
    assert rest == [4, "base", "crystals", "energy_mae"]


def test_the_correlation_is_of_the_numbers_identity_pairing(con: Connection) -> None:
    asked = CONVERGENCE.replace("(", "(metric := ['cka', 'procrustes'], ", 1)
    rows = con.sql(
        f"SELECT DISTINCT metric, round(spearman, 9), n_models FROM {asked} ORDER BY 1"
    ).fetchall()
    # A low error is good: of better models, the likeness is high and the disparity low.
    assert rows == [("cka", -1.0, 4), ("procrustes", 1.0, 4)]


@pytest.mark.parametrize("n", [5, 30])
def test_spearman_is_scipys(n: int) -> None:
    rng = np.random.default_rng(n)
    x, y = rng.integers(0, 6, n).astype(float).tolist(), rng.normal(size=n).tolist()
    found = spearman(x, y)
    assert found is not None
    assert found[0] == pytest.approx(spearmanr(x, y).statistic)
    assert found[1] == pytest.approx(spearmanr(x, y).pvalue, abs=0.1)
    assert found == spearman(x, y)


@pytest.mark.parametrize("x", [[1.0, 2.0], [1.0, 1.0, 1.0]])
def test_spearman_of_too_little_is_none(x: list[float]) -> None:
    assert spearman(x, [1.0, 2.0, 3.0][: len(x)]) is None
    assert spearman([1.0, 2.0, 3.0][: len(x)], x) is None


def test_the_interval_is_a_bootstrap_over_models() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 6, 12).astype(float)
    y = x + rng.normal(size=12)
    found = spearman_interval(x.tolist(), y.tolist())
    drawn = [rng.integers(12, size=12) for _ in range(4000)]
    by_hand = np.percentile([spearmanr(x[rows], y[rows]).statistic for rows in drawn], [2.5, 97.5])
    assert found == pytest.approx(by_hand, abs=0.03)
    assert found == spearman_interval(x.tolist(), y.tolist())
    assert spearman_interval([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 4.0, 3.0]) is None


def test_without_a_reference_the_best_model_is_it(scored: Connection) -> None:
    scored.execute(
        "UPDATE scores SET value = 0.001 WHERE model_id = 'elsewhere'"
    )  # the best of all has no vectors
    chosen = f"score := 'energy_mae', {HOW}"
    asked = "SELECT DISTINCT reference, n_models FROM convergence({})"
    assert scored.sql(asked.format(chosen)).fetchall() == [("rotated", 3)]
    named = scored.sql(f"FROM convergence(reference := 'rotated', {chosen})").fetchall()
    assert scored.sql(f"FROM convergence({chosen})").fetchall() == named
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
        ("elsewhere", "all", None), ("far", "all", "other"), ("near", "all", "family"), ("noise", "all", "other"),
        ("rotated", "all", "family"),
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
        SELECT c.model_id, score_value = mae_per_atom, c.unit, score, c.test_set, c.source, reference, n_models
        FROM convergence({measured}, {HOW}) c
        JOIN energy_errors(dataset := 'crystals', source := 'DFT') e USING (model_id) ORDER BY 1
    """).fetchall()
    # Of the models with energies, base makes the smallest error, and rotated, as like base as can be, the largest.
    common = (True, "eV/atom", "composition_residual_mae", "crystals", "DFT", "base", 4)
    assert rows == [(model, *common) for model in ("far", "near", "noise", "rotated")]
    ((rho, low, high),) = energies.sql(
        f"SELECT DISTINCT spearman, spearman_low, spearman_high FROM convergence({measured}, {HOW})"
    ).fetchall()
    assert rho == pytest.approx(spearmanr([0.1, 0.2, 0.5, 0.9], [3, 2, 1, 4]).statistic)
    assert (low, high) == (None, None)
    ((rho, low, high, n),) = energies.sql(
        f"SELECT DISTINCT spearman, spearman_low, spearman_high, n_models FROM "
        f"convergence({measured}, reference := 'partial', {HOW})"
    ).fetchall()
    assert n == 5
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
            "reference := 'base', score := 'energy_mae', dataset := 'crystals', relation := 'cross-famly'",
            "did you mean 'cross-family'",
        ),
        (
            "reference := 'base', score := 'energy_mae', dataset := 'crystals', property := 'energy'",
            "property = 'energy', but 'energy_mae' is not measured here: only 'composition_residual_mae' takes one",
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
