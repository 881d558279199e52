"""A store opens with its tables, or says why not and stays as it was."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from schemas import migrations
from schemas.errors import StoreBroken, StoreError, StoreLocked
from schemas.paths import MEMORY
from schemas.store import connect, update

HOLD = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "reads")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(path: Path, mode: str) -> Iterator[int]:
    """Another process that has the store open."""
    command = [sys.executable, "-c", HOLD, str(path), mode]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        yield process.pid
        process.communicate()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An empty store."""
    connect(tmp_path / "matter.duckdb").close()
    return tmp_path / "matter.duckdb"


def test_a_new_store_has_the_tables_and_records_its_version(path: Path) -> None:
    with connect(path, read_only=True) as connection:
        tables = {
            name
            for (name,) in connection.execute(
                "SELECT table_name FROM information_schema.tables"
            ).fetchall()
        }
        versions = connection.execute("SELECT version FROM schema_version").fetchall()
    assert tables >= {
        "systems",
        "datasets",
        "models",
        "runs",
        "embeddings",
        "vector_files",
        "superseded",
        "failures",
        "labels",
        "scores",
    }
    assert versions == [(v,) for v in migrations.migrations()]


def test_migrations_are_numbered_without_gaps() -> None:
    assert list(migrations.migrations()) == list(range(1, len(migrations.migrations()) + 1))


def test_every_column_whose_name_does_not_say_its_unit_is_explained() -> None:
    with connect(MEMORY) as connection:
        query = (
            "SELECT column_name FROM duckdb_columns() "
            "WHERE table_name = 'systems' AND comment IS NOT NULL"
        )
        explained = {name for (name,) in connection.execute(query).fetchall()}
    assert {"positions", "cell", "charge", "spin", "content_hash"} <= explained


def test_a_second_opening_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    connect(path).close()
    assert path.read_bytes() == before


