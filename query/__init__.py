"""Ask the store in SQL: an ordinary DuckDB connection that also knows alignments, trees and neighbours."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

from query.functions import register
from schemas import store

__all__ = ["connect", "default_store", "register"]

MEMORY = 2 * 10**9  # bytes that DuckDB may take


def connect(path: str | Path | None = None, *, read_only: bool = True) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection to a store, with the functions of `macros.sql` and one aggregate for each metric.

    path: None is the environment's MATTERZOO_STORE, else ./matter.duckdb. read_only: False allows inserting labels and
    scores, and keeps every other process out. The table functions see what is committed, not an open transaction.
    DuckDB has one thread here, `SET threads = 8` gives it more: metrics use all cores by themselves, and while another
    thread computes one, DuckDB's own waits by spinning and takes half a core from it. Its memory is limited to 2 GB, so
    that a large store it has read does not take the room of the metrics; beyond, it works on disk. `SET memory_limit =
    '16GB'` gives it more.
    Raises schemas.store.StoreError.
    """
    connection = register(store.connect(default_store() if path is None else path, read_only=read_only))
    connection.execute("SET threads = 1")
    _limit_memory(connection)
    return connection


def _limit_memory(connection: duckdb.DuckDBPyConnection) -> None:
    """Never above DuckDB's own choice, a part of the machine's memory."""
    sql = "SELECT parse_formatted_bytes(current_setting('memory_limit'))"
    (chosen,) = connection.execute(sql).fetchall()[0]
    if chosen > MEMORY:
        connection.execute(f"SET memory_limit = '{MEMORY}B'")


def default_store() -> Path:
    return Path(os.environ.get("MATTERZOO_STORE") or "matter.duckdb")
