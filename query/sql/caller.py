"""Which store a function reads: the one that the statement which calls it would read."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakValueDictionary

import duckdb

from query.reading.files import store_path
from query.reading.kept.finds import open_finds
from query.sql.literals import literal
from schemas.errors import StoreError
from schemas.views import are_as_listed, follow_files

CALLER = "STRUCT(number BIGINT, search_path VARCHAR, hiding VARCHAR[])"  # of the macro __caller

_HAS_STORE = "SELECT 1 FROM models, datasets, embeddings LIMIT 0"
_NO_STORE = "this connection has no store: make it with query.connect(), or query.register() it"

# DuckDB keeps a function for the whole database, whichever connection registered it. So functions
# find the connection that called them by its number.
_connections: WeakValueDictionary[int, duckdb.DuckDBPyConnection] = WeakValueDictionary()
_numbers = itertools.count()


def number_connection(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a connection a number, by which functions find it again.

    Args:
        connection: The connection; it is kept alive by its owner alone.
    """
    number = next(_numbers)
    _connections[number] = connection
    connection.execute(f"SET VARIABLE matterzoo_connection = {number}")


def require_store(connection: duckdb.DuckDBPyConnection) -> None:
    """Check that the tables of a store are found by their names.

    Args:
        connection: The connection.

    Raises:
        StoreError: If they are not.
    """
    try:
        connection.execute(_HAS_STORE)
    except duckdb.CatalogException as error:
        raise StoreError(_NO_STORE) from error


@contextmanager
def reading(caller: dict[str, Any]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a cursor that reads the store which the caller's statement would read.

    Args:
        caller: What the macro __caller knows.

    Yields:
        The cursor.

    Raises:
        ValueError: If there is no store, or a temporary table hides one of its tables.
    """
    connection = _connections.get(-1 if caller["number"] is None else caller["number"])
    if connection is None:
        raise ValueError(_NO_STORE)
    if caller["hiding"]:
        names = ", ".join(caller["hiding"])
        raise ValueError(
            f"temporary tables or views hide those of the store: {names}; functions read the "
            "store's only, so drop the temporary ones or give them other names"
        )
    with connection.cursor() as cursor:
        try:
            if caller["search_path"]:  # a cursor does not inherit USE
                follow_files(cursor, store_path(cursor), read_only=True)
                cursor.execute(f"SET search_path = {literal(caller['search_path'])}")
            # While finds are kept, files stay where they are: 20 ms of each question.
            where = "files of a caller", caller["number"], caller["search_path"]
            finds = open_finds()
            if finds is None or not finds.get(where):
                files = follow_files(cursor, store_path(cursor), read_only=True)
                require_store(cursor)
                if finds is not None:
                    finds.put(where, are_as_listed(files), 0)
        except (duckdb.CatalogException, StoreError) as error:
            path = caller["search_path"] or "this connection"
            raise ValueError(
                f"{path} has no store that a function can read: USE a database that has one"
            ) from error
        yield cursor
