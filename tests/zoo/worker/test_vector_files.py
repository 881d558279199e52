"""Vector files hold what the contract says, in the form that readers rely on."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.worker import vector_files
from zoo.worker.errors import WorkerError
from zoo.worker.sealed import stamp
from zoo.worker.tables import VECTORS
from zoo.worker.vector_files import VectorFiles, VectorRows, groups_per_file, rows_per_group


def rows(count: int, dimension: int = 4, start: int = 0) -> VectorRows:
    numbers = range(start, start + count)
    vectors = np.random.default_rng(start).standard_normal((count, dimension), dtype=np.float32)
    ids = pa.array([f"set/{i:06d}" for i in numbers], pa.string())
    return VectorRows(ids, pa.array([f"hash {i}" for i in numbers], pa.string()), vectors)


def writer(folder: Path) -> VectorFiles:
    return VectorFiles(folder, "run-1", "model-1", "card-1")


def test_a_file_has_the_contract_s_columns_and_metadata(tmp_path: Path) -> None:
    files, given_rows = writer(tmp_path), rows(5)
    files.write("last", [given_rows], 5)
    [entry] = files.entries
    path = tmp_path / "vectors-00000.parquet"
    table = pq.read_table(path)
    assert table.schema.equals(VECTORS)
    assert {k.decode(): v.decode() for k, v in table.schema.metadata.items()} == {
        "run_id": "run-1",
        "model_id": "model-1",
        "card_hash": "card-1",
        "representation": "last",
    }
    assert table["system_id"].to_pylist() == given_rows.system_ids.to_pylist()
    assert table["content_hash"].to_pylist() == given_rows.content_hashes.to_pylist()
    assert table["vector"].to_pylist() == given_rows.vectors.tolist()
    assert set(table["model_id"].to_pylist()) == {"model-1"}
    assert set(table["representation"].to_pylist()) == {"last"}
    assert set(table["run_id"].to_pylist()) == {"run-1"}
    assert entry == {
        "file": path.name,
        "representation": "last",
        "rows": 5,
        "bytes": stamp(path)["size"],
        "sha256": stamp(path)["sha256"],
    }


def test_duckdb_reads_the_columns_of_the_store(tmp_path: Path) -> None:
    writer(tmp_path).write("last", [rows(3)], 3)
    relation = duckdb.connect().read_parquet(str(tmp_path / "*.parquet"), hive_partitioning=False)
    types = dict(zip(relation.columns, map(str, relation.types), strict=True))
    assert types == dict.fromkeys(VECTORS.names, "VARCHAR") | {"vector": "FLOAT[]"}


def test_a_byte_of_float32_takes_less_than_a_byte(tmp_path: Path) -> None:
    files = writer(tmp_path)
    files.write("last", [rows(2000, 512)], 2000)
    assert files.entries[0]["bytes"] < 0.9 * 2000 * 512 * 4


def test_a_damaged_page_is_noticed(tmp_path: Path) -> None:
    writer(tmp_path).write("last", [rows(2000, 64)], 2000)
    path = tmp_path / "vectors-00000.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(OSError, match="CRC checksum"):
        pq.read_table(path, page_checksum_verification=True)


def test_many_vectors_are_cut_into_files_of_like_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_files, "ROW_GROUP_BYTES", 10 * 4 * 4)
    monkeypatch.setattr(vector_files, "FILE_BYTES", 40 * (4 * 4 + vector_files.ID_BYTES))
    files = writer(tmp_path)
    files.write("a", [rows(13), rows(0), rows(88, start=13)], 101)
    files.write("b", [rows(1)], 1)
    files.write("c", [], 0)
    assert [(e["file"], e["representation"], e["rows"]) for e in files.entries] == [
        ("vectors-00000.parquet", "a", 40),
        ("vectors-00001.parquet", "a", 40),
        ("vectors-00002.parquet", "a", 21),
        ("vectors-00003.parquet", "b", 1),
    ]
    table = pq.read_table([tmp_path / entry["file"] for entry in files.entries[:3]])
    assert table["system_id"].to_pylist() == [f"set/{i:06d}" for i in range(101)]
    assert pq.ParquetFile(tmp_path / "vectors-00002.parquet").num_row_groups == 3


@given(count=st.integers(1, 10**8), dimension=st.integers(1, 20_000))
def test_no_file_is_too_large_and_none_much_smaller_than_the_others(
    count: int, dimension: int
) -> None:
    group = rows_per_group(dimension)
    per_file = groups_per_file(count, dimension) * group
    assert per_file * 4 * dimension <= vector_files.FILE_BYTES
    files = -(-count // per_file)
    # The last file may have a row group less for each of the others.
    assert files == 1 or count - (files - 1) * per_file > per_file - files * group


@settings(deadline=None)  # it waits for the disk
@given(cuts=st.lists(st.integers(0, 300), max_size=5))
def test_the_parts_in_which_rows_come_make_no_difference(
    cuts: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole, found = rows(300, 30), []
    for bounds in ([0, 300], [0, *sorted(cuts), 300]):
        files = writer(tmp_path_factory.mktemp("files"))
        parts = [whole.cut(a, b) for a, b in zip(bounds, bounds[1:], strict=False)]
        files.write("last", parts, 300)
        found.append(files.entries)
    assert found[0] == found[1]


def test_there_is_one_zero(tmp_path: Path) -> None:
    given_rows = rows(1)
    given_rows.vectors[:] = -0.0
    writer(tmp_path).write("last", [given_rows], 1)
    stored = pq.read_table(tmp_path)["vector"].combine_chunks().values.to_numpy()
    assert not np.signbit(stored).any()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([rows(2, start=3), rows(2)], r"has set/000000 after set/000004 in 'last'"),
        ([rows(3), rows(1, start=2)], r"has set/000002 after set/000002 in 'last'; expected each"),
        ([rows(3), rows(1, 5, start=3)], r"has vectors of 4 and of 5 numbers in 'last'"),
        ([rows(3)], r"has 3 vectors of 'last', expected 4"),
        ([rows(3), VectorRows(*rows(1, start=3)[:2], np.full((1, 4), np.nan, np.float32))], "fini"),
        ([rows(3), VectorRows(*rows(1, start=3)[:2], np.full((1, 4), np.inf, np.float32))], "fini"),
    ],
)
def test_what_no_reader_could_use_is_refused(
    tmp_path: Path, parts: list[VectorRows], message: str
) -> None:
    with pytest.raises(WorkerError, match=message):
        writer(tmp_path).write("last", parts, 4)
    assert not list(tmp_path.glob(".*"))
