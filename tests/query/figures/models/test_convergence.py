"""Alignment with a reference against a score: numbers of the matrix, correlations of SciPy."""

from __future__ import annotations

import duckdb
import pytest
from scipy.stats import spearmanr

from query.figures import NothingToDraw, convergence
from query.figures.drawing.labels import format_fixed
from tests.query.figures.scene import layers, overlapping, written

Connection = duckdb.DuckDBPyConnection
SCORES = {
    "alpha-0": 1.0,
    "alpha-1": 2.0,
    "alpha-2": 5.0,
    "beta-0": 3.0,
    "beta-1": 4.0,
    "beta-2": 0.5,
}


@pytest.fixture
def scored(own: Connection) -> Connection:
    for model, value in SCORES.items():
        own.execute(
            "INSERT INTO scores VALUES (?, 'energy_mae', ?, 'meV', 'held out', 'paper')",
            [model, value],
        )
    for model in ("alpha-0", "alpha-1"):
        own.execute(
            "INSERT INTO scores VALUES (?, 'energy_mae', 7, 'meV', 'elsewhere', 'paper')", [model]
        )
    return own


def test_a_point_is_a_model(scored: Connection) -> None:
    chart = convergence(scored, "crystals", "energy_mae", reference="beta-2", metric="cka")
    aligned = dict(
        scored.sql(
            "SELECT model_b, value FROM alignment_matrix('crystals', metric := 'cka') "
            "WHERE model_a = 'beta-2'"
        ).fetchall()
    )
    texts = written(chart)
    names = [layer for layer in layers(chart, "text") if layer.encoding["text"]["field"] != "text"]
    for points, labels, models in zip(
        layers(chart, "point"),
        names,
        (sorted(set(SCORES) - {"beta-2"}), ["alpha-0", "alpha-1", "alpha-2"]),
        strict=True,
    ):
        drawn = {row["model_id"]: (row["score_value"], row["value"]) for row in points.rows}
        assert sorted(drawn) == models
        for model, place in drawn.items():
            assert place == pytest.approx((SCORES[model], aligned[model]), rel=1e-4)
        assert {row["model_id"] for row in labels.rows} <= set(models)
        assert len(labels.rows) >= 2
        found = spearmanr(
            [SCORES[model] for model in models], [aligned[model] for model in models]
        ).statistic
        (words,) = (text for text in texts if f"{len(models)} models" in text)
        assert f"rank correlation {format_fixed(found, 2)}" in words
        assert ("too few to conclude" in words) == (len(models) < 5)
    assert {"all models", "without its own family", "Fewer than three models: elsewhere"} <= texts
    assert "energy, mean absolute error (meV) on held out" in texts
    assert overlapping(chart) == []


def test_the_best_model_is_the_reference(scored: Connection) -> None:
    chart = convergence(scored, "crystals", "energy_mae", test_set="held out", metric="cka")
    assert {row["reference"] for row in chart.answer.rows} == {"beta-2"}
    assert chart.to_dict()["usermeta"]["title"] == "Alignment with beta-2 on crystals"


@pytest.mark.parametrize(("score", "near"), [(0.52, True), (0.6, False)])
def test_a_model_as_good_as_the_reference_is_named(
    scored: Connection, score: float, near: bool
) -> None:
    scored.execute("UPDATE scores SET value = ? WHERE model_id = 'alpha-0'", [score])
    chart = convergence(scored, "crystals", "energy_mae", test_set="held out", metric="cka")
    note = (
        "The scores of beta-2, the reference, and alpha-0 differ by only 4.0 %: alpha-0 could as "
        "well be the reference."
    )
    assert (note in chart.usermeta["notes"]) == near


def test_if_all_are_of_one_family_there_is_no_other_panel(scored: Connection) -> None:
    scored.execute("DELETE FROM scores WHERE starts_with(model_id, 'beta')")
    scored.execute(
        "INSERT INTO scores "
        "VALUES ('alpha-0@untrained', 'energy_mae', 9, 'meV', 'held out', 'paper')"
    )
    chart = convergence(scored, "crystals", "energy_mae", reference="alpha-0", test_set="held out")
    (everyone,) = layers(chart, "point")
    assert len(everyone.rows) == 3
    notes = chart.to_dict()["usermeta"]["notes"]
    assert "Without the family of alpha-0, only 0 models: not drawn." in notes


def test_a_message_names_what_is_missing(scored: Connection) -> None:
    with pytest.raises(NothingToDraw, match="no score 'charm' in this store"):
        convergence(scored, "crystals", "charm", reference="alpha-0")
    with pytest.raises(NothingToDraw, match="no labels of energy on crystals"):
        convergence(scored, "crystals", "composition_residual_mae")
    with pytest.raises(
        NothingToDraw,
        match="three models with 'energy_mae' on one test set and vectors on crystals",
    ):
        convergence(scored, "crystals", "energy_mae", reference="alpha-0", test_set="elsewhere")
    with pytest.raises(duckdb.InvalidInputException, match="no model 'nobody'"):
        convergence(scored, "crystals", "energy_mae", reference="nobody")
