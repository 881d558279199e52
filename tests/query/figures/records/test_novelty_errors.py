"""Errors on what is novel: points are the rows of the statement."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from query.figures import NothingToDraw, novelty_errors
from tests.query.figures.scene import layers, overlapping, written

Connection = duckdb.DuckDBPyConnection
SOURCES = {"book": 0.0, "alpha-0": 0.1, "beta-0": 0.3}  # the scatter of their energies, in eV


def test_points_are_correlations_and_errors(own: Connection) -> None:
    rng = np.random.default_rng(0)
    own.execute("UPDATE systems SET numbers = [1, 6] WHERE dataset = 'crystals'")
    truth = rng.normal(size=60)
    for source, scatter in SOURCES.items():
        values = (truth + scatter * rng.normal(size=60)).tolist()
        systems = [f"crystals/{i:03d}" for i in range(60)]
        rows = "unnest(?), 'energy', unnest(?), 'eV', ?"
        own.execute(f"INSERT INTO labels SELECT {rows}", [systems, values, source])
    chart = novelty_errors(own, "crystals", reference="molecules")
    rows = {row["model_id"]: row for row in chart.answer.rows}
    assert set(rows) == {"alpha-0", "beta-0"}
    ranks, others, novel = layers(chart, "point")
    assert (others.mark["filled"], novel.mark["filled"]) == (False, True)
    for layer, column in ((ranks, "spearman"), (others, "other_error"), (novel, "novel_error")):
        found = {row["model_id"]: row[column] for row in layer.rows}
        expected = {name: row[column] for name, row in rows.items()}
        assert found == pytest.approx(expected, rel=1e-4)
    assert "Errors on what is novel: crystals beside molecules" in written(chart)
    assert overlapping(chart) == []


def test_without_energies_there_is_nothing_to_draw(small: Connection) -> None:
    with pytest.raises(NothingToDraw, match="no labels of energy on crystals.*matterzoo ingest"):
        novelty_errors(small, "crystals", reference="molecules")
