"""A store that holds its vectors itself gets vector files, and nothing of it changes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from ingest.layout import Layout
from ingest.maintenance.migrate import migrate_store
from ingest.maintenance.rebuild import rebuild
from ingest.runs.folder import Run, list_runs
from ingest.runs.load import load
from ingest.runs.plan import Plan
from ingest.runs.vectors.files import list_files
from ingest.systems.materialized import MaterializedDataset
from schemas.errors import StoreError, StoreOld
from schemas.migrations import VECTORS, apply, migrations
from schemas.store import connect
from tests.ingest.soak import first_schema, former_runs
from tests.ingest.stores import quiet

Make = Callable[..., MaterializedDataset]
Planned = Callable[..., Plan]
Finish = Callable[..., Run]
Import = Callable[..., Run]
COMMENTS = """
SELECT table_name, column_name, comment, data_type FROM duckdb_columns() WHERE NOT internal
ORDER BY ALL
"""


@pytest.fixture
def former(layout: Layout, import_mine: Import) -> Layout:
    """A store of the first schema with two models, and a table of the user's own."""
    import_mine("mine")
    import_mine("other", 2.0)
    first_schema(layout.store)
    former_runs(layout)
    with duckdb.connect(str(layout.store)) as connection:
        connection.execute("CREATE TABLE notes AS SELECT 'keep me' AS text")
        connection.execute("INSERT INTO labels VALUES ('tiny/s0000', 'gap', 1.5, 'eV', 'me')")
    return layout


def rows(layout: Layout, table: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(layout.store), read_only=True) as connection:
        columns = "system_id, model_id, representation, content_hash, run_id, vector"
        chosen = columns if table == "embeddings" else "*"
        return connection.execute(f"SELECT {chosen} FROM {table} ORDER BY ALL").fetchall()


def test_a_former_store_is_refused_with_the_command_that_migrates_it(former: Layout) -> None:
    for read_only in (True, False):
        with pytest.raises(
            StoreOld, match=r"has matterzoo schema 1 .*; `matterzoo migrate` writes"
        ):
            connect(former.store, read_only=read_only)
    with pytest.raises(StoreOld, match="`matterzoo migrate` writes them"):
        rebuild(former, quiet)


def test_nothing_of_a_former_store_changes(former: Layout) -> None:
    tables = ("embeddings", "labels", "systems", "failures", "notes")
    before = {table: rows(former, table) for table in tables}
    said = migrate_store(former, quiet)
    assert said == f"{former.store} has its vectors in {former.vectors} now"
    assert {table: rows(former, table) for table in tables} == before
    assert len(before["embeddings"]) == 40 and len(before["labels"]) == 21
    assert not list(former.runs.glob("*/out/shard-*"))
    assert "nothing to do" in migrate_store(former, quiet)
    rebuild(former, quiet)
    assert rows(former, "embeddings") == before["embeddings"]


def test_a_migrated_store_has_the_tables_of_a_new_one(former: Layout, tmp_path: Path) -> None:
    migrate_store(former, quiet)
    connect(tmp_path / "new.duckdb").close()
    found = []
    for store in (former.store, tmp_path / "new.duckdb"):
        with connect(store, read_only=True) as connection:
            rows = connection.execute(COMMENTS).fetchall()
        found.append([row for row in rows if row[0] != "notes"])
    assert found[0] == found[1]


def test_vectors_of_runs_whose_shards_are_gone_come_from_the_store(former: Layout) -> None:
    before = rows(former, "embeddings")
    first, second = list_runs(former)
    shutil.rmtree(first.folder)
    shard = second.shards[0]
    shard.write_bytes(shard.read_bytes()[:-9])
    said: list[str] = []
    migrate_store(former, said.append)
    assert any("taken from the store itself, since" in line for line in said)
    assert rows(former, "embeddings") == before and shard.exists()


def test_a_store_that_would_lose_a_vector_stays(former: Layout) -> None:
    with duckdb.connect(str(former.store)) as connection:
        connection.execute("INSERT INTO embeddings FROM embeddings WHERE system_id = 'tiny/s0003'")
    before = former.store.read_bytes()
    with pytest.raises(StoreError, match="stays as it was: of its 42 vectors"):
        migrate_store(former, quiet)
    assert len(rows(former, "embeddings")) == 42
    with duckdb.connect(str(former.store), read_only=True) as connection:
        assert connection.execute("SELECT max(version) FROM schema_version").fetchall() == [(4,)]
    assert before[:16] == former.store.read_bytes()[:16]


def test_rows_that_a_later_run_replaced_stay_out(
    layout: Layout, dataset: Make, planned: Planned, finish: Finish
) -> None:
    made = dataset(20)
    load(layout, finish(planned(made).run))
    load(layout, finish(planned(made, limit=5, dtype="float64").run, seed=1))
    before = rows(layout, "embeddings")
    assert len({row[4] for row in before}) == 2
    first_schema(layout.store)
    kept = {run.run_id: [file.path for file in list_files(run)] for run in list_runs(layout)}
    assert len(kept) == 2
    migrate_store(layout, quiet)
    assert rows(layout, "embeddings") == before


def test_a_store_with_vectors_in_files_gets_the_tables_that_came_later(layout: Layout) -> None:
    known = migrations()
    earlier = {version: file for version, file in known.items() if version <= VECTORS}
    with duckdb.connect(str(layout.store)) as connection:
        apply(connection, earlier)
    with pytest.raises(StoreOld, match="has matterzoo schema 5, .* `matterzoo migrate` updates"):
        connect(layout.store, read_only=True)
    newest = max(known)
    assert migrate_store(layout, quiet).endswith(f"has matterzoo schema {newest} now, it had 5")
    connect(layout.store, read_only=True).close()
    assert "nothing to do" in migrate_store(layout, quiet)
    with duckdb.connect(str(layout.store)) as connection:
        connection.execute(f"INSERT INTO schema_version VALUES ({newest + 1}, now())")
    with pytest.raises(StoreError, match="update matterzoo"):
        migrate_store(layout, quiet)


def test_there_is_nothing_to_migrate_without_a_store(layout: Layout) -> None:
    with pytest.raises(StoreError, match="there is no store at .*matter.duckdb"):
        migrate_store(layout, quiet)
