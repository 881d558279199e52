"""What explains alignment: pairs by relation, their means, and the figure."""

from __future__ import annotations

from itertools import combinations

import duckdb
import numpy as np
import pytest

from query.figures import NothingToDraw, kinship
from query.statements import ask
from tests.query.figures.scene import layers, overlapping, written
from tests.vectors import remove

Connection = duckdb.DuckDBPyConnection
TRAINING = {
    "alpha-0": {"OC20"}, "alpha-1": {"OC20", "OC22"}, "alpha-2": {"PDB"},
    "beta-0": {"OC20"}, "beta-1": {"S22"}, "beta-2": {"PDB"},
}  # fmt: skip


@pytest.fixture
def trained(own: Connection) -> Connection:
    for model, sets in TRAINING.items():
        own.execute("UPDATE models SET training_sets = ? WHERE model_id = ?", [sorted(sets), model])
    return own


def relation(a: str, b: str) -> str:
    if a[:3] == b[:3]:
        return "same-family"
    return "same-training-data" if TRAINING[a] & TRAINING[b] else "neither"


def test_rows_are_pairs_by_relation(trained: Connection) -> None:
    rows = ask(trained, "kinship", dataset="crystals", metric="cka", permutations=99).rows
    pairs = {(row["model_a"], row["model_b"]): row for row in rows if row["model_a"] is not None}
    assert {pair: row["relation"] for pair, row in pairs.items()} == {
        pair: relation(*pair) for pair in combinations(TRAINING, 2)
    }
    matrix = {
        (a, b): value
        for a, b, value in trained.sql(
            "SELECT model_a, model_b, value "
            "FROM alignment_matrix('crystals', metric := 'cka', permutations := 0)"
        ).fetchall()
    }
    for (a, b), row in pairs.items():
        assert row["value"] == pytest.approx(matrix[a, b])
        assert set(row["common_sets"]) == TRAINING[a] & TRAINING[b]
    for kind in ("same-family", "same-training-data", "neither"):
        values = [row["value"] for row in pairs.values() if row["relation"] == kind]
        (mean,) = {row["mean"] for row in rows if row["relation"] == kind}
        assert mean == pytest.approx(np.mean(values))
    assert rows[-1]["relation"] == "left-out"
    assert "untrained: alpha-0@untrained" in rows[-1]["reason"]


def test_sets_of_one_source_are_the_same_training_data_and_unknown_ones_have_a_strip(
    trained: Connection,
) -> None:
    for model, sets in {
        "alpha-0": ["MPtrj"],
        "beta-0": ["MP-r2SCAN"],
        "beta-1": ["my own set"],
    }.items():
        trained.execute("UPDATE models SET training_sets = ? WHERE model_id = ?", [sets, model])
    chart = kinship(trained, "crystals", metric="cka", permutations=0)
    rows = {(row["model_a"], row["model_b"]): row for row in chart.answer.rows}
    assert rows["alpha-0", "beta-0"]["relation"] == "same-training-data"
    assert rows["alpha-0", "beta-0"]["common_sets"] == ["Materials Project"]
    assert rows["alpha-2", "beta-2"]["common_sets"] == ["PDB"]
    unknown = [pair for pair, row in rows.items() if row["relation"] == "unknown-training-data"]
    assert unknown == [(f"alpha-{i}", "beta-1") for i in range(3)]
    assert layers(chart, "point")[0].encoding["y"]["sort"][3] == "unknown training data"


def test_asymmetric_values_are_means_of_both_directions(trained: Connection) -> None:
    rows = ask(
        trained, "kinship", dataset="crystals", metric="information_imbalance", permutations=0
    ).rows
    (value,) = [
        row["value"] for row in rows if (row["model_a"], row["model_b"]) == ("alpha-0", "beta-1")
    ]
    both = trained.sql(
        "SELECT value "
        "FROM alignment_matrix('crystals', metric := 'information_imbalance', permutations := 0, "
        "models := ['alpha-0', 'beta-1']) WHERE model_a != model_b"
    ).fetchall()
    assert value == pytest.approx(np.mean(both))


