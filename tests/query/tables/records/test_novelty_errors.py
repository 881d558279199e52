"""FROM novelty_errors(...): whether models err more on what is novel to them."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest
from scipy.stats import spearmanr

from query.statements import ask

HOW = "dataset := 'crystals', source := 'DFT'"


def test_it_is_the_rank_correlation_of_novelty_and_residuals(
    energies: duckdb.DuckDBPyConnection,
) -> None:
    (row,) = energies.sql(f"""
        SELECT spearman, low, high, p_value, novel_error, other_error, n, n_reference
        FROM novelty_errors({HOW}, reference := 'molecules', models := ['near'], k := 3)
    """).fetchall()
    distance, error = np.array(
        energies.sql(f"""
            SELECT distance, abs(predicted_residual_per_atom - label_residual_per_atom)
            FROM energy_residuals({HOW}, models := ['near']) r
            JOIN novelty('near', 'molecules', 'crystals', k := 3) USING (system_id)
            WHERE r.label_residual IS NOT NULL ORDER BY distance DESC
        """).fetchall()
    ).T
    assert len(error) == 58
    spearman, low, high, p, novel, other, *counts = row
    assert spearman == pytest.approx(spearmanr(distance, error).statistic)
    assert low < spearman < high
    assert 0 < p <= 1
    assert novel == pytest.approx(error[:14].mean())
    assert other == pytest.approx(error[14:].mean())
    assert counts == [58, 40]


def test_models_without_an_answer_say_why(energies: duckdb.DuckDBPyConnection) -> None:
    asked = f"SELECT model_id, spearman, reason FROM novelty_errors({HOW}, models := [{{}}])"
    rows = energies.sql(asked.format("'constant', 'partial', 'base'")).fetchall()
    reasons = {model: reason for model, spearman, reason in rows if spearman is None}
    assert reasons["constant"].startswith("every vector of constant is the same")
    assert reasons["partial"].startswith("n = 0 systems have a vector, a label and a prediction")
    with pytest.raises(duckdb.InvalidInputException, match="did you mean 'knn'"):
        energies.sql(f"FROM novelty_errors({HOW}, method := 'kn')").fetchall()


def test_the_statement_asks_it_of_trained_models(energies: duckdb.DuckDBPyConnection) -> None:
    found = ask(energies, "novelty_errors", dataset="crystals", source="DFT", k=3).rows
    best = [row["spearman"] for row in found if row["spearman"] is not None]
    assert best == sorted(best, reverse=True)
    assert {"near", "far", "noise"} <= {row["model_id"] for row in found}
    assert {(row["k"], row["reference"]) for row in found} == {(3, "crystals")}
