"""FROM transfer(…): heads of one model on vectors of another."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

Connection = duckdb.DuckDBPyConnection


def rows_of(con: Connection, sql: str) -> list[dict[str, Any]]:
    return con.sql(sql).to_arrow_table().to_pylist()


def test_a_head_is_carried_over_and_compared(labeled: Connection) -> None:
    rows = rows_of(labeled, "FROM transfer('near', 'base', 'seen', 'crystals', permutations := 3)")
    told = [(row["vectors"], row["head"], row["map"]) for row in rows]
    maps = ("linear", "orthogonal", "anchors")
    assert told == [
        *(("near", "base", name) for name in maps), *(("noise", "base", name) for name in maps),
        ("base", "base", "none"), ("near", "near", "none"),
    ]  # fmt: skip
    found = dict(zip(told, rows, strict=True))
    linear, own = found["near", "base", "linear"], found["base", "base", "none"]
    assert 0.6 < linear["low"] < linear["value"] < linear["high"] < own["value"]
    assert (linear["p_value"], linear["n"], linear["unit"]) == (0.25, 60, "eV")
    assert linear["null_mean"] < 0.2 and 0.7 < linear["mapped"] < 1
    assert linear["difference"] == pytest.approx(linear["value"] - own["value"])
    assert linear["difference_low"] < linear["difference"] < linear["difference_high"]
    assert found["near", "base", "anchors"]["mapped"] is own["difference"] is None
    assert found["noise", "base", "linear"]["value"] < 0.2


def test_classes_groups_and_one_map(labeled: Connection) -> None:
    how = "permutations := 0, map := ['linear'], groups := 'kind', folds := 3"
    rows = rows_of(labeled, f"FROM transfer('near', 'base', 'high', 'crystals', {how})")
    assert [row["map"] for row in rows] == ["linear", "linear", "none", "none"]
    assert rows[0]["score"] == "auc" and rows[0]["value"] > 0.8 and rows[0]["p_value"] is None
    assert (rows[0]["n"], rows[0]["n_groups"]) == (57, 6)
    assert rows[0]["warning"] == "3 systems have no kind to be grouped by"
    some = rows_of(labeled, f"FROM transfer('near', 'partial', 'high', 'crystals', {how})")
    assert some[0]["n"] == 50


def test_what_is_undefined_has_a_reason(labeled: Connection) -> None:
    for other, reason in {
        "constant": "every vector of constant is the same",
        "empty": "0 systems have vectors and 'seen', expected 10",
    }.items():
        rows = rows_of(labeled, f"FROM transfer('base', '{other}', 'seen', 'crystals')")
        assert [(row["map"], row["value"], row["reason"]) for row in rows] == [
            (name, None, reason) for name in ("linear", "orthogonal", "anchors")
        ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("'base', 'near', 'sen'", "no label 'sen' in this store; did you mean 'seen'?"),
        ("'base', 'nea', 'seen'", "did you mean 'near'?"),
        ("'base', 'near', 'seen', map := ['liner']", "unknown map 'liner'; did you mean 'linear'?"),
        ("'base', 'near', 'seen', permutations := -1", "permutations = -1, expected 0 or more"),
    ],
)
def test_a_wrong_argument_is_answered(labeled: Connection, arguments: str, message: str) -> None:
    with pytest.raises(duckdb.InvalidInputException) as caught:
        labeled.sql(f"FROM transfer({arguments})").fetchall()
    assert message in str(caught.value)
