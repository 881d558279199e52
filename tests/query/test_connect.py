"""query.connect: an ordinary DuckDB connection, several of them, and what is left when they close."""

from __future__ import annotations

import gc
from pathlib import Path

import duckdb
import pytest

import query
from query.memory import modest
from schemas.store import StoreError

ASK = "SELECT round(value, 9) FROM alignment('base', 'rotated', dataset := 'crystals', k := 5, permutations := 0)"


def test_it_is_an_ordinary_connection(con: duckdb.DuckDBPyConnection) -> None:
    assert isinstance(con, duckdb.DuckDBPyConnection)
    assert con.sql("SELECT count(*) FROM systems").fetchall() == [(100,)]


def test_duckdb_leaves_the_cores_to_the_metrics_until_told_otherwise(con: duckdb.DuckDBPyConnection) -> None:
    assert con.sql("SELECT current_setting('threads')").fetchall() == [(1,)]
    con.execute("SET threads = 2")
    assert con.sql(ASK).fetchall() == [(1.0,)]


def test_it_reads_only_unless_told(store_path: Path, tmp_path: Path) -> None:
    with query.connect(store_path) as con, pytest.raises(duckdb.InvalidInputException, match="read-only"):
        con.execute("DELETE FROM labels")
    copy = tmp_path / "matter.duckdb"
    copy.write_bytes(store_path.read_bytes())
    with query.connect(copy, read_only=False) as con:
        con.execute("INSERT INTO labels VALUES ('crystals/000', 'energy', 1, 'eV', 'by hand')")
        assert con.sql(ASK).fetchall() == [(1.0,)]
    with query.connect(copy) as con:
        assert con.sql("SELECT count(*) FROM labels").fetchall() == [(1,)]


def test_the_environment_names_the_store(store_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MATTERZOO_STORE", str(store_path))
    with query.connect() as con:
        assert con.sql(ASK).fetchall() == [(1.0,)]
    monkeypatch.setenv("MATTERZOO_STORE", "")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match=r"no store at matter\.duckdb"):
        query.connect()


def test_connections_of_one_store_live_and_close_on_their_own(store_path: Path) -> None:
    first, second = query.connect(store_path), query.connect(store_path)
    assert first.sql(ASK).fetchall() == second.sql(ASK).fetchall() == [(1.0,)]
    first.close()
    del first
    gc.collect()
    assert second.sql(ASK).fetchall() == [(1.0,)]
    assert second.sql("SELECT cka(a, a) FROM (VALUES ([1, 2]), ([2, 1]), ([1, 1]), ([0, 3])) t(a)").fetchall()
    second.close()


def test_a_connection_that_is_let_go_lets_the_file_go(store_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "matter.duckdb"
    copy.write_bytes(store_path.read_bytes())
    con = query.connect(copy)
    con.sql(ASK).fetchall()
    del con
    gc.collect()
    query.connect(copy, read_only=False).close()


def test_a_cursor_is_registered_on_its_own(con: duckdb.DuckDBPyConnection) -> None:
    with con.cursor() as cursor:
        with pytest.raises(duckdb.CatalogException, match="alignment"):
            cursor.sql(ASK)
        assert query.register(cursor).sql(ASK).fetchall() == [(1.0,)]


def test_registering_twice_is_registering_once(con: duckdb.DuckDBPyConnection) -> None:
    query.register(con)
    assert con.sql(ASK).fetchall() == [(1.0,)]


def test_a_connection_without_a_number_says_so(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("RESET VARIABLE matterzoo_connection")
    with pytest.raises(duckdb.InvalidInputException, match=r"make it with query\.connect"):
        con.sql(ASK).fetchall()


def test_an_open_transaction_is_not_seen_yet(store_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "matter.duckdb"
    copy.write_bytes(store_path.read_bytes())
    with query.connect(copy, read_only=False) as con:
        con.execute("BEGIN")
        con.execute("DELETE FROM embeddings WHERE model_id = 'rotated'")
        assert con.sql(ASK).fetchall() == [(1.0,)]
        con.execute("COMMIT")
        assert con.sql(ASK).fetchall() == [(None,)]


def memory_limit(con: duckdb.DuckDBPyConnection) -> str:
    ((limit,),) = con.sql("SELECT current_setting('memory_limit')").fetchall()
    return str(limit)


@pytest.mark.parametrize("limit", ["3GB", "500MB"])
def test_the_limit_of_memory_is_what_it_was(con: duckdb.DuckDBPyConnection, limit: str) -> None:
    con.execute(f"SET memory_limit = '{limit}'")
    before = memory_limit(con)
    for _ in range(3):
        assert con.sql(ASK).fetchall() == [(1.0,)]
    with pytest.raises(duckdb.InvalidInputException, match="no model 'x'"):
        con.sql("FROM nearest_models('x')").fetchall()
    assert memory_limit(con) == before


def test_reading_is_modest_however_many_read(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("SET memory_limit = '3GB'")
    before = memory_limit(con)
    with modest(con):
        with modest(con):
            assert memory_limit(con) == "953.6 MiB"
        assert memory_limit(con) == "953.6 MiB"
    assert memory_limit(con) == before
    con.execute("SET memory_limit = '500MB'")
    with modest(con):
        assert memory_limit(con) == "476.8 MiB"
