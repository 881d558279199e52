"""Novelty: shares and distributions are those of the p-values that SQL gives."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from query.figures import NothingToDraw, novelty
from query.report.labeled import per_reference
from tests.query.figures.scene import layers, overlapping

Connection = duckdb.DuckDBPyConnection


def test_shares_and_steps_are_of_p_values(small: Connection) -> None:
    chart = novelty(small, "molecules", "crystals")
    rows = {row["model_id"]: row for row in chart.answer.rows}
    assert len(rows) == 6 + 2  # models and descriptors
    asked = "SELECT p_value FROM novelty('beta-1', reference := 'crystals', dataset := 'molecules')"
    p = np.sort([value for (value,) in small.sql(asked).fetchall()])
    row = rows["beta-1"]
    assert row["novel_share"] == pytest.approx((p <= 0.05).mean())
    assert (row["n"], row["n_reference"], row["n_shared"]) == (60, 60, 0)
    note = chart.usermeta["notes"][0]
    assert note == "n = 60 systems of molecules, judged by 60 of crystals."
    (points,), (lines,) = layers(chart, "point"), layers(chart, "line")[1:]
    assert {r["model_id"]: r["novel_share"] for r in points.rows} == pytest.approx(
        {name: r["novel_share"] for name, r in rows.items()}, rel=1e-4
    )
    steps = [(r["p"], r["share"]) for r in lines.rows if r["row_of"] == "beta-1"]
    assert steps[0][1] == 0 and steps[-1] == (pytest.approx(p[-1], rel=1e-4), 1)
    for value, share in steps[1:]:
        assert (p <= value * (1 + 1e-4)).mean() >= share - 1e-9
    scales = [lines.encoding[channel]["scale"] for channel in ("color", "strokeDash")]
    assert [set(scale["domain"]) for scale in scales] == [{r["row_of"] for r in lines.rows}] * 2
    looks = [*zip(*(map(str, scale["range"]) for scale in scales), strict=True)]
    assert len(set(looks)) == len(looks)  # no two look the same
    assert overlapping(chart) == []


def test_of_many_models_only_the_picked_ones_have_colors(
    small: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("query.figures.vectors.novelty._MANY", 7)
    chart = novelty(small, "molecules", "crystals")
    gray, colored = layers(chart, "line")[1:]
    assert gray.mark["style"] == "line" and "color" not in gray.encoding
    assert gray.rows == colored.rows
    assert colored.encoding["color"]["field"] == "family"
    part = chart.to_dict()["hconcat"][1]["layer"][-1]
    assert part["transform"][0]["filter"]["or"][0] == "datum.row_of === model"


def test_what_is_missing_is_named(small: Connection) -> None:
    with pytest.raises(NothingToDraw, match="of molecules beside crystals: the reference has 60"):
        novelty(small, "molecules", "crystals", k=70)
    with pytest.raises(NothingToDraw, match="a second dataset is needed: matterzoo report"):
        per_reference(small, ["crystals"])
    versions = per_reference(small, ["crystals", "molecules"])
    assert [version.options["reference"] for version in versions] == ["molecules", "crystals"]
