"""The tables at the end of the page: where everything comes from."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import query
from query.statements import ask


@pytest.fixture
def con(store_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with query.connect(store_path) as connection:
        yield connection


def test_datasets_in_order_of_their_names(con: duckdb.DuckDBPyConnection) -> None:
    rows = ask(con, "provenance_datasets", datasets="molecules,crystals").rows
    assert [(row["dataset"], row["n_systems"], row["license"]) for row in rows] == [
        ("crystals", 60, "CC0-1.0"),
        ("molecules", 60, "CC0-1.0"),
    ]


def test_each_model_once_with_its_kind_and_where_it_was_seen(
    con: duckdb.DuckDBPyConnection,
) -> None:
    rows = {
        row["model_id"]: row
        for row in ask(con, "provenance_models", datasets="crystals,molecules").rows
    }
    assert len(rows) == 6 + 6 + 2 + 4
    assert [row["kind"] for row in rows.values()] == ["model"] * 6 + ["descriptor"] * 2 + [
        "twin"
    ] * 6 + ["control"] * 4
    assert rows["alpha-1"]["systems"] == "crystals 60, molecules 60"
    assert rows["alpha-1"]["training_sets"] == ["OC20", "OC22"]
    assert rows["alpha-1"]["exposure"] == "crystals unknown-dataset, molecules unknown-dataset"
    assert {row["exposure"] for row in rows.values() if row["training_sets"] == []} == {None}


def test_models_of_the_same_weights_name_each_other(store_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / store_path.name
    shutil.copy(store_path, copy)
    shutil.copytree(store_path.with_suffix(".data"), copy.with_suffix(".data"))
    card = '{"weights": {"files": [{"sha256": "a"}, {"sha256": "b"}]}}'
    with duckdb.connect(copy) as connection:
        connection.execute(
            "UPDATE models SET card = ? WHERE model_id IN ('alpha-0', 'beta-1')", [card]
        )
    with query.connect(copy) as connection:
        rows = ask(connection, "provenance_models", datasets="crystals,molecules").rows
    same = {row["model_id"]: row["same_weights"] for row in rows if row["same_weights"]}
    assert same == {"alpha-0": ["beta-1"], "beta-1": ["alpha-0"]}


def test_runs_that_gave_vectors_or_failed(con: duckdb.DuckDBPyConnection) -> None:
    """A run is left out once all its vectors have been replaced."""
    rows = ask(con, "provenance_runs", datasets="crystals").rows
    assert [(row["status"], row["reason"]) for row in rows] == [
        ("failed", "out of memory"),
        ("ok", None),
    ]
    assert rows[1]["weights"] == ["a.pt", "b.pt"]
    assert rows[1]["weights_hash"] == ["0123456789abcdef", "fedcba98"]
    assert rows[1]["untrained_seed"] is None
    assert rows[1]["torch"] == "2.13.0"
    assert ask(con, "provenance_runs", datasets="molecules").rows == []


def test_failures_by_reason(con: duckdb.DuckDBPyConnection) -> None:
    (row,) = ask(con, "provenance_failures", datasets="crystals,molecules").rows
    assert (row["status"], row["reason"], row["systems"], row["n_models"]) == (
        "not_applicable",
        "does not know Xx",
        2,
        2,
    )
    assert (row["models"], row["n_twins"]) == (["beta-0", "beta-1"], 0)


def test_twins_are_counted_by_themselves(store_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "matter.duckdb"
    copy.write_bytes(store_path.read_bytes())
    with query.connect(copy, read_only=False) as con:
        con.execute(
            "INSERT INTO failures (system_id, dataset, model_id, status, reason) SELECT "
            "'crystals/000', 'crystals', unnest(['beta-0', 'beta-0@untrained']), 'failed', 'dull'"
        )
        rows = ask(con, "provenance_failures", datasets="crystals").rows
    (row,) = (row for row in rows if row["reason"] == "dull")
    assert (row["models"], row["n_models"], row["n_twins"]) == (["beta-0"], 1, 1)


def test_reasons_of_one_kind_are_one_row(store_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "matter.duckdb"
    copy.write_bytes(store_path.read_bytes())
    with query.connect(copy, read_only=False) as con:
        for i, (model, reason) in enumerate(
            [
                ("beta-0", "'C' has 0 bonds, expected 1"),
                ("beta-0", "'[H]' has 0 bonds, expected 1"),
                ("beta-0", "it has 1,201 atoms, at most 500"),
                ("beta-1", "it has 640 atoms, at most 500"),
                ("beta-1", "it has no 'smiles'"),
            ]
        ):
            con.execute(
                "INSERT INTO failures (system_id, dataset, model_id, status, reason) "
                "VALUES (?, 'crystals', ?, 'failed', ?)",
                [f"crystals/{i:03d}", model, reason],
            )
        rows = ask(con, "provenance_failures", datasets="crystals").rows
    assert {
        (row["reason"], row["systems"], row["n_models"], row["for_example"])
        for row in rows
        if row["status"] == "failed"
    } == {
        ("… has 0 bonds, expected 1", 2, 1, "crystals/000"),
        ("it has … atoms, at most …", 2, 2, "crystals/002"),
        ("it has no 'smiles'", 1, 1, "crystals/004"),
    }
