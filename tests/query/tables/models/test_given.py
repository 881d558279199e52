"""`given := …` in SQL: the same as from arrays, in every function that aligns models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

import query
from query.metrics import align

Connection = duckdb.DuckDBPyConnection
Vectors = dict[str, NDArray[np.float32]]

HOW = "dataset := 'crystals', k := 5"
THREE = "models := ['base', 'near', 'far']"


@pytest.fixture(scope="module")
def asked(store_path: Path) -> Iterator[Connection]:
    with query.connect(store_path) as connection:
        yield connection


def rows_of(con: Connection, sql: str) -> list[dict[str, Any]]:
    return con.sql(sql).to_arrow_table().to_pylist()


def test_a_row_is_the_alignment_of_the_arrays(asked: Connection, vectors: Vectors) -> None:
    for given, tables in {"'far'": ["far"], "['noise', 'base#all']": ["noise", "base#all"]}.items():
        (row,) = rows_of(asked, f"FROM alignment('near', 'partial', {HOW}, given := {given})")
        table = np.hstack([vectors[name][10:] for name in tables])
        found = align(
            vectors["near"][10:], vectors["partial"][10:], k=5, permutations=100, given=table
        )
        for column in ("value", "p_value", "null_mean", "given_share_a", "given_share_b"):
            assert row[column] == pytest.approx(getattr(found, column), abs=1e-6), column
        assert row["given"] == ", ".join(tables)
        assert (row["n"], row["dropped_a"], row["dropped_b"]) == (50, 10, 0)
    (back,) = rows_of(asked, f"FROM alignment('partial', 'near', {HOW}, given := {given})")
    assert (back["value"], back["given_share_b"]) == (row["value"], row["given_share_a"])


def test_of_what_is_given_nothing_is_left(asked: Connection) -> None:
    rows = rows_of(asked, f"FROM alignment_matrix({HOW}, {THREE}, given := 'far')")
    for row in rows:
        itself = "far" in (row["model_a"], row["model_b"])
        assert (row["value"] is None) == itself
        reason = "nothing is left of far: it is what is given" if itself else None
        assert row["reason"] == reason
    copies = rows_of(asked, f"FROM alignment('near', 'rotated', {HOW}, given := 'scaled')")
    assert copies[0]["reason"] == "nothing is left of rotated: scaled explains it"


def test_all_functions_take_the_same_out(asked: Connection) -> None:
    how = f"{HOW}, {THREE}, given := 'noise'"
    rows = rows_of(asked, f"FROM alignment_matrix({how})")
    matrix = {(row["model_a"], row["model_b"]): row for row in rows}
    nearest = rows_of(asked, f"FROM nearest_models('base', {how})")
    assert {row["model_id"]: row["value"] for row in nearest} == {
        other: matrix["base", other]["value"] for other in ("near", "far")
    }
    tree = [row for row in rows_of(asked, f"FROM model_tree({how})") if row["model_id"]]
    assert {row["model_id"]: row["given_share"] for row in tree} == {
        model: matrix[model, model]["given_share_a"] for model in ("base", "near", "far")
    }
    assert {row["given"] for row in [*tree, *nearest]} == {"noise"}
    scored = rows_of(
        asked,
        "FROM convergence(dataset := 'crystals', k := 5, reference := 'base', "
        "score := 'energy_mae', given := 'noise')",
    )
    (near,) = (row for row in scored if row["model_id"] == "near")
    assert (near["value"], near["given_share"]) == (
        matrix["base", "near"]["value"], matrix["base", "near"]["given_share_b"],
    )  # fmt: skip


def test_the_size_can_be_given(energies: Connection, vectors: Vectors) -> None:
    (row,) = rows_of(energies, f"FROM alignment('base', 'near', {HOW}, given := 'size')")
    atoms = energies.sql(
        "SELECT n_atoms FROM systems WHERE dataset = 'crystals' ORDER BY system_id"
    ).fetchnumpy()["n_atoms"]
    size = np.column_stack([atoms, np.log(atoms)])
    found = align(vectors["base"], vectors["near"], k=5, permutations=100, given=size)
    assert (row["value"], row["p_value"]) == (pytest.approx(found.value, abs=1e-9), found.p_value)
    (unknown,) = rows_of(
        energies, "FROM alignment('base', 'near', 'molecules', k := 5, given := 'size')"
    )
    assert unknown["reason"] == (
        "given: the store knows neither atoms nor a sequence of 40 of the 40 systems of molecules"
    )


def test_what_cannot_be_given(asked: Connection) -> None:
    with pytest.raises(duckdb.InvalidInputException, match="no model 'nois' in this store"):
        asked.sql(f"FROM alignment('base', 'near', {HOW}, given := 'nois')").fetchall()
    with pytest.raises(duckdb.InvalidInputException, match="does not go with given"):
        asked.sql(
            f"FROM alignment('base', 'near', {HOW}, given := 'far', normalize := 'zscore')"
        ).fetchall()
    (row,) = rows_of(asked, f"FROM alignment('base', 'near', {HOW}, given := 'empty')")
    assert row["reason"] == "no vectors of empty, which is given, on crystals"
