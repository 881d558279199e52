"""Alignment with a reference against a score: numbers of the matrix, correlations of SciPy."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest
from scipy.stats import spearmanr

from query.figures import NothingToDraw, convergence
from tests.query.figures.texts import overlapping, written

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
    plot = convergence(scored, "crystals", "energy_mae", reference="beta-2", metric="cka")
    aligned = dict(
        scored.sql(
            "SELECT model_b, value FROM alignment_matrix('crystals', metric := 'cka') "
            "WHERE model_a = 'beta-2'"
        ).fetchall()
    )
    for axes, models in zip(
        plot.axes,
        (sorted(set(SCORES) - {"beta-2"}), ["alpha-0", "alpha-1", "alpha-2"]),
        strict=True,
    ):
        drawn = np.array(sorted((line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines))
        assert drawn == pytest.approx(
            np.array(sorted((SCORES[model], aligned[model]) for model in models))
        )
        found = spearmanr(
            [SCORES[model] for model in models], [aligned[model] for model in models]
        ).statistic
        assert f"rank correlation {found:.2f}" in axes.texts[0].get_text()
        assert f"{len(models)} models" in axes.texts[0].get_text()
    assert [axes.get_title("left") for axes in plot.axes] == [
        "all models",
        "without its own family",
    ]
    assert "fewer than three models: elsewhere" in written(plot)
    assert "energy_mae (meV)\nheld out" in written(plot)
    plot.tooltips()
    assert not overlapping(plot)


def test_the_best_model_is_the_reference(scored: Connection) -> None:
    plot = convergence(scored, "crystals", "energy_mae", test_set="held out", metric="cka")
    assert {row["reference"] for row in plot.answer.rows} == {"beta-2"}
    assert plot.title == "Alignment with beta-2 on crystals"


def test_if_all_are_of_one_family_the_other_panel_is_empty(scored: Connection) -> None:
    scored.execute("DELETE FROM scores WHERE starts_with(model_id, 'beta')")
    scored.execute(
        "INSERT INTO scores "
        "VALUES ('alpha-0@untrained', 'energy_mae', 9, 'meV', 'held out', 'paper')"
    )
    plot = convergence(scored, "crystals", "energy_mae", reference="alpha-0", test_set="held out")
    everyone, others = plot.axes
    assert len(everyone.lines) == 3
    assert not others.lines
    assert others.texts[0].get_text() == "0 models: no rank correlation (three are needed)"


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
