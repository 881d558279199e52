"""What models have seen: a mark per model in the column of its answer, and the set it is due to."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest

import query
from query.figures import NothingToDraw, exposure
from query.report.findings import find_sentences
from tests.query.figures.scene import layers, overlapping, written
from tests.query.report.test_findings import drawn
from tests.vectors import put
from zoo.training_sets import known_datasets

Connection = duckdb.DuckDBPyConnection
TRAINED_ON = {
    "alpha-0": (["MPtrj", "sAlex"], "held out: part of the set", "sAlex"),
    "alpha-1": (["OMat24"], "may overlap: source in common", "OMat24"),
    "alpha-2": (None, "unknown: training data", None),
    "beta-0": (["MPtrj"], "may overlap: nobody checked", None),
}

ORDER = ["alpha-1", "beta-0", "alpha-2", "alpha-0"]  # from the worst news to the best


def test_a_mark_is_an_answer(own: Connection) -> None:
    own.execute("INSERT INTO datasets SELECT * REPLACE ('salex' AS dataset) FROM datasets LIMIT 1")
    with pytest.raises(NothingToDraw, match="vectors on salex: matterzoo ingest MODEL salex"):
        exposure(own, "salex")
    for model, (sets, _, _) in TRAINED_ON.items():
        own.execute("UPDATE models SET training_sets = ? WHERE model_id = ?", [sets, model])
        put(own, model, ["salex/0", "salex/1"], np.eye(2, 8))
    put(own, "alpha-0@untrained", ["salex/0", "salex/1"], np.eye(2, 8))
    chart = exposure(own, "salex")
    (marks,), (names,) = layers(chart, "point"), layers(chart, "text")
    assert marks.encoding["y"]["sort"] == list(TRAINED_ON)  # twins have seen nothing
    for row in marks.rows:
        _, answer, training_set = TRAINED_ON[row["row_of"]]
        assert (row["answer"], row.get("training_set")) == (answer, training_set)
        assert row["reason"]
    assert {row["training_set"] for row in names.rows} == {"sAlex", "OMat24"}
    assert marks.encoding["x"]["sort"] == [TRAINED_ON[name][1] for name in ORDER]
    heads = [TRAINED_ON[name][1].replace(": ", " ") for name in ORDER]
    assert {*heads, "OMat24"} <= written(chart)
    assert overlapping(chart) == []
    (sentence,) = find_sentences([drawn("exposure", chart.answer.rows)])["crystals"]
    assert sentence.text == (
        "Of 4 trained models: 1 trained on sets that have a source in common with these systems; "
        "1 may have seen these systems (sets of the same kind of matter, and no record of whether "
        "they overlap); 1 of unknown training data; 1 trained on the set, but not on this part of "
        "it."
    )


def test_other_data_is_not_taken_for_what_nobody_checked(own: Connection) -> None:
    own.execute("INSERT INTO datasets SELECT * REPLACE ('g2' AS dataset) FROM datasets LIMIT 1")
    for model, sets in {"alpha-0": ["PCQM4M_G25_N4"], "beta-0": ["MPtrj"]}.items():
        own.execute("UPDATE models SET training_sets = ? WHERE model_id = ?", [sets, model])
        put(own, model, ["g2/0", "g2/1"], np.eye(2, 8))
    rows = exposure(own, "g2").answer.rows
    assert [row["exposure"] for row in rows] == ["not-compared", "other-matter"]
    (sentence,) = find_sentences([drawn("exposure", rows)])["crystals"]
    assert "1 may have seen these systems" in sentence.text
    assert sentence.text.endswith(
        "1 trained on other kinds of data only, such as text or other matter."
    )


def test_a_dataset_of_unknown_origin_is_a_sentence(large: Connection) -> None:
    said = "no record says what crystals is taken from, .* which of 60 trained models .* on it"
    with pytest.raises(NothingToDraw, match=said):
        exposure(large, "crystals")


def test_one_answer_for_all_is_a_sentence(own: Connection) -> None:
    own.execute("INSERT INTO datasets SELECT * REPLACE ('g2' AS dataset) FROM datasets LIMIT 1")
    for model in ("alpha-0", "beta-0"):
        own.execute("UPDATE models SET training_sets = ['MPtrj'] WHERE model_id = ?", [model])
        put(own, model, ["g2/0", "g2/1"], np.eye(2, 8))
    said = "one answer for all 2 trained models: cannot overlap: other matter, as its sets hold cry"
    with pytest.raises(NothingToDraw, match=said):
        exposure(own, "g2")
    own.execute("UPDATE models SET training_sets = ['ZINC'] WHERE model_id = 'beta-0'")
    assert len(layers(exposure(own, "g2"), "point")[0].rows) == 2


def test_sixty_models_do_not_collide(large_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the dataset were one that is recorded."""
    monkeypatch.setitem(known_datasets(), "crystals", known_datasets()["salex"])
    with query.connect(large_path) as connection:
        chart = exposure(connection, "crystals")
    assert len(layers(chart, "point")[0].rows) == 60
    assert overlapping(chart) == []
