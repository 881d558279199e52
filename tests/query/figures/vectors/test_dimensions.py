"""Dimensions: values agree with the formula; one row per model, with its twin in it."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from query.figures import NothingToDraw, dimensions
from query.statements import ask
from tests.query.figures.texts import overlapping

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
    plot = dimensions(large, "crystals", subsamples=0, k=10)
    (axes,) = plot.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert len(names) == 60 + 2 + 4
    down = dict(zip(names, axes.get_yticks(), strict=True))
    found = {(line.get_xdata()[0], round(line.get_ydata()[0], 9)): line for line in axes.lines}
    for row in plot.answer.rows:
        if row["value"] is not None:
            twin = row["kind"] == "twin"
            line = found.pop((row["value"], round(down[row["row_of"]] + (0.28 if twin else 0), 9)))
            assert (line.get_markerfacecolor() == "white") == twin
    assert not found
    assert "undefined" in [text.get_text() for text in axes.texts]
    plot.tooltips()
    assert not overlapping(plot)


def test_whiskers_are_intervals(small: Connection) -> None:
    plot = dimensions(small, "crystals", k=10, subsamples=5)
    drawn = sorted(
        tuple(line.get_xdata()) for line in plot.axes[0].lines if len(line.get_xdata()) == 2
    )
    assert drawn == sorted(
        (row["low"], row["high"]) for row in plot.answer.rows if row["low"] is not None
    )


def test_without_values_there_is_nothing_to_draw(small: Connection) -> None:
    with pytest.raises(
        NothingToDraw,
        match="no model has a value on crystals: alpha-0 has 60 different vectors, but",
    ):
        dimensions(small, "crystals", k=70)
