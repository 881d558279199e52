"""The first sentence of a pair's page: what SQL says, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

import query
from query.site.answers import Answer, Answers
from query.site.results import Results
from query.site.words import fixed, on_scale, ordinal, p_equals, p_text, pair_of
from tests.query.report.conftest import store_path  # noqa: F401
from tests.query.site.conftest import DATASETS


def answer(results: Results, a: str, b: str) -> Answer:
    """What is said of a pair on the first dataset."""
    first, *others = Answers(results).on_each_dataset(results.pairs[a, b])
    assert [first.dataset, *(each.dataset for each in others)] == DATASETS
    return first


def place_in_sql(connection: duckdb.DuckDBPyConnection, row: dict[str, Any]) -> int:
    """The place of an alignment among those of trained models."""
    sql = (
        "WITH trained AS (FROM models WHERE family IN ('alpha', 'beta') AND untrained_of IS NULL) "
        "SELECT 1 + count(*) FROM alignment_matrix('crystals', metric := $metric) AS m "
        "SEMI JOIN trained AS a ON a.model_id = model_a "
        "SEMI JOIN trained AS b ON b.model_id = model_b "
        "WHERE model_a < model_b AND calibrated > $calibrated + 1e-9"
    )
    found = connection.execute(
        sql, {name: row[name] for name in ("metric", "calibrated")}
    ).fetchone()
    assert found is not None
    return int(found[0])


def test_numbers_are_those_of_sql(results: Results, store_path: Path) -> None:  # noqa: F811
    sql = "FROM alignment('alpha-0', 'beta-1', 'crystals', metric := ['cknna', 'cka'], "
    with query.connect(store_path) as connection:
        rows = connection.sql(sql + "subsamples := 20)").to_arrow_table().to_pylist()
        cka, cknna = sorted(rows, key=lambda row: str(row["metric"]))
        places = [place_in_sql(connection, row) for row in (cknna, cka)]
    by_cknna, by_cka = ("" if place == 1 else f"{ordinal(place)} " for place in places)
    found = answer(results, "alpha-0", "beta-1")
    assert found.verdict == "are more alike than by chance"
    assert found.details == (
        f"CKNNA is {fixed(cknna['value'])} (95 % interval {fixed(cknna['low'])} to "
        f"{fixed(cknna['high'])}), {on_scale(cknna['calibrated'])}, where systems "
        f"paired at random give {fixed(cknna['null_mean'])} (p ≤ 0.010), over 60 systems, the "
        f"{by_cknna}most alike of 15 pairs of trained models (warning: {cknna['warning']}); "
        f"CKA is {fixed(cka['value'])} (p ≤ 0.010), the {by_cka}most alike"
    )


def test_a_model_turned_is_the_same(results: Results) -> None:
    found = answer(results, "yard", "yard-rotated")
    assert found.verdict == "see the same"
    assert found.details.startswith("CKNNA is 1.000")
    assert "most alike" not in found.details  # of controls, which are alike on purpose


def test_shuffled_systems_are_no_more_alike_than_by_chance(results: Results) -> None:
    assert answer(results, "yard", "yard-shuffled").verdict == "are no more alike than by chance"


def test_what_is_undefined_has_its_reason(results: Results) -> None:
    found = answer(results, "alpha-0", "flat")
    assert found.verdict == "cannot be compared"
    assert found.details.startswith("CKNNA is undefined (") and "flat" in found.details


def test_places_and_kinds_in_words() -> None:
    places = {1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 11: "11th", 12: "12th", 13: "13th"}
    places |= {21: "21st", 111: "111th", 1002: "1,002nd"}
    assert {number: ordinal(number) for number in places} == places
    assert pair_of("model", "model") == "trained models"
    assert pair_of("model", "twin") == "a trained model and an untrained twin"
    assert [fixed(value) for value in (0.12345, -0.0001, None)] == ["0.123", "0.000", ""]
    assert [p_text(value) for value in (0.04, 1 / 101, None)] == ["0.040", "≤ 0.010", ""]
    assert [p_equals(value) for value in (0.04, 1 / 101)] == ["p = 0.040", "p ≤ 0.010"]


@pytest.mark.parametrize("high", [True, False])
def test_untrained_networks_in_their_place_are_told(results: Results, high: bool) -> None:
    pair = ("alpha-0", "beta-1")
    rows = [row for row in results.pairs[pair] if row["metric"] == "cknna"]
    twin = results.alignments["crystals", "cknna", ("alpha-0@untrained", "beta-1")]
    twin = twin | {"value": rows[0]["value"] + (0.1 if high else -0.1)}
    (said,) = Answers(results).on_each_dataset(rows[:1], {("crystals", "cknna"): [twin]})
    but = ", but no more than with untrained networks in their place"
    assert said.verdict.endswith(but) == high
    most = f"with untrained twins it is at most {fixed(twin['value'])} (alpha-0@untrained and"
    assert most in said.details