def test_a_point_is_a_pair(large: Connection) -> None:
    chart = kinship(large, "crystals", permutations=9)
    rows = [row for row in chart.answer.rows if row["value"] is not None]
    rings, marks, means = layers(chart, "point")
    drawn = {(row["model_a"], row["model_b"]): row for row in rings.rows + marks.rows}
    assert len(rows) == len(drawn) == 60 * 59 / 2
    for row in rows:
        point = drawn[row["model_a"], row["model_b"]]
        assert point["value"] == pytest.approx(row["value"], rel=1e-4)
        assert point["relation"] == row["relation"].replace("-", " ")
    texts = " ".join(written(chart))
    for name in ("same-family", "same-training-data", "neither"):
        values = [row["value"] for row in rows if row["relation"] == name]
        (mean,) = (row for row in means.rows if row["relation"] == name.replace("-", " "))
        assert mean["value"] == pytest.approx(np.mean(values), rel=1e-4)
        assert f"{len(values)} pairs, mean {np.mean(values):.2f}" in texts
    assert overlapping(chart) == []


def test_pairs_are_compared_over_what_all_models_have_if_that_is_enough(
    trained: Connection,
) -> None:
    """One model lacks a third of the systems, and then two thirds."""
    for first, sizes in (("000", {60}), ("020", {40}), ("040", {20, 60})):
        remove(trained, f"model_id = 'alpha-0' AND system_id < 'crystals/{first}'")
        chart = kinship(trained, "crystals", metric="cka", permutations=0)
        assert {row["n"] for row in chart.answer.rows if row["value"] is not None} == sizes
        notes = [note for note in chart.usermeta["notes"] if note.startswith("Pairs share ")]
        told = "Pairs share 20 to 60 systems: values depend on how many, so compare relations with"
        assert [note.startswith(told) for note in notes] == [True] * (len(sizes) > 1)


def test_the_limit_of_p_names_its_relation_and_few_pairs_have_no_interval(
    trained: Connection,
) -> None:
    for model, sets in {"alpha-1": ["S22"], "beta-0": ["PDB"], "alpha-2": ["QM9"]}.items():
        trained.execute("UPDATE models SET training_sets = ? WHERE model_id = ?", [sets, model])
    chart = kinship(trained, "crystals", metric="cka")
    rows = {row["relation"]: row for row in chart.answer.rows}
    limited = {
        relation.replace("-", " ")
        for relation, row in rows.items()
        if "p cannot be below" in (row["warning"] or "")
    }
    notes = [note for note in chart.to_dict()["usermeta"]["notes"] if "p cannot be below" in note]
    assert {note.split(": ")[0].lower() for note in notes} == limited != set()
    means = {row["relation"]: row for row in layers(chart, "point")[-1].rows}
    lines = {row["relation"] for row in layers(chart, "rule")[-1].rows}
    for relation, row in rows.items():
        name = relation.replace("-", " ")
        if name in means:
            known = row["low"] is not None and row["n_pairs"] >= 5
            assert (name in lines, "low" in means[name]) == (known, known)
    assert 0 < len(lines) < len(means)


def test_untrained_models_have_no_relations(own: Connection) -> None:
    own.execute("UPDATE models SET training_sets = NULL")
    with pytest.raises(
        NothingToDraw, match="two models with training sets and vectors on crystals are needed"
    ):
        kinship(own, "crystals")


def test_one_pair_explains_nothing(trained: Connection) -> None:
    trained.execute(
        "UPDATE models SET training_sets = NULL WHERE model_id NOT IN ('alpha-0', 'beta-0')"
    )
    with pytest.raises(
        NothingToDraw, match="alpha-0 and beta-0 are the only pair of trained models on crystals"
    ):
        kinship(trained, "crystals")
