"""Shards in any order become files in the order of system_id."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.worker import merge, vector_files
from zoo.worker.errors import DamagedFileError, Stopped
from zoo.worker.merge import merge_shards
from zoo.worker.tables import OUTCOMES, SHARD
from zoo.worker.vector_files import VectorFiles

LENGTHS = {"a": 3, "b": 5, "b:nodes": 2}  # of "b:nodes", a row has the vectors of some nodes
Row = dict[str, Any]


def nodes_of(number: int, representation: str) -> int:
    """Return how many vectors a row has."""
    return 1 + number % 4 if representation.endswith(":nodes") else 1


def row(number: int, representation: str, status: str = "ok") -> Row:
    length, nodes = LENGTHS[representation], nodes_of(number, representation)
    vector = [float(number), *[0.5] * (length - 1)] * nodes
    return {
        "system_id": f"set/{number}",
        "content_hash": f"hash {number}",
        "representation": representation,
        "status": status,
        "reason": None if status == "ok" else f"reason {number}",
        "vector": vector if status == "ok" else None,
        "energy": number / 2 if status == "ok" else None,
    }


def write_shards(folder: Path, shards: Sequence[Sequence[Row]]) -> list[Path]:
    paths = []
    for number, rows in enumerate(shards):
        paths.append(folder / f"shard-{number:05d}.parquet")
        table = pa.Table.from_pylist(list(rows), schema=SHARD)
        pq.write_table(table, paths[-1], row_group_size=7, write_page_checksum=True)
    return paths


def merged(folder: Path, shards: Sequence[Path]) -> tuple[list[Row], list[Row]]:
    """Merge, and return the outcomes and the rows of all vector files."""
    files = VectorFiles(folder, "run-1", "model-1", "card-1")
    outcomes = pq.read_table(merge_shards(shards, files, LENGTHS))
    assert outcomes.schema.equals(OUTCOMES)
    rows = []
    for entry in files.entries:
        table = pq.read_table(folder / entry["file"])
        name, _, pooling = entry["representation"].partition(":")
        assert set(table["representation"].to_pylist()) == {name}
        assert len(table) == entry["rows"]
        if pooling:
            assert entry["systems"] == table["node"].to_pylist().count(0)
        rows += [row | {"representation": entry["representation"]} for row in table.to_pylist()]
    return outcomes.to_pylist(), rows


statuses = st.sampled_from(["ok", "ok", "failed", "not_applicable"])


@settings(deadline=None, max_examples=50)  # it waits for the disk
@given(
    outcomes=st.dictionaries(
        st.tuples(st.integers(0, 60), st.sampled_from([*LENGTHS])), statuses, max_size=60
    ),
    cuts=st.lists(st.integers(0, 60), max_size=5),
    random=st.randoms(use_true_random=False),
)
def test_every_row_is_there_once_and_in_order(
    outcomes: dict[tuple[int, str], str],
    cuts: list[int],
    random: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    rows = [row(*key, status) for key, status in outcomes.items()]
    random.shuffle(rows)
    bounds = [0, *sorted(cuts), len(rows)]
    shards = [rows[a:b] for a, b in zip(bounds, bounds[1:], strict=False)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vector_files, "ROW_GROUP_ROWS", 3)
        patch.setattr(vector_files, "FILE_BYTES", 1000)
        patch.setattr(merge, "OUTCOMES_AT_ONCE", 4)
        found, vectors = merged(folder, write_shards(folder, shards))
    expected = sorted(rows, key=lambda row: (row["representation"], row["system_id"]))
    assert found == [{name: row[name] for name in OUTCOMES.names} for row in expected]
    same = ("system_id", "content_hash", "representation", "vector", "node")
    assert [{name: row.get(name) for name in same} for row in vectors] == [
        {name: each.get(name) for name in same}
        for row in expected
        if row["status"] == "ok"
        for each in one_per_node(row)
    ]


def one_per_node(row: Row) -> Iterator[Row]:
    """Yield the rows of vector files that come of a row of a shard."""
    length = LENGTHS[row["representation"]]
    if not row["representation"].endswith(":nodes"):
        yield row
        return
    for node in range(len(row["vector"]) // length):
        yield row | {"node": node, "vector": row["vector"][node * length : (node + 1) * length]}


def test_what_a_killed_merge_has_left_is_replaced(tmp_path: Path) -> None:
    for name in ("vectors-00007.parquet", "nodes-00008.parquet"):
        (tmp_path / name).write_bytes(b"of a merge that was killed")
    merged(tmp_path, write_shards(tmp_path, [[row(1, "a")]]))
    assert {path.name for path in tmp_path.iterdir()} == {
        "shard-00000.parquet",
        "vectors-00000.parquet",
        "outcomes.parquet",
    }


def test_shards_of_before_there_were_energies_are_read(tmp_path: Path) -> None:
    [shard] = write_shards(tmp_path, [[row(2, "a"), row(1, "a", "failed")]])
    pq.write_table(pq.read_table(shard).drop_columns("energy"), shard)
    outcomes, vectors = merged(tmp_path, [shard])
    assert [(r["system_id"], r["energy"]) for r in outcomes] == [("set/1", None), ("set/2", None)]
    assert [r["vector"] for r in vectors] == [[2.0, 0.5, 0.5]]


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    shards = write_shards(tmp_path, [[row(1, "a")], [row(i, "a") for i in range(2, 9)]])
    content = bytearray(shards[1].read_bytes())
    page = pq.read_metadata(shards[1]).row_group(0).column(5)
    content[page.data_page_offset + page.total_compressed_size - 4] ^= 1
    shards[1].write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"shard-00001\.parquet is damaged: .*CRC"):
        merged(tmp_path, shards)


def test_a_vector_of_another_length_is_named(tmp_path: Path) -> None:
    wrong = row(1, "a") | {"vector": [1.0, 2.0]}
    shards = write_shards(tmp_path, [[row(2, "a")], [wrong]])
    with pytest.raises(DamagedFileError, match=r"shard-00001.* another length than .* says, 3"):
        merged(tmp_path, shards)


def test_a_merge_can_be_stopped(tmp_path: Path) -> None:
    shards = write_shards(tmp_path, [[row(1, "a")]])

    def check() -> None:
        raise Stopped("SIGTERM")

    with pytest.raises(Stopped, match="SIGTERM"):
        files = VectorFiles(tmp_path, "run-1", "model-1", "card-1")
        merge_shards(shards, files, LENGTHS, check)
    assert [path.name for path in tmp_path.iterdir()] == ["shard-00000.parquet"]


def peak_of_merge(folder: Path, count: int) -> tuple[int, int]:
    """Merge `count` shards of 64 vectors; return the peak memory and the vectors' size, in bytes.

    Arrow's memory counts from here on, as does that of numpy and of Python.
    """
    folder.mkdir()
    numbers, shards = np.random.default_rng(count).permutation(count * 64), []
    for part in np.split(numbers, count):
        rows = {
            "system_id": [f"set/{i}" for i in part],
            "content_hash": [f"hash {i}" for i in part],
            "representation": ["a"] * 64,
            "status": ["ok"] * 64,
            "reason": pa.nulls(64, pa.string()),
            "vector": list(np.ones((64, 512), np.float32)),
            "energy": pa.nulls(64, pa.float64()),
        }
        shards.append(folder / f"shard-{len(shards):05d}.parquet")
        pq.write_table(pa.table(rows, schema=SHARD), shards[-1])
    before, pool = pa.default_memory_pool(), pa.proxy_memory_pool(pa.system_memory_pool())
    pa.set_memory_pool(pool)
    tracemalloc.start()
    try:
        merge_shards(shards, VectorFiles(folder, "run-1", "model-1", "card-1"), {"a": 512})
        return tracemalloc.get_traced_memory()[1] + pool.max_memory(), count * 64 * 512 * 4
    finally:
        tracemalloc.stop()
        pa.set_memory_pool(before)


def test_memory_does_not_grow_with_the_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_files, "ROW_GROUP_BYTES", 100_000)
    monkeypatch.setattr(vector_files, "FILE_BYTES", 1_000_000)
    (small, few), (large, many) = (peak_of_merge(tmp_path / str(n), n) for n in (20, 70))
    assert large - small < 0.1 * (many - few)
