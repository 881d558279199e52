"""Vectors are read from files: in which order they lie, where they were moved, and damaged ones."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import query
from query.engine.undefined import Undefined
from query.reading.dataset_files import DatasetFiles
from query.reading.files import store_with_files
from query.reading.selection import Selection, Source
from query.reading.vectors import StoredVectors
from schemas.store import connect
from tests.vectors import add_query, remove

Vectors = dict[str, NDArray[np.float32]]
ASK = "SELECT value, reason FROM alignment('base', '{}', 'crystals', k := 5, permutations := 0)"
COUNT = "SELECT count(*) FROM embeddings WHERE model_id = '{}'"


@pytest.fixture
def copy(store_path: Path, tmp_path: Path) -> Path:
    """A store with its folder, below folders whose names look like keys and patterns."""
    place = tmp_path / "date=2026" / "model=x [1]"
    place.mkdir(parents=True)
    shutil.copy(store_path, place)
    shutil.copytree(store_path.with_suffix(".data"), place / "matter.data")
    return place / "matter.duckdb"


def file_of(store: Path, model_id: str) -> Path:
    (file,) = store.with_suffix(".data").glob(f"vectors/dataset=crystals/model={model_id}/*")
    return file


def one(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[object, ...]:
    (row,) = connection.sql(sql).fetchall()
    return tuple(row)


def test_vectors_are_in_the_order_of_their_keys(
    con: duckdb.DuckDBPyConnection, vectors: Vectors
) -> None:
    files = DatasetFiles.of(con, "crystals")
    assert files is not None
    for name in ("base", "noise", "far"):
        found = files.read_vectors((name, "last"), name)
        assert np.array_equal(found, vectors[name])


def test_rows_of_several_files_are_put_in_order(copy: Path, vectors: Vectors) -> None:
    with connect(copy) as connection:
        remove(connection, "model_id = 'base' AND right(system_id, 1) = '7'")
        add_query(
            connection,
            "SELECT * REPLACE ('base' AS model_id) FROM embeddings "
            "WHERE model_id = 'near' AND right(system_id, 1) = '7' AND representation = 'last'",
        )
        expected = vectors["base"].copy()
        expected[7::10] = vectors["near"][7::10]
        source, selection = Source("base", "last", True), Selection("crystals")
        assert np.array_equal(StoredVectors(connection, selection).read(source), expected)
        assert len(StoredVectors(connection, selection).read_keys([source])[source]) == len(
            expected
        )
        few = Selection("crystals", ("crystals/017", "crystals/003", "crystals/none"))
        assert np.array_equal(StoredVectors(connection, few).read(source), expected[[3, 17]])


def test_a_store_that_holds_its_vectors_itself_is_read_too(copy: Path) -> None:
    with query.connect(copy) as connection:
        expected = one(connection, ASK.format("near"))
    with duckdb.connect(str(copy)) as connection:
        connection.execute("CREATE TABLE held AS FROM embeddings; DROP VIEW embeddings")
        connection.execute("ALTER TABLE held RENAME TO embeddings; DELETE FROM vector_files")
    shutil.rmtree(copy.with_suffix(".data"))
    with query.connect(copy) as connection:
        assert store_with_files(connection) is None
        assert one(connection, ASK.format("near")) == expected
        assert one(connection, "SELECT count(*) > 5 FROM dimensions('crystals')") == (True,)


def test_a_moved_store_answers_at_once_and_then_to_every_client(copy: Path) -> None:
    with query.connect(copy) as connection:
        expected = one(connection, ASK.format("near"))
    elsewhere = copy.parents[2] / "elsewhere"
    copy.parent.rename(elsewhere)
    moved = elsewhere / copy.name
    moved.chmod(0o444)
    with query.connect(moved) as connection:
        assert one(connection, ASK.format("near")) == expected
        assert one(connection, COUNT.format("near")) == (100,)
    moved.chmod(0o644)
    connect(moved).close()
    with duckdb.connect(str(moved), read_only=True) as connection:
        assert connection.sql(COUNT.format("near")).fetchall() == [(100,)]


@pytest.fixture(params=["missing", "cut off", "altered"])
def damaged(request: pytest.FixtureRequest, copy: Path) -> Iterator[tuple[Path, Path, str]]:
    """A store with a damaged file of `near`, the file, and how it is damaged."""
    with connect(copy):
        pass  # finds its files here
    file = file_of(copy, "near")
    content = bytearray(file.read_bytes())
    if request.param == "missing":
        file.unlink()
    elif request.param == "cut off":
        file.write_bytes(content[:-40])
    else:
        column = pq.ParquetFile(file).metadata.row_group(0).column(5)
        content[column.data_page_offset + column.total_compressed_size - 9] ^= 4
        file.write_bytes(content)
    yield copy, file, request.param


def test_a_damaged_file_is_named_and_the_rest_answers(
    damaged: tuple[Path, Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    store, file, kind = damaged
    remedy = "`matterzoo ingest near crystals --representation last` computes its vectors again"
    with query.connect(store) as connection:
        warned = " ".join(capsys.readouterr().err.split())
        assert str(file) in warned and remedy in warned
        assert one(connection, COUNT.format("far")) == (100,)
        assert one(connection, COUNT.format("near")) == (40,)  # those on the other dataset
        assert one(connection, ASK.format("far"))[0] is not None
        with pytest.raises(duckdb.InvalidInputException) as error:
            connection.sql(ASK.format("near")).fetchall()
        assert str(file) in str(error.value) and remedy in str(error.value)
        with pytest.raises(duckdb.InvalidInputException, match="computes its vectors again"):
            connection.sql("FROM nearest_systems('near', 'crystals/003')").fetchall()
        matrix = connection.sql(
            "SELECT DISTINCT model_a FROM alignment_matrix('crystals', permutations := 0, k := 5)"
        )
        models = {name for (name,) in matrix.fetchall()}
        assert "far" in models and "near" not in models
    assert kind in ("missing", "cut off", "altered")


def test_damage_that_comes_later_is_a_reason(copy: Path) -> None:
    with query.connect(copy) as connection:
        file = file_of(copy, "near")
        before = file.stat()
        content = bytearray(file.read_bytes())
        column = pq.ParquetFile(file).metadata.row_group(0).column(5)
        content[column.data_page_offset + column.total_compressed_size - 9] ^= 4
        file.write_bytes(content)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a failing disk does it
    with query.connect(copy) as connection:
        value, reason = one(connection, ASK.format("near"))
        assert value is None and str(file) in str(reason) and "is damaged" in str(reason)


def test_a_store_without_any_file_names_them(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    connect(copy).close()
    shutil.rmtree(copy.with_suffix(".data") / "vectors")
    with query.connect(copy) as connection:
        assert "21 more files of vectors are damaged" in capsys.readouterr().err
        assert one(connection, COUNT.format("near")) == (0,)
        assert one(connection, "SELECT count(*) FROM systems") == (100,)
        with pytest.raises(duckdb.InvalidInputException, match="is missing: restore it, or"):
            connection.sql(ASK.format("near")).fetchall()


def test_a_file_that_is_shortened_after_its_keys_were_read_is_refused(copy: Path) -> None:
    with query.connect(copy) as con:
        files = DatasetFiles.of(con, "crystals")
        assert files is not None
        assert files.read_keys(("noise", "last")).num_rows > 10
        path = file_of(copy, "noise")
        pq.write_table(
            pq.read_table(path, partitioning=None)[:10],
            path,
            use_dictionary=False,
            compression="zstd",
            column_encoding={"vector.list.element": "BYTE_STREAM_SPLIT"},
            write_page_checksum=True,
        )
        with pytest.raises(Undefined, match=r"has 10 rows, expected \d+: "):
            files.read_vectors(("noise", "last"), "noise")
