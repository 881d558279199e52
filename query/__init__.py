"""Ask the store in SQL: a DuckDB connection that also knows alignments, trees and neighbors."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from schemas.paths import default_store

if TYPE_CHECKING:
    import duckdb

_NAMED = 3  # damaged files at most that a warning names

__all__ = ["connect", "default_store", "register"]


def connect(
    path: str | Path | None = None, *, read_only: bool = True, functions: bool = True
) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB connection to a store, with one aggregate per metric and all table functions.

    Table functions see what is committed, not an open transaction. After ATTACH, `USE other` makes
    them read that store, as any statement does. Temporary tables that hide those of a store are
    refused. Aggregates over DOUBLE[] compute in float64. Neighbor lists are kept in files beside
    the store; see `query.reading.neighbor_cache`.

    DuckDB has one thread here, and `SET threads = 8` gives it more. Metrics use all cores by
    themselves, and while one thread computes a metric, DuckDB's other threads wait by spinning,
    which takes half a core from it.

    Args:
        path: The DuckDB file; None is the environment's MATTERZOO_STORE, else ./matter.duckdb.
        read_only: False allows inserting labels and scores, and keeps every other process out.
        functions: False leaves the functions out, which take seconds to import, until `register`
            gives them to the connection.

    Raises:
        StoreError: If there is no store, or it cannot be opened.
    """
    from schemas import store

    path = default_store() if path is None else path
    connection = store.connect(path, read_only=read_only)
    connection.execute("SET threads = 1")  # with more, the functions take twice as long to make
    _report_damage(connection, path)
    if functions:
        from query.sql.registration import register as register_functions

        register_functions(connection)
    return connection


def _report_damage(connection: duckdb.DuckDBPyConnection, path: str | Path) -> None:
    """Name files of vectors that are missing, or not as long as they were, on standard error."""
    from schemas.vectors import list_vector_files
    from zoo.terminal import log

    files = list_vector_files(connection, path, nodes=None)
    faults = [file.fault for file in files if file.fault is not None]
    for fault in faults[:_NAMED]:
        log(f"warning: {fault}")
    if len(faults) > _NAMED:
        log(f"warning: {len(faults) - _NAMED} more files of vectors are damaged")


def register(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """Give a connection to a store the SQL functions.

    A cursor needs a call of its own, since macros belong to a connection.

    Args:
        connection: The connection.

    Returns:
        The same connection.

    Raises:
        StoreError: If it has no store.
    """
    import duckdb

    # What computes takes seconds to import, and `import query` does not.
    from query.reading.files import store_path
    from query.sql.registration import register as register_functions
    from schemas.views import follow_files

    with suppress(duckdb.CatalogException):  # without a store, the next line says so
        follow_files(connection, store_path(connection), read_only=True)
    return register_functions(connection)


def __getattr__(name: str) -> ModuleType:
    """Return `query.figures`, loaded when it is first asked for.

    Drawing takes a second to import that no question needs.
    """
    if name == "figures":
        return import_module("query.figures")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
