"""Ask the store in SQL: an ordinary DuckDB connection that also knows alignments, trees and neighbours."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb

from query.functions import register
from schemas import store

__all__ = ["connect", "default_store", "register"]


def connect(path: str | Path | None = None, *, read_only: bool = True) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection to a store, with the functions of `macros.sql` and one aggregate for each metric.

    path: None is the environment's MATTERZOO_STORE, else ./matter.duckdb. read_only: False allows inserting labels and
    scores, and keeps every other process out. The table functions see what is committed, not an open transaction.
    Raises schemas.store.StoreError.
    """
    return register(store.connect(default_store() if path is None else path, read_only=read_only))


def default_store() -> Path:
    return Path(os.environ.get("MATTERZOO_STORE") or "matter.duckdb")
