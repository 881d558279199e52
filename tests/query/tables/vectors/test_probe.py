"""FROM probe(…): labels that are in the vectors, labels that are not, and baselines."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

Connection = duckdb.DuckDBPyConnection


THREE = "models := ['base', 'near', 'noise']"


def rows_of(con: Connection, sql: str) -> dict[str, dict[str, Any]]:
    return {row["model_id"]: row for row in con.sql(sql).to_arrow_table().to_pylist()}


def test_what_is_in_the_vectors_is_read_and_compared_with_baselines(labeled: Connection) -> None:
    rows = rows_of(labeled, f"FROM probe('seen', 'crystals', {THREE}, permutations := 19)")
    assert list(rows) == ["base", "near", "noise", "mean", "size", "counts", "far"]
    base, near, noise = rows["base"], rows["near"], rows["noise"]
    assert base["value"] > 0.99 and base["error"] < 0.1
    assert 0.6 < near["low"] < near["value"] < near["high"] < base["value"]
    assert near["p_value"] == 1 / 20 and near["null_mean"] < 0.1
    assert noise["value"] < 0.2 and noise["p_value"] > 0.05
    assert (rows["mean"]["value"], rows["mean"]["method"]) == (0, "mean")
    best = max((noise, *list(rows.values())[3:]), key=lambda row: row["value"])
    assert (near["best_baseline"], near["n_shared"]) == (best["model_id"], 60)
    assert near["difference"] == pytest.approx(near["value"] - best["value"])
    assert near["difference_low"] < near["difference"] < near["difference_high"]
    assert [row["is_baseline"] for row in rows.values()] == [False] * 3 + [True] * 4
    assert rows["size"]["best_baseline"] is None and rows["counts"]["dimension"] == 7
    assert (near["score"], near["unit"], near["groups"], near["folds"], near["n_groups"]) == (
        "r2", "eV", "content", 5, 60,
    )  # fmt: skip


def test_a_label_of_two_values_has_classes(labeled: Connection) -> None:
    how = f"'crystals', {THREE}, permutations := 19, baselines := []"
    rows = rows_of(labeled, f"FROM probe('high', {how})")
    assert list(rows) == ["base", "near", "noise", "mean"]
    assert {row["method"] for row in rows.values()} == {"logistic", "mean"}
    assert rows["mean"]["value"] == 0.5 and rows["base"]["value"] > 0.95
    assert rows["near"]["error"] < 0.3 < rows["noise"]["error"]
    assert (rows["near"]["score"], rows["near"]["unit"]) == ("auc", "1")
    # The twin is a baseline of its own model alone.
    assert (rows["base"]["best_baseline"], rows["near"]["best_baseline"]) in (
        ("mean", "noise"), ("mean", "mean"),
    )  # fmt: skip
    nearest = rows_of(labeled, f"FROM probe('high', {how}, method := ['knn'])")
    assert nearest["near"]["value"] > 0.75 and nearest["near"]["p_value"] == 1 / 20


def test_rotated_vectors_give_the_same_unless_features_are_scaled(labeled: Connection) -> None:
    how = (
        "'crystals', ['base', 'rotated', 'scaled'], ['ridge', 'knn'], permutations := 0, "
        "normalize := 'none', baselines := []"
    )
    rows = labeled.sql(f"SELECT model_id, value, p_value FROM probe('seen', {how})").fetchall()
    values = [value for model, value, _ in rows if model != "mean"]
    assert values[:3] == pytest.approx([values[0]] * 3, rel=1e-4)
    assert values[3:] == pytest.approx([values[3]] * 3, rel=1e-4)
    assert {p for _, _, p in rows} == {None}


def test_groups_and_sources(labeled: Connection) -> None:
    how = "permutations := 0, models := ['base'], baselines := ['counts', 'near']"
    rows = rows_of(labeled, f"FROM probe('seen', groups := 'kind', folds := 3, {how})")
    assert list(rows) == ["base", "mean", "counts", "near"]
    base = rows["base"]
    assert (base["n_groups"], base["n"], base["folds"], base["groups"]) == (6, 57, 3, "kind")
    assert base["warning"] == "3 systems have no kind to be grouped by"
    both = rows_of(labeled, f"FROM probe('split', {how})")["base"]
    assert (both["source"], both["n"]) == ("2 sources", 60)
    one = rows_of(labeled, f"FROM probe('split', source := 'lab True', {how})")["base"]
    assert (one["source"], one["n"]) == ("lab True", 29)
    assert (
        rows_of(labeled, f"FROM probe('seen', groups := 'formula', {how})")["base"]["value"] > 0.9
    )


def test_what_is_undefined_has_a_reason(labeled: Connection) -> None:
    how = "permutations := 0, baselines := []"
    models = "models := ['constant', 'ragged', 'poisoned', 'empty', 'partial', 'stale']"
    rows = rows_of(labeled, f"FROM probe('seen', 'crystals', {models}, {how})")
    assert {name: row["reason"] for name, row in rows.items() if row["reason"]} == {
        "constant": "every vector of constant is the same",
        "ragged": "the vectors of ragged differ in length (15 to 16)",
        "poisoned": "row 3 of poisoned is not finite (NaN or infinity)",
        "empty": "0 systems have vectors and 'seen', expected 10",
    }
    assert (rows["partial"]["n"], rows["stale"]["n"]) == (50, 55)
    few = rows_of(labeled, f"FROM probe('few', models := ['base'], {how})")
    assert {row["reason"] for row in few.values()} == {
        "8 systems have vectors and 'few', expected 10"
    }
    two = rows_of(labeled, f"FROM probe('seen', groups := 'high', models := ['base'], {how})")
    assert two["base"]["reason"] == "groups := 'high' makes 2 parts of these systems, expected 3"
    assert two["base"]["warning"].endswith("% of the systems: folds differ in size")
    wrong = "method := ['logistic'], models := ['base']"
    (base, _) = rows_of(labeled, f"FROM probe('seen', {wrong}, {how})").values()
    assert base["reason"] == "'seen' has more than two values, so that it has no classes"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("'sen'", "no label 'sen' in this store; did you mean 'seen'?"),
        ("'sen', 'crystals'", "no label 'sen' on crystals; did you mean 'seen'?"),
        ("'energy', source := 'DTF'", "'energy' on crystals has not 'DTF': choose source := '…', "),
        ("'energy'", "is from 'DFT' and from 'force field': choose with source := '…'"),
        ("'seen', method := ['rige']", "unknown method 'rige'; did you mean 'ridge'?"),
        ("'seen', groups := 'knd'", "unknown groups 'knd'; did you mean 'kind'?"),
        ("'seen', folds := 2", "folds = 2, expected at least 3"),
        ("'seen', permutations := -1", "permutations = -1, expected 0 or more"),
        ("'seen', normalize := 'zscor'", "did you mean 'zscore'?"),
        ("'seen', models := ['fer']", "did you mean 'far'?"),
    ],
)
def test_a_wrong_argument_is_answered(labeled: Connection, arguments: str, message: str) -> None:
    with pytest.raises(duckdb.InvalidInputException) as caught:
        labeled.sql(f"FROM probe({arguments})").fetchall()
    assert message in str(caught.value)
