"""query.connect: an ordinary DuckDB connection, several of them, and what they leave behind."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

import query
from query.sql.memory import limited_memory
from schemas.errors import StoreError
from tests.vectors import add_query, remove

ASK = (
    "SELECT round(value, 9) FROM alignment('base', 'rotated', dataset := 'crystals', "
    "k := 5, permutations := 0)"
)


@pytest.fixture(scope="module")
def store_path(store_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store, which nothing keeps open: here it matters who opens it first."""
    copy = tmp_path_factory.mktemp("connect") / "matter.duckdb"
    copy.write_bytes(store_path.read_bytes())
    return copy


@pytest.fixture
def con(store_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with query.connect(store_path) as connection:
        yield connection


def test_it_is_an_ordinary_connection(con: duckdb.DuckDBPyConnection) -> None:
    assert isinstance(con, duckdb.DuckDBPyConnection)
    assert con.sql("SELECT count(*) FROM systems").fetchall() == [(100,)]


def test_duckdb_leaves_the_cores_to_the_metrics_until_told_otherwise(
    con: duckdb.DuckDBPyConnection,
) -> None:
    assert con.sql("SELECT current_setting('threads')").fetchall() == [(1,)]
    con.execute("SET threads = 2")
    assert con.sql(ASK).fetchall() == [(1.0,)]


def test_it_reads_only_unless_told(store_path: Path, tmp_path: Path) -> None:
    with (
        query.connect(store_path) as con,
        pytest.raises(duckdb.InvalidInputException, match="read-only"),
    ):
        con.execute("DELETE FROM labels")
    copy = tmp_path / "matter.duckdb"
    copy.write_bytes(store_path.read_bytes())
    with query.connect(copy, read_only=False) as con:
        con.execute("INSERT INTO labels VALUES ('crystals/000', 'energy', 1, 'eV', 'by hand')")
        assert con.sql(ASK).fetchall() == [(1.0,)]
    with query.connect(copy) as con:
        assert con.sql("SELECT count(*) FROM labels").fetchall() == [(1,)]


def test_the_environment_names_the_store(
    store_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
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
    assert second.sql(
        "SELECT cka(a, a) FROM (VALUES ([1, 2]), ([2, 1]), ([1, 1]), ([0, 3])) t(a)"
    ).fetchall()
    second.close()


def test_another_connection_opens_while_a_database_is_attached(
    con: duckdb.DuckDBPyConnection, store_path: Path, tmp_path: Path
) -> None:
    duckdb.connect(tmp_path / "other.duckdb").execute("CREATE TABLE exported (a INTEGER)").close()
    con.execute(f"ATTACH '{tmp_path / 'other.duckdb'}' AS other (READ_ONLY)")
    with query.connect(store_path) as second:
        assert second.sql(ASK).fetchall() == [(1.0,)]


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


def test_a_connection_without_a_store_says_so() -> None:
    with (
        duckdb.connect() as con,
        pytest.raises(StoreError, match="this connection has no store: make it with"),
    ):
        query.register(con)


def test_an_error_is_one_sentence_in_python_too(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(duckdb.InvalidInputException) as caught:
        con.sql("FROM alignment('base', 'near', dataset := 'nope')").fetchall()
    assert str(caught.value).startswith(
        "Invalid Input Error: no dataset 'nope' in this store, which has: crystals"
    )
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("alignment('base', 'near', k := 2.5)", "k = 2.5, expected a whole number"),
        ("alignment('base', 'near', k := 'ten')", "k = ten, expected a whole number"),
        (
            "alignment_matrix('crystals', permutations := 1e-3)",
            "permutations = 0.001, expected a whole number",
        ),
        (
            "alignment_curve('base', 'near', 'crystals', ns := [20, 30.5])",
            "ns = 30.5, expected a whole number",
        ),
        ("nearest_models('base', top := 'inf')", "top = inf, expected a whole number"),
        ("dimensions('crystals', subsamples := 0.1)", "subsamples = 0.1, expected a whole number"),
    ],
)
def test_numbers_that_must_be_whole(
    con: duckdb.DuckDBPyConnection, call: str, message: str
) -> None:
    with pytest.raises(duckdb.InvalidInputException, match=f"^Invalid Input Error: {message}$"):
        con.sql(f"FROM {call}").fetchall()


def test_a_list_of_datasets_is_refused(con: duckdb.DuckDBPyConnection) -> None:
    message = r"dataset := \[crystals, more\] is a list; expected one name of: crystals, molecules"
    for call in ("alignment('base', 'near', ", "alignment_matrix(", "dimensions(", "kinship("):
        with pytest.raises(duckdb.InvalidInputException, match=f"^Invalid Input Error: {message}$"):
            con.sql(f"FROM {call}dataset := ['crystals', 'more'])").fetchall()


def test_a_whole_number_may_be_written_as_any_type(con: duckdb.DuckDBPyConnection) -> None:
    for k in ("5", "5.0", "5e0", "5::TINYINT", "'5'"):
        assert con.sql(ASK.replace("k := 5", f"k := {k}")).fetchall() == [(1.0,)]


@pytest.fixture(scope="module")
def made(store_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a store with a schema of views, and of another; see `two`."""
    folder = tmp_path_factory.mktemp("two")
    first, other = folder / "first.duckdb", folder / "other.duckdb"
    for copy in (first, other):
        copy.write_bytes(store_path.read_bytes())
    with query.connect(first, read_only=False) as con:
        con.execute(f"ATTACH '{other}' AS other")
        con.execute("CREATE SCHEMA side; CREATE VIEW side.models AS FROM main.models")
        con.execute("CREATE VIEW side.datasets AS FROM main.datasets")
        con.execute(f"CREATE VIEW side.embeddings AS {SWAPPED.format('main')}")
        con.execute(f"CREATE TABLE other.swapped AS {SWAPPED.format('other.main')}")
        con.execute("USE other")
        remove(con, "true")
        add_query(con, "FROM swapped")
    return folder


@pytest.fixture
def two(made: Path, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A store with another one attached, and with a schema of views.

    In the other store and in the schema, 'rotated' has the vectors of 'noise'.
    """
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    with query.connect(tmp_path / "first.duckdb", read_only=False) as con:
        con.execute(f"ATTACH '{tmp_path / 'other.duckdb'}' AS other; ATTACH ':memory:' AS bare")
        con.execute("USE first; RESET search_path")
        yield con


SWAPPED = """
    SELECT * REPLACE (CASE model_id WHEN 'rotated' THEN 'noise' WHEN 'noise' THEN 'rotated'
        ELSE model_id END
    AS model_id) FROM {}.embeddings
"""
BOTH = """
    SELECT (SELECT value FROM alignment('base', 'rotated', 'crystals', k := 5, permutations := 0)),
        (
        SELECT cknna(a.vector, b.vector, k := 5) FROM embeddings a
            JOIN embeddings b USING (system_id, content_hash)
        WHERE a.model_id = 'base' AND b.model_id = 'rotated' AND (a.representation,
            b.representation) = ('last', 'last')
        AND starts_with(system_id, 'crystals/')
    )
"""


@pytest.mark.parametrize(
    ("where", "alike"),
    [
        ("USE other", False),
        ("USE other; USE first", True),
        ("SET search_path = 'other.main,first.main'", False),
        ("SET search_path = 'bare.main,other.main'", False),
        ("SET schema = 'side'", False),
        ("USE first.side; RESET search_path", True),
        ("BEGIN; USE other", False),
    ],
)
def test_both_layers_read_the_same_store(
    two: duckdb.DuckDBPyConnection, where: str, alike: bool
) -> None:
    two.execute(where)
    ((function, aggregate),) = two.sql(BOTH).fetchall()
    assert function == pytest.approx(aggregate, abs=1e-12)
    assert (function > 0.99) is alike


def test_a_database_without_a_store_is_refused(two: duckdb.DuckDBPyConnection) -> None:
    two.execute("USE bare")
    with pytest.raises(
        duckdb.InvalidInputException,
        match=r"bare\.main has no store that a function can read: USE a",
    ):
        two.sql(ASK).fetchall()
    two.execute("USE first; BEGIN; CREATE SCHEMA later; USE later")
    with pytest.raises(duckdb.InvalidInputException, match=r"first\.later has no store"):
        two.sql(ASK).fetchall()


@pytest.mark.parametrize("kind", ["TABLE", "VIEW"])
def test_a_temporary_table_that_hides_the_stores_is_refused(
    con: duckdb.DuckDBPyConnection, kind: str
) -> None:
    con.execute(f"CREATE TEMP {kind} embeddings AS FROM main.embeddings WHERE model_id = 'base'")
    with pytest.raises(
        duckdb.InvalidInputException, match="temporary tables or views hide those .* embeddings; "
    ):
        con.sql(ASK).fetchall()
    con.execute(f"DROP {kind} temp.embeddings")
    assert con.sql(ASK).fetchall() == [(1.0,)]


def test_an_open_transaction_is_not_seen_yet(store_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "matter.duckdb"
    copy.write_bytes(store_path.read_bytes())
    with query.connect(copy, read_only=False) as con:
        con.execute("BEGIN")
        remove(con, "model_id = 'rotated'")
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


def test_memory_is_limited_however_many_read(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("SET memory_limit = '3GB'")
    before = memory_limit(con)
    with limited_memory(con):
        with limited_memory(con):
            assert memory_limit(con) == "953.6 MiB"
        assert memory_limit(con) == "953.6 MiB"
    assert memory_limit(con) == before
    con.execute("SET memory_limit = '500MB'")
    with limited_memory(con):
        assert memory_limit(con) == "476.8 MiB"


def test_figures_come_with_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(query, "figures", raising=False)  # as before anything has imported it
    assert query.figures.model_tree.__name__ == "model_tree"
    with pytest.raises(AttributeError, match="^module 'query' has no attribute 'nothing'$"):
        query.nothing  # noqa: B018
