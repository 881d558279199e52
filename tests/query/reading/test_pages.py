"""Pages of vector files are decoded as pyarrow decodes them, or left to it; damage is noticed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from query.reading.pages import VectorPages
from zoo.worker.tables import VECTORS, VECTORS_OPTIONS

Table = NDArray[np.float32]


def write(path: Path, vectors: pa.Array, kind: pa.Field | None = None, **options: Any) -> Path:
    """Write a vector file with these vectors, or one that differs from ours by the options."""
    schema = pa.schema([VECTORS.field("system_id"), kind or VECTORS.field("vector")])
    ids = pa.array([f"d/{i:05}" for i in range(len(vectors))])
    table = pa.table([ids, vectors.cast(schema.field("vector").type)], schema=schema)
    ours = {name: value for name, value in VECTORS_OPTIONS.items() if "use_" not in name}
    ours["write_statistics"] = ["system_id"]
    pq.write_table(table, path, **(ours | {"use_dictionary": False} | options))
    return path


def lists(table: Table) -> pa.Array:
    ends = np.arange(0, table.size + 1, table.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(ends, pa.array(table.ravel()))


def random_table(rows: int, width: int) -> Table:
    """Return float32 numbers of any bit pattern, NaN and infinity among them."""
    bits = np.random.default_rng(rows).integers(2**32, size=(rows, width), dtype=np.uint32)
    return bits.view(np.float32)


def pages_of(path: Path) -> VectorPages | None:
    with pq.ParquetFile(path) as file:
        return VectorPages.of(str(path), file)


def decode(path: Path) -> Table | None:
    """Return the vectors of a file, None if they are for pyarrow to read."""
    pages = pages_of(path)
    if pages is None:
        return None
    out = np.full(pages.shape, np.nan, np.float32)
    return out if pages.read(out) else None


@pytest.mark.parametrize(("rows", "width"), [(1, 1), (7, 1), (1, 9), (500, 3), (333, 512)])
@pytest.mark.parametrize("group", [64, 1_000])
@pytest.mark.parametrize("page", [700, 2**20])
def test_every_bit_is_as_it_was_written(
    tmp_path: Path, rows: int, width: int, group: int, page: int
) -> None:
    table = random_table(rows, width)
    path = write(tmp_path / "a.parquet", lists(table), row_group_size=group, data_page_size=page)
    found = decode(path)
    assert found is not None
    assert np.array_equal(found.view(np.uint32), table.view(np.uint32))


NULLABLE = pa.field("vector", pa.list_(pa.field("element", pa.float32())), nullable=False)
DOUBLE = pa.field("vector", pa.list_(pa.field("element", pa.float64(), False)), nullable=False)
OTHERS: list[dict[str, Any]] = [
    {"compression": "snappy", "compression_level": None},
    {"column_encoding": {"vector.list.element": "PLAIN"}},
    {"column_encoding": None, "use_dictionary": True},
    {"data_page_version": "2.0"},
    {"write_page_checksum": False},
    {"kind": NULLABLE},
    {"kind": DOUBLE},
]


@pytest.mark.parametrize("options", OTHERS, ids=str)
def test_files_that_are_written_otherwise_are_left_to_pyarrow(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    path = write(tmp_path / "a.parquet", lists(random_table(50, 8)), **options)
    assert decode(path) is None


@pytest.mark.parametrize(
    "lengths", [[3, 3, 2, 4], [3, 0, 3, 6], [6, 3], [0, 0], [2, 4] * 300, [4] * 300 + [3, 5]]
)
def test_rows_of_several_lengths_are_left_to_pyarrow(tmp_path: Path, lengths: list[int]) -> None:
    ragged = pa.array([[1.0] * length for length in lengths], pa.list_(pa.float32()))
    for page in (100, 2**20):
        assert decode(write(tmp_path / "a.parquet", ragged, data_page_size=page)) is None


def test_no_damage_is_taken_for_vectors(tmp_path: Path) -> None:
    table = random_table(40, 3)
    path = write(tmp_path / "a.parquet", lists(table), data_page_size=100)
    pages = pages_of(path)
    assert pages is not None
    content, out = bytearray(path.read_bytes()), np.empty(pages.shape, np.float32)
    column = pq.read_metadata(path).row_group(0).column(1)
    start = column.data_page_offset
    noticed = 0
    for bit in range(8 * start, 8 * (start + column.total_compressed_size)):
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        content[bit // 8] ^= 1 << bit % 8
        try:
            if pages.read(out):  # a bit that no reader looks at
                assert np.array_equal(out.view(np.uint32), table.view(np.uint32))
        except (ValueError, OSError):
            noticed += 1
    assert noticed > 7 * column.total_compressed_size
    path.write_bytes(content[: start + 9])
    with pytest.raises(ValueError, match=f"it ends within the .* bytes at {start}"):
        pages.read(out)
