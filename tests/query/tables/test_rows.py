"""`rows := r` in SQL: the same estimates as from arrays, and exact with as many rows as systems."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

from query.metrics import METRICS, align, measure
from query.metrics.shared.estimates import RowMetric

Connection = duckdb.DuckDBPyConnection
Vectors = dict[str, NDArray[np.float32]]

HOW = "dataset := 'crystals', k := 3, rows := 7"
DRAWN: dict[str, Any] = {"k": 3, "rows": 7}
ESTIMATED = [name for name, metric in METRICS.items() if isinstance(metric, RowMetric)]


def rows_of(con: Connection, sql: str) -> list[dict[str, Any]]:
    return con.sql(sql).to_arrow_table().to_pylist()


@pytest.mark.parametrize("metric", METRICS)
def test_an_estimate_is_that_of_the_arrays(con: Connection, vectors: Vectors, metric: str) -> None:
    asked = f"{HOW}, metric := '{metric}', seed := 4, permutations := 20"
    (row,) = rows_of(con, f"FROM alignment('base', 'near', {asked})")
    how = DRAWN | {"seed": 4, "permutations": 20}
    found = align(vectors["base"], vectors["near"], metric, **how)
    for column in ("value", "standard_error", "p_value", "null_mean", "calibrated"):
        assert row[column] == pytest.approx(getattr(found, column), abs=1e-12), column
    assert (row["rows"], row["n"]) == (7 if metric in ESTIMATED else 60, 60)
    assert (row["standard_error"] is not None) == (metric in ESTIMATED)


def test_all_functions_estimate_from_the_same_rows(con: Connection) -> None:
    how = f"{HOW}, estimator := 'centered'"
    (one,) = rows_of(con, f"FROM alignment('base', 'far', {how})")
    names = "models := ['base', 'near', 'far']"
    matrix = rows_of(con, f"FROM alignment_matrix({how}, {names})")
    nearest = rows_of(con, f"FROM nearest_models('base', {how}, {names})")
    scored = rows_of(con, f"FROM convergence({how}, reference := 'base', score := 'energy_mae')")
    for column in ("value", "standard_error", "rows", "p_value"):
        expected = pytest.approx(one[column], abs=1e-12)
        (there,) = (r for r in matrix if (r["model_a"], r["model_b"]) == ("base", "far"))
        assert there[column] == expected
        assert next(r for r in nearest if r["model_id"] == "far")[column] == expected
        if column != "p_value":
            assert next(r for r in scored if r["model_id"] == "far")[column] == expected
    itself = next(r for r in matrix if r["model_a"] == r["model_b"] == "near")
    assert (itself["value"], itself["standard_error"]) == (pytest.approx(1), pytest.approx(0))
    tree = rows_of(con, f"FROM model_tree({how}, {names})")
    assert {node["rows"] for node in tree} == {7}
    exact = rows_of(con, f"FROM model_tree(dataset := 'crystals', k := 3, {names}, rows := 60)")
    assert {node["rows"] for node in exact} == {60}


def test_models_with_other_systems_are_estimated_on_what_they_share(
    con: Connection, vectors: Vectors
) -> None:
    (row,) = rows_of(con, f"FROM alignment('near', 'partial', {HOW}, metric := 'mutual_knn')")
    found = align(vectors["near"][10:], vectors["partial"][10:], "mutual_knn", **DRAWN)
    assert row["value"] == pytest.approx(found.value, abs=1e-12)
    assert (row["n"], row["rows"], row["dropped_a"]) == (50, 7, 10)


def test_dimensions_are_estimated(con: Connection, vectors: Vectors) -> None:
    (row,) = rows_of(con, "FROM dimensions('crystals', models := ['near'], k := 5, rows := 20)")
    found = measure(vectors["near"], "intrinsic_dimension", k=5, rows=20)
    assert (row["value"], row["standard_error"], row["rows"]) == (
        pytest.approx(found.value), pytest.approx(found.standard_error), 20,
    )  # fmt: skip
    (exact,) = rows_of(
        con,
        "FROM dimensions('crystals', models := ['near'], measure := 'effective_rank', rows := 5)",
    )
    assert exact["value"] == measure(vectors["near"], "effective_rank").value
    assert (exact["standard_error"], exact["rows"]) == (None, 60)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("mutual_knn(a.vector, b.vector, k := 3", ("mutual_knn", {})),
        ("cknna(a.vector, b.vector, k := 3, estimator := 'centered'",
         ("cknna", {"estimator": "centered"})),
    ],
)  # fmt: skip
def test_aggregates_estimate(
    con: Connection, vectors: Vectors, call: str, expected: tuple[str, dict[str, Any]]
) -> None:
    where = (
        "FROM embeddings a JOIN embeddings b USING (system_id, representation) WHERE "
        "a.model_id = 'base' AND b.model_id = 'far' AND representation = 'last' "
        "AND starts_with(system_id, 'crystals/')"
    )
    name, how = expected
    exact, all_rows, some = con.sql(
        f"SELECT {call}), {call}, rows := 1000), {call}, rows := 20) {where}"
    ).fetchall()[0]
    assert (
        exact
        == all_rows
        == pytest.approx(align(vectors["base"], vectors["far"], name, k=3, **how).value, abs=1e-12)
    )
    assert some != exact
    assert abs(some - exact) < 0.3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("0", "rows = 0, expected at least 1"),
        ("-5", "rows = -5, expected at least 1"),
        ("2.5", "rows = 2.5, expected a whole number"),
    ],
)
@pytest.mark.parametrize(
    "asked",
    ["alignment('base', 'near', dataset := 'crystals'", "dimensions('crystals'",
     "alignment_matrix('crystals'", "model_tree('crystals'"],
)  # fmt: skip
def test_senseless_rows_are_errors(con: Connection, asked: str, given: str, message: str) -> None:
    with pytest.raises(duckdb.InvalidInputException, match=message):
        con.sql(f"FROM {asked}, rows := {given})").fetchall()


@pytest.mark.parametrize(
    ("given", "message"),
    [("0", "rows = 0, expected 1 or more"), ("2.5", "rows = 2.5, expected a whole number")],
)
@pytest.mark.parametrize("call", ["cknna(vector, vector", "intrinsic_dimension(vector"])
def test_senseless_rows_of_aggregates_are_errors(
    con: Connection, call: str, given: str, message: str
) -> None:
    with pytest.raises(duckdb.InvalidInputException, match=message):
        con.sql(f"SELECT {call}, rows := {given}) FROM embeddings").fetchall()
