"""Profiles along depth: points are layers, lines are models, no texts collide."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import query
from query.figures import NothingToDraw, depth_profile
from query.report.versions import per_layered
from tests.query.figures.scene import layers, overlapping

Connection = duckdb.DuckDBPyConnection


@pytest.fixture(scope="module")
def connection(layers_path: Path) -> Iterator[Connection]:
    with query.connect(layers_path) as connection:
        yield connection


def test_a_point_is_a_layer_and_a_line_a_model(connection: Connection) -> None:
    chart = depth_profile(connection, "molecules", reference="plain", k=5, permutations=0)
    lines, points = layers(chart, "line"), layers(chart, "point")
    assert len(lines) == len(points) == 2
    assert len(chart.answer.rows) == 4 + 3
    for drawn in (*lines, *points):
        found = {(row["model_id"], row["layer"]): row for row in drawn.rows}
        for row in chart.answer.rows:
            at = found[row["model_id"], row["layer"]]
            assert at["depth"] == pytest.approx(row["depth"], rel=1e-4)
            assert at["value"] == pytest.approx(row["value"], rel=1e-4)
            assert at["measured"] == pytest.approx(row["measured"], rel=1e-4)
    assert [drawn.encoding["y"]["title"] for drawn in points] == [
        "CKNNA with plain (high is alike)",
        "intrinsic dimension",
    ]
    assert overlapping(chart) == []


def test_the_report_compares_models_with_themselves(
    connection: Connection,
) -> None:
    versions = per_layered(connection, ["crystals", "molecules"])
    assert [dict(version.switches) for version in versions] == [
        {"dataset": dataset, "reference": "each model itself"}
        for dataset in ("crystals", "molecules")
    ]
    assert [version.options for version in versions] == [
        {"dataset": "crystals"},
        {"dataset": "molecules"},
    ]


def test_nothing_to_draw(connection: Connection) -> None:
    with pytest.raises(NothingToDraw, match="no model has layers on molecules pooled by their max"):
        depth_profile(connection, "molecules", pooling="max")
    with pytest.raises(NothingToDraw, match="no layer has a cknna on molecules: .*k = 70"):
        depth_profile(connection, "molecules", k=70, permutations=0)
