"""What models have seen: a mark per model in the column of its answer, and the set it is due to."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from query.figures import NothingToDraw, exposure
from query.report.findings import find_sentences
from tests.query.figures.scene import layers, overlapping, written
from tests.query.report.test_findings import drawn
from tests.vectors import put

Connection = duckdb.DuckDBPyConnection
TRAINED_ON = {
    "alpha-0": (["MPtrj", "sAlex"], "held-out part of it", "sAlex"),
    "alpha-1": (["OMat24"], "may overlap", "OMat24"),
    "alpha-2": (None, "unknown", None),
    "beta-0": (["MPtrj"], "none known", None),
}


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
    answers = ["may overlap", "unknown", "held-out part of it", "none known"]
    assert marks.encoding["x"]["sort"] == answers and {*answers, "OMat24"} <= written(chart)
    assert overlapping(chart) == []
    (sentence,) = find_sentences([drawn("exposure", chart.answer.rows)])["crystals"]
    assert sentence.text == (
        "Of 4 trained models: 1 trained on sets that may overlap these systems; "
        "1 of unknown training data."
    )


def test_sixty_models_do_not_collide(large: Connection) -> None:
    chart = exposure(large, "crystals")
    assert len(layers(chart, "point")[0].rows) == 60
    assert overlapping(chart) == []
