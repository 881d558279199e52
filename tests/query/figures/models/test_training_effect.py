"""Models beside their untrained twins: what is drawn agrees with dense formulas."""

from __future__ import annotations

from itertools import combinations, permutations

import duckdb
import numpy as np
import pytest

from query.figures import NothingToDraw, Plot, training_effect
from query.statements import ask
from tests.query.figures.conftest import SMALL, N, add_model, insert_vectors, model_names
from tests.query.figures.restated import information_imbalance, mutual_knn, unit
from tests.query.figures.texts import overlapping
from tests.vectors import add_query, remove

Connection = duckdb.DuckDBPyConnection
MODELS = [model for model, _ in model_names(SMALL)]


@pytest.fixture
def plot(small: Connection) -> Plot:
    return training_effect(small, "crystals", metric="mutual_knn", permutations=20)


def test_values_are_those_of_models_and_of_twins(plot: Plot) -> None:
    rows = plot.answer.rows
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


def test_marks_lie_where_the_values_are(plot: Plot) -> None:
    for marks in plot.axes[0].collections:
        relation = str(marks.get_label()).rsplit(" (", 1)[0].replace(" ", "-")
        drawn = [
            (row["twins_value"], row["value"])
            for row in plot.answer.rows
            if row["relation"] == relation
        ]
        np.testing.assert_allclose(marks.get_offsets(), drawn)
    shown = [text.get_text() for axes in plot.axes for text in axes.get_legend().get_texts()]
    assert shown[:3] == ["same family (6)", "same training data (5)", "neither (4)"]
    gained = [row["gained"] for row in plot.answer.rows if row["relation"] == "neither"]
    assert shown[-1] == f"neither: {np.median(gained):+.2f}"


def test_relations_are_families_then_training_sets(own: Connection) -> None:
    own.execute("UPDATE models SET training_sets = NULL WHERE model_id = 'beta-1'")
    rows = ask(own, "training_effect", dataset="crystals", metric="cka", permutations=0).rows
    related = {(row["model_a"], row["model_b"]): row["relation"] for row in rows}
    assert related["beta-0", "beta-1"] == "same-family"
    assert related["alpha-0", "beta-0"] == "same-training-data"  # sea
    assert related["alpha-0", "beta-2"] == "neither"  # sea; sky, sand, …
    assert related["alpha-0", "beta-1"] == "unknown-training-data"


def test_pairs_without_twins_stay_visible(own: Connection) -> None:
    remove(own, "model_id = 'beta-2@untrained'")
    plot = training_effect(own, "crystals", metric="cka", permutations=20)
    missing = [row for row in plot.answer.rows if row["gained"] is None]
    assert {row["reason"] for row in missing} == {
        "the untrained twin of beta-2 has no vectors here"
    }
    assert len(missing) == 5
    left = plot.axes[0]
    drawn = np.concatenate([np.asarray(marks.get_offsets()) for marks in left.collections])
    assert len(drawn) == 15
    (strip,) = (patch for patch in left.patches if patch.get_hatch())
    inside = [strip.get_x() < x < strip.get_x() + strip.get_width() for x, _ in drawn]
    assert sum(inside) == 5
    assert (
        sum(
            "the untrained twin of beta-2 has no vectors" in tooltip.text
            for tooltip in plot.tooltips()
        )
        == 5
    )


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
    plot = training_effect(own, "crystals", metric="cka", permutations=20)
    (left_out,) = (row for row in plot.answer.rows if row["gained"] is None)
    assert (left_out["model_a"], left_out["model_b"]) == ("alpha-0", "alpha-1")
    assert left_out["twins_value"] is None and left_out["value"] is not None
    message = "the untrained twins of alpha-0 and alpha-1 are one and the same network"
    assert left_out["reason"].startswith(message)
    assert sum(message in tooltip.text for tooltip in plot.tooltips()) == 1


def test_several_twins_give_what_training_added_a_spread(own: Connection) -> None:
    """One model has a second twin; its pairs have two values of twins, all others one."""
    again = np.random.default_rng(7).normal(size=(N, 8)).astype(np.float32)
    add_model(own, "alpha-0@untrained-2", "alpha", [], untrained_of="alpha-0")
    insert_vectors(own, "crystals", "alpha-0@untrained-2", again)
    plot = training_effect(own, "crystals", metric="mutual_knn", permutations=1)
    assert len(plot.answer.rows) == 15
    for row in plot.answer.rows:
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
            assert any(list(line.get_xdata()) == spread[:2] for line in plot.axes[0].lines)
    assert sum("2 pairs of them" in tooltip.text for tooltip in plot.tooltips()) == 5


def test_sixty_models(large: Connection) -> None:
    plot = training_effect(large, "crystals", metric="mutual_knn", permutations=1)
    assert sum(len(marks.get_offsets()) for marks in plot.axes[0].collections) == 60 * 59 / 2
    assert overlapping(plot) == []


def test_without_twins_there_is_nothing_to_draw(own: Connection) -> None:
    remove(own, "model_id LIKE '%@untrained'")
    remedy = "matterzoo ingest MODEL,MODEL@untrained crystals"
    message = rf"no pair .* \(the untrained twin of alpha-0 .*{remedy}"
    with pytest.raises(NothingToDraw, match=message):
        training_effect(own, "crystals", permutations=1)
    with pytest.raises(NothingToDraw, match="fewer than two trained models"):
        training_effect(own, "crystals", models=["alpha-0"])
