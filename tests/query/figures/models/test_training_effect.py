"""Models beside their untrained twins: what is drawn agrees with dense formulas."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import Any

import duckdb
import numpy as np
import pytest

from query.figures import NothingToDraw, training_effect
from query.statements import ask
from tests.query.figures.conftest import SMALL, N, add_model, insert_vectors, model_names
from tests.query.figures.restated import information_imbalance, mutual_knn, unit
from tests.query.figures.scene import layers, overlapping
from tests.vectors import add_query, remove

Connection = duckdb.DuckDBPyConnection
MODELS = [model for model, _ in model_names(SMALL)]


@pytest.fixture
def chart(small: Connection) -> Any:
    return training_effect(small, "crystals", metric="mutual_knn", permutations=20)


def test_values_are_those_of_models_and_of_twins(chart: Any) -> None:
    rows = chart.answer.rows
    assert [(row["model_a"], row["model_b"]) for row in rows] == list(combinations(MODELS, 2))
    for row in rows:
        a, b = row["model_a"], row["model_b"]
        value, twins = (
            mutual_knn(unit(a), unit(b)),
            mutual_knn(unit(f"{a}@untrained"), unit(f"{b}@untrained")),
        )
        assert (row["value"], row["twins_value"], row["gained"]) == pytest.approx(
            (value, twins, value - twins)
        )
        assert row["twins_p_value"] > 0.05 or row["relation"] == "same-family"


def test_asymmetric_metrics_give_both_ways_and_low_is_gained(small: Connection) -> None:
    rows = ask(
        small, "training_effect", dataset="crystals", metric="information_imbalance", permutations=0
    ).rows
    assert [(row["model_a"], row["model_b"]) for row in rows] == list(permutations(MODELS, 2))
    for row in rows:
        a, b = row["model_a"], row["model_b"]
        value = information_imbalance(unit(a), unit(b))
        twins = information_imbalance(unit(f"{a}@untrained"), unit(f"{b}@untrained"))
        assert row["gained"] == pytest.approx(twins - value, abs=1e-6)
    assert np.mean([row["gained"] for row in rows if row["relation"] != "same-family"]) > 0


def test_marks_lie_where_the_values_are(chart: Any) -> None:
    marks = layers(chart, "point")[0]
    drawn = {(row["model_a"], row["model_b"]): row for row in marks.rows}
    for row in chart.answer.rows:
        mark = drawn[row["model_a"], row["model_b"]]
        places = (mark["across"], mark["up"])
        assert places == pytest.approx((row["twins_value"], row["value"]), rel=1e-4)
        assert mark["relation"] == row["relation"].replace("-", " ")
    gained = [row["gained"] for row in chart.answer.rows if row["relation"] == "neither"]
    (note,) = chart.to_dict()["usermeta"]["notes"]
    assert note.startswith("Median gain: same family (6 pairs) ")
    assert note.endswith(f"neither (4 pairs) {np.median(gained):+.2f}.")
    shares = layers(chart, "line")[-1].rows
    steps = [row["gained"] for row in shares if row["relation"] == "neither" and row["share"]]
    assert steps == pytest.approx(sorted(gained), rel=1e-3)
    assert overlapping(chart) == []


def test_relations_are_families_then_training_sets(own: Connection) -> None:
    own.execute("UPDATE models SET training_sets = NULL WHERE model_id = 'beta-1'")
    rows = ask(own, "training_effect", dataset="crystals", metric="cka", permutations=0).rows
    related = {(row["model_a"], row["model_b"]): row["relation"] for row in rows}
    assert related["beta-0", "beta-1"] == "same-family"
    assert related["alpha-0", "beta-0"] == "same-training-data"  # OC20
    assert related["alpha-0", "beta-2"] == "neither"  # OC20; PDB, QM9, …
    assert related["alpha-0", "beta-1"] == "unknown-training-data"


def test_pairs_without_twins_stay_visible(own: Connection) -> None:
    remove(own, "model_id = 'beta-2@untrained'")
    chart = training_effect(own, "crystals", metric="cka", permutations=20)
    missing = [row for row in chart.answer.rows if row["gained"] is None]
    assert {row["reason"] for row in missing} == {
        "the untrained twin of beta-2 has no vectors here"
    }
    marks = layers(chart, "point")[0]
    aside = [row for row in marks.rows if "twins_value" not in row]
    assert (len(marks.rows), len(aside), len(missing)) == (15, 5, 5)
    assert {row["reason"] for row in aside} == {row["reason"] for row in missing}
    notes = chart.usermeta["notes"]
    assert "5 for which no untrained twin was run (beta-2)." in notes[1]
    relations = [row["relation"] for row in chart.answer.rows if row["gained"] is not None]
    distributed = {row["relation"] for row in layers(chart, "line")[-1].rows}
    steps = layers(chart, "point")[1]  # which have the mark that the one legend explains
    assert {row["relation"] for row in steps.rows} == distributed
    assert steps.encoding["shape"] == marks.encoding["shape"]
    several = {name.replace("-", " ") for name in relations if relations.count(name) >= 3}
    assert distributed == several < {name.replace("-", " ") for name in relations}
    low, _ = marks.encoding["x"]["scale"]["domain"]
    known = [row["across"] for row in marks.rows if "twins_value" in row]
    assert all(low < row["across"] < min(known) for row in aside)


def test_a_distribution_takes_three_pairs(own: Connection) -> None:
    remove(
        own,
        "model_id LIKE '%@untrained' AND model_id NOT IN ('alpha-0@untrained', "
        "'alpha-1@untrained')",
    )
    chart = training_effect(own, "crystals", metric="cka", permutations=20)
    assert sum(row["gained"] is not None for row in chart.answer.rows) == 1
    assert len(chart.hconcat) == 1
    assert "neither (4 pairs) unknown" in chart.usermeta["notes"][0].replace("0 of ", "")
    x, y = (layers(chart, "point")[0].encoding[side] for side in "xy")
    assert x["axis"]["labelExpr"] == y["axis"]["labelExpr"]
    for lines in ("tickOpacity", "gridOpacity"):  # nothing marks a value in a strip
        assert x["axis"][lines]["condition"] == {
            "test": x["axis"]["labelExpr"].partition(" ?")[0],
            "value": 0,
        }


def test_the_pairs_that_stand_out_have_names(chart: Any) -> None:
    pairs = {f"{row['model_a']}, {row['model_b']}": row for row in chart.answer.rows}
    named = [row["name"] for row in layers(chart, "text")[0].rows]
    assert named and set(named) <= set(pairs)
    gains = [row["gained"] for row in chart.answer.rows]
    values = [row["value"] for row in chart.answer.rows]
    for name in named:
        row = pairs[name]
        assert row["value"] == max(values) or row["gained"] in (min(gains), max(gains))


def test_dotted_lines_are_the_ends_of_chance(chart: Any) -> None:
    nulls = [row["null_mean"] for row in chart.answer.rows]
    dotted = [layer for layer in layers(chart, "rule") if layer.mark.get("style") == "dotted"]
    drawn = sorted(value for layer in dotted for row in layer.rows for value in row.values())
    ends = [min(nulls), max(nulls)]
    assert drawn == pytest.approx([end for end in ends for _ in "xy"])


def test_twins_that_are_one_network_are_no_evidence(own: Connection) -> None:
    """Twins of one architecture were one network when all had one seed.

    One of them may take fewer systems than the other.
    """
    remove(own, "model_id = 'alpha-1@untrained'")
    add_query(
        own,
        "SELECT * REPLACE ('alpha-1@untrained' AS model_id) FROM embeddings "
        "WHERE model_id = 'alpha-0@untrained' AND system_id != 'crystals/007'",
    )
    chart = training_effect(own, "crystals", metric="cka", permutations=20)
    (left_out,) = (row for row in chart.answer.rows if row["gained"] is None)
    assert (left_out["model_a"], left_out["model_b"]) == ("alpha-0", "alpha-1")
    assert left_out["twins_value"] is None and left_out["value"] is not None
    message = "the untrained twins of alpha-0 and alpha-1 are one and the same network"
    assert left_out["reason"].startswith(message)
    marks = layers(chart, "point")[0]
    assert sum(message in row.get("reason", "") for row in marks.rows) == 1


def test_several_twins_give_what_training_added_a_spread(own: Connection) -> None:
    """One model has a second twin; its pairs have two values of twins, all others one."""
    again = np.random.default_rng(7).normal(size=(N, 8)).astype(np.float32)
    add_model(own, "alpha-0@untrained-2", "alpha", [], untrained_of="alpha-0")
    insert_vectors(own, "crystals", "alpha-0@untrained-2", again)
    chart = training_effect(own, "crystals", metric="mutual_knn", permutations=1)
    assert len(chart.answer.rows) == 15
    lines = {row["model_b"]: row for row in layers(chart, "rule")[-2].rows}
    for row in chart.answer.rows:
        a, b = row["model_a"], row["model_b"]
        twins = [unit(f"{a}@untrained"), again / np.linalg.norm(again, axis=1, keepdims=True)]
        values = [mutual_knn(x, unit(f"{b}@untrained")) for x in twins[: 1 + (a == "alpha-0")]]
        gained = [row["value"] - value for value in values]
        assert (row["twins_pairs"], row["reason"]) == (len(values), None)
        assert row["twins_value"] == pytest.approx(np.mean(values))
        assert row["gained"] == pytest.approx(np.mean(gained))
        spread = [row[name] for name in ("twins_low", "twins_high", "gained_low", "gained_high")]
        if a != "alpha-0":
            assert spread == [None] * 4
        else:
            ends = [min(values), max(values), min(gained), max(gained)]
            assert spread == pytest.approx(ends)
            line = lines[b]
            assert (line["twins_low"], line["twins_high"]) == pytest.approx(ends[:2], rel=1e-4)
    assert len(lines) == 5


def test_sixty_models(large: Connection) -> None:
    chart = training_effect(large, "crystals", metric="mutual_knn", permutations=1)
    assert len(layers(chart, "point")[0].rows) == 60 * 59 / 2


def test_without_twins_there_is_nothing_to_draw(own: Connection) -> None:
    remove(own, "model_id LIKE '%@untrained'")
    remedy = "matterzoo ingest MODEL,MODEL@untrained crystals"
    message = rf"no pair .* \(the untrained twin of alpha-0 .*{remedy}"
    with pytest.raises(NothingToDraw, match=message):
        training_effect(own, "crystals", permutations=1)
    with pytest.raises(NothingToDraw, match="fewer than two trained models"):
        training_effect(own, "crystals", models=["alpha-0"])
