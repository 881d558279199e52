"""The controls: a verdict follows from how a control was made, also if it was made wrongly."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from query.figures import NothingToDraw, Plot, control_alignment
from query.statements import ask
from tests.query.figures.conftest import CONTROLS, insert_vectors
from tests.query.figures.texts import overlapping, written
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
    plot = control_alignment(own, "crystals", metric="cka", permutations=199)
    assert [row["control"] for row in plot.answer.rows if not row["holds"]] == [control]
    assert plot.title == "Controls on crystals: 3 of 4 as expected"
    assert len([text for text in written(plot) if text.startswith("✗")]) == 1


def test_many_tests_need_smaller_p_values(small: Connection) -> None:
    one, two = (
        ask(small, "control_alignment", dataset="crystals", metric=m, permutations=99).rows
        for m in ("cka", "cka,rsa")
    )
    assert [rows[0]["p_least"] for rows in (one, two)] == [0.05, 0.025]


@pytest.fixture
def plot(small: Connection) -> Plot:
    return control_alignment(small, "crystals", **QUICK)  # type: ignore[arg-type]


def test_places_between_chance_and_the_same(plot: Plot) -> None:
    left = plot.axes[0]
    drawn = sorted(
        line.get_xdata()[0] for line in left.lines if line.get_marker() not in ("", "None", None)
    )
    defined = [row for row in plot.answer.rows if row["value"] is not None]
    expected = sorted(
        (row["value"] - row["null_mean"]) / (row["itself"] - row["null_mean"]) for row in defined
    )
    assert drawn == pytest.approx(expected)
    assert drawn[-4:] == pytest.approx([1] * 4)
    assert [tick.get_text().split("\n")[0] for tick in left.get_yticklabels()] == list(CONTROLS)


def test_every_value_stands_in_the_table(plot: Plot) -> None:
    found = [text.get_text() for text in plot.axes[1].texts]
    assert found.count("✓ undefined") == 2
    assert found.count("✓ 1.000") == 2
    assert found.count("✓ 0.033") == 2


def test_nothing_overlaps_and_everything_has_a_tooltip(plot: Plot) -> None:
    assert overlapping(plot) == []
    texts = [tooltip.text for tooltip in plot.tooltips()]
    assert (
        sum("every vector of flat is the same" in text for text in texts) == 4
    )  # a mark and a cell, two metrics


def test_without_controls_there_is_nothing_to_draw(own: Connection) -> None:
    remove(own, "model_id IN (SELECT model_id FROM models WHERE family = 'checks')")
    with pytest.raises(
        NothingToDraw, match="no controls on crystals: matterzoo ingest bundled crystals"
    ):
        control_alignment(own, "crystals")
