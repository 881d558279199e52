"""How much memory DuckDB may take while runs are planned, checked and loaded."""

from __future__ import annotations

BASE_MB = 128  # for what DuckDB itself needs, and two threads
SYSTEMS_PER_MB = 4000  # the index over system ids takes about 200 bytes per system
# A shard has about 1024 rows, so a row group takes 4 KiB per number of a vector; a few are open.
NUMBERS_PER_MB = 32


def memory_limit(systems: int, dimension: int = 0) -> str:
    """Return a value for DuckDB's `memory_limit`; beyond it, DuckDB works on disk.

    Args:
        systems: How many systems the statements go over, at most.
        dimension: The length of the longest vector that is read or written; 0 if none is.
    """
    return f"{BASE_MB + systems // SYSTEMS_PER_MB + dimension // NUMBERS_PER_MB}MB"