def test_a_migration_that_fails_leaves_no_trace(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "sql"
    shutil.copytree(migrations.FOLDER, folder)
    now = max(migrations.migrations())
    more = folder / f"{now + 1:03}_more.sql"
    more.write_text("CREATE TABLE more (a INTEGER); CREATE TABLE systems (b INTEGER);")
    monkeypatch.setattr(migrations, "FOLDER", folder)
    with pytest.raises(duckdb.CatalogException, match="already exists"):
        connect(path)
    more.write_text("CREATE TABLE more (a INTEGER);")
    with pytest.raises(StoreError, match=f"has matterzoo schema {now}, this one reads {now + 1}"):
        connect(path, read_only=True)
    update(path)
    with connect(path, read_only=True) as connection:
        assert connection.execute("SELECT max(version) FROM schema_version").fetchall() == [
            (now + 1,)
        ]


def test_a_store_of_the_first_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "old.duckdb"
    with duckdb.connect(str(path)) as connection:
        migrations.apply(connection, {1: migrations.migrations()[1]})
        connection.execute(
            "INSERT INTO runs BY NAME "
            "SELECT 'r' AS run_id, 'm' AS model_id, 'd' AS dataset, ['x'] AS representations, "
            "'ok' AS status, 'venv' AS runtime, 'cpu' AS device, 'float32' AS dtype, "
            "'c' AS card_hash, 1 AS sent, 1 AS ok, 0 AS failed, 0 AS not_applicable"
        )
    update(path)
    with connect(path, read_only=True) as connection:
        assert connection.execute("SELECT run_id, runtime, image FROM runs").fetchall() == [
            ("r", "venv", None)
        ]


def test_a_full_disk(small_disk: Path, fill: Callable[[Path, int], Path]) -> None:
    filler = fill(small_disk, 12_288)
    with pytest.raises(
        StoreError, match=r"no space left for .*/s.duckdb: free space on its disk, then repeat"
    ):
        connect(small_disk / "s.duckdb")
    filler.unlink()
    connect(small_disk / "s.duckdb").close()


def test_an_update_opens_for_writing_only_what_is_old(path: Path, tmp_path: Path) -> None:
    with held(path, "reads"):
        update(path)
    update(tmp_path / "none.duckdb")
    assert not (tmp_path / "none.duckdb").exists()


def test_a_newer_store_is_left_alone(path: Path) -> None:
    with connect(path) as connection:
        connection.execute("INSERT INTO schema_version VALUES (99, now())")
    before = path.read_bytes()
    with pytest.raises(
        StoreError, match=r"made by matterzoo schema 99, this one knows up to \d+: update matterzoo"
    ):
        connect(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("read_only", [True, False])
def test_a_store_that_is_written_elsewhere_names_the_process(path: Path, read_only: bool) -> None:
    before = path.read_bytes()
    with (
        held(path, "writes") as pid,
        pytest.raises(StoreLocked, match=rf"process {pid} \(.*python.*\); wait until"),
    ):
        connect(path, read_only=read_only)
    assert path.read_bytes() == before


def test_readers_share_and_keep_a_writer_out(path: Path) -> None:
    with held(path, "reads") as pid:
        connect(path, read_only=True).close()
        with pytest.raises(StoreLocked, match=f"is in use by process {pid}"):
            connect(path)


def test_two_modes_in_one_process(path: Path) -> None:
    with connect(path), pytest.raises(StoreLocked, match="already open in this process"):
        connect(path, read_only=True)


def test_a_file_that_is_no_store(tmp_path: Path) -> None:
    text = tmp_path / "notes.duckdb"
    text.write_text("not a database\n" * 1000)
    with pytest.raises(StoreBroken, match="is not a DuckDB file"):
        connect(text)
    assert text.read_text() == "not a database\n" * 1000


def test_a_torn_store(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(StoreError, match=str(path)):
        connect(path, read_only=True)


def test_a_database_of_someone_else(tmp_path: Path) -> None:
    other = tmp_path / "other.duckdb"
    with duckdb.connect(str(other)) as connection:
        connection.execute("CREATE TABLE birds (name VARCHAR)")
    before = other.read_bytes()
    with pytest.raises(StoreError, match="no table schema_version"):
        connect(other)
    assert other.read_bytes() == before


def test_paths_that_cannot_be_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a folder"):
        connect(tmp_path)
    with pytest.raises(StoreError, match="there is no store at .*; `matterzoo ingest` makes one"):
        connect(tmp_path / "none.duckdb", read_only=True)
    with pytest.raises(StoreError, match="there is no folder"):
        connect(tmp_path / "no" / "none.duckdb")
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_a_newer_duckdb_is_not_called_damaged_alone(tmp_path: Path) -> None:
    store = tmp_path / "matter.duckdb"
    connect(store).close()
    (tmp_path / "matter.data").mkdir()
    content = bytearray(store.read_bytes())
    content[12:20] = (10_000).to_bytes(8, "little")  # the version of the format
    checksum = 5381
    for word in struct.unpack("<511Q", content[8:4096]):
        checksum ^= word * 0xBF58476D1CE4E5B9 % 2**64
    content[:8] = checksum.to_bytes(8, "little")
    store.write_bytes(content)
    message = (
        r"Either a newer DuckDB has written it: .* Or it is damaged: then `matterzoo rebuild` .* "
        r"keeps it as \S+broken"
    )
    with pytest.raises(StoreBroken, match=message):
        connect(store, read_only=True)


@pytest.mark.parametrize("name", ["table.csv", "table.json", "table.parquet"])
@pytest.mark.parametrize("read_only", [True, False])
def test_a_table_in_another_format_is_no_store(name: str, read_only: bool, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text("id,smiles\na,CCO\n")
    with pytest.raises(StoreError, match=r"is not a DuckDB file, so it is no store"):
        connect(file, read_only=read_only)
    assert file.read_text() == "id,smiles\na,CCO\n"
