"""Probes: points, rings and intervals are rows, a line stands at the best baseline."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from query.figures import NothingToDraw, probe
from query.figures.vectors.probe import _describe_reversal
from query.report.findings import find_sentences
from query.report.labeled import per_property
from tests.query.figures.conftest import SMALL, make_vectors
from tests.query.figures.scene import layers, overlapping
from tests.query.report.test_findings import drawn
from tests.vectors import remove

Connection = duckdb.DuckDBPyConnection
IDS = [f"crystals/{i:03d}" for i in range(60)]


@pytest.fixture
def labeled(own: Connection) -> Connection:
    """The small store with a label that alpha-0 tells, one of two values, and predictions."""
    told = make_vectors(SMALL, 0)["alpha-0"].astype(np.float64).sum(axis=1)
    rows = [(i, "band gap", v, "eV", "lab") for i, v in zip(IDS, told, strict=True)]
    rows += [(i, "is high", float(v > 0), "1", "lab") for i, v in zip(IDS[:50], told, strict=False)]
    rows += [(i, "energy", v, "eV", "alpha-1") for i, v in zip(IDS, told, strict=True)]
    own.executemany("INSERT INTO labels VALUES (?, ?, ?, ?, ?)", rows)
    return own


def test_points_are_models_rings_twins_and_the_line_the_best_baseline(labeled: Connection) -> None:
    chart = probe(labeled, "crystals", groups="formula", permutations=3)
    rows = chart.answer.rows
    assert {row["property"] for row in rows} == {"band gap"}  # that most systems have
    kinds = [row["kind"] for row in rows]
    # The mean, size, counts of elements, of which these systems have none, and two descriptors.
    assert [kinds.count(kind) for kind in ("model", "twin", "baseline")] == [6, 6, 5]
    known = [row for row in rows if row["value"] is not None]
    rings, points, other_rings, errors = layers(chart, "point")
    assert [each.mark["filled"] for each in (rings, points, other_rings, errors)] == [
        False, True, False, True,
    ]  # fmt: skip
    shown = sorted((row["model_id"], row["shown"]) for row in rings.rows + points.rows)
    wrong = sorted((row["model_id"], row["error"]) for row in other_rings.rows + errors.rows)
    values = sorted((row["model_id"], max(row["value"], -0.3)) for row in known)
    assert [(name, pytest.approx(value, rel=1e-4)) for name, value in values] == shown
    mistakes = sorted((row["model_id"], row["error"]) for row in known)
    assert [(name, pytest.approx(value, rel=1e-4)) for name, value in mistakes] == wrong
    assert {row["row_of"] for row in rings.rows} == {f"{a}-{i}" for a in SMALL for i in range(3)}
    assert points.encoding["y"]["sort"][0] == "alpha-0" and dict(shown)["alpha-0"] > 0.95
    assert errors.encoding["x"]["title"] == "mean absolute error (eV)"
    best = max(row["value"] for row in known if row["kind"] == "baseline")
    line, *whiskers = layers(chart, "rule")
    assert line.rows[0]["shown"] == max(best, points.encoding["x"]["scale"]["domain"][0])
    highs = sorted(row["high"] for row in known if row["low"] is not None)
    assert sorted(r["high"] for layer in whiskers for r in layer.rows) == pytest.approx(
        [max(high, -0.3) for high in highs], rel=1e-4
    )
    assert overlapping(chart) == []
    notes = chart.to_dict()["usermeta"]["notes"]
    assert any("counts: atoms of each element, or residues of each kind" in it for it in notes)
    (sentence,) = find_sentences([drawn("probe", chart.answer.rows)])["crystals"]
    assert "Those of alpha-0 tell the most: R² " in sentence.text


def test_rows_with_fewer_systems_say_how_many(labeled: Connection) -> None:
    remove(labeled, "model_id LIKE 'beta-1%' AND system_id >= 'crystals/050'")
    chart = probe(labeled, "crystals", groups="formula", permutations=3)
    counts = {row["row_of"]: row["n"] for row in chart.answer.rows}
    assert (counts["beta-1"], counts["alpha-0"]) == (50, 60)
    rows = [row for layer in layers(chart, "text") for row in layer.rows]
    assert {row["row_of"]: row["count"] for row in rows if "count" in row} == {"beta-1": "n = 50"}
    note = chart.usermeta["notes"][0]
    assert note.startswith("Labels of lab; n = 60, unless a row says less. 5 folds; ")
    known = {row["n_groups"] for row in chart.answer.rows if row["value"] is not None}
    assert f"({min(known)} to {max(known)} groups)" in note
    assert overlapping(chart) == []


def test_classes_have_an_area_and_a_share(labeled: Connection) -> None:
    chart = probe(labeled, "crystals", property="is high", method="ridge", groups="formula")
    left, right = (layers(chart, "point")[place].encoding["x"]["title"] for place in (0, -1))
    assert left.startswith("area under the curve") and right == "share in the wrong class"
    versions = per_property(labeled, ["crystals", "molecules"])
    assert [dict(version.switches) for version in versions] == [
        {"dataset": "crystals", "property": name} for name in ("band gap", "is high")
    ]


def test_without_labels_there_is_nothing_to_draw(small: Connection) -> None:
    with pytest.raises(NothingToDraw, match="crystals has no measured property"):
        probe(small, "crystals")
    with pytest.raises(NothingToDraw, match="no label 'gap' .*matterzoo ingest MODEL mine.parquet"):
        probe(small, "crystals", property="gap")
    with pytest.raises(NothingToDraw, match="crystals has no property that was measured"):
        per_property(small, ["crystals"])


def test_models_that_r2_and_error_rank_differently_are_named() -> None:
    rows = [
        {"model_id": name, "score": "r2", "value": value, "error": error}
        for name, value, error in (("c", 0.5, 4.0), ("a", 0.9, 2.0), ("b", 0.7, 1.5))
    ]
    (note,) = _describe_reversal(rows)
    assert note.endswith("all alike: a has a higher R² than b, and a larger error.")
    assert _describe_reversal(rows[:2]) == []
    assert _describe_reversal([row | {"score": "auc"} for row in rows]) == []
