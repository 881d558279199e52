"""The controls: a verdict follows from how a control was made, also if it was made wrongly."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pytest

from query.figures import NothingToDraw, control_alignment
from query.statements import ask
from tests.query.figures.conftest import CONTROLS, insert_vectors
from tests.query.figures.scene import layers, overlapping
from tests.vectors import remove

Connection = duckdb.DuckDBPyConnection
QUICK = {"metric": "cka, information_imbalance", "permutations": 199}


def test_every_control_does_what_it_must(small: Connection) -> None:
    rows = ask(small, "control_alignment", dataset="crystals", **QUICK).rows
    assert {(row["control"], row["metric"]): row["expected"] for row in rows} == {
        (control, metric): expected
        for control, expected in CONTROLS.items()
        for metric in ("cka", "information_imbalance")
    }
    assert {row["verdict"] for row in rows} == {"as expected"}
    for row in rows:
        if row["expected"] == "same":
            # Known for a model and itself: CKA is 1, information imbalance (k + 1) / n.
            assert row["value"] == pytest.approx(1 if row["metric"] == "cka" else 2 / 60)
        assert (
            (row["value"] is None)
            == (row["expected"] == "undefined")
            == (row["reason"] is not None)
        )


def spoil(connection: Connection, control: str, like: str, noise: float) -> None:
    """Replace a control's vectors by those of another, with noise."""
    found = connection.execute(
        "SELECT vector FROM embeddings "
        "WHERE model_id = ? AND starts_with(system_id, 'crystals/') ORDER BY system_id",
        [like],
    ).fetchall()
    table = np.array([vector for (vector,) in found])
    table += noise * np.random.default_rng(0).normal(size=table.shape)
    remove(connection, "model_id = ?", [control])
    insert_vectors(connection, "crystals", control, table.astype(np.float32))


@pytest.mark.parametrize(
    ("control", "like", "noise"),
    [
        ("yard-rotated", "yard", 0.3),  # nearly the same is not the same
        ("yard-rotated", "yard-shuffled", 0.0),
        ("yard-shuffled", "yard", 1.0),  # related, though far from the same
        ("flat", "yard", 0.0),  # a value where there can be none
        ("yard-shuffled", "flat", 0.0),  # none where there must be one
        ("yard-rotated", "flat", 0.0),
    ],
)
def test_a_control_that_fails_is_marked(
    own: Connection, control: str, like: str, noise: float
) -> None:
    spoil(own, control, like, noise)
    chart = control_alignment(own, "crystals", metric="cka", permutations=199)
    assert [row["control"] for row in chart.answer.rows if not row["holds"]] == [control]
    title = chart.to_dict()["usermeta"]["title"]
    assert title == "Controls on crystals: 3 of 4 as expected"
    (table,) = layers(chart, "text")
    wrong = [row["control"] for row in table.rows if row["text"].startswith("×")]
    assert wrong == [control]


def test_many_tests_need_smaller_p_values(small: Connection) -> None:
    one, two = (
        ask(small, "control_alignment", dataset="crystals", metric=m, permutations=99).rows
        for m in ("cka", "cka,rsa")
    )
    assert [rows[0]["p_least"] for rows in (one, two)] == [0.05, 0.025]


@pytest.fixture
def chart(small: Connection) -> Any:
    return control_alignment(small, "crystals", **QUICK)  # type: ignore[arg-type]


def test_places_between_chance_and_the_same(chart: Any) -> None:
    points, wrong = layers(chart, "point")
    drawn = {(row["control"], row["metric"]): row["place"] for row in points.rows}
    names = {"cka": "CKA", "information_imbalance": "information imbalance"}
    expected = {
        (row["control"], names[row["metric"]]): (row["value"] - row["null_mean"])
        / (row["itself"] - row["null_mean"])
        for row in chart.answer.rows
        if row["value"] is not None
    }
    assert drawn == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert sorted(drawn.values())[-4:] == pytest.approx([1] * 4)
    assert wrong.rows == []
    assert [line.split(",")[0] for line in points.encoding["y"]["sort"]] == list(CONTROLS)


def test_every_value_stands_in_the_table(chart: Any) -> None:
    (table,) = layers(chart, "text")
    found = [row["text"] for row in table.rows]
    assert [found.count(text) for text in ("undefined", "1.000", "0.033")] == [2, 2, 2]
    assert sum(row.get("reason", "").startswith("every vector of flat") for row in table.rows) == 2
    assert overlapping(chart) == []


def test_without_controls_there_is_nothing_to_draw(own: Connection) -> None:
    remove(own, "model_id IN (SELECT model_id FROM models WHERE family = 'checks')")
    with pytest.raises(
        NothingToDraw, match="no controls on crystals: matterzoo ingest bundled crystals"
    ):
        control_alignment(own, "crystals")
