"""Dimensions: values agree with the formula; one row per model, with its twin in it."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from query.figures import NothingToDraw, dimensions
from query.statements import ask
from tests.query.figures.scene import layers, overlapping

Connection = duckdb.DuckDBPyConnection


def levina_bickel(connection: Connection, model: str, k: int) -> float:
    asked = (
        "SELECT vector FROM embeddings WHERE model_id = ? AND starts_with(system_id, 'crystals/') "
        "ORDER BY system_id"
    )
    x = np.array(
        [row[0] for row in connection.execute(asked, [model]).fetchall()], dtype=np.float64
    )
    near = np.sort(cdist(x, x), axis=1)[:, 1 : k + 1]
    return float(1 / np.log(near[:, -1:] / near[:, :-1]).mean(axis=1).mean())


def test_rows_are_dimensions(small: Connection) -> None:
    rows = {row["model_id"]: row for row in ask(small, "dimensions", dataset="crystals", k=10).rows}
    assert len(rows) == 2 * 6 + 2 + 4
    for model in ("alpha-0", "beta-1@untrained", "yard"):
        assert rows[model]["value"] == pytest.approx(levina_bickel(small, model, 10), rel=1e-4)
        assert rows[model]["low"] < rows[model]["value"] < rows[model]["high"]
    assert rows["beta-1@untrained"]["row_of"] == "beta-1"
    assert rows["flat"]["value"] is None
    assert rows["flat"]["reason"] == "every vector of flat is the same"


def test_a_row_is_a_model_with_its_twin(large: Connection) -> None:
    chart = dimensions(large, "crystals", subsamples=0, k=10)
    points = layers(chart, "point")
    rings, filled = ([row for row in layer.rows] for layer in points)
    assert [layer.mark["filled"] for layer in points] == [False, True]
    drawn = {row["model_id"]: (row["row_of"], row["value"]) for row in rings + filled}
    rows = [row for row in chart.answer.rows if row["value"] is not None]
    assert drawn.keys() == {row["model_id"] for row in rows}
    for row in rows:
        assert drawn[row["model_id"]] == (row["row_of"], pytest.approx(row["value"], rel=1e-4))
    assert {row["model_id"] for row in rings} == {
        r["model_id"] for r in rows if r["kind"] == "twin"
    }
    assert [row["model_id"] for layer in layers(chart, "text") for row in layer.rows] == ["flat"]
    assert len(layers(chart)[0].encoding["y"]["sort"]) == 60 + 2 + 4
    assert overlapping(chart) == []


def test_whiskers_are_intervals(small: Connection) -> None:
    chart = dimensions(small, "crystals", k=10, subsamples=5)
    drawn = [(row["value"], row["high"]) for layer in layers(chart, "rule") for row in layer.rows]
    expected = [(row["low"], row["high"]) for row in chart.answer.rows if row["low"] is not None]
    assert np.array(sorted(drawn)) == pytest.approx(np.array(sorted(expected)), rel=1e-4)


def test_without_values_there_is_nothing_to_draw(small: Connection) -> None:
    with pytest.raises(
        NothingToDraw,
        match="no model has a value on crystals: alpha-0 has 60 different vectors, but",
    ):
        dimensions(small, "crystals", k=70)


def test_a_note_says_where_k_is_hardly_a_neighborhood(small: Connection) -> None:
    many, few = (dimensions(small, "crystals", k=k, subsamples=0).to_dict() for k in (50, 10))
    said = "k = 50 of 59 neighbors is hardly a neighborhood: compare with care."
    assert said in many["usermeta"]["notes"]
    assert not any("neighborhood" in note for note in few["usermeta"]["notes"])
