"""Ask the store in SQL: an ordinary DuckDB connection that also knows alignments, trees and neighbors."""

# ruff: noqa: E402 - Ctrl-C is seen to before the imports that take a second

from __future__ import annotations

from schemas.interrupt import quiet_start

quiet_start()

import os
from importlib import import_module
from pathlib import Path
from types import ModuleType

import duckdb

from query.sql.registration import register
from schemas import store

__all__ = ["connect", "default_store", "register"]


def connect(path: str | Path | None = None, *, read_only: bool = True) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection to a store, with the functions of `macros.sql` and one aggregate for each metric.

    path: None is the environment's MATTERZOO_STORE, else ./matter.duckdb. read_only: False allows inserting labels and
    scores, and keeps every other process out. The table functions see what is committed, not an open transaction.
    After ATTACH, `USE other` makes them read that store, as any statement does; temporary tables that hide a
    store's are refused. Aggregates over DOUBLE[] compute in float64.
    DuckDB has one thread here, `SET threads = 8` gives it more: metrics use all cores by themselves, and while another
    thread computes one, DuckDB's own waits by spinning and takes half a core from it. Neighbor lists are kept in files
    beside the store; see `query.reading.neighbor_cache`.
    Raises schemas.store.StoreError.
    """
    connection = register(
        store.connect(default_store() if path is None else path, read_only=read_only)
    )
    connection.execute("SET threads = 1")
    return connection


def default_store() -> Path:
    return Path(os.environ.get("MATTERZOO_STORE") or "matter.duckdb")


def __getattr__(name: str) -> ModuleType:
    """`query.figures`, loaded when it is first asked for: what draws takes a second that no question needs."""
    if name == "figures":
        return import_module("query.figures")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
