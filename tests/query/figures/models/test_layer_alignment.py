"""The matrix of layers: cells are rows, the frame is around the best pair, no texts collide."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import query
from query.figures import NothingToDraw, layer_alignment
from query.report.versions import per_layered_pair
from tests.query.figures.scene import layers, overlapping

Connection = duckdb.DuckDBPyConnection


@pytest.fixture
def layers_con(layers_path: Path) -> Iterator[Connection]:
    with query.connect(layers_path) as connection:
        yield connection


def test_cells_are_the_rows_and_the_best_is_framed(layers_con: Connection) -> None:
    options = {"model_a": "deep", "model_b": "wide", "k": 5, "permutations": 19}
    chart = layer_alignment(layers_con, "crystals", **options)
    cells, numbers, crosses, frame = layers(chart)
    assert cells.encoding["y"]["sort"] == [f"layer-{i}" for i in (3, 2, 1, 0)]
    assert cells.encoding["x"]["sort"] == [f"layer-{i}" for i in range(3)]
    for drawn in (cells, numbers):
        found = {(row["layer_a"], row["layer_b"]): row["value"] for row in drawn.rows}
        expected = {(row["layer_a"], row["layer_b"]): row["value"] for row in chart.answer.rows}
        assert found == pytest.approx(expected, rel=1e-4)
    assert crosses.rows == []
    assert frame.rows == [{"layer_a": "layer-2", "layer_b": "layer-1"}]
    (note,) = chart.to_dict()["usermeta"]["notes"]
    assert note.startswith("Framed: the best pair, layer-2 and layer-1, CKNNA")
    assert note.endswith("p = 0.050.")
    assert overlapping(chart) == []


def test_many_layers_have_room(layers_con: Connection) -> None:
    options = {"model_a": "tall", "model_b": "wide", "k": 5, "permutations": 0}
    chart = layer_alignment(layers_con, "crystals", **options)
    assert "by chance" not in chart.to_dict()["usermeta"]["notes"][0]
    assert overlapping(chart) == []


def test_the_report_shows_each_pair_of_models_with_layers(layers_con: Connection) -> None:
    versions = per_layered_pair(layers_con, ["crystals", "molecules"])
    assert [version.switches["models"] for version in versions] == [
        "deep and tall",
        "deep and wide",
        "tall and wide",
        "deep and wide",
    ]
    assert versions[0].options == {"dataset": "crystals", "model_a": "deep", "model_b": "tall"}


def test_nothing_to_draw(layers_con: Connection) -> None:
    with pytest.raises(
        NothingToDraw, match="no two layers of deep and wide have a cknna: .*k = 70"
    ):
        layer_alignment(layers_con, "crystals", model_a="deep", model_b="wide", k=70)
