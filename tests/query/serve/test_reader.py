"""What a visitor sends can do nothing but read the store."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from query.serve.limits import Limits
from query.serve.pool import Busy, Pool, TimedOut
from query.serve.reader import answer
from schemas.store import connect
from tests.query import stores


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "matter.duckdb"
    return stores.make(path, stores.tables(2, 40, 3))


def ask(store: Path, statement: str, **limits: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer(statement, store, Limits(**limits)))
    return found


def test_functions_and_vectors_are_answered(store: Path) -> None:
    found = ask(store, "SELECT model_id, n FROM nearest_models('m0', dataset := 'many')")
    assert found["rows"] == [["m1", 40]]
    assert [column["type"] for column in found["columns"]] == ["VARCHAR", "BIGINT"]
    found = ask(store, "SELECT count(*), sum(len(vector)) FROM embeddings")
    assert found["rows"] == [[80, 240]]
    assert not found["is_cut"]


# What is no SELECT, what hides in one, and what would read or write files by a function.
REFUSED = {
    "SELECT 1; SELECT 2": "2 statements were sent; one at a time",
    "": "0 statements were sent",
    "COPY (SELECT 1) TO '{folder}/x'": "COPY is not answered here",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/x'": "EXPLAIN is not answered here",
    "INSERT INTO labels SELECT * FROM labels": "INSERT is not answered here",
    "CREATE TEMP TABLE models AS SELECT 1": "CREATE is not answered here",
    "ATTACH '{folder}/other.duckdb'": "ATTACH is not answered here",
    "SET enable_external_access = true": "SET is not answered here",
    "LOAD httpfs": "LOAD is not answered here",
    "INSTALL httpfs": "LOAD is not answered here",
    "CALL enable_logging()": "CALL is not answered here",
    "FROM read_text('{secret}')": "Cannot access file",
    "FROM read_blob('{secret}')": "Cannot access file",
    "FROM read_csv('{secret}')": "Cannot access file",
    "FROM read_json('{secret}')": "Cannot access file",
    "FROM read_parquet('{secret}')": "Cannot access file",
    "FROM sniff_csv('{secret}')": "Cannot access file",
    "FROM parquet_metadata('{secret}')": "Cannot access file",
    "FROM '{secret}'": "Cannot access file",
    "FROM glob('{folder}/*')": "Cannot access file",
    "FROM query('FROM read_text(''{secret}'')')": "Cannot access file",
    "FROM read_text('https://example.org/x')": "is not in the catalog|Cannot access file|httpfs",
    "FROM read_parquet('s3://bucket/x.parquet')": "Cannot access file|httpfs",
    "FROM nearest_models('nothing', dataset := 'many')": "no model 'nothing'",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_nothing_else_is(store: Path, tmp_path: Path, statement: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,hidden\n")
    before = store.read_bytes()
    found = ask(store, statement.format(folder=tmp_path, secret=secret))
    assert set(found) == {"error"}
    assert any(each in found["error"] for each in REFUSED[statement].split("|")), found
    assert list(tmp_path.iterdir()) == [secret]
    assert store.read_bytes() == before


def test_logs_are_written_to_no_file(store: Path, tmp_path: Path) -> None:
    ask(store, f"FROM enable_logging(storage := 'file', storage_path := '{tmp_path}/log')")
    assert not (tmp_path / "log").exists()
    assert ask(store, "SELECT 1 AS one")["rows"] == [[1]]


def test_answers_are_cut_at_rows_and_bytes(store: Path) -> None:
    found = ask(store, "FROM range(100)", rows=7)
    assert (len(found["rows"]), found["is_cut"]) == (7, True)
    found = ask(store, "FROM range(7)", rows=7)
    assert (len(found["rows"]), found["is_cut"]) == (7, False)
    found = ask(store, "SELECT repeat('x', 1000) FROM range(100)", megabytes=0.01)
    assert (len(found["rows"]), found["is_cut"]) == (9, True)


def test_values_that_json_lacks(store: Path) -> None:
    found = ask(
        store,
        "SELECT 'nan'::DOUBLE, '-inf'::FLOAT, 2::HUGEINT ** 60, 9007199254740993, "
        "DATE '2026-01-02', [1.5, NULL], {'a': TRUE}, 'ab'::BLOB, INTERVAL 90 SECOND, "
        "0.25::DECIMAL",
    )
    assert found["rows"] == [
        [
            *("NaN", "-Infinity", 2.0**60, "9007199254740993", "2026-01-02"),
            *([1.5, None], {"a": True}, "6162", 90.0, 0.25),
        ]
    ]


def test_a_statement_that_takes_too_long_is_ended(store: Path) -> None:
    pool = Pool(store, 1, Limits(seconds=3.0, patience=0.2))
    try:
        endless = "SELECT count(*) FROM range(1000000000) AS a, range(1000000000) AS b"
        with pytest.raises(TimedOut, match="stopped after 3 s, which a statement may take"):
            pool.ask(endless)
        with connect(store) as writing:  # between two statements nobody keeps others out
            writing.execute("INSERT INTO labels SELECT * FROM labels")
        reader = pool._free.get()  # as if it were at another statement
        with pytest.raises(Busy, match="all 1 readers are busy; try again"):
            pool.ask("SELECT 1")
        pool._free.put(reader)
        assert json.loads(pool.ask("SELECT 1"))["rows"] == [[1]]
        reader.process.kill()
        reader.process.join()
        assert "ended the process" in json.loads(pool.ask("SELECT 1"))["error"]
    finally:
        pool.close()
    end = time.monotonic() + 5
    while reader.process.is_alive():
        assert time.monotonic() < end
