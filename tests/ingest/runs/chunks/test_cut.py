"""Chunks are cut by the order of samples, whatever else is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.runs.chunks.cut import cut_into_chunks
from ingest.systems.sample import first_ids

MOST = 60
NAMES = [f"{i % 7}/é {i}" for i in range(MOST)]
limits, sizes = st.integers(1, MOST + 5), st.integers(1, MOST + 5)
Chunks = dict[int, list[str]]


@pytest.fixture(scope="module")
def systems(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file of the ids of MOST systems, in the order of NAMES."""
    path = tmp_path_factory.mktemp("chunks") / "systems.parquet"
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (system_id VARCHAR, content_hash VARCHAR)")
        rows = [(f"set/{name}", f"hash of {name}") for name in NAMES]
        connection.executemany("INSERT INTO t VALUES (?, ?)", rows)
        connection.execute(f"COPY t TO '{path}'")
    yield path


def cut(systems: Path, limit: int, size: int) -> Chunks:
    with duckdb.connect() as connection:
        cut_into_chunks(connection, systems, limit, size)
        found: Chunks = {}
        for chunk, system_id in connection.execute(
            "SELECT chunk, system_id FROM wanted"
        ).fetchall():
            found.setdefault(chunk, []).append(system_id.removeprefix("set/"))
    return found


@settings(deadline=None, max_examples=50)  # each opens a database
@given(limit=limits, size=sizes)
def test_the_chunks_are_the_order_of_samples_cut_after_every_so_many(
    systems: Path, limit: int, size: int
) -> None:
    ordered = first_ids(NAMES, limit)
    expected = {
        start // size: ordered[start : start + size] for start in range(0, len(ordered), size)
    }
    assert cut(systems, limit, size) == expected


@settings(deadline=None, max_examples=50)  # each opens a database
@given(limit=limits, more=limits, size=sizes)
def test_a_larger_limit_keeps_the_whole_chunks_of_a_smaller_one(
    systems: Path, limit: int, more: int, size: int
) -> None:
    small, large = cut(systems, limit, size), cut(systems, limit + more, size)
    whole = {chunk: ids for chunk, ids in small.items() if len(ids) == size}
    assert len(whole) >= len(small) - 1
    assert whole.items() <= large.items()
