"""How much memory DuckDB may take while runs are planned, checked and loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

BASE_MB = 128  # for what DuckDB itself needs, and two threads
SYSTEMS_PER_MB = 4000  # the index over system ids takes about 200 bytes per system
# A shard has about 1024 rows, so a row group takes 4 KiB per number of a vector; a few are open.
NUMBERS_PER_MB = 32
# One thread puts 8,000 systems of 20 atoms into a store in 31 MB, 256,000 in 40 MB and 1,024,000 in
# 100 MB, and takes two thirds of the processor time of two threads.
ONE_THREAD_MB = 32
KEYS_PER_MB = 12_000
# DuckDB passes 2048 rows on at a time, twice where they are written. Backbones have 40 kB per row.
ROWS_AT_ONCE = 4096
# What is freed goes back to the system at once, and not only from 128 MB on.
GIVE_BACK = """
SET allocator_flush_threshold = '1MB';
SET allocator_bulk_deallocation_flush_threshold = '1MB';
"""
# What holds for all connections of this process to the same store.
SHARED = """
SELECT name, value FROM duckdb_settings() WHERE name IN ('memory_limit', 'threads',
    'temp_directory', 'allocator_flush_threshold', 'allocator_bulk_deallocation_flush_threshold')
"""


def memory_limit(systems: int, dimension: int = 0) -> str:
    """Return a value for DuckDB's `memory_limit`; beyond it, DuckDB works on disk.

    Args:
        systems: How many systems the statements go over, at most.
        dimension: The length of the longest vector that is read or written; 0 if none is.
    """
    return f"{BASE_MB + systems // SYSTEMS_PER_MB + dimension // NUMBERS_PER_MB}MB"


def use_one_thread(
    connection: duckdb.DuckDBPyConnection,
    systems: int,
    dimension: int = 0,
    row_bytes: int = 0,
    times: int = 1,
) -> None:
    """Have DuckDB compute with one thread, in as little memory as that allows.

    Args:
        connection: The connection; its temporary folder takes what exceeds the memory.
        systems: How many systems the statements go over, at most.
        dimension: The length of the longest vector that is read or written; 0 if none is.
        row_bytes: See `bytes_per_row`; 0 if only ids are read.
        times: How many times that memory is allowed.
    """
    limit = ONE_THREAD_MB + systems // KEYS_PER_MB + dimension // NUMBERS_PER_MB
    limit += row_bytes * ROWS_AT_ONCE // 10**6
    connection.execute(f"SET memory_limit = '{times * limit}MB'; SET threads = 1; {GIVE_BACK}")


@contextmanager
def keep_settings(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Set memory, threads and the temporary folder back when the block ends.

    Args:
        connection: A connection to a store that others of this process may have open, too.

    Yields:
        Nothing.
    """
    before = connection.execute(SHARED).fetchall()
    try:
        yield
    finally:
        for name, value in before:
            number, _, unit = value.partition(" ")
            # DuckDB shows one digit of a size after the point, and cuts off the others.
            exact = f"{float(number) + 0.05} {unit}" if unit.endswith("iB") else value
            # A folder that is in use stays; so does a limit below what others hold.
            with suppress(duckdb.NotImplementedException, duckdb.OutOfMemoryException):
                connection.execute(f"SET {name} = ?", [exact])


def bytes_per_row(file: Path) -> int:
    """Return the bytes that a row of a Parquet file takes in memory, about.

    Args:
        file: The file.
    """
    about = pq.read_metadata(file)
    groups = (about.row_group(number) for number in range(about.num_row_groups))
    return max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
